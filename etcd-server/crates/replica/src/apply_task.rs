//! The apply thread: the only one that changes the state. It feeds the apply pipeline with committed
//! entries, writes each batch to the store, and carries out the actions that follow.

use crate::RequestError;
use crate::clock::Clock;
use crate::install::{self, Prepared};
use crate::member_lines::Whose;
use crate::messages::{ApplyCommand, CompactorCommand, Input, LogCommand};
use crate::observer::{AppliedRequest, Observer};
use crate::outbound::Outbound;
use crate::pending_proposals::{PendingProposals, ReadIndexWaiter};
use crate::published::{Published, Stored};
use crate::start::OnTokens;
use crate::state_dir;
use crate::watches::WatchQueue;
use apply::{Applied, MembershipChange, State};
use consensus::{ConfChangeKind, Entry, HardState, SnapshotMark};
use lease::{Change, ExpirySettings};
use pipeline::{ApplyAction, ApplyPipeline, EntryHooks, NodeInput};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use storage::Store;
use tokio::sync::mpsc;
use types::{Fault, MemberId};

/// Entries that share a batch.
pub(crate) const ENTRIES_PER_BATCH: usize = 512;

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
    pub(crate) pipeline: ApplyPipeline<ReadIndexWaiter>,
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
    pub(crate) on_tokens: OnTokens,
}

/// Measures each entry, and notes the live hashes that members compare.
struct Measured<'a> {
    published: &'a Published,
    observer: &'a dyn Observer,
    begun: Instant,
}

impl EntryHooks for Measured<'_> {
    fn stored_bytes(&mut self, _index: u64) -> u64 {
        self.published.stored_bytes()
    }

    fn executed(&mut self, entry: &Entry, applied: &Applied, _change: MembershipChange, state: &State) {
        self.published.mark_live_hash(entry.index, state.keys.live_hash());
        let now = Instant::now();
        if let Some(kind) = applied.kind {
            let outcome = applied.outcome.as_ref().map(|ordered| &ordered.response);
            let (data, operations, took) = (&entry.data, applied.operations, now - self.begun);
            self.observer.applied(&AppliedRequest { index: entry.index, kind, data, operations, outcome, took });
        }
        self.begun = now;
    }
}

impl ApplyTask {
    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<State, Fault> {
        while let Ok(first) = self.commands.recv() {
            let mut stop = false;
            let mut next = Some(first);
            while let Some(command) = next.take() {
                match command {
                    ApplyCommand::Entries(entries) => self.pipeline.take(entries),
                    ApplyCommand::Notify { index, waiting } => self.pipeline.wait(index, waiting),
                    ApplyCommand::Install { number, mark, prepared, hard_state, taken } => {
                        // Entries before it are of a log that does not count any more, but may have
                        // been acknowledged: in order.
                        self.apply_all()?;
                        self.install(number, &mark, *prepared, hard_state)?;
                        taken.send(true).ok();
                    }
                    ApplyCommand::Discard { prepared, taken } => {
                        // In this order: the next snapshot may be prepared in the same directory.
                        install::discard(prepared.store);
                        taken.send(false).ok();
                    }
                    ApplyCommand::Leadership(leads) => self.leadership(leads),
                    ApplyCommand::Stop => stop = true,
                }
                if !self.pipeline.is_full() && !stop {
                    next = self.commands.try_recv().ok();
                }
            }
            self.apply_all()?;
            self.pipeline.due_reads().for_each(|read| drop(read.send(Ok(()))));
            if stop {
                break;
            }
        }
        Ok(self.pipeline.into_state())
    }

