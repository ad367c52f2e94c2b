//! The oracle: the committed entries, and the state after each of them.
//!
//! It applies every entry once, alone, as soon as any member applies it, to a state that never
//! crashes, never loses anything and never installs a snapshot. The data, responses and watch
//! events of members are compared with it.

use crate::check::{Checked, Violation, check};
use crate::schedule::Time;
use apply::{Applied, MembershipChange, Settings, State};
use consensus::{Entry, EntryKind, Role, Status};
use lease::Change;
use mvcc::RangeOptions;
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RangeRequest, RangeResponse};
use schema::{MemoryBatch, MemoryStore};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use types::{Event, LeaseId};

/// The oracle's knowledge of one committed entry.
pub(crate) struct Known {
    entry: Entry,
    pub(crate) applied: Applied,
    group: MembershipChange,
    digest: u64,
}

pub(crate) struct Oracle {
    pub(crate) store: MemoryStore,
    pub(crate) state: State,
    pub(crate) max_learners: usize,
    known: Vec<Known>,
    /// Every change of a key, ever.
    pub(crate) events: Vec<Event>,
    /// Entries that a member has applied for the first time, and that others must hold durably.
    pub(crate) newly_committed: Vec<(u64, u64)>,
    leaders: BTreeMap<u64, u64>,
    /// Requests that were refused to a client.
    pub(crate) refused: BTreeSet<u64>,
    /// The promised end of each lease, by the last response; and its time to live.
    leases: BTreeMap<LeaseId, (Time, Time)>,
    /// Revokes that a leader proposed because a lease had run out, and when.
    pub(crate) expiries: BTreeMap<u64, Time>,
    /// By how much a clock may be too fast, in thousandths.
    pub(crate) drift: u64,
}

pub(crate) fn settings() -> Settings {
    Settings {
        quota_bytes: None,
        minimum_lease_ttl_seconds: 1,
        own_version: membership::Version::new(3, 7, 1),
        keeps_checkpoints: true,
    }
}

/// The whole replicated state in a number.
pub(crate) fn digest(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    (state.keys.current(), state.keys.compacted(), state.keys.live_hash().0).hash(&mut hasher);
    (state.auth.enabled(), state.auth.auth_revision()).hash(&mut hasher);
    for (id, terms) in state.leases.leases() {
        (id, terms.ttl_seconds, terms.remaining_ttl_seconds).hash(&mut hasher);
    }
    for member in state.members.members() {
        (member.id, &member.peer_urls, member.is_learner, &member.name).hash(&mut hasher);
    }
    for removed in state.members.removed() {
        removed.hash(&mut hasher);
    }
    state.alarms.of(0).iter().for_each(|alarm| (alarm.member_id, alarm.alarm).hash(&mut hasher));
    hasher.finish()
}

impl Oracle {
    pub(crate) fn new(max_learners: usize) -> Checked<Self> {
        let mut store = MemoryStore::new();
        let mut batch = MemoryBatch::default();
        let state = State::load(&store, settings(), &mut batch)?;
        batch.write(&mut store);
        Ok(Self {
            store,
            state,
            max_learners,
            known: Vec::new(),
            events: Vec::new(),
            newly_committed: Vec::new(),
            leaders: BTreeMap::new(),
            refused: BTreeSet::new(),
            leases: BTreeMap::new(),
            expiries: BTreeMap::new(),
            drift: 0,
        })
    }

    pub(crate) fn committed(&self) -> u64 {
        self.known.len() as u64
    }

