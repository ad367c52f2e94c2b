//! The two halves of a client's watch stream.

use super::inbox::{Command, Inbox, Request};
use super::outlet::Outlet;
use crate::RequestError;
use proto::etcdserverpb::WatchCreateRequest;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Semaphore;
use watch::{Output, StreamId};

/// Requests of a stream that may wait for the watch thread; while its answers fill its queue they stay counted, so that no more are read.
const REQUESTS_MAX: usize = 64;
/// A stream that still has answers to send says so after this many bytes.
const TELL_BYTES: usize = 256 << 10;

pub(super) fn open(id: StreamId, progress_interval: Duration, inbox: &Arc<Inbox>) -> (WatchRequests, WatchResponses) {
    let outlet = Arc::new(Outlet::new(Arc::clone(&inbox.figures.pending_events)));
    let command = Command::Open { stream: id, outlet: Arc::clone(&outlet), progress_interval };
    if !inbox.push_command(command) {
        outlet.close();
    }
    let requests = WatchRequests { id, inbox: Arc::clone(inbox), permits: Arc::new(Semaphore::new(REQUESTS_MAX)) };
    let responses = WatchResponses { id, inbox: Arc::clone(inbox), outlet, taken: VecDeque::new(), sending_bytes: 0 };
    (requests, responses)
}

/// The request half of a client's stream; requests are handled in order. Each call waits while the
/// client may not send more.
#[derive(Debug)]
pub struct WatchRequests {
    id: StreamId,
    inbox: Arc<Inbox>,
    permits: Arc<Semaphore>,
}

impl WatchRequests {
    /// Requests a watcher. It must be permitted, except that a negative start revision is refused
    /// for every caller.
    pub async fn create(&self, request: WatchCreateRequest) -> Result<(), RequestError> {
        self.ask(Request::Create(request)).await
    }

    /// Answers a creation that is not permitted.
    pub async fn refuse(&self, reason: &'static str) -> Result<(), RequestError> {
        self.ask(Request::Refuse(reason)).await
    }

    /// Cancels a watcher.
    pub async fn cancel(&self, watch_id: i64) -> Result<(), RequestError> {
        self.ask(Request::Cancel(watch_id)).await
    }

    /// Asks how far the whole stream is.
    pub async fn progress(&self) -> Result<(), RequestError> {
        self.ask(Request::Progress).await
    }

    async fn ask(&self, request: Request) -> Result<(), RequestError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| RequestError::Stopped)?;
        let command = Command::Request { stream: self.id, request, permit };
        if self.inbox.push_command(command) { Ok(()) } else { Err(RequestError::Stopped) }
    }
}

/// The response half; dropping it ends the stream.
#[derive(Debug)]
pub struct WatchResponses {
    id: StreamId,
    inbox: Arc<Inbox>,
    outlet: Arc<Outlet>,
    taken: VecDeque<Output>,
    /// Bytes that were returned and may still be on their way to the socket.
    sending_bytes: usize,
}

impl WatchResponses {
    /// Returns the next response; to be called only when the one before it has been sent, which the
    /// bounds of memory rely on. `None` means that the member stops.
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Output>> {
        self.settle();
        if self.taken.is_empty() {
            ready!(self.outlet.poll_take(&mut self.taken, context));
        }
        let output = self.taken.pop_front();
        self.outlet.leave(&output);
        self.sending_bytes = output.as_ref().map_or(0, Output::queued_bytes);
        Poll::Ready(output)
    }

    /// The answer given out before has left.
    fn settle(&mut self) {
        if self.sending_bytes == 0 {
            return;
        }
        let uncollected = self.outlet.add_drained(std::mem::take(&mut self.sending_bytes));
        let worth_telling = self.taken.is_empty() || uncollected >= TELL_BYTES;
        if worth_telling && self.inbox.tell_of_drains.load(Ordering::SeqCst) && self.outlet.is_to_be_told() {
            self.inbox.push_command(Command::Drained(self.id));
        }
    }
}

impl Drop for WatchResponses {
    fn drop(&mut self) {
        self.outlet.leave(&self.taken);
        self.inbox.push_command(Command::Close(self.id));
    }
}
