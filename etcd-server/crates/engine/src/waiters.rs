//! Who waits for which request.

use crate::Refused;
use apply::Ordered;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// What a waiting request is told.
pub(crate) type Reply = Result<Ordered, Refused>;

/// Who waits for a read barrier.
pub(crate) type Barrier = oneshot::Sender<Result<(), Refused>>;

/// Requests in flight by id. Bounded by what [`crate::Engine::propose`] lets in; an entry leaves when its request is applied or dropped,
/// whether or not somebody still waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
}

impl Waiters {
    /// Registers a batch of requests; registered before they are proposed, so that no answer can come too early.
    pub(crate) fn register(&self, waiters: impl IntoIterator<Item = (u64, oneshot::Sender<Reply>)>) {
        self.waiting.lock().extend(waiters);
    }

    /// Tells the outcomes of a batch.
    pub(crate) fn answer(&self, replies: Vec<(u64, Reply)>) {
        let senders: Vec<_> = {
            let mut waiting = self.waiting.lock();
            replies.into_iter().filter_map(|(id, reply)| Some((waiting.remove(&id)?, reply))).collect()
        };
        for (sender, reply) in senders {
            // Whoever asked may have gone away; the entry is applied all the same.
            drop(sender.send(reply));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }
}
