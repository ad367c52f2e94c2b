//! Pending proposals and their callers.

use crate::RequestError;
use apply::Ordered;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// The outcome for a waiting caller.
pub(crate) type Reply = Result<Ordered, RequestError>;

/// A caller that waits for a read index.
pub(crate) type ReadIndexWaiter = oneshot::Sender<Result<(), RequestError>>;

/// Requests in flight by id. Bounded by the admission of [`crate::Replica::propose`]; an entry
/// leaves when its request is applied or dropped, whether or not a client still waits.
#[derive(Debug, Default)]
pub(crate) struct PendingProposals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    requests: HashMap<u64, oneshot::Sender<Reply>>,
    /// This member has left the cluster: nothing that is registered from now on will ever be
    /// applied here.
    stopped: bool,
}

impl PendingProposals {
    /// Registers a batch of requests; registered before they are proposed, so that no reply can
    /// come too early.
    pub(crate) fn register(&self, pending_proposals: impl IntoIterator<Item = (u64, oneshot::Sender<Reply>)>) {
        let mut waiting = self.0.lock();
        if !waiting.stopped {
            waiting.requests.extend(pending_proposals);
            return;
        }
        drop(waiting);
        for (_, sender) in pending_proposals {
            drop(sender.send(Err(RequestError::Stopped)));
        }
    }

    /// Sends the replies of a batch.
    pub(crate) fn response(&self, replies: Vec<(u64, Reply)>) {
        let senders: Vec<_> = {
            let mut waiting = self.0.lock();
            replies.into_iter().filter_map(|(id, reply)| Some((waiting.requests.remove(&id)?, reply))).collect()
        };
        for (sender, reply) in senders {
            // The client may have gone away; the entry is applied all the same.
            drop(sender.send(reply));
        }
    }

    /// Fails all requests, those that are registered later as well.
    pub(crate) fn stop(&self) {
        let requests = {
            let mut waiting = self.0.lock();
            waiting.stopped = true;
            std::mem::take(&mut waiting.requests)
        };
        for sender in requests.into_values() {
            drop(sender.send(Err(RequestError::Stopped)));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().requests.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fail_after_the_member_has_left() {
        let pending_proposals = PendingProposals::default();
        let (before, mut failed) = oneshot::channel();
        pending_proposals.register([(1, before)]);
        pending_proposals.stop();
        assert_eq!(failed.try_recv(), Ok(Err(RequestError::Stopped)));
        let (after, mut failed) = oneshot::channel();
        pending_proposals.register([(2, after)]);
        assert_eq!(failed.try_recv(), Ok(Err(RequestError::Stopped)));
        assert_eq!(pending_proposals.len(), 0);
    }
}
