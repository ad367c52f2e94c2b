//! Streams that tasks of their own serve, away from the task of the connection.
//!
//! A task leaves commands in the mailbox of the connection, which carries out all that wait
//! whenever it wakes. Both directions are bounded: the connection gives a task no more of a request
//! before it has read what it has, and a task waits while too much of its response waits.

use crate::calls::{Gone, Incoming, Responder};
use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use http::{HeaderMap, Response};
use http2::{End, Reason, StreamKey};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tonic::{Code, Status};

/// Bytes of a request that a task may have received and not read; one part more can come.
const RECEIVED_BYTES_MAX: usize = 64 << 10;
/// Bytes of a response that may wait before the task has to; one part more can come.
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 10;

/// The work that others have left for a connection.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    work: Mutex<Work>,
    connection: AtomicWaker,
}

#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Slots of calls that can make progress.
    pub(crate) slots: Vec<usize>,
    pub(crate) commands: Vec<(StreamKey, Command)>,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.commands.is_empty()
    }
}

/// A wish of the task that serves a stream.
#[derive(Debug)]
pub(crate) enum Command {
    Head(Box<Response<()>>, End),
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Reset(Reason),
    /// The task has room for more of the request.
    Read,
    /// The task does not read the rest of the request.
    Ignore,
    /// The task is done with the stream.
    Release,
}

impl Mailbox {
    /// Sets the task that is woken when work comes. Before [`Mailbox::take`].
    pub(crate) fn register(&self, waker: &Waker) {
        self.connection.register(waker);
    }

    /// Exchanges `work`, which is empty, for the work that waits.
    pub(crate) fn take(&self, work: &mut Work) {
        std::mem::swap(&mut *self.work.lock(), work);
    }

    fn leave(&self, leave: impl FnOnce(&mut Work)) {
        let mut work = self.work.lock();
        let is_first = work.is_empty();
        leave(&mut work);
        drop(work);
        if is_first {
            self.connection.wake();
        }
    }
}

/// The waker of the calls in a slot, one after the other.
#[derive(Debug)]
pub(crate) struct SlotWaker {
    mailbox: Arc<Mailbox>,
    slot: usize,
    is_woken: AtomicBool,
}

impl SlotWaker {
    pub(crate) fn new(mailbox: Arc<Mailbox>, slot: usize) -> Arc<Self> {
        Arc::new(Self { mailbox, slot, is_woken: AtomicBool::new(false) })
    }

    /// The call is polled now: later wake-ups count again.
    pub(crate) fn polled(&self) {
        self.is_woken.store(false, Ordering::Release);
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.mailbox.leave(|work| work.slots.push(self.slot));
        }
    }
}

/// A stream as its connection and its task share it.
#[derive(Debug)]
pub(crate) struct StreamLink {
    mailbox: Arc<Mailbox>,
    key: StreamKey,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    received: BytesMut,
    /// The request is complete.
    is_ended: bool,
    /// The connection holds back more of the request.
    has_more: bool,
    /// Bytes of the response that wait in the mailbox or in the stream.
    waiting_bytes: usize,
    /// The reason why the stream has ended; the response is not wanted any more.
    gone: Option<Reason>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl StreamLink {
    /// Both halves for the task, and the connection's end.
    pub(crate) fn new(mailbox: Arc<Mailbox>, key: StreamKey) -> (LinkReceiver, LinkResponder, Arc<Self>) {
        let link = Arc::new(Self { mailbox, key, shared: Mutex::default() });
        let handle = Arc::new(Handle(Arc::clone(&link)));
        (LinkReceiver(Arc::clone(&handle)), LinkResponder(handle), link)
    }

    fn command(&self, command: Command) {
        self.mailbox.leave(|work| work.commands.push((self.key, command)));
    }

    /// Returns `true` if the task takes more of the request. Otherwise it will say so.
    pub(crate) fn wants_more(&self) -> bool {
        let mut shared = self.shared.lock();
        shared.has_more = shared.received.len() >= RECEIVED_BYTES_MAX;
        !shared.has_more
    }

    /// Gives the task a part of the request.
    pub(crate) fn receive(&self, part: Vec<u8>, is_ended: bool) {
        let mut shared = self.shared.lock();
        if shared.received.is_empty() {
            shared.received = Bytes::from(part).into();
        } else {
            shared.received.extend_from_slice(&part);
        }
        shared.is_ended = is_ended;
        let reader = shared.reader.take();
        drop(shared);
        reader.into_iter().for_each(Waker::wake);
    }

    /// So many bytes of the response do not wait any more.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut shared = self.shared.lock();
        shared.waiting_bytes = shared.waiting_bytes.saturating_sub(bytes);
        let writer = if shared.waiting_bytes < WAITING_BYTES_MAX { shared.writer.take() } else { None };
        drop(shared);
        writer.into_iter().for_each(Waker::wake);
    }

