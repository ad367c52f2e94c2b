//! The oracle: the committed entries, and what etcd's documentation demands of each of them.
//!
//! Every entry is judged once, as soon as any member applies it, by a model that shares no code
//! with apply, never crashes, never loses anything and never installs a snapshot. The state, the
//! responses and the watch events of members are compared with it.

use crate::check::{Checked, Violation, check};
use crate::schedule::Time;
use apply::{Settings, State};
use consensus::{Entry, EntryKind, Role, Status};
use model::{Change, Configuration, Limits, Model, Refusal, Verdict};
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RangeRequest, RangeResponse};
use schema::MemoryStore;
use std::collections::{BTreeMap, BTreeSet};
use types::LeaseId;

/// The oracle's knowledge of one committed entry.
pub(crate) struct Known {
    entry: Entry,
    verdict: Verdict,
    configuration: Configuration,
    /// The newest and the compacted revision behind it.
    revisions: (i64, i64),
    digest: u64,
}

pub(crate) struct Oracle {
    pub(crate) model: Model,
    pub(crate) learners_max: usize,
    known: Vec<Known>,
    /// Every change of a key, ever.
    pub(crate) events: Vec<Change>,
    /// Entries that a member has applied for the first time, and that others must hold durably.
    pub(crate) newly_committed: Vec<(u64, u64)>,
    leaders: BTreeMap<u64, u64>,
    /// Requests that were refused to a client.
    pub(crate) refused: BTreeSet<u64>,
    /// Requests that have become entries.
    ordered: BTreeSet<u64>,
    /// `true` if no request may become two entries.
    pub(crate) fencing: bool,
    /// Proposals that were lost with a leader and proposed again.
    pub(crate) proposed_again: u64,
    /// The promised end of each lease, by the last response; and its time to live.
    leases: BTreeMap<LeaseId, (Time, Time)>,
    /// Revokes that a leader proposed because a lease had run out: when, and the entry up to which
    /// the leader knew the leases.
    pub(crate) expiries: BTreeMap<u64, (Time, u64)>,
    /// The entries that granted the leases.
    granted: BTreeMap<LeaseId, u64>,
    /// By how much a clock may be too fast, in thousandths.
    pub(crate) drift: u64,
    /// The last entry at which the quota may be used up.
    quota_until: u64,
}

/// The quota of every member.
const QUOTA_BYTES: u64 = 1 << 20;

pub(crate) fn settings() -> Settings {
    let own_version = membership::Version::new(3, 7, 1);
    Settings { quota_bytes: Some(QUOTA_BYTES), minimum_lease_ttl_seconds: 1, own_version, keeps_checkpoints: true }
}

impl Oracle {
    pub(crate) fn new(learners_max: usize) -> Self {
        let Settings { quota_bytes, minimum_lease_ttl_seconds: minimum_ttl_seconds, keeps_checkpoints, .. } =
            settings();
        Self {
            model: Model::new(Limits { quota_bytes, minimum_ttl_seconds, learners_max, keeps_checkpoints }),
            learners_max,
            known: Vec::new(),
            events: Vec::new(),
            newly_committed: Vec::new(),
            leaders: BTreeMap::new(),
            refused: BTreeSet::new(),
            ordered: BTreeSet::new(),
            fencing: true,
            proposed_again: 0,
            leases: BTreeMap::new(),
            expiries: BTreeMap::new(),
            granted: BTreeMap::new(),
            drift: 0,
            quota_until: u64::MAX,
        }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.known.len() as u64
    }

