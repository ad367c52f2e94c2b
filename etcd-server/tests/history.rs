//! The acknowledged operations, replayed: the model that a restarted server is compared with.
//!
//! Every revision belongs to one operation. Acknowledged ones are known by their revision; an
//! operation in flight when the server ended may have happened, once, at an unknown revision.

use crate::daemon::Client;
use proto::etcdserverpb::RangeRequest;
use proto::mvccpb::KeyValue;
use std::collections::BTreeMap;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put { key: String, value: String, lease: i64 },
    Delete { key: String },
}

/// The changes of one request, in the order of its sub revisions.
pub(crate) type Operation = Vec<Change>;

/// The observations of one run of clients.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By revision.
    pub(crate) acknowledged: BTreeMap<i64, Operation>,
    /// Asked for and never answered.
    pub(crate) unanswered: Vec<Operation>,
}

impl Seen {
    /// Adds an acknowledged operation; a revision belongs to one only.
    pub(crate) fn acknowledge(&mut self, revision: i64, operation: Operation) {
        let other = self.acknowledged.insert(revision, operation);
        assert!(other.is_none(), "revision {revision} was given to two operations, one of them {other:?}");
    }

    /// Adds the observations of another client.
    pub(crate) fn join(&mut self, other: Self) {
        for (revision, operation) in other.acknowledged {
            self.acknowledge(revision, operation);
        }
        self.unanswered.extend(other.unanswered);
    }
}

/// The key space at one revision, as the history has it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) revision: i64,
    keys: BTreeMap<String, KeyValue>,
}

impl Default for Model {
    /// A new member's: the first revision is 1 and nothing is in it.
    fn default() -> Self {
        Self { revision: 1, keys: BTreeMap::new() }
    }
}

/// The counters of a check.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) acknowledged: usize,
    pub(crate) unanswered_found: usize,
}

impl Model {
    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Follows the server to its newest revision and compares on the way: every acknowledged
    /// operation at its revision, every other revision made by an unanswered operation, each of
    /// these at most once, and the whole key space at the end and at the middle.
    pub(crate) async fn follow(&mut self, client: &Client, mut seen: Seen) -> Checked {
        let current = client.revision().await;
        assert!(current >= self.revision, "the revision went back from {} to {current}", self.revision);
        let told = seen.acknowledged.last_key_value().map_or(0, |(revision, _)| *revision);
        assert!(current >= told, "revision {told} was acknowledged, the server is at {current}");
        let mut checked = Checked { acknowledged: seen.acknowledged.len(), unanswered_found: 0 };
        let middle = i64::midpoint(self.revision, current);
        for revision in self.revision + 1..=current {
            let operation = match seen.acknowledged.remove(&revision) {
                Some(operation) => operation,
                None => {
                    checked.unanswered_found += 1;
                    self.find_unanswered(client, revision, &mut seen.unanswered).await
                }
            };
            self.apply(revision, &operation);
            if revision == middle {
                self.compare(client).await;
            }
        }
        assert!(
            seen.acknowledged.is_empty(),
            "acknowledged at revisions that were there before: {:?}",
            seen.acknowledged
        );
        self.compare(client).await;
        checked
    }

    /// The key space of the server at the model's revision is the model's.
    pub(crate) async fn compare(&self, client: &Client) {
        let found = client.range(RangeRequest { revision: self.revision, ..everything() }).await;
        assert_eq!(found.count, i64::try_from(self.keys.len()).unwrap(), "count at revision {}", self.revision);
        for (found, expected) in found.kvs.iter().zip(self.keys.values()) {
            assert_eq!(found, expected, "at revision {}", self.revision);
        }
        assert_eq!(found.kvs.len(), self.keys.len(), "keys at revision {}", self.revision);
    }

    /// Every lease holds exactly the keys that the model attaches to it.
    pub(crate) async fn compare_lease(&self, client: &Client, lease: i64) {
        let mut attached = client.lease_keys(lease).await;
        attached.sort();
        let expected: Vec<_> = self.keys.values().filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect();
        assert_eq!(attached, expected, "keys of lease {lease:x}");
    }

    async fn find_unanswered(&self, client: &Client, revision: i64, unanswered: &mut Vec<Operation>) -> Operation {
        let made = client.range(RangeRequest { revision, min_mod_revision: revision, ..everything() }).await;
        let at_revision = client.range(RangeRequest { revision, keys_only: true, ..everything() }).await;
        let found = unanswered.iter().position(|operation| {
            let after = Self { revision: self.revision, keys: self.keys.clone() }.after(revision, operation);
            let changed: Vec<_> = after.keys.values().filter(|kv| kv.mod_revision == revision).collect();
            changed.iter().copied().eq(made.kvs.iter())
                && after.keys.values().map(|kv| &kv.key).eq(at_revision.kvs.iter().map(|kv| &kv.key))
        });
        let position =
            found.unwrap_or_else(|| panic!("revision {revision} holds what nobody asked for: {:?}", made.kvs));
        unanswered.swap_remove(position)
    }

    fn after(mut self, revision: i64, operation: &Operation) -> Self {
        self.apply(revision, operation);
        self
    }

    fn apply(&mut self, revision: i64, operation: &Operation) {
        self.revision = revision;
        for change in operation {
            match change {
                Change::Delete { key } => drop(self.keys.remove(key)),
                Change::Put { key, value, lease } => {
                    let before = self.keys.get(key);
                    let kv = KeyValue {
                        key: key.clone().into(),
                        value: value.clone().into(),
                        lease: *lease,
                        create_revision: before.map_or(revision, |kv| kv.create_revision),
                        version: before.map_or(1, |kv| kv.version + 1),
                        mod_revision: revision,
                    };
                    self.keys.insert(key.clone(), kv);
                }
            }
        }
    }
}

fn everything() -> RangeRequest {
    RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() }
}