    /// The stream has ended without its response.
    pub(crate) fn end(&self, reason: Reason) {
        let mut shared = self.shared.lock();
        shared.gone = Some(reason);
        let wakers = [shared.reader.take(), shared.writer.take()];
        drop(shared);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// The task's end of a stream.
#[derive(Debug)]
struct Handle(Arc<StreamLink>);

impl Drop for Handle {
    fn drop(&mut self) {
        if self.0.shared.lock().gone.is_none() {
            self.0.command(Command::Release);
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct LinkReceiver(Arc<Handle>);

/// The responding half.
#[derive(Debug)]
pub(crate) struct LinkResponder(Arc<Handle>);

impl Drop for LinkReceiver {
    fn drop(&mut self) {
        let link = &self.0.0;
        let shared = link.shared.lock();
        let is_read = shared.is_ended || shared.gone.is_some();
        drop(shared);
        if !is_read {
            link.command(Command::Ignore);
        }
    }
}

/// The error of a request that ends before its end, as tonic makes it of the h2 crate's.
fn broken_off(reason: Reason) -> Status {
    let code = match reason {
        Reason::CANCEL => Code::Cancelled,
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        _ => Code::Internal,
    };
    let mut status = Status::new(code, format!("stream reset: {reason}"));
    // A status with a source is the client's doing, or the connection's.
    status.set_source(Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)));
    status
}

impl Incoming for LinkReceiver {
    type Error = Status;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let link = &self.0.0;
        let mut shared = link.shared.lock();
        if !shared.received.is_empty() {
            let data = std::mem::take(&mut shared.received).freeze();
            let has_more = std::mem::take(&mut shared.has_more);
            drop(shared);
            if has_more {
                link.command(Command::Read);
            }
            return Poll::Ready(Some(Ok(data)));
        }
        if shared.is_ended {
            return Poll::Ready(None);
        }
        if let Some(reason) = shared.gone {
            return Poll::Ready(Some(Err(broken_off(reason))));
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_ended(&self) -> bool {
        let shared = self.0.0.shared.lock();
        shared.is_ended && shared.received.is_empty()
    }
}

impl LinkResponder {
    /// Leaves a command unless the stream has ended.
    fn command(&self, command: Command) -> Result<(), Gone> {
        if self.0.0.shared.lock().gone.is_some() {
            return Err(Gone);
        }
        self.0.0.command(command);
        Ok(())
    }

    /// Waits until less than so many bytes of the response wait.
    async fn below(&mut self, bytes_max: usize) -> Result<(), Gone> {
        std::future::poll_fn(|cx| {
            let mut shared = self.0.0.shared.lock();
            if shared.gone.is_some() {
                return Poll::Ready(Err(Gone));
            }
            if shared.waiting_bytes < bytes_max {
                return Poll::Ready(Ok(()));
            }
            shared.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Responder for LinkResponder {
    fn send_head(&mut self, head: Response<()>, end: End) -> Result<(), Gone> {
        self.command(Command::Head(Box::new(head), end))
    }

    async fn send_data(&mut self, data: Bytes) -> Result<(), Gone> {
        if data.is_empty() {
            return Ok(());
        }
        self.below(WAITING_BYTES_MAX).await?;
        self.0.0.shared.lock().waiting_bytes += data.len();
        self.command(Command::Data(data))
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.below(1).await
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.command(Command::Trailers(trailers))
    }

    fn send_end(&mut self) {
        drop(self.command(Command::End));
    }

    fn reset(&mut self, reason: Reason) {
        drop(self.command(Command::Reset(reason)));
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.0.0.shared.lock();
        if shared.gone.is_some() {
            return Poll::Ready(());
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::task::noop_waker;
    use http2::{Connection, Event};

    /// A stream of a connection, whose number does not matter.
    fn key() -> StreamKey {
        let mut connection = Connection::new(http2::Settings {
            streams_max: 1,
            header_bytes_max: 1000,
            stream_window_bytes: 1 << 16,
            connection_window_bytes: 1 << 16,
            client_ping_interval_min: std::time::Duration::ZERO,
            field_names: &[],
        });
        let request = b"\0\0\x03\x01\x05\0\0\0\x01\x83\x86\x84";
        let bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], request].concat();
        connection.receive(&bytes, std::time::Instant::now());
        let Some(Event::Request { stream, .. }) = connection.next_event() else { panic!("no request") };
        stream
    }

    fn work(mailbox: &Mailbox) -> String {
        let mut work = Work::default();
        mailbox.take(&mut work);
        work.commands.iter().map(|(_, command)| format!("{command:?} ")).collect()
    }

    #[test]
    fn holds_back_a_request_that_is_not_read() {
        let mailbox = Arc::<Mailbox>::default();
        let (mut receiver, _respond, link) = StreamLink::new(Arc::clone(&mailbox), key());
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(link.wants_more() && receiver.poll_data(&mut cx).is_pending());
        link.receive(vec![1; RECEIVED_BYTES_MAX - 1], false);
        assert!(link.wants_more());
        link.receive(vec![2; 5], false);
        assert!(!link.wants_more());
        assert_eq!(work(&mailbox), "");
        let Poll::Ready(Some(Ok(data))) = receiver.poll_data(&mut cx) else { panic!("no data") };
        assert_eq!((data.len(), work(&mailbox).as_str(), link.wants_more()), (RECEIVED_BYTES_MAX + 4, "Read ", true));
        link.receive(Vec::new(), true);
        assert!(receiver.is_ended() && matches!(receiver.poll_data(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn waits_while_too_much_of_a_response_waits() {
        let mailbox = Arc::<Mailbox>::default();
        let (_receiver, mut respond, link) = StreamLink::new(Arc::clone(&mailbox), key());
        let part = Bytes::from(vec![0; WAITING_BYTES_MAX]);
        assert!(matches!(respond.send_data(part.clone()).now_or_never(), Some(Ok(()))));
        assert!(respond.send_data(part.clone()).now_or_never().is_none() && respond.flush().now_or_never().is_none());
        link.sent(1);
        assert!(matches!(respond.send_data(part).now_or_never(), Some(Ok(()))));
        link.sent(2 * WAITING_BYTES_MAX);
        assert!(matches!(respond.flush().now_or_never(), Some(Ok(()))));
    }

    #[test]
    fn tells_both_halves_of_the_end() {
        let mailbox = Arc::<Mailbox>::default();
        let (mut receiver, mut respond, link) = StreamLink::new(Arc::clone(&mailbox), key());
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        assert!(respond.poll_reset(&mut cx).is_pending());
        link.end(Reason::CANCEL);
        assert!(respond.poll_reset(&mut cx).is_ready() && respond.send_trailers(HeaderMap::new()).is_err());
        let Poll::Ready(Some(Err(status))) = receiver.poll_data(&mut cx) else { panic!("no error") };
        assert_eq!(status.code(), Code::Cancelled);
        drop((receiver, respond));
        assert_eq!(work(&mailbox), "", "a stream that has ended needs no commands");
    }

    #[test]
    fn leaves_the_stream_when_both_halves_are_dropped() {
        let mailbox = Arc::<Mailbox>::default();
        let (receiver, respond, _link) = StreamLink::new(Arc::clone(&mailbox), key());
        drop(receiver);
        assert_eq!(work(&mailbox), "Ignore ");
        drop(respond);
        assert_eq!(work(&mailbox), "Release ");
    }

    #[test]
    fn wakes_a_slot_once_until_it_is_polled() {
        let mailbox = Arc::<Mailbox>::default();
        let waker = SlotWaker::new(Arc::clone(&mailbox), 7);
        let slots = || {
            let mut work = Work::default();
            mailbox.take(&mut work);
            work.slots
        };
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(slots(), [7]);
        waker.wake_by_ref();
        assert!(slots().is_empty());
        waker.polled();
        waker.wake_by_ref();
        assert_eq!(slots(), [7]);
    }
}
