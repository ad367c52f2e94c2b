//! gRPC on the HTTP/2 of the crate `http2`: one task serves a connection and all its small requests.
//!
//! The task takes in all that has arrived, runs the calls that can make progress, and writes all
//! their responses with one vectored write. Hot calls ([`crate::fast_path`]) run in the task
//! itself, each in the slot of its stream. Every other call has a task of its own behind a
//! [`StreamLink`].

use crate::call_head::{self, Deadline, Listener};
use crate::calls::{Web, call, forward, refuse, serve_web};
use crate::fast_path::{FastCall, end_call, refusal, send_ok};
use crate::fields::NAMES;
use crate::grpc_frame::{PREFIX_BYTES, Unreadable, announced, message_in};
use crate::http2_heads::{request_of, send_head, send_trailers};
use crate::http2_settings::{CONNECTION_WINDOW_BYTES, HANDSHAKE_TIMEOUT, Http2Settings, STREAM_WINDOW_BYTES};
use crate::observe::Call;
use crate::response_body::ResponseBody;
use crate::response_slots::ConnectionShare;
use crate::serving::Serving;
use crate::stream_link::{Command, LinkReceiver, LinkResponder, Mailbox, SlotWaker, StreamLink, Work};
use crate::{ObservedRoutes, Server};
use bytes::Bytes;
use http::Request;
use http2::{Connection, End, Event, Head, Intake, Reason, StreamKey};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Sleep;
use tonic::Status;

/// Bytes that are read from a socket at a time.
const READ_BYTES: usize = 64 << 10;
/// Reads before what has come is looked at.
const READS_MAX: usize = 4;
/// Slices of one write.
const SLICES_MAX: usize = 64;
/// Rounds of reading, running and writing before other connections get their turn.
const ROUNDS_MAX: usize = 16;
/// The calls of services that run in the task of the connection: they are frequent, and do little at
/// a time.
const SERVED_HERE: [&[u8]; 3] =
    [b"/etcdserverpb.Watch/Watch", b"/etcdserverpb.Lease/LeaseKeepAlive", b"/grpc.health.v1.Health/Check"];
/// A table of slots above this size is freed when the client has no open stream.
const KEPT_SLOTS_MAX: usize = 1024;
/// Input behind the last GOAWAY that is read and dropped: closing a socket with unread input would
/// destroy the GOAWAY on its way.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

thread_local! {
    /// Connections keep incomplete frames only, so idle ones need no buffer.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Serves one connection until the client leaves, or until `stop` completes and the calls in
/// progress have responses. Calls that are still in progress when `end` completes are ended, with a
/// last GOAWAY even for a client that acknowledges nothing. Without `web` everything is gRPC.
///
/// # Errors
/// The reason why the connection ended other than by agreement.
pub async fn serve_connection<I>(
    io: I,
    server: Server,
    routes: ObservedRoutes,
    web: Option<Web>,
    settings: Http2Settings,
    stop: impl Future<Output = ()> + Send,
    end: impl Future<Output = ()> + Send,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut task = ConnectionTask::new(io, server, routes, web, settings);
    let mut alive = SignsOfLife::new(settings);
    let (mut stop, mut end) = (std::pin::pin!(stop), std::pin::pin!(end));
    let (mut stopping, mut ending) = (false, false);
    let served = std::future::poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            task.connection.shut_down();
        }
        if !ending && end.as_mut().poll(cx).is_ready() {
            ending = true;
            task.connection.end(Reason::NO_ERROR);
        }
        let served = task.poll(cx);
        // A client that gave no sign of life is gone: dropping the connection ends all that it asked
        // for.
        if served.is_pending() && alive.poll(cx, &mut task).is_ready() {
            return Poll::Ready(Ok(Ended::ByClient));
        }
        served
    });
    match served.await? {
        Ended::ByClient => Ok(()),
        Ended::ByServer => task.close().await,
    }
}

/// The timer of a connection: for its handshake, then for pings and their acknowledgements.
struct SignsOfLife {
    settings: Http2Settings,
    awaited: Awaited,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Handshake,
    NextPing,
    Acknowledgement,
}

impl SignsOfLife {
    fn new(settings: Http2Settings) -> Self {
        let timer = Box::pin(tokio::time::sleep(HANDSHAKE_TIMEOUT));
        Self { settings, awaited: Awaited::Handshake, timer }
    }

    fn wait(&mut self, awaited: Awaited, time: Duration) {
        self.awaited = awaited;
        self.timer.as_mut().reset(tokio::time::Instant::now() + time);
    }

