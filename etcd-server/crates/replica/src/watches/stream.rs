//! The two halves of a client's watch stream.

use super::response_queue::ResponseQueue;
use super::watch_queue::{Command, Request, WatchQueue};
use crate::RequestError;
use proto::etcdserverpb::WatchCreateRequest;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Semaphore;
use watch::{Output, StreamId};

/// Requests of a stream that may wait for the watch thread; while its answers fill its queue they
/// stay counted, so that no more are read.
const REQUESTS_MAX: usize = 64;
/// A stream that still has answers to send says so after this many bytes.
const TELL_BYTES: usize = 256 << 10;

pub(super) fn open(
    id: StreamId,
    progress_interval: Duration,
    watch_queue: &Arc<WatchQueue>,
) -> (WatchRequests, WatchResponses) {
    let response_queue = Arc::new(ResponseQueue::new(Arc::clone(&watch_queue.figures.pending_events)));
    let command = Command::Open { stream: id, response_queue: Arc::clone(&response_queue), progress_interval };
    if !watch_queue.push_command(command) {
        response_queue.close();
    }
    let requests =
        WatchRequests { id, watch_queue: Arc::clone(watch_queue), permits: Arc::new(Semaphore::new(REQUESTS_MAX)) };
    let responses = WatchResponses {
        id,
        watch_queue: Arc::clone(watch_queue),
        response_queue,
        taken: VecDeque::new(),
        sending_bytes: 0,
    };
    (requests, responses)
}

/// The request half of a client's stream; requests are handled in order. Each call waits while the
/// client may not send more.
#[derive(Debug)]
pub struct WatchRequests {
    id: StreamId,
    watch_queue: Arc<WatchQueue>,
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
        if self.watch_queue.push_command(command) { Ok(()) } else { Err(RequestError::Stopped) }
    }
}

/// The response half; dropping it ends the stream.
#[derive(Debug)]
pub struct WatchResponses {
    id: StreamId,
    watch_queue: Arc<WatchQueue>,
    response_queue: Arc<ResponseQueue>,
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
            ready!(self.response_queue.poll_take(&mut self.taken, context));
        }
        let output = self.taken.pop_front();
        self.response_queue.leave(&output);
        self.sending_bytes = output.as_ref().map_or(0, Output::queued_bytes);
        Poll::Ready(output)
    }

    /// The answer given out before has left.
    fn settle(&mut self) {
        if self.sending_bytes == 0 {
            return;
        }
        let uncollected = self.response_queue.add_drained(std::mem::take(&mut self.sending_bytes));
        let worth_telling = self.taken.is_empty() || uncollected >= TELL_BYTES;
        if worth_telling
            && self.watch_queue.tell_of_drains.load(Ordering::SeqCst)
            && self.response_queue.is_to_be_told()
        {
            self.watch_queue.push_command(Command::Drained(self.id));
        }
    }
}

impl Drop for WatchResponses {
    fn drop(&mut self) {
        self.response_queue.leave(&self.taken);
        self.watch_queue.push_command(Command::Close(self.id));
    }
}
