//! The work of the replica's apply, housekeeping and watch threads, and of the leader's duties.

use crate::check::{Checked, check};
use crate::plan::spread;
use crate::planted::Bug;
use crate::process::{Behind, Context, Process, Renewed, Reply, Task, Ticket, Waiting, keep};
use crate::schedule::MILLISECOND;
use apply::{Effect, MembershipChange};
use bytes::BytesMut;
use consensus::{ConfChangeKind, Entry, EntryKind};
use lease::Renewal;
use mvcc::RangeOptions;
use mvcc::compaction::Removal;
use prost::Message as _;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, InternalRaftRequest, LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest,
    RangeRequest, RequestHeader, WatchResponse,
};
use schema::MemoryBatch;
use types::{Event, LeaseId};
use watch::{Budget, Header};

pub(crate) enum ApplyItem {
    Entries(Vec<Entry>),
    Notify { index: u64, waiting: Vec<Waiting> },
    Leadership { leads: bool, term: u64 },
}

impl Process {
    /// Takes the next items of the apply queue: at most a batch of entries, and all that needs no
    /// batch.
    pub(crate) fn apply_next(&mut self, cx: &mut Context<'_>) -> Checked {
        self.applying = false;
        let mut batch = Vec::new();
        while let Some(item) = self.apply_queue.pop_front() {
            match item {
                ApplyItem::Notify { index, waiting } => self.notifies.push((index, waiting)),
                ApplyItem::Leadership { leads, term } => self.leadership(leads, term, cx),
                ApplyItem::Entries(mut entries) => {
                    let room = cx.plan.batch_entries - batch.len();
                    let rest = entries.split_off(entries.len().min(room));
                    batch.append(&mut entries);
                    if !rest.is_empty() {
                        self.apply_queue.push_front(ApplyItem::Entries(rest));
                        break;
                    }
                }
            }
        }
        self.apply_batch(&batch, cx)?;
        self.notify(cx)
    }