    /// Completes when the client has failed to show one in time.
    fn poll<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        task: &mut ConnectionTask<I>,
    ) -> Poll<()> {
        let has_come = match self.awaited {
            Awaited::Handshake => task.connection.is_established(),
            Awaited::NextPing => false,
            Awaited::Acknowledgement => std::mem::take(&mut task.is_acknowledged),
        };
        if self.awaited != Awaited::Handshake || has_come {
            let Some(interval) = self.settings.ping_interval else { return Poll::Pending };
            if has_come {
                self.wait(Awaited::NextPing, interval);
            }
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.awaited != Awaited::NextPing {
                return Poll::Ready(());
            }
            task.is_acknowledged = false;
            task.connection.ping();
            if let Poll::Ready(Err(error)) = task.write(cx) {
                tracing::debug!(%error, "cannot send a ping");
                return Poll::Ready(());
            }
            self.wait(Awaited::Acknowledgement, self.settings.ping_timeout);
        }
        Poll::Pending
    }
}

/// A call that runs in the task of its connection.
type Answering = Pin<Box<dyn Future<Output = Result<ResponseBody, Status>> + Send>>;

/// The state of a stream.
enum State {
    /// Nothing is to be done for it here.
    Free,
    Reading(Box<Reading>),
    Answering(Answering, Option<Deadline>),
    /// The response waits for the client, until the deadline.
    Sending(Pin<Box<Sleep>>),
    /// A task of its own serves it.
    Linked(Arc<StreamLink>),
    /// The services serve it, in the task of the connection.
    Serving(Box<Serving>),
}

/// A hot call whose message has not come.
struct Reading {
    call: FastCall,
    observed: Call,
    head: Arc<Head>,
    deadline: Option<Deadline>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The message, behind which the client sends more.
    message: Option<Bytes>,
}

/// The place of a stream in its connection.
struct Slot {
    key: Option<StreamKey>,
    state: State,
    /// Bytes of its response that wait for the client, as its task knows.
    waiting_bytes: usize,
    polled: Arc<SlotWaker>,
    waker: Waker,
}

/// A connection and the calls that run on it. Their number is bounded by the streams that may be
/// open.
struct ConnectionTask<I> {
    io: I,
    connection: Connection,
    slots: Vec<Slot>,
    mailbox: Arc<Mailbox>,
    work: Work,
    server: Arc<Server>,
    routes: ObservedRoutes,
    web: Option<Web>,
    share: ConnectionShare,
    /// The client has acknowledged a ping.
    is_acknowledged: bool,
}

impl<I> Drop for ConnectionTask<I> {
    fn drop(&mut self) {
        self.end_calls();
    }
}

impl<I> ConnectionTask<I> {
    fn new(io: I, server: Server, routes: ObservedRoutes, web: Option<Web>, settings: Http2Settings) -> Self {
        let share = ConnectionShare::default();
        let connection = Connection::new(http2::Settings {
            streams_max: settings.streams_max,
            header_bytes_max: settings.header_bytes_max,
            stream_window_bytes: STREAM_WINDOW_BYTES,
            connection_window_bytes: CONNECTION_WINDOW_BYTES,
            client_ping_interval_min: settings.client_ping_interval_min,
            field_names: NAMES,
        });
        Self {
            io,
            connection,
            slots: Vec::new(),
            mailbox: Arc::default(),
            work: Work::default(),
            server: Arc::new(server.on_connection(share.clone())),
            routes,
            web,
            share,
            is_acknowledged: false,
        }
    }

    /// Drops the calls that run here, and notifies the tasks of all others.
    fn end_calls(&mut self) {
        for slot in self.slots.drain(..) {
            slot.state.end(Reason::CANCEL);
        }
    }

