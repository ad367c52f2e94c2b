//! The apply thread: the only one that changes the state. Entries come in order, go into one batch,
//! and become visible together.

use crate::RequestError;
use crate::clock::Clock;
use crate::install::{self, Prepared};
use crate::member_lines::Whose;
use crate::messages::{ApplyCommand, CompactorCommand, Input, LogCommand};
use crate::observer::{AppliedRequest, Observer};
use crate::outbound::Outbound;
use crate::pending_proposals::{PendingProposals, ReadIndexWaiter, Reply};
use crate::published::{Published, Stored};
use crate::start::OnTokens;
use crate::state_dir;
use crate::watches::WatchQueue;
use apply::{Applied, Effect, MembershipChange, State};
use consensus::{ConfChangeKind, Entry, EntryKind, HardState, SnapshotMark};
use lease::{Change, ExpirySettings};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use storage::Store;
use tokio::sync::mpsc;
use types::{Event, Fault, MemberId};

/// Entries that share a batch; more would delay the answers of the first.
const ENTRIES_PER_BATCH: usize = 512;

/// A notification from apply to the rest of the member, beside responses.
#[derive(Clone, Debug)]
pub enum ApplyEvent {
    /// The quota was overrun by a request that was proposed here.
    NoSpace,
    /// This member was removed from the cluster.
    Removed,
}

pub(crate) struct ApplyTask {
    pub(crate) member_id: MemberId,
    /// The role of this member in log lines about members.
    pub(crate) whose: Whose,
    pub(crate) dir: PathBuf,
    pub(crate) settings: apply::Settings,
    pub(crate) leases: ExpirySettings,
    pub(crate) log: Sender<LogCommand>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) state: State,
    pub(crate) store: Arc<Store>,
    pub(crate) commands: Receiver<ApplyCommand>,
    pub(crate) node: Sender<Input>,
    pub(crate) removal: Sender<CompactorCommand>,
    pub(crate) apply_events: mpsc::UnboundedSender<ApplyEvent>,
    pub(crate) watches: Arc<WatchQueue>,
    pub(crate) published: Arc<Published>,
    pub(crate) pending_proposals: Arc<PendingProposals>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) lease_extension: Duration,
    pub(crate) max_learners: usize,
    pub(crate) on_tokens: OnTokens,
    pub(crate) applied: u64,
    pub(crate) pending_notifies: Vec<(u64, Vec<ReadIndexWaiter>)>,
}

/// The results of a batch, reported once it is readable.
#[derive(Default)]
struct BatchResults {
    replies: Vec<(u64, Reply)>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    conf_changes: Vec<(ConfChangeKind, u64)>,
}

impl ApplyTask {
    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<State, Fault> {
        while let Ok(first) = self.commands.recv() {
            let mut entries = Vec::new();
            let mut stop = false;
            let mut next = Some(first);
            while let Some(command) = next.take() {
                match command {
                    ApplyCommand::Entries(more) => entries.extend(more),
                    ApplyCommand::Notify { index, waiting } => self.pending_notifies.push((index, waiting)),
                    ApplyCommand::Install { number, mark, prepared, hard_state, taken } => {
                        // Entries before it are of a log that does not count any more, but may have
                        // been acknowledged: in order.
                        self.apply_all(&std::mem::take(&mut entries))?;
                        self.install(number, &mark, *prepared, hard_state)?;
                        taken.send(true).ok();
                    }
                    ApplyCommand::Discard(prepared) => install::discard(prepared.store),
                    ApplyCommand::Leadership(leads) => self.leadership(leads),
                    ApplyCommand::Stop => stop = true,
                }
                if entries.len() < ENTRIES_PER_BATCH && !stop {
                    next = self.commands.try_recv().ok();
                }
            }
            self.apply_all(&entries)?;
            self.notify();
            if stop {
                break;
            }
        }
        Ok(self.state)
    }

    fn apply_all(&mut self, entries: &[Entry]) -> Result<(), Fault> {
        entries.chunks(ENTRIES_PER_BATCH).try_for_each(|batch| self.apply_batch(batch))
    }