    fn known(&self, index: u64) -> Option<&Known> {
        self.known.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    pub(crate) fn applied(&self, index: u64) -> Checked<&Applied> {
        self.known(index)
            .map(|known| &known.applied)
            .ok_or_else(|| Violation(format!("entry {index} is not committed")))
    }

    /// One leader per term.
    pub(crate) fn raft_status(&mut self, member: u64, status: &Status) -> Checked {
        if status.role != Role::Leader {
            return Ok(());
        }
        let leader = *self.leaders.entry(status.term).or_insert(member);
        check(leader == member, || format!("members {leader} and {member} both lead in term {}", status.term))
    }

    /// Takes an entry that a member is about to apply, and returns its outcome. All members apply
    /// the same at the same index.
    pub(crate) fn commit(&mut self, now: Time, entry: &Entry) -> Checked<(&Applied, MembershipChange)> {
        if entry.index == self.committed() + 1 {
            self.learn(now, entry)?;
        }
        let known = self
            .known(entry.index)
            .ok_or_else(|| Violation(format!("entry {} is applied before the one before it", entry.index)))?;
        check(known.entry == *entry, || {
            format!("entry {} is {:?} here and {entry:?} there", entry.index, known.entry)
        })?;
        Ok((&known.applied, known.group))
    }

    fn learn(&mut self, now: Time, entry: &Entry) -> Checked {
        let before = self.known.last().map_or(0, |known| known.entry.term);
        check(entry.term >= before, || {
            format!("the term goes back from {before} to {} at entry {}", entry.term, entry.index)
        })?;
        let mut batch = MemoryBatch::default();
        let (applied, group) = match entry.kind {
            EntryKind::Normal => {
                (self.state.apply(&self.store, &mut batch, entry.index, &entry.data, 0)?, MembershipChange::None)
            }
            EntryKind::ConfChange => {
                self.state.apply_conf_change(&mut batch, entry.index, &entry.data, self.max_learners)?
            }
        };
        let sealed = self.state.settle(&self.store, &mut batch, entry.index, entry.term)?;
        batch.write(&mut self.store);
        self.state.visible(sealed);
        check(!self.refused.contains(&applied.request_id), || {
            format!("entry {} was refused to its client", entry.index)
        })?;
        self.follow_leases(now, entry, &applied)?;
        self.check_revisions(&applied.events)?;
        self.events.extend(applied.events.iter().cloned());
        let digest = digest(&self.state);
        self.known.push(Known { entry: entry.clone(), applied, group, digest });
        self.newly_committed.push((entry.index, entry.term));
        Ok(())
    }

    /// A request that changes keys makes exactly one revision, and its changes are numbered
    /// through.
    fn check_revisions(&self, events: &[Event]) -> Checked {
        let before = self.events.last().map_or(1, |event| event.revision.main);
        let numbered =
            events.iter().zip(0..).all(|(event, sub)| (event.revision.main, event.revision.sub) == (before + 1, sub));
        let reached = if events.is_empty() { before } else { before + 1 };
        check(numbered && self.state.keys.current() == reached, || {
            format!("revisions do not follow {before}: {events:?}")
        })
    }

    fn follow_leases(&mut self, now: Time, entry: &Entry, applied: &Applied) -> Checked {
        for change in self.state.leases.take_changes() {
            match change {
                Change::Granted { id, ttl_seconds } => {
                    let ttl = u64::try_from(ttl_seconds).unwrap_or(0) * crate::schedule::SECOND;
                    self.leases.insert(id, (now, ttl));
                }
                Change::Revoked { id } => {
                    let Some((since, ttl)) = self.leases.remove(&id) else { continue };
                    let Some(&proposed) = self.expiries.get(&applied.request_id) else { continue };
                    // A clock that is too fast sees the time pass too fast.
                    let promised = since + ttl * 1000 / (1000 + self.drift);
                    check(proposed + 1000 >= promised, || {
                        format!(
                            "entry {}: lease {id} ran out at {proposed} us, but was promised until {promised} us",
                            entry.index
                        )
                    })?;
                }
                Change::Checkpointed { .. } => {}
            }
        }
        Ok(())
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
    pub(crate) fn check_state(&self, index: u64, state: &State) -> Checked {
        let known = self.known(index).ok_or_else(|| Violation(format!("entry {index} is not committed")))?;
        check(known.digest == digest(state), || format!("the state after entry {index} differs"))
    }

    /// Returns the correct response to a range at a revision, regardless of later compactions.
    pub(crate) fn range_at(&self, request: &RangeRequest, revision: i64) -> Checked<RangeResponse> {
        let mut point = self.state.keys.read_point();
        point.compacted = mvcc::NEVER_COMPACTED;
        let request = RangeRequest { revision, ..request.clone() };
        let found = point.range(&self.store, &RangeOptions::new(&request))?;
        Ok(found
            .map_err(|refusal| Violation(format!("a range that was answered is refused: {refusal}")))?
            .into_response()?)
    }

    /// The request of an entry, if it holds one.
    pub(crate) fn request(&self, index: u64) -> Option<InternalRaftRequest> {
        let known = self.known(index).filter(|known| known.entry.kind == EntryKind::Normal)?;
        InternalRaftRequest::decode(known.entry.data.clone()).ok()
    }
}