    fn apply_batch(&mut self, entries: &[Entry], cx: &mut Context<'_>) -> Checked {
        let Some(last) = entries.last() else { return Ok(()) };
        let (mut batch, mut events, mut responses, mut changes, mut effects) =
            (MemoryBatch::default(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (entry, index) in entries.iter().zip(self.applied.0 + 1..) {
            check(entry.index == index, || {
                format!("member {} applies entry {} where {index} comes next", self.id, entry.index)
            })?;
            let learners_max = cx.oracle.learners_max;
            let (applied, group) = match entry.kind {
                EntryKind::Normal => {
                    let data = crate::planted::spoil_entry(&entry.data, cx.planted);
                    let stored = cx.oracle.stored_bytes(index);
                    (self.state.apply(&self.store, &mut batch, index, &data, stored)?, MembershipChange::None)
                }
                EntryKind::ConfChange => self.state.apply_conf_change(&mut batch, index, &entry.data, learners_max)?,
            };
            let applied = crate::planted::spoil_outcome(applied, cx.planted);
            let (expected, configuration) = cx.oracle.commit(cx.now, entry)?;
            let told = judge::verdict(&applied, self.state.keys.current());
            check(*expected == told && judge::configuration(group) == configuration, || {
                format!("entry {index} comes to {told:?} here, and should to {expected:?}")
            })?;
            if entry.kind == EntryKind::ConfChange {
                changes.push(group);
            }
            responses.push((applied.request_id, index));
            events.extend(applied.events);
            effects.extend(applied.effects);
        }
        if cx.planted.has(Bug::EventsBeforeState) {
            self.hub.publish(&self.store, &events)?;
        }
        let sealed = self.state.settle(&self.store, &mut batch, last.index, last.term)?;
        crate::planted::spoil_batch(&mut batch, cx.planted, cx.random);
        batch.write(&mut self.store);
        self.state.visible(sealed);
        self.applied = (last.index, last.term);
        cx.oracle.check_state(last.index, &self.state, &self.store)?;
        self.tell(&events, &effects, cx)?;
        for change in changes {
            self.group_changed(change, cx)?;
        }
        self.node.applied(last.index, keep(cx.plan));
        for (request, index) in responses {
            let Some(ticket) = self.waiters.remove(&request) else { continue };
            match self.renewals.remove(&request) {
                Some(renewed) => self.tell_renewed(ticket, renewed, cx),
                None => cx.out.told.push((ticket, Reply::Applied(index))),
            }
        }
        Ok(())
    }

    fn tell(&mut self, events: &[Event], effects: &[Effect], cx: &Context<'_>) -> Checked {
        let now = self.moment(cx.now);
        for change in self.state.leases.take_changes() {
            self.expiry.follow_change(change, now);
        }
        self.hub.publish(&self.store, events)?;
        if effects.contains(&Effect::RaiseNoSpace) {
            self.raise_no_space();
        }
        if effects.contains(&Effect::Compacted) {
            self.hub.compacted(self.state.keys.compacted());
        }
        Ok(())
    }

    /// Every member whose quota is used up proposes the alarm for itself.
    fn raise_no_space(&mut self) {
        let id = self.next_request();
        let alarm =
            AlarmRequest { action: AlarmAction::Activate.into(), member_id: self.id, alarm: AlarmType::Nospace.into() };
        let header = Some(RequestHeader { id, ..RequestHeader::default() });
        let request = InternalRaftRequest { header, alarm: Some(alarm), ..InternalRaftRequest::default() };
        // Without a leader it is lost; the next write above the quota raises it again.
        self.node.propose([request.encode_to_vec().into()]).ok();
    }

    fn group_changed(&mut self, change: MembershipChange, cx: &mut Context<'_>) -> Checked {
        let (kind, member) = match change {
            MembershipChange::None => (ConfChangeKind::None, 0),
            MembershipChange::AddVoter(id) => (ConfChangeKind::AddVoter, id.0),
            MembershipChange::AddLearner(id) => (ConfChangeKind::AddLearner, id.0),
            MembershipChange::Remove(id) => (ConfChangeKind::Remove, id.0),
        };
        if !cx.planted.has(Bug::RaftNotToldOfChange) {
            self.node.conf_changed(kind, member)?;
        }
        cx.out.stopped =
            kind == ConfChangeKind::Remove && member == self.id && cx.planted.has(Bug::RemovedMemberStopsAtOnce);
        Ok(())
    }

    fn leadership(&mut self, leads: bool, term: u64, cx: &Context<'_>) {
        let led = self.promoted.filter(|_| self.expiry.is_leading());
        if !leads {
            self.expiry.demote();
        } else if led != Some(term) {
            let from = if cx.planted.has(Bug::LeasesNotExtended) { cx.now / 2 } else { cx.now };
            self.expiry.promote(self.moment(from), self.election_timeout());
            self.promoted = Some(term);
        }
    }

    fn notify(&mut self, cx: &mut Context<'_>) -> Checked {
        let applied = self.applied.0;
        let due: Vec<_> = self
            .notifies
            .extract_if(.., |(index, _)| *index <= applied || cx.planted.has(Bug::ReadBeforeItsIndex))
            .collect();
        for waiting in due.into_iter().flat_map(|(_, waiting)| waiting) {
            match waiting.what {
                Behind::Read(request) => self.read(waiting.ticket, &request, cx)?,
                Behind::Renewed(renewed) => self.tell_renewed(waiting.ticket, renewed, cx),
                Behind::Renew(lease) => self.renew(waiting.ticket, lease, cx, true),
            }
        }
        Ok(())
    }

    pub(crate) fn read(&self, ticket: Ticket, request: &RangeRequest, cx: &mut Context<'_>) -> Checked {
        let point = self.state.keys.read_point();
        let found = point.range(&self.store, &RangeOptions::new(request))?;
        let found = found
            .map(mvcc::RangeResult::into_response)
            .map_or_else(|refusal| Ok(Err(refusal)), |found| found.map(Ok))?;
        cx.out.told.push((ticket, Reply::Read { applied: self.applied.0, found }));
        Ok(())
    }

    /// Responds to a client's renewal: a later leader knows nothing of it. A checkpoint that an
    /// earlier leader had proposed, and that was applied meanwhile, is taken back first.
    fn tell_renewed(&mut self, ticket: Ticket, renewed: Renewed, cx: &mut Context<'_>) {
        let Renewed { lease, at, term } = renewed;
        let leads_still = self.leading_term() == Some(term) || cx.planted.has(Bug::RenewalByFormerLeader);
        match self.expiry.is_checkpointed(lease).filter(|_| leads_still) {
            None => cx.out.told.push((ticket, Reply::Refused)),
            Some(true) if !cx.planted.has(Bug::RenewalUnconfirmed) => self.reset_checkpoint(ticket, renewed),
            Some(_) => cx.out.told.push((ticket, Reply::Renewed { lease, at })),
        }
    }

    fn reset_checkpoint(&mut self, ticket: Ticket, renewed: Renewed) {
        let checkpoints = vec![LeaseCheckpoint { id: renewed.lease.0, remaining_ttl: 0 }];
        let lease_checkpoint = Some(LeaseCheckpointRequest { checkpoints });
        let request = InternalRaftRequest { lease_checkpoint, ..InternalRaftRequest::default() };
        if let Some(id) = self.propose_as_leader(request) {
            self.renewals.insert(id, renewed);
            self.waiters.insert(id, ticket);
        }
    }

    /// A renewal counts only once it is certain that this member led when it renewed, and leads
    /// still.
    pub(crate) fn renew(&mut self, ticket: Ticket, lease: LeaseId, cx: &mut Context<'_>, is_current: bool) {
        let leading = self.leading_term().filter(|_| !cx.planted.has(Bug::RenewalsRefused));
        let Some(term) = leading else { return cx.out.told.push((ticket, Reply::Refused)) };
        let renewed = Renewed { lease, at: cx.now, term };
        match self.expiry.renew(lease, self.moment(cx.now)) {
            Renewal::Renewed { reset_checkpoint: true, .. } => self.reset_checkpoint(ticket, renewed),
            Renewal::Renewed { .. } if cx.planted.has(Bug::RenewalUnconfirmed) => {
                cx.out.told.push((ticket, Reply::Renewed { lease, at: cx.now }));
            }
            Renewal::Renewed { .. } => self.read_index_queue.push(Waiting { ticket, what: Behind::Renewed(renewed) }),
            Renewal::NotFound if is_current => cx.out.told.push((ticket, Reply::NoLease)),
            Renewal::NotFound => self.read_index_queue.push(Waiting { ticket, what: Behind::Renew(lease) }),
            Renewal::Expired | Renewal::NotLeading => cx.out.told.push((ticket, Reply::Refused)),
        }
    }

    /// Gives a request of the member itself its id and its identity: it has all permissions, as in
    /// the daemon.
    fn own_request(&mut self, request: &mut InternalRaftRequest) -> u64 {
        let id = self.next_request();
        let auth_revision = self.state.auth.auth_revision();
        request.header = Some(RequestHeader { id, username: "root".to_owned(), auth_revision });
        id
    }

    fn propose_as_leader(&mut self, mut request: InternalRaftRequest) -> Option<u64> {
        let id = self.own_request(&mut request);
        self.node.propose_as_leader([request.encode_to_vec().into()]).ok().map(|()| id)
    }

    /// Does the housekeeping, and the background tasks of a leader.
    pub(crate) fn duty(&mut self, cx: &mut Context<'_>) -> Checked {
        let pause = cx.random.u64(..=2 * cx.plan.duty_pause);
        cx.out.later.push((MILLISECOND + pause, Task::Duty));
        if self.removal.is_none() {
            self.removal = Removal::due(&self.store, self.state.keys.compacted())?;
        }
        if let Some(removal) = &mut self.removal {
            let mut batch = MemoryBatch::default();
            let done = removal.step(&self.store, cx.random.usize(1..100), &mut batch)?;
            batch.write(&mut self.store);
            if done {
                crate::planted::spoil_compacted(&mut self.store, removal.target(), cx.planted);
                self.removal = None;
            }
        }
        self.flush(cx);
        self.expire(cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        // Nothing is flushed over a snapshot that is being installed.
        if self.is_installing() || cx.random.u8(..10) >= cx.plan.flushes {
            return;
        }
        // Entries flushed before may be truncated from the log; those flushed now, the next time.
        let forget = if cx.planted.has(Bug::LogForgetsWhatIsApplied) { self.applied.0 } else { cx.disk.flushed.0 };
        cx.disk.log.forget(forget.saturating_sub(cx.plan.kept_entries));
        if !cx.planted.has(Bug::LogForgetsWhatIsApplied) {
            let before = std::mem::take(&mut cx.disk.state);
            cx.disk.flush(&self.store, self.applied);
            if cx.planted.has(Bug::IndexWithoutState) {
                cx.disk.state = before;
            }
        }
    }

    fn expire(&mut self, cx: &mut Context<'_>) -> Checked {
        let now = self.moment(cx.now);
        for lease in self.expiry.expired(now, 100).items {
            let request = InternalRaftRequest {
                lease_revoke: Some(LeaseRevokeRequest { id: lease.0 }),
                ..InternalRaftRequest::default()
            };
            if let Some(id) = self.propose_expiry(request, cx) {
                cx.oracle.expiries.insert(id, cx.now);
            }
        }
        let due = self.expiry.due_checkpoints(now).items;
        if !due.is_empty() {
            let checkpoints = due
                .iter()
                .map(|due| LeaseCheckpoint { id: due.id.0, remaining_ttl: due.remaining_ttl_seconds })
                .collect();
            self.propose_as_leader(InternalRaftRequest {
                lease_checkpoint: Some(LeaseCheckpointRequest { checkpoints }),
                ..InternalRaftRequest::default()
            });
        }
        Ok(())
    }

    fn propose_expiry(&mut self, mut request: InternalRaftRequest, cx: &Context<'_>) -> Option<u64> {
        if !cx.planted.has(Bug::ExpiryForwarded) {
            return self.propose_as_leader(request);
        }
        let id = self.own_request(&mut request);
        self.node.propose([request.encode_to_vec().into()]).ok().map(|()| id)
    }

    /// Watchers that are behind catch up, and answers leave.
    pub(crate) fn watch_pass(&mut self, cx: &mut Context<'_>) -> Checked {
        cx.out.later.push((MILLISECOND + spread(cx.random, 10 * MILLISECOND), Task::Watch));
        if self.hub.has_work() {
            let budget = Budget {
                changes: cx.random.usize(1..50),
                bytes: cx.random.usize(1..4096),
                watchers: cx.random.usize(1..4),
            };
            self.hub.catch_up(&self.store, budget)?;
        }
        self.hub.tick(self.moment(cx.now));
        let mut ready = std::mem::take(&mut self.unread);
        ready.extend(std::iter::from_fn(|| self.hub.next_ready()));
        let mut busy = Vec::new();
        for stream in ready {
            // Now and then a client does not read for a while.
            if cx.random.u8(..3) == 0 {
                busy.push(stream);
                continue;
            }
            while let Some(output) = self.hub.take(stream) {
                let mut encoded = BytesMut::new();
                output.encode_into(Header::default(), &mut encoded);
                let response = WatchResponse::decode(encoded)
                    .map_err(|error| crate::Violation(format!("a watch answer: {error}")))?;
                let told = crate::planted::spoil_watch(response, cx.planted);
                cx.out.watched.extend(told.into_iter().map(|response| (stream, response)));
                self.hub.drained(stream, output.queued_bytes());
            }
        }
        self.unread = busy;
        Ok(())
    }
}
