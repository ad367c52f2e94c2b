//! Bucket `meta`.

use super::go_json;
use super::record::{RecordError, be64};
use bytes::Bytes;
use proto::raftpb::ConfState;
use serde::{Deserialize, Serialize};

/// [`u64_value`]: the last raft index whose changes the file contains.
pub const CONSISTENT_INDEX_KEY: &[u8] = b"consistent_index";
/// [`u64_value`]: the raft term of that entry; since 3.5.
pub const TERM_KEY: &[u8] = b"term";
/// [`conf_state_value`]: the voters; since 3.5.
pub const CONF_STATE_KEY: &[u8] = b"confState";
/// A revision with sub 0 ([`HistoryKey`](super::HistoryKey)): a compaction that was begun.
pub const SCHEDULED_COMPACT_KEY: &[u8] = b"scheduledCompactRev";
/// As the one before: a compaction whose deletes are done.
pub const FINISHED_COMPACT_KEY: &[u8] = b"finishedCompactRev";
/// A [`Version`](super::Version); since 3.6. Absent while the cluster is at 3.5.
pub const STORAGE_VERSION_KEY: &[u8] = b"storageVersion";

/// A number as etcd stores it: eight bytes, big-endian.
pub fn u64_value(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Reads such a number.
pub fn u64_from(value: &[u8]) -> Result<u64, RecordError> {
    be64("number", value)
}

/// Raft's members as JSON; empty lists are left out.
#[derive(Serialize, Deserialize)]
struct ConfStateJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voters: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learners: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voters_outgoing: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learners_next: Option<Vec<u64>>,
    #[serde(default)]
    auto_leave: bool,
}

/// The value of [`CONF_STATE_KEY`].
pub fn conf_state_value(conf_state: &ConfState) -> Bytes {
    let list = |ids: &Vec<u64>| (!ids.is_empty()).then(|| ids.clone());
    let json = ConfStateJson {
        voters: list(&conf_state.voters),
        learners: list(&conf_state.learners),
        voters_outgoing: list(&conf_state.voters_outgoing),
        learners_next: list(&conf_state.learners_next),
        auto_leave: conf_state.auto_leave,
    };
    go_json::to_bytes(&json).into()
}

/// Reads such a value.
pub fn conf_state_from(value: &[u8]) -> Result<ConfState, RecordError> {
    let json: ConfStateJson = serde_json::from_slice(value).map_err(|error| RecordError::new("confState", error))?;
    Ok(ConfState {
        voters: json.voters.unwrap_or_default(),
        learners: json.learners.unwrap_or_default(),
        voters_outgoing: json.voters_outgoing.unwrap_or_default(),
        learners_next: json.learners_next.unwrap_or_default(),
        auto_leave: json.auto_leave,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_state_has_its_known_text() {
        let conf_state = ConfState { voters: vec![1, u64::MAX], learners: vec![2], ..ConfState::default() };
        let value = conf_state_value(&conf_state);
        assert_eq!(value, r#"{"voters":[1,18446744073709551615],"learners":[2],"auto_leave":false}"#);
        assert_eq!(conf_state_from(&value), Ok(conf_state));
        assert_eq!(conf_state_from(br#"{"voters":null,"auto_leave":false}"#), Ok(ConfState::default()));
    }
}