    /// The slot of an open stream.
    fn slot(&mut self, key: StreamKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.slot()).filter(|slot| slot.key == Some(key))
    }

    /// Makes a slot the stream's.
    fn occupy(&mut self, key: StreamKey, state: State) {
        if self.slots.len() > KEPT_SLOTS_MAX && self.connection.open_streams() == 1 && key.slot() == 0 {
            self.slots = Vec::new();
        }
        while self.slots.len() <= key.slot() {
            let polled = SlotWaker::new(Arc::clone(&self.mailbox), self.slots.len());
            let waker = Waker::from(Arc::clone(&polled));
            self.slots.push(Slot { key: None, state: State::Free, waiting_bytes: 0, polled, waker });
        }
        let slot = &mut self.slots[key.slot()];
        slot.key = Some(key);
        slot.state = state;
        slot.waiting_bytes = 0;
    }

    /// Handles all events; returns `true` if there was one.
    fn handle_events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.connection.next_event() {
            any = true;
            match event {
                Event::Request { stream, head } => self.begin(stream, head),
                Event::Body { stream } => self.body(stream),
                Event::Sent { stream } => {
                    self.report(stream, 0);
                    if self.slot(stream).is_some_and(|slot| matches!(slot.state, State::Serving(_))) {
                        self.poll_slot(stream.slot());
                    }
                }
                Event::Reset { stream, reason } => {
                    let Some(slot) = self.slot(stream) else { continue };
                    std::mem::replace(&mut slot.state, State::Free).end(reason);
                }
                Event::Pong => self.is_acknowledged = true,
            }
        }
        any
    }

    fn begin(&mut self, key: StreamKey, head: Arc<Head>) {
        if let Some(web) = self.web.as_ref().filter(|_| !call_head::is_call(&*head)) {
            let web = Arc::clone(web);
            return self.serve(key, &head, |request, respond| drop(tokio::spawn(serve_web(web, request, respond))));
        }
        let listener = if self.web.is_some() { Listener::Shared } else { Listener::Grpc };
        let deadline = match call_head::check(listener, head.method(), &*head) {
            Ok(deadline) => deadline,
            Err(refused) => {
                let (receiver, respond) = self.link(key);
                let refusing = refuse(refused.into_response(listener), receiver, respond);
                return drop(tokio::spawn(refusing));
            }
        };
        let Some(call) = FastCall::of(head.path(), &*head) else {
            if SERVED_HERE.contains(&head.path()) {
                return self.serve_here(key, &head, deadline);
            }
            let (routes, share) = (self.routes.clone(), self.share.clone());
            return self.serve(key, &head, |mut request, respond| {
                request.extensions_mut().insert(share);
                drop(tokio::spawn(forward(routes, request, respond, deadline)));
            });
        };
        let observed = self.routes.started(call.method(), &*head).until(deadline);
        let reading = Reading { call, observed, head, deadline, timer: None, message: None };
        if self.connection.body(key).1 {
            let body = Bytes::from(self.connection.take_body(key));
            return self.run(key, reading, message_in(&body));
        }
        let bytes_max = self.server.settings.message_bytes_max.saturating_add(PREFIX_BYTES);
        self.connection.set_intake(key, Intake::Gathered { bytes_max });
        self.occupy(key, State::Reading(Box::new(reading)));
        self.read(key);
    }

    /// Serves a request in a task of its own, which `spawn` starts.
    fn serve(&mut self, key: StreamKey, head: &Head, spawn: impl FnOnce(Request<LinkReceiver>, LinkResponder)) {
        let Some(request) = request_of(head) else { return self.connection.reset(key, Reason::PROTOCOL_ERROR) };
        let (receiver, respond) = self.link(key);
        spawn(request.map(|()| receiver), respond);
    }

    /// Serves a call whose response is taken in this task.
    fn serve_here(&mut self, key: StreamKey, head: &Head, deadline: Option<Deadline>) {
        let Some(mut request) = request_of(head) else { return self.connection.reset(key, Reason::PROTOCOL_ERROR) };
        request.extensions_mut().insert(self.share.clone());
        let (receiver, respond, link) = StreamLink::new(Arc::clone(&self.mailbox), key);
        let called = Box::pin(call(&mut self.routes, request.map(|()| receiver)));
        let serving = Serving::new(called, link, respond, deadline);
        self.occupy(key, State::Serving(Box::new(serving)));
        self.body(key);
        self.poll_slot(key.slot());
    }

    fn link(&mut self, key: StreamKey) -> (LinkReceiver, LinkResponder) {
        let (receiver, respond, link) = StreamLink::new(Arc::clone(&self.mailbox), key);
        self.occupy(key, State::Linked(link));
        self.body(key);
        (receiver, respond)
    }

    /// More of a request has come.
    fn body(&mut self, key: StreamKey) {
        let Some(slot) = self.slot(key) else { return };
        let link = match &slot.state {
            State::Linked(link) => Arc::clone(link),
            State::Serving(serving) => Arc::clone(serving.link()),
            State::Reading(_) => return self.read(key),
            State::Free | State::Answering(..) | State::Sending(_) => return,
        };
        let (kept, is_ended) = self.connection.body(key);
        if (!kept.is_empty() || is_ended) && link.wants_more() {
            link.receive(self.connection.take_body(key), is_ended);
        }
    }

    /// Runs a hot call once its message has come.
    fn read(&mut self, key: StreamKey) {
        let bytes_max = self.server.settings.message_bytes_max;
        let Some(slot) = self.slots.get_mut(key.slot()).filter(|slot| slot.key == Some(key)) else { return };
        let State::Reading(reading) = &mut slot.state else { return };
        let (body, is_ended) = self.connection.body(key);
        let message = if reading.message.is_some() { None } else { announced(body) };
        let is_whole = message.as_ref().is_some_and(|message| message.end <= body.len());
        let too_large = message.map(|message| message.len()).filter(|length| *length > bytes_max);
        if is_whole && !is_ended {
            // Nothing behind the one message of a unary call is read.
            reading.message = Some(self.connection.take_body(key).into());
            self.connection.set_intake(key, Intake::Dropped);
        }
        if !is_ended && too_large.is_none() {
            if let (None, Some(Deadline(at))) = (&reading.timer, reading.deadline) {
                reading.timer = Some(Box::pin(tokio::time::sleep_until(at)));
                self.poll_slot(key.slot());
            }
            return;
        }
        let State::Reading(mut reading) = std::mem::replace(&mut slot.state, State::Free) else { return };
        let message = match too_large {
            Some(length) => Err(Unreadable::TooLarge(length)),
            None => {
                let body = reading.message.take().unwrap_or_else(|| self.connection.take_body(key).into());
                message_in(&body)
            }
        };
        self.run(key, *reading, message);
    }

    fn run(&mut self, key: StreamKey, reading: Reading, message: Result<Bytes, Unreadable>) {
        let Reading { call, mut observed, head, deadline, .. } = reading;
        let server = Arc::clone(&self.server);
        let answering = Box::pin(async move {
            let answered = tokio::select! {
                biased;
                answered = server.answer(call, &mut observed, &*head, message) => answered,
                () = Deadline::wait(deadline) => Err(call_head::deadline_exceeded()),
            };
            end_call(observed, &answered);
            answered
        });
        self.occupy(key, State::Answering(answering, deadline));
        self.poll_slot(key.slot());
    }

    fn poll_slot(&mut self, slot: usize) {
        let Some(slot) = self.slots.get_mut(slot) else { return };
        let Some(key) = slot.key else { return };
        slot.polled.polled();
        let cx = &mut Context::from_waker(&slot.waker);
        match &mut slot.state {
            State::Answering(answering, deadline) => {
                let deadline = *deadline;
                if let Poll::Ready(answered) = answering.as_mut().poll(cx) {
                    slot.state = State::Free;
                    self.answered(key, answered, deadline);
                }
            }
            State::Reading(reading) => {
                if reading.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                    let State::Reading(reading) = std::mem::replace(&mut slot.state, State::Free) else { return };
                    let late = Err(call_head::deadline_exceeded());
                    end_call(reading.observed, &late);
                    self.answered(key, late, None);
                }
            }
            State::Sending(timer) => {
                if timer.as_mut().poll(cx).is_ready() {
                    slot.state = State::Free;
                    self.connection.reset(key, Reason::CANCEL);
                }
            }
            State::Serving(serving) => {
                if serving.poll(cx, &mut self.connection, key).is_ready() {
                    // Behind the response the stream is left.
                    slot.state = State::Free;
                }
            }
            State::Free | State::Linked(_) => {}
        }
    }

    /// Responds to a hot call.
    fn answered(&mut self, key: StreamKey, answered: Result<ResponseBody, Status>, deadline: Option<Deadline>) {
        match answered {
            Ok(ResponseBody::Whole { message, held: None }) => {
                self.connection.respond(key, message);
                let waits = self.connection.pending_bytes(key).is_some_and(|bytes| bytes > 0);
                if let (true, Some(Deadline(at))) = (waits, deadline) {
                    self.occupy(key, State::Sending(Box::pin(tokio::time::sleep_until(at))));
                    self.poll_slot(key.slot());
                }
            }
            Ok(large) => {
                let (_, respond) = self.link(key);
                drop(tokio::spawn(send_ok(respond, large, deadline)));
            }
            Err(status) => {
                send_head(&mut self.connection, key, &refusal(&status), End::Stream);
                self.connection.leave(key);
            }
        }
    }

    /// Tells the task of a stream how much of its response waits, after it added some.
    fn report(&mut self, key: StreamKey, added: usize) {
        let waiting_bytes = self.connection.pending_bytes(key).unwrap_or(0);
        let Some(slot) = self.slot(key) else { return };
        let before = std::mem::replace(&mut slot.waiting_bytes, waiting_bytes);
        if let State::Linked(link) = &slot.state {
            link.sent((before + added).saturating_sub(waiting_bytes));
        }
    }

    /// Does the work that waits in the mailbox; returns `true` if there was some.
    fn do_work(&mut self) -> bool {
        let mut work = std::mem::take(&mut self.work);
        self.mailbox.take(&mut work);
        let any = !work.is_empty();
        for slot in work.slots.drain(..) {
            self.poll_slot(slot);
        }
        for (key, command) in work.commands.drain(..) {
            self.carry_out(key, command);
        }
        self.work = work;
        any
    }

    fn carry_out(&mut self, key: StreamKey, command: Command) {
        match command {
            Command::Head(head, end) => send_head(&mut self.connection, key, &head, end),
            Command::Data(data) => {
                let bytes = data.len();
                self.connection.send_data(key, data);
                self.report(key, bytes);
            }
            Command::Trailers(trailers) => send_trailers(&mut self.connection, key, &trailers),
            Command::End => self.connection.send_end(key),
            Command::Reset(reason) => self.connection.reset(key, reason),
            Command::Read => self.body(key),
            Command::Ignore => self.connection.set_intake(key, Intake::Dropped),
            Command::Release => {
                self.connection.leave(key);
                if let Some(slot) = self.slot(key) {
                    slot.state = State::Free;
                }
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> ConnectionTask<I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ended>> {
        self.mailbox.register(cx.waker());
        for _ in 0..ROUNDS_MAX {
            let takes_input = self.connection.wants_input();
            let mut progress = match self.receive(cx)? {
                Received::Nothing => false,
                Received::Bytes => true,
                Received::End => return Poll::Ready(Ok(Ended::ByClient)),
            };
            progress |= self.handle_events();
            progress |= self.do_work();
            progress |= self.handle_events();
            if self.write(cx)?.is_ready() && self.connection.is_finished() {
                return Poll::Ready(Ok(Ended::ByServer));
            }
            progress |= self.handle_events();
            // Written output may have made room for input.
            progress |= !takes_input && self.connection.wants_input();
            if !progress {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Receives what has arrived.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<Received> {
        let mut received = Received::Nothing;
        for _ in 0..READS_MAX {
            if !self.connection.wants_input() {
                break;
            }
            let read = match read(&mut self.io, cx, |bytes| self.connection.receive(bytes, Instant::now())) {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            };
            if read == 0 {
                return Ok(Received::End);
            }
            received = Received::Bytes;
        }
        Ok(received)
    }

    /// Writes all output; ready once nothing waits but data for its window.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.connection.fill_output();
            if self.connection.output_bytes() == 0 {
                return Pin::new(&mut self.io).poll_flush(cx);
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.connection.slices(&mut slices);
            let written = match &slices[..count] {
                [one] => ready!(Pin::new(&mut self.io).poll_write(cx, one))?,
                many => ready!(Pin::new(&mut self.io).poll_write_vectored(cx, many))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.connection.advance(written);
        }
    }

    /// Closes a connection whose output is written, so that the client can read all of it.
    async fn close(&mut self) -> io::Result<()> {
        self.end_calls();
        self.io.shutdown().await?;
        let Some(reason) = self.connection.ended() else { return Ok(()) };
        let mut left = LINGER_BYTES_MAX;
        let lingering = async {
            while let Ok(count @ 1..) = std::future::poll_fn(|cx| read(&mut self.io, cx, |_| {})).await
                && left > count
            {
                left -= count;
            }
        };
        drop(tokio::time::timeout(LINGER_TIMEOUT, lingering).await);
        let text = self.connection.ended_because();
        if text == http2::TOO_MANY_PINGS {
            tracing::warn!("a client sent too many pings; its connection is closed");
        }
        if reason == Reason::NO_ERROR { Ok(()) } else { Err(io::Error::other(format!("{reason} {text}"))) }
    }
}

impl State {
    /// The stream has ended without its response, or the connection has.
    fn end(self, reason: Reason) {
        match self {
            Self::Linked(link) => link.end(reason),
            Self::Serving(serving) => serving.link().end(reason),
            Self::Free | Self::Reading(_) | Self::Answering(..) | Self::Sending(_) => {}
        }
    }
}

/// The side that has ended a connection.
enum Ended {
    /// It has closed its socket, or is gone.
    ByClient,
    /// With a GOAWAY, which is written.
    ByServer,
}

/// The outcome of reading from a socket.
enum Received {
    Nothing,
    Bytes,
    /// The client has closed it.
    End,
}

/// Reads what has arrived into a buffer of the thread, and passes it on; 0 bytes are the end.
fn read<I: AsyncRead + Unpin>(io: &mut I, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}
