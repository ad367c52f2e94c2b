//! The order and the moments in which leases fall due, by exact times.

use lease::{Checkpoint, Expiry, ExpirySettings, Lessor, Renewal, minimum_ttl_seconds};
use schema::MemoryStore;
use std::time::Duration;
use types::{LeaseId, MonotonicTime};

const SECOND: u64 = 1000;

/// Leases and their expiry on one member.
struct Stage {
    store: MemoryStore,
    lessor: Lessor,
    expiry: Expiry,
}

impl Stage {
    fn new(checkpoint_interval: Option<Duration>) -> Self {
        let store = MemoryStore::new();
        let lessor = Lessor::load(&store, 1).unwrap();
        let expiry =
            Expiry::follow(lessor.leases(), ExpirySettings { checkpoint_interval, ..ExpirySettings::default() });
        Self { store, lessor, expiry }
    }

    fn follow(&mut self, at: u64) {
        self.lessor.take_changes().into_iter().for_each(|change| self.expiry.follow_change(change, MonotonicTime(at)));
    }

    fn grant(&mut self, at: u64, id: i64, ttl: i64) {
        self.lessor.grant(&mut self.store, LeaseId(id), ttl).unwrap();
        self.follow(at);
    }

    fn checkpoint(&mut self, at: u64, id: i64, remaining: i64) {
        self.lessor.checkpoint(&mut self.store, LeaseId(id), remaining, lease::Persist::Yes);
        self.follow(at);
    }

    fn revoke(&mut self, at: u64, id: i64) {
        self.lessor.revoke(&self.store.clone(), &mut self.store, LeaseId(id)).unwrap().unwrap();
        self.follow(at);
    }

    /// The checkpoints that are due, as lease and remaining seconds.
    fn due(&mut self, at: u64) -> Vec<(i64, i64)> {
        let due = self.expiry.due_checkpoints(MonotonicTime(at)).items;
        due.into_iter().map(|Checkpoint { id, remaining_ttl_seconds }| (id.0, remaining_ttl_seconds)).collect()
    }

    fn expired(&mut self, at: u64, max: usize) -> Vec<i64> {
        self.expiry.expired(MonotonicTime(at), max).items.into_iter().map(|id| id.0).collect()
    }

    fn needs_reset(&mut self, at: u64, id: i64) -> bool {
        match self.expiry.renew(LeaseId(id), MonotonicTime(at)) {
            Renewal::Renewed { reset_checkpoint, .. } => reset_checkpoint,
            refusal @ (Renewal::NotFound | Renewal::Expired | Renewal::NotLeading) => panic!("{refusal:?}"),
        }
    }
}

#[test]
fn minimum_ttl_is_election_timeout_and_a_half() {
    for (milliseconds, seconds) in
        [(100, 1), (666, 1), (667, 1), (668, 2), (1000, 2), (1333, 2), (1334, 3), (10_000, 15)]
    {
        assert_eq!(minimum_ttl_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds} ms");
    }
}

#[test]
fn earlier_deadline_expires_first() {
    let mut stage = Stage::new(None);
    // Inherited: 10 s and 30 s, each extended by 1 s.
    stage.grant(0, 1, 10);
    stage.grant(0, 2, 30);
    stage.expiry.promote(MonotonicTime(0), Duration::from_secs(1));
    // Granted in this term of office: 10 s and 12 s.
    stage.grant(0, 3, 10);
    stage.grant(0, 4, 12);
    assert_eq!(stage.expired(9_999, 10), [0_i64; 0]);
    let order: Vec<_> = (0..4).flat_map(|_| stage.expired(60 * SECOND, 1)).collect();
    assert_eq!(order, [3, 1, 4, 2]);
    assert_eq!(stage.expiry.revokes_in_flight(), 4);
    stage.revoke(60 * SECOND, 3);
    assert_eq!(stage.expiry.revokes_in_flight(), 3);
    // Those that were not applied are due again after the retry time, in order of their ids.
    assert_eq!(stage.expired(66_999, 10), [0_i64; 0]);
    assert_eq!(stage.expired(67_000, 10), [1, 2, 4]);
}

#[test]
fn revokes_in_flight_are_bounded() {
    let mut stage = Stage::new(None);
    stage.expiry.promote(MonotonicTime(0), Duration::ZERO);
    (1..=40).for_each(|id| stage.grant(0, id, 10));
    assert_eq!(stage.expired(10 * SECOND, 100).len(), 16);
    assert_eq!(stage.expired(11 * SECOND, 100), [0_i64; 0]);
    stage.revoke(11 * SECOND, 1);
    assert_eq!(stage.expired(11 * SECOND, 100), [17]);
}