    fn apply_all(&mut self) -> Result<(), Fault> {
        while let Some(entries) = self.pipeline.next_batch() {
            self.apply_batch(&entries)?;
        }
        Ok(())
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
            current_applied_index = self.pipeline.applied().0,
            incoming_leader_snapshot_index = mark.index,
            incoming_leader_snapshot_term = mark.term,
            "applying snapshot"
        );
        assert!(
            prepared.index == mark.index,
            "the state at entry {} is installed for the snapshot at {}",
            prepared.index,
            mark.index
        );
        assert!(
            prepared.store.path() != self.store.path(),
            "the state in use, {}, replaces itself",
            self.store.path().display()
        );
        let members = self.published.members.load_full();
        let store = Arc::new(prepared.store);
        let mut batch = store.batch();
        let state = State::load(&*store, self.settings, &mut batch)?;
        store.write(batch)?;
        let doing = || format!("make {} the state of this member", store.path().display());
        state_dir::switch(&self.dir, store.path()).map_err(|error| Fault::io(doing(), error))?;
        self.store = store;
        self.pipeline.replace(state, (mark.index, mark.term));
        let (stored, state) = (Stored::read(&self.store)?, self.pipeline.state());
        self.published.replace(&self.store, state, mark.index, &stored, self.leases);
        let point = self.published.read_point();
        self.watches.push_replaced(point.current, point.compacted);
        self.outbound.follow(&state.members);
        drop(self.log.send(LogCommand::Install { number, index: mark.index, term: mark.term, hard_state }));
        self.whose.log_changes(&members, &state.members);
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
        let store = Arc::clone(&self.store);
        let mut batch = store.batch();
        let mut hooks = Measured { published: &self.published, observer: &*self.observer, begun: Instant::now() };
        let results = self.pipeline.execute(&*store, &mut batch, entries, &mut hooks)?;
        let begun = Instant::now();
        store.write(batch)?;
        self.observer.batch_written(begun.elapsed());
        for action in self.pipeline.written(results) {
            self.carry_out(action);
        }
        Ok(())
    }

    fn carry_out(&mut self, action: ApplyAction) {
        match action {
            ApplyAction::Publish { index, lease_changes } => self.publish(index, lease_changes),
            ApplyAction::Events(events) => self.watches.push_events(events),
            ApplyAction::Tokens(effect) => (self.on_tokens)(&effect, self.clock.now()),
            ApplyAction::Compacted(revision) => {
                self.watches.push_compacted(revision);
                drop(self.removal.send(CompactorCommand::Compacted(revision)));
            }
            ApplyAction::RaiseNoSpace => drop(self.apply_events.send(ApplyEvent::NoSpace)),
            ApplyAction::ConfChanged { kind, member } => {
                tracing::info!(
                    local_member_id = %self.member_id,
                    raft_conf_change = kind_name(kind),
                    raft_conf_change_node_id = %MemberId(member),
                    "applied a configuration change through raft"
                );
                drop(self.node.send(Input::Other(NodeInput::ConfChanged { kind, member })));
            }
            ApplyAction::Applied(index) => drop(self.node.send(Input::Other(NodeInput::Applied(index)))),
            ApplyAction::Respond(responses) => {
                let replies = responses.into_iter().map(|(id, outcome)| (id, outcome.map_err(RequestError::State)));
                self.pending_proposals.response(replies.collect());
            }
            ApplyAction::Removed => {
                self.published.left.store(true, Ordering::Release);
                self.pending_proposals.stop();
                drop(self.apply_events.send(ApplyEvent::Removed));
            }
        }
    }

    fn publish(&mut self, index: u64, lease_changes: Vec<Change>) {
        let (state, published) = (self.pipeline.state(), &self.published);
        published.follows(index, state);
        published.written_bytes.store(state.keys.written_bytes(), Ordering::Relaxed);
        published.read_point.store(Arc::new(state.keys.read_point()));
        let auth = published.auth.load();
        if state.auth.auth_revision() != auth.auth_revision() || state.auth.enabled() != auth.enabled() {
            published.auth.store(Arc::new(state.auth.clone()));
        }
        if state.alarms != **published.alarms.load() {
            published.alarms.store(Arc::new(state.alarms.clone()));
        }
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
        if state.members != **published.members.load() {
            self.whose.log_changes(&published.members.load(), &state.members);
            published.members.store(Arc::new(state.members.clone()));
            self.outbound.follow(&state.members);
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

/// Returns raft's name of a configuration change.
fn kind_name(kind: ConfChangeKind) -> &'static str {
    match kind {
        ConfChangeKind::None => "ConfChangeUpdateNode",
        ConfChangeKind::AddVoter => "ConfChangeAddNode",
        ConfChangeKind::AddLearner => "ConfChangeAddLearnerNode",
        ConfChangeKind::Remove => "ConfChangeRemoveNode",
    }
}