    /// Puts the state of another member in the place of the present one: on disk first, then for
    /// readers, then the log follows.
    fn install(
        &mut self,
        number: u64,
        mark: &SnapshotMark,
        prepared: Prepared,
        hard_state: Option<HardState>,
    ) -> Result<(), Fault> {
        tracing::info!(
            current_applied_index = self.applied,
            incoming_leader_snapshot_index = mark.index,
            incoming_leader_snapshot_term = mark.term,
            "applying snapshot"
        );
        let members = self.published.members.load_full();
        let store = Arc::new(prepared.store);
        let mut batch = store.batch();
        self.state = State::load(&*store, self.settings, &mut batch)?;
        store.write(batch)?;
        let doing = || format!("make {} the state of this member", store.path().display());
        state_dir::switch(&self.dir, store.path()).map_err(|error| Fault::io(doing(), error))?;
        self.store = store;
        self.applied = mark.index;
        let stored = Stored::read(&self.store)?;
        self.published.replace(&self.store, &self.state, mark.index, &stored, self.leases);
        let point = self.published.read_point();
        self.watches.push_replaced(point.current, point.compacted);
        self.outbound.follow(&self.state.members);
        drop(self.log.send(LogCommand::Install { number, index: mark.index, term: mark.term, hard_state }));
        self.whose.log_changes(&members, &self.state.members);
        tracing::info!(snapshot_index = mark.index, revision = point.current, "installed the state of another member");
        tracing::info!(
            current_snapshot_index = mark.index,
            current_applied_index = mark.index,
            incoming_leader_snapshot_index = mark.index,
            incoming_leader_snapshot_term = mark.term,
            "applied snapshot"
        );
        Ok(())
    }

    fn apply_batch(&mut self, entries: &[Entry]) -> Result<(), Fault> {
        // The log is replayed from the last flush, so nothing is ever applied twice over the state it
        // already changed.
        let entries = &entries[entries.partition_point(|entry| entry.index <= self.applied)..];
        let Some(last) = entries.last() else { return Ok(()) };
        let store = Arc::clone(&self.store);
        let mut batch = store.batch();
        let mut results = BatchResults::default();
        let mut begun = Instant::now();
        for entry in entries {
            let applied = match entry.kind {
                EntryKind::Normal => {
                    let stored_bytes = self.published.stored_bytes();
                    self.state.apply(&*store, &mut batch, entry.index, &entry.data, stored_bytes)?
                }
                EntryKind::ConfChange => self.apply_conf_change(entry, &mut batch, &mut results)?,
            };
            self.published.mark_live_hash(entry.index, self.state.keys.live_hash());
            begun = self.observe(entry, &applied, begun);
            results.take(applied);
        }
        let sealed = self.state.settle(&*store, &mut batch, last.index, last.term)?;
        let begun = Instant::now();
        store.write(batch)?;
        self.observer.batch_written(begun.elapsed());
        self.state.visible(sealed);
        self.applied = last.index;
        self.publish(last.index);
        self.tell(results);
        Ok(())
    }

    /// Reports the duration of applying since `begun`, and returns the moment until which it was
    /// measured.
    fn observe(&self, entry: &Entry, applied: &Applied, begun: Instant) -> Instant {
        let now = Instant::now();
        if let Some(kind) = applied.kind {
            let outcome = applied.outcome.as_ref().map(|ordered| &ordered.response);
            let (data, operations, took) = (&entry.data, applied.operations, now - begun);
            self.observer.applied(&AppliedRequest { index: entry.index, kind, data, operations, outcome, took });
        }
        now
    }

    fn apply_conf_change(
        &mut self,
        entry: &Entry,
        batch: &mut dyn schema::Batch,
        results: &mut BatchResults,
    ) -> Result<Applied, Fault> {
        let (applied, change) = self.state.apply_conf_change(batch, entry.index, &entry.data, self.max_learners)?;
        results.conf_changes.push(match change {
            MembershipChange::None => (ConfChangeKind::None, 0),
            MembershipChange::AddVoter(id) => (ConfChangeKind::AddVoter, id.0),
            MembershipChange::AddLearner(id) => (ConfChangeKind::AddLearner, id.0),
            MembershipChange::Remove(id) => (ConfChangeKind::Remove, id.0),
        });
        Ok(applied)
    }