#[test]
fn checkpoint_is_due_after_each_interval() {
    let mut stage = Stage::new(Some(Duration::from_secs(300)));
    stage.expiry.promote(MonotonicTime(0), Duration::from_secs(1));
    stage.grant(0, 1, 1000);
    // As long as the interval: never. A second longer: once.
    stage.grant(0, 2, 300);
    stage.grant(0, 3, 301);
    assert_eq!(stage.due(299_999), []);
    assert_eq!(stage.due(300_000), [(1, 700), (3, 1)]);
    assert_eq!(stage.due(300_000), []);
    // The checkpoint was lost: the next one is due an interval later all the same.
    assert_eq!(stage.due(599_999), []);
    assert_eq!(stage.due(600_000), [(1, 400)]);
    // A renewal puts it off: a whole interval must pass since.
    assert!(stage.needs_reset(700_000, 1));
    assert_eq!(stage.due(999_999), []);
    assert_eq!(stage.due(1_000_000), [(1, 700)]);
    // What is left is rounded up.
    assert_eq!(stage.due(1_300_001), [(1, 400)]);
    // No interval is left of the last one.
    assert_eq!(stage.due(1_600_001), [(1, 100)]);
    assert_eq!(stage.due(1_699_999), []);
    assert_eq!(stage.due(1_700_000), []);
}

#[test]
fn inherited_leases_are_checkpointed_from_promotion_on() {
    let mut stage = Stage::new(Some(Duration::from_secs(300)));
    stage.grant(0, 1, 1000);
    stage.grant(0, 2, 300);
    stage.grant(0, 3, 500);
    // Recorded: so much less to lose.
    stage.checkpoint(0, 3, 250);
    assert_eq!(stage.due(900_000), [], "only a leader records");
    stage.expiry.promote(MonotonicTime(0), Duration::from_secs(1));
    assert_eq!(stage.due(300_999), []);
    assert_eq!(stage.due(301_000), [(1, 700)]);
    // Applied: the next one counts from what it recorded.
    stage.checkpoint(301_500, 1, 700);
    assert_eq!(stage.due(600_999), []);
    assert_eq!(stage.due(601_000), [(1, 400)]);
}

#[test]
fn renewal_resets_a_checkpoint_until_none_is_on_its_way() {
    let mut stage = Stage::new(Some(Duration::from_secs(300)));
    stage.expiry.promote(MonotonicTime(0), Duration::from_secs(1));
    stage.grant(0, 1, 1000);
    assert_eq!(stage.expiry.is_checkpointed(LeaseId(1)), Some(false));
    assert_eq!(stage.expiry.is_checkpointed(LeaseId(2)), None);
    assert!(!stage.needs_reset(1000, 1));
    assert_eq!(stage.due(301_000), [(1, 700)]);
    // A reset by an earlier leader does not stand for the checkpoint on its way.
    stage.checkpoint(302_000, 1, 0);
    assert!(stage.needs_reset(303_000, 1));
    stage.checkpoint(304_000, 1, 700);
    assert_eq!(stage.expiry.is_checkpointed(LeaseId(1)), Some(true));
    assert!(stage.needs_reset(305_000, 1));
    stage.checkpoint(306_000, 1, 0);
    assert_eq!(stage.expiry.is_checkpointed(LeaseId(1)), Some(false));
    assert!(!stage.needs_reset(307_000, 1));
}

#[test]
fn agendas_hold_entries_of_held_leases() {
    let mut stage = Stage::new(Some(Duration::from_secs(300)));
    stage.grant(0, 1, 1000);
    assert_eq!((stage.expiry.queued_entries(), stage.expiry.len(), stage.expiry.is_leading()), (0, 1, false));
    stage.expiry.promote(MonotonicTime(0), Duration::ZERO);
    // An inherited lease has none before it is renewed; a short one has no checkpoint to come.
    assert_eq!((stage.expiry.queued_entries(), stage.expiry.is_leading()), (0, true));
    assert!(!stage.needs_reset(0, 1));
    assert_eq!(stage.expiry.queued_entries(), 2);
    stage.grant(0, 2, 100);
    assert_eq!(stage.expiry.queued_entries(), 3);
    stage.revoke(0, 1);
    assert_eq!((stage.expiry.queued_entries(), stage.expiry.len()), (1, 1));
    stage.revoke(0, 2);
    assert!(stage.expiry.is_empty() && stage.expiry.queued_entries() == 0);
    stage.expiry.demote();
    assert!(!stage.expiry.is_leading());
}

#[test]
fn rows_are_kept_until_views_show_them() {
    let mut stage = Stage::new(None);
    stage.grant(0, 1, 10);
    stage.lessor.attach(LeaseId(1), b"a", &mut stage.store);
    stage.lessor.attach(LeaseId(1), b"b", &mut stage.store);
    stage.lessor.detach(LeaseId(1), b"b", &mut stage.store);
    assert_eq!(stage.lessor.pending_rows(), 3);
    let sealed = stage.lessor.seal();
    stage.lessor.attach(LeaseId(1), b"c", &mut stage.store);
    stage.lessor.became_visible(sealed);
    assert_eq!(stage.lessor.pending_rows(), 1);
}
