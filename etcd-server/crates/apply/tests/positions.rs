//! An entry is applied once, behind the one before it. Anything else stops the member.

use crate::commands::request;
use apply::{Settings, State};
use membership::{ConfChange, Member, Version};
use prost::Message as _;
use schema::{MemoryBatch, MemoryStore};
use types::MemberId;

/// Applies `entries` by their indexes, and ends the batch at `end`. Returns the panic, if any.
fn outcome(entries: &[u64], end: u64) -> Result<(), String> {
    let run = || {
        let settings = Settings {
            quota_bytes: None,
            minimum_lease_ttl_seconds: 1,
            own_version: Version::new(3, 7, 1),
            keeps_checkpoints: false,
        };
        let (store, mut batch) = (MemoryStore::new(), MemoryBatch::default());
        let mut state = State::load(&store, settings, &mut batch).unwrap();
        for index in entries {
            if index % 2 == 0 {
                let member = Member { id: MemberId(*index), ..Member::default() };
                let change = ConfChange::Add(member).to_raft(1).encode_to_vec();
                state.apply_conf_change(&mut batch, *index, &change.into(), 1).unwrap();
            } else {
                let data = request(&["put", "a=1"]).encode_to_vec();
                state.apply(&store, &mut batch, *index, &data.into(), 0).unwrap();
            }
        }
        state.settle(&store, &mut batch, end, 1).unwrap();
    };
    let text = |panic: Box<dyn std::any::Any + Send>| panic.downcast_ref::<String>().cloned().unwrap();
    std::panic::catch_unwind(run).map_err(text)
}

#[test]
fn entry_out_of_place_stops_the_member() {
    assert_eq!(outcome(&[1, 2, 3], 3), Ok(()));
    for (entries, end, reason) in [
        (&[2][..], 2, "entry 2 is applied behind entry 0"),
        (&[1, 1], 1, "entry 1 is applied behind entry 1"),
        (&[1, 2, 2], 2, "entry 2 is applied behind entry 2"),
        (&[1, 3], 3, "entry 3 is applied behind entry 1"),
        (&[1, 2, 1], 1, "entry 1 is applied behind entry 2"),
        (&[1, 2], 1, "a batch ends at entry 1, and entry 2 was applied last"),
        (&[1, 2], 3, "a batch ends at entry 3, and entry 2 was applied last"),
    ] {
        assert_eq!(outcome(entries, end), Err(reason.to_owned()), "{entries:?}");
    }
}
