//! The apply thread of a member.

use crate::check::{Checked, Violation, check};
use crate::oracle::{Oracle, settings};
use crate::plan::spread;
use crate::planted::{Bug, Planted, spoil_entry};
use crate::process::{
    Behind, Context, ELECTION_TIMEOUT, Process, Reply, Snapshot, Task, Ticket, Waiting, lease_settings,
};
use crate::schedule::Time;
use apply::{Applied, MembershipChange, State};
use consensus::{ConfChangeKind, Entry, HardState, SnapshotMark};
use lease::Expiry;
use mvcc::RangeOptions;
use pipeline::{ApplyAction, EntryHooks, NodeInput};
use proto::etcdserverpb::{AlarmType, RangeRequest};
use schema::{MemoryBatch, MemoryStore};
use std::collections::BTreeMap;

/// A command of the apply thread.
pub(crate) enum ApplyCommand {
    Entries(Vec<Entry>),
    Notify { index: u64, waiting: Vec<Waiting> },
    Install(Install),
    Leadership(Option<u64>),
}

/// A snapshot to install.
pub(crate) struct Install {
    pub(crate) number: u64,
    pub(crate) mark: SnapshotMark,
    pub(crate) state: Snapshot,
    pub(crate) hard_state: Option<HardState>,
}

/// Compares each entry and its outcome with the oracle's.
struct Judged<'a> {
    id: u64,
    now: Time,
    oracle: &'a mut Oracle,
    planted: &'a Planted,
    /// The entries as they are in the log, of which a planted bug may have spoilt a copy.
    originals: std::slice::Iter<'a, Entry>,
    /// The indexes of requests, by id.
    indexes: BTreeMap<u64, u64>,
    verdict: Checked,
}

impl EntryHooks for Judged<'_> {
    fn stored_bytes(&mut self, index: u64) -> u64 {
        self.oracle.stored_bytes(index)
    }

    fn executed(&mut self, entry: &Entry, applied: &Applied, change: MembershipChange, state: &State) {
        let original = self.originals.next().unwrap_or(entry);
        self.indexes.insert(applied.request_id, entry.index);
        if self.verdict.is_ok() {
            self.verdict = self.judge(original, applied, change, state);
        }
    }
}

impl Judged<'_> {
    fn judge(&mut self, entry: &Entry, applied: &Applied, change: MembershipChange, state: &State) -> Checked {
        let applied = crate::planted::spoil_outcome(applied.clone(), self.planted);
        let (expected, configuration) = self.oracle.commit(self.now, entry)?;
        let told = judge::verdict(&applied, state.keys.current());
        check(*expected == told && judge::configuration(change) == configuration, || {
            format!("entry {} comes to {told:?} at member {}, and should to {expected:?}", entry.index, self.id)
        })
    }
}

impl Process {
    /// Takes the next commands of the apply thread, at most a batch of entries, and applies it.
    pub(crate) fn apply_next(&mut self, cx: &mut Context<'_>) -> Checked {
        self.applying = false;
        while !self.apply.is_full()
            && let Some(command) = self.apply_queue.pop_front()
        {
            match command {
                ApplyCommand::Entries(entries) => self.apply.take(entries),
                ApplyCommand::Notify { waiting, .. } if cx.planted.has(Bug::ReadBeforeItsIndex) => {
                    self.respond_to_reads(waiting, cx)?;
                }
                ApplyCommand::Notify { index, waiting } => self.apply.wait(index, waiting),
                ApplyCommand::Leadership(term) => self.leadership(term, cx),
                ApplyCommand::Install(install) => {
                    // Entries before it are of a log that does not count any more, but may have been
                    // acknowledged.
                    while self.apply_batch(cx)? {}
                    self.applying = true;
                    self.switching = Some(install);
                    cx.out.later.push((2 * (20 + spread(cx.random, cx.plan.sync)), Task::Switched));
                    return Ok(());
                }
            }
        }
        self.apply_batch(cx)?;
        let due = self.apply.due_reads().collect();
        self.respond_to_reads(due, cx)
    }

    /// Applies the next batch. Returns `false` if there is none.
    fn apply_batch(&mut self, cx: &mut Context<'_>) -> Checked<bool> {
        let Some(entries) = self.apply.next_batch() else { return Ok(false) };
        let spoilt: Vec<_> = entries.iter().map(|entry| spoil_entry(entry, cx.planted)).collect();
        let mut batch = MemoryBatch::default();
        let mut hooks = Judged {
            id: self.id,
            now: cx.now,
            oracle: cx.oracle,
            planted: cx.planted,
            originals: entries.iter(),
            indexes: BTreeMap::new(),
            verdict: Ok(()),
        };
        let results = self.apply.execute(&self.store, &mut batch, &spoilt, &mut hooks)?;
        let Judged { indexes, verdict, .. } = hooks;
        verdict?;
        if cx.planted.has(Bug::EventsBeforeState) {
            self.hub.publish(&self.store, results.events())?;
        }
        crate::planted::spoil_batch(&mut batch, cx.planted, cx.random);
        batch.write(&mut self.store);
        let mut actions = self.apply.written(results);
        crate::planted::spoil_order(&mut actions, cx.planted);
        for action in actions {
            self.follow_batch(action, &indexes, cx)?;
        }
        Ok(true)
    }

