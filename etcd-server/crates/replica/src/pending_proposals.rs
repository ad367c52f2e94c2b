//! Pending proposals and their callers.

use crate::RequestError;
use apply::Ordered;
use consensus::Route;
use parking_lot::Mutex;
use pipeline::{PendingTable, Proposal, ProposalKind};
use tokio::sync::oneshot;

/// The outcome for a waiting caller.
pub(crate) type Reply = Result<Ordered, RequestError>;

/// A caller that waits for a read index.
pub(crate) type ReadIndexWaiter = oneshot::Sender<Result<(), RequestError>>;

/// A caller that waits for the outcome of a proposal.
pub(crate) type Caller = oneshot::Sender<Reply>;

/// Requests in flight by id. Bounded by the admission of [`crate::Replica::propose`]; a request
/// leaves when it is applied or dropped, or soon after its client has gone.
#[derive(Debug, Default)]
pub(crate) struct PendingProposals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    table: PendingTable<Caller>,
    /// This member has left the cluster: nothing that is registered from now on will ever be
    /// applied here.
    stopped: bool,
}

impl PendingProposals {
    /// Registers requests that go this way; registered before they are proposed, so that no reply
    /// can come too early. Returns their proposals.
    pub(crate) fn register(
        &self,
        kind: ProposalKind,
        route: Route,
        requests: impl IntoIterator<Item = (Proposal, Caller)>,
    ) -> Vec<Proposal> {
        let mut waiting = self.0.lock();
        let mut stopped = Vec::new();
        let mut proposals = Vec::new();
        for (proposal, caller) in requests {
            if waiting.stopped {
                stopped.push(caller);
            } else {
                waiting.table.insert(kind, &proposal, route, caller);
                proposals.push(proposal);
            }
        }
        drop(waiting);
        fail(stopped, &RequestError::Stopped);
        proposals
    }

    /// Records the way of requests that were held until now.
    pub(crate) fn sent(&self, ids: &[u64], route: Route) {
        self.0.lock().table.sent(ids, route);
    }

    /// Sends the replies of a batch.
    pub(crate) fn response(&self, replies: Vec<(u64, Reply)>) {
        let callers: Vec<_> = {
            let mut waiting = self.0.lock();
            replies.into_iter().filter_map(|(id, reply)| Some((waiting.table.remove(id)?, reply))).collect()
        };
        for (caller, reply) in callers {
            // The client may have gone away; the entry is applied all the same.
            drop(caller.send(reply));
        }
    }

    /// An entry of this term is applied. Returns the proposals that were lost with an earlier
    /// leader, to be proposed again this way.
    pub(crate) fn term_begun(&self, term: u64, route: Route) -> Vec<(ProposalKind, Proposal)> {
        let lost = {
            let mut waiting = self.0.lock();
            let lost = waiting.table.term_begun(term, |caller| !caller.is_closed());
            let ids: Vec<u64> = lost.again.iter().map(|(_, proposal)| proposal.id).collect();
            waiting.table.sent(&ids, route);
            lost
        };
        fail(lost.of_the_leader, &RequestError::NoLeader);
        lost.again
    }

    /// Fails the requests that may be in a snapshot that was installed; returns their number.
    pub(crate) fn replaced(&self) -> usize {
        let callers = self.0.lock().table.replaced();
        fail(callers, &RequestError::LeaderFailed)
    }

    /// A tick has passed: forgets requests whose clients have gone, and fails those whose outcome
    /// will not be known; returns their number.
    pub(crate) fn tick(&self) -> usize {
        let callers = self.0.lock().table.tick(|caller| !caller.is_closed());
        fail(callers, &RequestError::LeaderFailed)
    }

    /// Returns `true` if the client of a request still waits.
    pub(crate) fn waits(&self, id: u64) -> bool {
        self.0.lock().table.contains(id)
    }

    /// Fails all requests, those that are registered later as well.
    pub(crate) fn stop(&self) {
        let callers = {
            let mut waiting = self.0.lock();
            waiting.stopped = true;
            waiting.table.drain()
        };
        fail(callers, &RequestError::Stopped);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().table.len()
    }
}

fn fail(callers: Vec<Caller>, error: &RequestError) -> usize {
    let count = callers.len();
    for caller in callers {
        drop(caller.send(Err(error.clone())));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(pending_proposals: &PendingProposals, id: u64) -> oneshot::Receiver<Reply> {
        let (caller, outcome) = oneshot::channel();
        let proposal = Proposal { id, data: "x".into() };
        pending_proposals.register(ProposalKind::Request, Route::Fenced(1), [(proposal, caller)]);
        outcome
    }

    #[test]
    fn requests_fail_after_the_member_has_left() {
        let pending_proposals = PendingProposals::default();
        let mut before = register(&pending_proposals, 1);
        pending_proposals.stop();
        assert_eq!(before.try_recv(), Ok(Err(RequestError::Stopped)));
        let mut after = register(&pending_proposals, 2);
        assert_eq!(after.try_recv(), Ok(Err(RequestError::Stopped)));
        assert_eq!(pending_proposals.len(), 0);
    }

    #[test]
    fn requests_of_clients_that_have_gone_are_forgotten() {
        let pending_proposals = PendingProposals::default();
        let outcome = register(&pending_proposals, 1);
        let _waits = register(&pending_proposals, 2);
        drop(outcome);
        pending_proposals.tick();
        assert!(!pending_proposals.waits(1) && pending_proposals.waits(2));
        assert_eq!(pending_proposals.term_begun(2, Route::Closed).len(), 1);
    }
}