    fn known(&self, index: u64) -> Option<&Known> {
        self.known.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// Returns the size that members compare with the quota at an entry: now and then the quota is
    /// used up but for some bytes, until it is enlarged. Whether a request fits is up to its cost.
    pub(crate) fn stored_bytes(&self, index: u64) -> u64 {
        if index % 128 == 127 && index <= self.quota_until { QUOTA_BYTES - index * 7919 % 1000 } else { 0 }
    }

    /// Enlarges the quota: entries that are not committed yet find enough space.
    pub(crate) fn enlarge_quota(&mut self) {
        self.quota_until = self.committed();
    }

    /// Returns the outcome that an entry must have.
    pub(crate) fn verdict(&self, index: u64) -> Checked<&Verdict> {
        self.known(index)
            .map(|known| &known.verdict)
            .ok_or_else(|| Violation(format!("entry {index} is not committed")))
    }

    /// Returns `true` if the member belongs to the cluster.
    pub(crate) fn has_member(&self, id: u64) -> bool {
        self.model.members.members.contains_key(&id)
    }

    /// One leader per term.
    pub(crate) fn raft_status(&mut self, member: u64, status: &Status) -> Checked {
        if status.role != Role::Leader {
            return Ok(());
        }
        let leader = *self.leaders.entry(status.term).or_insert(member);
        check(leader == member, || format!("members {leader} and {member} both lead in term {}", status.term))
    }

    /// Takes an entry that a member is about to apply, and returns the outcome that it must have.
    pub(crate) fn commit(&mut self, now: Time, entry: &Entry) -> Checked<(&Verdict, Configuration)> {
        if entry.index == self.committed() + 1 {
            self.learn(now, entry)?;
        }
        let known = self
            .known(entry.index)
            .ok_or_else(|| Violation(format!("entry {} is applied before the one before it", entry.index)))?;
        check(known.entry == *entry, || {
            format!("entry {} is {:?} here and {entry:?} there", entry.index, known.entry)
        })?;
        Ok((&known.verdict, known.configuration))
    }

    fn learn(&mut self, now: Time, entry: &Entry) -> Checked {
        let before = self.known.last().map_or(0, |known| known.entry.term);
        check(entry.term >= before, || {
            format!("the term goes back from {before} to {} at entry {}", entry.term, entry.index)
        })?;
        let stored = self.stored_bytes(entry.index);
        let leases: BTreeSet<_> = self.model.leases.keys().copied().collect();
        let (verdict, configuration) = match entry.kind {
            EntryKind::Normal => (self.model.apply(entry.index, &entry.data, stored), Configuration::Unchanged),
            EntryKind::ConfChange => self.model.apply_configuration(&entry.data),
        };
        check(!self.refused.contains(&verdict.request_id), || {
            format!("entry {} was refused to its client", entry.index)
        })?;
        let is_first = verdict.request_id == 0 || self.ordered.insert(verdict.request_id);
        check(is_first || !self.fencing, || format!("entry {} is a request that was ordered before", entry.index))?;
        self.follow_leases(now, entry, &leases, verdict.request_id)?;
        self.check_revisions(&verdict.changes)?;
        self.events.extend(verdict.changes.iter().cloned());
        let digest = judge::summary_of_model(&self.model).digest();
        let revisions = (self.model.keys.current, self.model.keys.compacted);
        self.known.push(Known { entry: entry.clone(), verdict, configuration, revisions, digest });
        self.newly_committed.push((entry.index, entry.term));
        Ok(())
    }

    /// A request that changes keys makes exactly one revision, and its changes are numbered
    /// through.
    fn check_revisions(&self, events: &[Change]) -> Checked {
        let before = self.events.last().map_or(1, |event| event.main);
        let numbered = events.iter().zip(0..).all(|(event, sub)| (event.main, event.sub) == (before + 1, sub));
        let reached = if events.is_empty() { before } else { before + 1 };
        check(numbered && self.model.keys.current == reached, || {
            format!("revisions do not follow {before}: {events:?}")
        })
    }

    /// Follows the leases that an entry granted and revoked. `before` are those before it.
    fn follow_leases(&mut self, now: Time, entry: &Entry, before: &BTreeSet<i64>, request_id: u64) -> Checked {
        for (id, lease) in self.model.leases.iter().filter(|(id, _)| !before.contains(id)) {
            let ttl = u64::try_from(lease.ttl_seconds).unwrap_or(0) * crate::schedule::SECOND;
            self.leases.insert(LeaseId(*id), (now, ttl));
            self.granted.insert(LeaseId(*id), entry.index);
        }
        for id in before.iter().filter(|id| !self.model.leases.contains_key(id)).map(|id| LeaseId(*id)) {
            let Some((since, ttl)) = self.leases.remove(&id) else { continue };
            let Some(&(proposed, applied)) = self.expiries.get(&request_id) else { continue };
            // The leader meant an earlier lease of this id, which a client revoked and granted again
            // while the revoke was on its way. A revoke names no more than the id, in etcd too.
            if self.granted.get(&id).is_some_and(|granted| *granted > applied) {
                continue;
            }
            // A clock that is too fast sees the time pass too fast.
            let promised = since + ttl * 1000 / (1000 + self.drift);
            check(proposed + 1000 >= promised, || {
                format!(
                    "entry {}: lease {id} ran out at {proposed} us, but was promised until {promised} us",
                    entry.index
                )
            })?;
        }
        Ok(())
    }

    /// Checks that some lease id was free after one of the entries from `floor` to the newest one.
    pub(crate) fn check_unknown_lease(&self, id: LeaseId, floor: u64) -> Checked {
        let changes = |entry: &Entry| {
            let request = InternalRaftRequest::decode(entry.data.clone()).unwrap_or_default();
            request.lease_revoke.is_some_and(|revoke| revoke.id == id.0)
        };
        let newer = self.known.iter().skip(usize::try_from(floor).unwrap_or(usize::MAX));
        let was_revoked =
            newer.filter(|known| known.entry.kind == EntryKind::Normal).any(|known| changes(&known.entry));
        let granted_later = |known: &Known| {
            let request = InternalRaftRequest::decode(known.entry.data.clone()).unwrap_or_default();
            known.entry.index > floor && request.lease_grant.is_some_and(|grant| grant.id == id.0)
        };
        let exists = self.model.leases.contains_key(&id.0);
        check(!exists || was_revoked || self.known.iter().any(granted_later), || {
            format!("lease {id} is unknown, and was granted")
        })
    }

    /// Records the response that a lease has its full time again since `renewed`.
    pub(crate) fn renewed(&mut self, id: LeaseId, renewed: Time) -> Checked {
        if let Some((since, _)) = self.leases.get_mut(&id) {
            *since = renewed.max(*since);
        }
        Ok(())
    }

    /// Leases whose time is long over by any clock.
    pub(crate) fn overdue(&self, now: Time, grace: Time) -> Vec<LeaseId> {
        let slow = |ttl: Time| ttl * 1000 / (1000 - self.drift.min(900));
        self.leases.iter().filter(|(_, (since, ttl))| since + slow(*ttl) + grace < now).map(|(id, _)| *id).collect()
    }

    /// A member holds the state after this entry.
    pub(crate) fn check_state(&self, index: u64, state: &State, store: &MemoryStore) -> Checked {
        let known = self.known(index).ok_or_else(|| Violation(format!("entry {index} is not committed")))?;
        let summary = judge::summary_of(state, store)?;
        let newest = index == self.committed();
        check(known.digest == summary.digest(), || {
            let expected =
                if newest { format!("{:?}", judge::summary_of_model(&self.model)) } else { "another".to_owned() };
            format!("the state after entry {index} is {summary:?} and should be {expected}")
        })
    }

    /// Checks the response to a read of a member that had applied the entries up to `applied`.
    pub(crate) fn check_read(
        &self,
        request: &RangeRequest,
        applied: u64,
        found: &Result<RangeResponse, mvcc::MvccError>,
    ) -> Checked {
        let (current, compacted) = self.known(applied).map_or((1, -1), |known| known.revisions);
        let expected = if request.revision > current {
            Err(Refusal::FutureRevision)
        } else if request.revision > 0 && request.revision < compacted {
            Err(Refusal::Compacted)
        } else {
            let revision = if request.revision > 0 { request.revision } else { current };
            Ok(self.model.keys.range_at(request, revision))
        };
        let told = match found {
            Ok(response) => Ok(response.clone()),
            Err(mvcc::MvccError::Compacted { .. }) => Err(Refusal::Compacted),
            Err(mvcc::MvccError::FutureRevision { .. }) => Err(Refusal::FutureRevision),
            Err(mvcc::MvccError::KeyNotFound | mvcc::MvccError::LeaseNotFound) => Err(Refusal::Other),
        };
        check(expected == told, || format!("{request:?} after entry {applied} is {told:?}, and should be {expected:?}"))
    }

    /// The request of an entry, if it holds one.
    pub(crate) fn request(&self, index: u64) -> Option<InternalRaftRequest> {
        let known = self.known(index).filter(|known| known.entry.kind == EntryKind::Normal)?;
        InternalRaftRequest::decode(known.entry.data.clone()).ok()
    }
}