    fn follow_batch(&mut self, action: ApplyAction, indexes: &BTreeMap<u64, u64>, cx: &mut Context<'_>) -> Checked {
        match action {
            ApplyAction::Publish { index, lease_changes } => {
                let now = self.moment(cx.now);
                lease_changes.into_iter().for_each(|change| self.expiry.follow_change(change, now));
                cx.oracle.check_state(index, self.apply.state(), &self.store)?;
            }
            ApplyAction::Events(mut events) => {
                events.truncate(crate::planted::spoil_events(&events, cx.planted));
                self.hub.publish(&self.store, &events)?;
            }
            ApplyAction::Tokens(_) => {}
            ApplyAction::Compacted(revision) => self.hub.compacted(revision),
            // Without a leader it is lost; the next write above the quota raises it again.
            ApplyAction::RaiseNoSpace => {
                self.propose_own(pipeline::raise_alarm(AlarmType::Nospace, self.id), cx)?;
            }
            ApplyAction::ConfChanged { kind, member } => {
                if !cx.planted.has(Bug::RaftNotToldOfChange) {
                    self.input(NodeInput::ConfChanged { kind, member }, cx)?;
                }
                let is_own_removal = kind == ConfChangeKind::Remove && member == self.id;
                cx.out.stopped |= is_own_removal && cx.planted.has(Bug::RemovedMemberStopsAtOnce);
            }
            ApplyAction::Applied(index) => self.input(NodeInput::Applied(index), cx)?,
            ApplyAction::Respond(responses) => {
                for (id, _) in responses {
                    let Some(ticket) = self.pending.remove(id) else { continue };
                    match (self.renewals.remove(&id), indexes.get(&id)) {
                        (Some(renewal), _) => self.finish_renewal(ticket, &renewal, cx),
                        (None, Some(index)) => cx.out.told.push((ticket, Reply::Applied(*index))),
                        (None, None) => return Err(Violation(format!("response to unknown request {id}"))),
                    }
                }
            }
            ApplyAction::Removed => {
                let waiting = self.pending.drain();
                cx.out.told.extend(waiting.into_iter().map(|ticket| (ticket, Reply::Unknown)));
            }
        }
        Ok(())
    }

    /// The state of a snapshot takes the place of the present one, on disk and for readers; then the
    /// log is restarted behind it.
    pub(crate) fn switched(&mut self, cx: &mut Context<'_>) -> Checked {
        let Some(Install { number, mark, state, hard_state }) = self.switching.take() else {
            return Err(Violation("nothing to install".to_owned()));
        };
        self.applying = false;
        let applied = (mark.index, mark.term);
        cx.disk.install(state.clone(), applied);
        self.store = MemoryStore::clone(&state);
        self.apply.replace(State::load(&self.store, settings(), &mut MemoryBatch::default())?, applied);
        cx.oracle.check_state(mark.index, self.apply.state(), &self.store)?;
        self.expiry = Expiry::follow(self.state().leases.leases(), lease_settings());
        self.removal = None;
        let point = self.state().keys.read_point();
        self.hub.skipped_to(point.current);
        self.hub.compacted(point.compacted);
        self.log.install(number, applied, hard_state);
        Ok(())
    }

    fn leadership(&mut self, term: Option<u64>, cx: &Context<'_>) {
        if term.is_none() {
            self.expiry.demote();
        } else {
            let from = if cx.planted.has(Bug::LeasesNotExtended) { cx.now / 2 } else { cx.now };
            self.expiry.promote(self.moment(from), ELECTION_TIMEOUT);
        }
    }

    fn respond_to_reads(&mut self, waiting: Vec<Waiting>, cx: &mut Context<'_>) -> Checked {
        for Waiting { ticket, what } in waiting {
            match what {
                Behind::Read(request) => self.read(ticket, &request, cx)?,
                Behind::Renewal(renewal) => self.continue_renewal(ticket, renewal, cx)?,
            }
        }
        Ok(())
    }

    pub(crate) fn read(&self, ticket: Ticket, request: &RangeRequest, cx: &mut Context<'_>) -> Checked {
        let point = self.state().keys.read_point();
        let found = point.range(&self.store, &RangeOptions::new(request))?;
        let found = found
            .map(mvcc::RangeResult::into_response)
            .map_or_else(|refusal| Ok(Err(refusal)), |found| found.map(Ok))?;
        cx.out.told.push((ticket, Reply::Read { applied: self.apply.applied().0, found }));
        Ok(())
    }
}
