//! The work of the daemon's compactor and watch threads, and of a leader's background tasks.

use crate::check::Checked;
use crate::plan::spread;
use crate::planted::Bug;
use crate::process::{Context, Process, Task, Ticket};
use crate::schedule::MILLISECOND;
use bytes::BytesMut;
use mvcc::compaction::Removal;
use pipeline::{Proposal, ProposalKind};
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, RequestHeader, WatchResponse};
use schema::MemoryBatch;
use watch::{Budget, Header};

impl Process {
    /// A snapshot is taking the place of the state.
    fn is_installing(&self) -> bool {
        self.switching.is_some() || self.log.is_installing()
    }

    /// Does the housekeeping, and the background tasks of a leader.
    pub(crate) fn duty(&mut self, cx: &mut Context<'_>) -> Checked {
        let pause = cx.random.u64(..=2 * cx.plan.duty_pause);
        cx.out.later.push((MILLISECOND + pause, Task::Duty));
        if self.removal.is_none() {
            self.removal = Removal::due(&self.store, self.state().keys.compacted())?;
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
        if cx.plan.publishes && cx.random.u8(..4) == 0 {
            self.publish(cx)?;
        }
        self.expire(cx)
    }

    /// Proposes a request about the cluster, as this version of etcd or etcd 3.5 does.
    fn publish(&mut self, cx: &mut Context<'_>) -> Checked {
        let ids: Vec<u64> = self.state().members.members().map(|member| member.id.0).collect();
        let Some(member) = cx.random.choice(&ids).copied() else { return Ok(()) };
        if cx.random.bool() {
            return self.propose_own(crate::cluster::request(cx.random, member), cx);
        }
        let id = self.next_request();
        let data = crate::cluster::v2_request(cx.random, id, member).into();
        self.propose(ProposalKind::Request, Proposal { id, data }, Ticket::own(cx.now), cx)
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        // Nothing is flushed over a snapshot that is being installed.
        if self.is_installing() || cx.random.u8(..10) >= cx.plan.flushes {
            return;
        }
        // Entries flushed before may be truncated from the log; those flushed now, the next time.
        let forget =
            if cx.planted.has(Bug::LogForgetsWhatIsApplied) { self.apply.applied().0 } else { cx.disk.flushed.0 };
        cx.disk.log.forget(forget.saturating_sub(cx.plan.kept_entries));
        if !cx.planted.has(Bug::LogForgetsWhatIsApplied) {
            let (state, flushed) = (std::mem::take(&mut cx.disk.state), cx.disk.flushed);
            cx.disk.flush(&self.store, self.apply.applied());
            if cx.planted.has(Bug::IndexWithoutState) {
                cx.disk.state = state;
            }
            if cx.planted.has(Bug::StateWithoutIndex) {
                cx.disk.flushed = flushed;
            }
        }
    }

    fn expire(&mut self, cx: &mut Context<'_>) -> Checked {
        let now = self.moment(cx.now);
        for lease in self.expiry.expired(now, 100).items {
            let id = self.next_request();
            cx.oracle.expiries.insert(id, (cx.now, self.apply.applied().0));
            let revoke = pipeline::revoke_lease(lease);
            if cx.planted.has(Bug::ExpiryForwarded) {
                self.propose_own_as(id, revoke, cx)?;
            } else {
                self.propose_as_leader(id, revoke, cx)?;
            }
        }
        let due = self.expiry.due_checkpoints(now).items;
        if let Some(request) = pipeline::checkpoint_leases(&due) {
            let id = self.next_request();
            self.propose_as_leader(id, request, cx)?;
        }
        Ok(())
    }

    /// Proposes a request of this member itself.
    pub(crate) fn propose_own(&mut self, request: InternalRaftRequest, cx: &mut Context<'_>) -> Checked {
        let id = self.next_request();
        self.propose_own_as(id, request, cx)
    }

    /// Proposes a request of this member itself under an id of [`Self::next_request`].
    pub(crate) fn propose_own_as(&mut self, id: u64, request: InternalRaftRequest, cx: &mut Context<'_>) -> Checked {
        let proposal = self.own_proposal(id, request);
        self.propose(ProposalKind::Request, proposal, Ticket::own(cx.now), cx)
    }

    fn propose_as_leader(&mut self, id: u64, request: InternalRaftRequest, cx: &mut Context<'_>) -> Checked {
        let proposal = self.own_proposal(id, request);
        self.propose(ProposalKind::OfTheLeader, proposal, Ticket::own(cx.now), cx)
    }

    /// A member's own request has all permissions, as in the daemon.
    pub(crate) fn own_proposal(&self, id: u64, mut request: InternalRaftRequest) -> Proposal {
        let auth_revision = self.state().auth.auth_revision();
        request.header = Some(RequestHeader { id, username: "root".to_owned(), auth_revision });
        Proposal { id, data: request.encode_to_vec().into() }
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
