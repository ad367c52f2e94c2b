//! The state of a member and the entries on their way into it: batches, and the actions that follow
//! each.

use crate::apply_action::{ApplyAction, BatchResults};
use apply::{Applied, Effect, MembershipChange, State};
use consensus::{ConfChangeKind, Entry, EntryKind};
use schema::{Batch, View};
use std::collections::VecDeque;
use types::{Event, Fault, MemberId};

/// The settings of applying.
#[derive(Clone, Copy, Debug)]
pub struct ApplySettings {
    /// This member.
    pub member_id: MemberId,
    /// Learners at a time.
    pub max_learners: usize,
    /// Entries that share a batch; more would delay the responses to the first.
    pub entries_per_batch: usize,
}

/// The surroundings of single entries within a batch.
pub trait EntryHooks {
    /// Returns the bytes of the stored revisions that the entry finds, for the quota. They may lag
    /// behind: the quota is a limit of reason, not of bytes.
    fn stored_bytes(&mut self, index: u64) -> u64;

    /// An entry was executed on `state`; the batch is not readable yet.
    fn executed(&mut self, entry: &Entry, applied: &Applied, change: MembershipChange, state: &State);
}

/// The state of a member, the entries that wait to be applied, and the reads that wait for them.
/// `W` identifies a waiting read.
///
/// One round of the owner: [`Self::take`] entries until [`Self::is_full`]; then for each
/// [`Self::next_batch`] execute it, write the batch to the store, and carry out the actions of
/// [`Self::written`]; then let the reads of [`Self::due_reads`] go.
#[derive(Debug)]
pub struct ApplyPipeline<W> {
    state: State,
    settings: ApplySettings,
    /// Index and term of the last entry whose effect is readable.
    applied: (u64, u64),
    waiting_entries: VecDeque<Entry>,
    waiting_reads: Vec<(u64, Vec<W>)>,
}

impl<W> ApplyPipeline<W> {
    /// Begins with a state that holds the effect of all entries up to `applied` (index and term).
    ///
    /// # Panics
    /// If the state ends at another entry, or no entry fits a batch.
    pub fn new(state: State, applied: (u64, u64), settings: ApplySettings) -> Self {
        assert!(state.applied() == applied.0, "the state ends at entry {}, not {}", state.applied(), applied.0);
        assert!(settings.entries_per_batch > 0, "a batch has room for an entry");
        Self { state, settings, applied, waiting_entries: VecDeque::new(), waiting_reads: Vec::new() }
    }

    /// Returns the state, which may be ahead of the readable one while a batch is executed.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the state at the end.
    pub fn into_state(self) -> State {
        self.state
    }

    /// Returns index and term of the last entry whose effect is readable.
    pub fn applied(&self) -> (u64, u64) {
        self.applied
    }

    /// Takes committed entries, in order. Entries that the state already holds are dropped: after a
    /// start the log is replayed from the last flush.
    ///
    /// # Panics
    /// If an entry does not follow the one before it.
    pub fn take(&mut self, entries: Vec<Entry>) {
        let known = self.waiting_entries.back().map_or(self.applied.0, |entry| entry.index);
        let mut last = known;
        for entry in entries.into_iter().filter(|entry| entry.index > known) {
            assert!(entry.index == last + 1, "entry {} waits behind entry {last}", entry.index);
            last = entry.index;
            self.waiting_entries.push_back(entry);
        }
    }

    /// Returns `true` if the entries that wait fill a batch.
    pub fn is_full(&self) -> bool {
        self.waiting_entries.len() >= self.settings.entries_per_batch
    }

    /// Returns `true` if no entry waits.
    pub fn is_idle(&self) -> bool {
        self.waiting_entries.is_empty()
    }

    /// Takes reads that wait until entries up to `index` are applied.
    ///
    /// # Panics
    /// If there are none.
    pub fn wait(&mut self, index: u64, reads: Vec<W>) {
        assert!(!reads.is_empty(), "reads wait for entry {index}");
        self.waiting_reads.push((index, reads));
    }

    /// Returns the reads whose index is applied.
    pub fn due_reads(&mut self) -> impl Iterator<Item = W> {
        let applied = self.applied.0;
        self.waiting_reads.extract_if(.., move |(index, _)| *index <= applied).flat_map(|(_, reads)| reads)
    }

    /// Returns the entries of the next batch; `None` if no entry waits.
    pub fn next_batch(&mut self) -> Option<Vec<Entry>> {
        let length = self.waiting_entries.len().min(self.settings.entries_per_batch);
        (length > 0).then(|| self.waiting_entries.drain(..length).collect())
    }