    fn publish(&mut self, index: u64) {
        let published = &self.published;
        published.written_bytes.store(self.state.keys.written_bytes(), Ordering::Relaxed);
        published.read_point.store(Arc::new(self.state.keys.read_point()));
        if self.state.auth.auth_revision() != published.auth.load().auth_revision()
            || self.state.auth.enabled() != published.auth.load().enabled()
        {
            published.auth.store(Arc::new(self.state.auth.clone()));
        }
        if self.state.alarms != **published.alarms.load() {
            published.alarms.store(Arc::new(self.state.alarms.clone()));
        }
        let lease_changes = self.state.leases.take_changes();
        if !lease_changes.is_empty() {
            let now = self.clock.now();
            let mut expiry = published.expiry.lock();
            for change in lease_changes {
                match change {
                    Change::Granted { ttl_seconds, .. } => self.observer.lease_granted(ttl_seconds),
                    Change::Revoked { .. } => self.observer.lease_revoked(),
                    Change::Checkpointed { .. } => {}
                }
                expiry.follow_change(change, now);
            }
        }
        published.applied.store(index, Ordering::Release);
    }

    /// Notifies watchers and background tasks first: a client that has its response may look at
    /// their effects.
    fn tell(&mut self, results: BatchResults) {
        if self.state.members != **self.published.members.load() {
            self.whose.log_changes(&self.published.members.load(), &self.state.members);
            self.published.members.store(Arc::new(self.state.members.clone()));
            self.outbound.follow(&self.state.members);
        }
        self.watches.push_events(results.events);
        for effect in results.effects {
            match effect {
                Effect::DropTokens(_) | Effect::AssignToken { .. } => (self.on_tokens)(&effect, self.clock.now()),
                Effect::Compacted => {
                    self.watches.push_compacted(self.state.keys.compacted());
                    drop(self.removal.send(CompactorCommand::Compacted(self.state.keys.compacted())));
                }
                Effect::RaiseNoSpace => drop(self.apply_events.send(ApplyEvent::NoSpace)),
            }
        }
        let mut left = false;
        for (kind, member) in results.conf_changes {
            left |= kind == ConfChangeKind::Remove && member == self.member_id.0;
            tracing::info!(
                local_member_id = %self.member_id,
                raft_conf_change = kind_name(kind),
                raft_conf_change_node_id = %MemberId(member),
                "applied a configuration change through raft"
            );
            drop(self.node.send(Input::ConfChanged { kind, member }));
        }
        drop(self.node.send(Input::Applied(self.applied)));
        self.pending_proposals.response(results.replies);
        if left {
            // The client that asked for the removal has its reply. Nothing else will be applied
            // here.
            self.published.left.store(true, Ordering::Release);
            self.pending_proposals.stop();
            drop(self.apply_events.send(ApplyEvent::Removed));
        }
    }

    fn notify(&mut self) {
        let applied = self.applied;
        for (_, waiting) in self.pending_notifies.extract_if(.., |(index, _)| *index <= applied) {
            for reply in waiting {
                drop(reply.send(Ok(())));
            }
        }
    }

    fn leadership(&mut self, leads: bool) {
        let now = self.clock.now();
        let mut expiry = self.published.expiry.lock();
        if leads {
            expiry.promote(now, self.lease_extension);
        } else {
            expiry.demote();
        }
    }
}

/// As raft calls a change of the group.
fn kind_name(kind: ConfChangeKind) -> &'static str {
    match kind {
        ConfChangeKind::None => "ConfChangeUpdateNode",
        ConfChangeKind::AddVoter => "ConfChangeAddNode",
        ConfChangeKind::AddLearner => "ConfChangeAddLearnerNode",
        ConfChangeKind::Remove => "ConfChangeRemoveNode",
    }
}

impl BatchResults {
    fn take(&mut self, applied: Applied) {
        let Applied { request_id, outcome, events, effects, kind: _, operations: _ } = applied;
        self.events.extend(events);
        self.effects.extend(effects);
        if request_id != 0 {
            self.replies.push((request_id, outcome.map_err(RequestError::State)));
        }
    }
}