    /// Executes a batch of [`Self::next_batch`] on the state and puts its changes into `batch`, to
    /// be written to the store at once.
    ///
    /// # Errors
    /// The state on disk is damaged, or cannot be read.
    ///
    /// # Panics
    /// The first entry does not follow the last applied one, entries do not follow each other, there
    /// are none, or an event is not newer than the one before it.
    pub fn execute<V: View>(
        &mut self,
        view: &V,
        batch: &mut dyn Batch,
        entries: &[Entry],
        hooks: &mut impl EntryHooks,
    ) -> Result<BatchResults, Fault> {
        let (mut responses, mut events, mut effects, mut conf_changes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut index, mut term) = self.applied;
        assert!(!entries.is_empty(), "the batch behind entry {index} has entries");
        for entry in entries {
            assert_eq!(entry.index, index + 1, "entries are applied without a gap");
            assert!(entry.term >= term, "the term of entry {} goes back", entry.index);
            (index, term) = (entry.index, entry.term);
            let (applied, change) = match entry.kind {
                EntryKind::Normal => {
                    let stored_bytes = hooks.stored_bytes(entry.index);
                    let applied = self.state.apply(view, batch, entry.index, &entry.data, stored_bytes)?;
                    (applied, MembershipChange::None)
                }
                EntryKind::ConfChange => {
                    let max_learners = self.settings.max_learners;
                    let decided = self.state.apply_conf_change(batch, entry.index, &entry.data, max_learners)?;
                    conf_changes.push(conf_change(decided.1));
                    decided
                }
            };
            hooks.executed(entry, &applied, change, &self.state);
            if let (Some(last), Some(first)) = (events.last(), applied.events.first()) {
                let (last, first): (&Event, &Event) = (last, first);
                assert!(last.revision < first.revision, "{:?} is made behind {:?}", first.revision, last.revision);
            }
            events.extend(applied.events);
            effects.extend(applied.effects);
            if applied.request_id != 0 {
                responses.push((applied.request_id, applied.outcome));
            }
        }
        let sealed = self.state.settle(view, batch, index, term)?;
        Ok(BatchResults { responses, events, effects, conf_changes, index, term, sealed })
    }

    /// Takes the results of a batch that is written to the store and readable there; returns the
    /// actions that follow.
    ///
    /// # Panics
    /// The results are not those of the batch that follows the last one.
    pub fn written(&mut self, results: BatchResults) -> Vec<ApplyAction> {
        let BatchResults { responses, events, effects, conf_changes, index, term, sealed } = results;
        assert!(index > self.applied.0, "the applied index grows");
        assert!(term >= self.applied.1, "the term of entry {index} goes back from {} to {term}", self.applied.1);
        self.state.visible(sealed);
        self.applied = (index, term);
        let lease_changes = self.state.leases.take_changes();
        let mut actions = vec![ApplyAction::Publish { index, lease_changes }, ApplyAction::Events(events)];
        actions.extend(effects.into_iter().map(|effect| match effect {
            Effect::DropTokens(_) | Effect::AssignToken { .. } => ApplyAction::Tokens(effect),
            Effect::Compacted => ApplyAction::Compacted(self.state.keys.compacted()),
            Effect::RaiseNoSpace => ApplyAction::RaiseNoSpace,
        }));
        let own = self.settings.member_id.0;
        let is_removed = conf_changes.contains(&(ConfChangeKind::Remove, own));
        actions.extend(conf_changes.into_iter().map(|(kind, member)| ApplyAction::ConfChanged { kind, member }));
        actions.extend([ApplyAction::Respond(responses), ApplyAction::Applied(index)]);
        if is_removed {
            actions.push(ApplyAction::Removed);
        }
        actions
    }

    /// The state of another member has taken the place of this one, on disk and for readers; it
    /// holds the effect of all entries up to `applied` (index and term).
    ///
    /// # Panics
    /// Entries wait that come before it, or the state ends at another entry or one that is applied.
    pub fn replace(&mut self, state: State, applied: (u64, u64)) {
        assert!(self.waiting_entries.is_empty(), "entries before a snapshot are applied before it is installed");
        assert!(state.applied() == applied.0, "the state ends at entry {}, not {}", state.applied(), applied.0);
        assert!(applied.0 > self.applied.0, "a state at entry {} replaces one at {}", applied.0, self.applied.0);
        self.state = state;
        self.applied = applied;
    }
}

fn conf_change(change: MembershipChange) -> (ConfChangeKind, u64) {
    match change {
        MembershipChange::None => (ConfChangeKind::None, 0),
        MembershipChange::AddVoter(id) => (ConfChangeKind::AddVoter, id.0),
        MembershipChange::AddLearner(id) => (ConfChangeKind::AddLearner, id.0),
        MembershipChange::Remove(id) => (ConfChangeKind::Remove, id.0),
    }
}
