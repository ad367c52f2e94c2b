//! gRPC on the h2 crate, for servers with `--use-h2-library`: one task serves a connection and all
//! its small requests.
//!
//! The RPC layer is the largest cost of a small request, so the hot unary calls (`fast_path.rs`)
//! bypass tonic: their futures are polled by the connection's own task, which first takes all
//! requests that have arrived, then lets all of them run, then writes all their responses in one
//! go. Every other call is passed to the tonic routes in a task of its own, over a body that
//! follows flow control.
//!
//! The h2 crate would refuse two things from honest clients: heads with an `:authority` that is no
//! URI's ([`crate::head_filter`]); many small messages on one stream, for which its budget is set
//! here. Its bound for empty DATA frames before the end of a stream (100 in the life of a
//! connection) cannot be set; gRPC clients send none.

use crate::call_head::{self, Listener};
use crate::calls::{Web, forward, refuse, serve_web};
use crate::fast_path::{self, FastCall};
use crate::h2_stream::H2Responder;
use crate::head_filter::HeadFilter;
use crate::http2_settings::{CONNECTION_WINDOW_BYTES, HANDSHAKE_TIMEOUT, Http2Settings, STREAM_WINDOW_BYTES};
use crate::ping_guard::{OpenStreams, PingGuard};
use crate::response_slots::ConnectionShare;
use crate::{ObservedRoutes, Server};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// The smallest gRPC message is an empty one: a flag and a length.
const MESSAGE_BYTES_MIN: usize = 5;
/// The charge of h2 for a DATA frame that was received and not read yet, less the bytes of the
/// frame.
const FRAME_CHARGE_BYTES: usize = 256;
/// Charges beyond which h2 ends the connection (GOAWAY ENHANCE_YOUR_CALM, too_many_data_frames). A
/// client that has used up the window with the smallest messages, each in a frame of its own, is
/// just within it; h2's own value, half the window, cuts off clients with 10,000 leases. It bounds
/// the memory that frames smaller than any message can take.
const DATA_FRAME_BUDGET: usize =
    CONNECTION_WINDOW_BYTES as usize / MESSAGE_BYTES_MIN * (FRAME_CHARGE_BYTES - MESSAGE_BYTES_MIN);
/// Bytes of answers that wait in a connection because its client does not read.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// Streams that a client may reset before we have looked at them, and that we may reset for its
/// errors (rapid reset floods).
const PENDING_RESET_STREAMS_MAX: usize = 2000;
const LOCAL_RESET_STREAMS_MAX: usize = 1024;

/// Serves one connection until the client leaves, or until `stop` completes and the calls in
/// progress have responses. Calls that are still in progress when `end` completes are ended, with a
/// last GOAWAY even for a client that acknowledges nothing. Without `web` everything is gRPC.
///
/// # Errors
/// The reason why the connection ended other than by agreement.
pub async fn serve_h2_connection<I>(
    io: I,
    server: Server,
    routes: ObservedRoutes,
    web: Option<Web>,
    settings: Http2Settings,
    stop: impl Future<Output = ()> + Send,
    end: impl Future<Output = ()> + Send,
) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(settings.header_bytes_max)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_RESET_STREAMS_MAX));
    let streams = OpenStreams::default();
    let io = PingGuard::new(HeadFilter::new(io), settings.client_ping_interval_min, streams.clone());
    let Ok(handshake) = tokio::time::timeout(HANDSHAKE_TIMEOUT, builder.handshake::<_, Bytes>(io)).await else {
        return Ok(());
    };
    let share = ConnectionShare::default();
    let server = server.on_connection(share.clone());
    let mut served =
        Served { connection: handshake?, running: FuturesUnordered::new(), server, routes, web, streams, share };
    let pings = served.connection.ping_pong();
    let alive = std::pin::pin!(stays_alive(pings, settings));
    let (mut stop, mut end) = (std::pin::pin!(stop), std::pin::pin!(end));
    let mut alive = alive;
    let (mut stopping, mut ending) = (false, false);
    std::future::poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            served.connection.graceful_shutdown();
        }
        if !ending && end.as_mut().poll(cx).is_ready() {
            ending = true;
            served.connection.abrupt_shutdown(h2::Reason::NO_ERROR);
        }
        // A client that gave no sign of life is gone: dropping the connection ends all that it
        // asked for.
        if alive.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        served.poll(cx)
    })
    .await
}

/// Completes when the client has failed to answer a ping in time.
async fn stays_alive(pings: Option<h2::PingPong>, settings: Http2Settings) {
    let (Some(mut pings), Some(interval)) = (pings, settings.ping_interval) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(interval).await;
        let pong = tokio::time::timeout(settings.ping_timeout, pings.ping(h2::Ping::opaque()));
        if !matches!(pong.await, Ok(Ok(_))) {
            return;
        }
    }
}

/// A connection and the small requests that run on it. Their number is bounded by the streams that
/// may be open.
struct Served<I> {
    connection: Connection<PingGuard<HeadFilter<I>>, Bytes>,
    running: FuturesUnordered<fast_path::Running>,
    server: Server,
    routes: ObservedRoutes,
    web: Option<Web>,
    streams: OpenStreams,
    share: ConnectionShare,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Served<I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            // Accepting also writes finished responses; so first everything is taken in, and
            // responses are written together.
            loop {
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => self.dispatch(request, respond),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => break,
                }
            }
            let mut answered = false;
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {
                answered = true;
            }
            if !answered {
                return Poll::Pending;
            }
        }
    }

    fn dispatch(&mut self, mut request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let respond = H2Responder::new(respond, self.streams.open());
        if let Some(web) = self.web.as_ref().filter(|_| !call_head::is_call(request.headers())) {
            return drop(tokio::spawn(serve_web(web.clone(), request, respond)));
        }
        let listener = if self.web.is_some() { Listener::Shared } else { Listener::Grpc };
        let deadline = match call_head::check(listener, request.method().as_str().as_bytes(), request.headers()) {
            Ok(deadline) => deadline,
            Err(refusal) => {
                let refusing = refuse(refusal.into_response(listener), request.into_body(), respond);
                return drop(tokio::spawn(refusing));
            }
        };
        match FastCall::of(request.uri().path().as_bytes(), request.headers()) {
            Some(call) => {
                let observed = self.routes.started(call.method(), request.headers()).until(deadline);
                self.running.push(fast_path::run(self.server.clone(), call, observed, request, respond, deadline));
            }
            None => {
                request.extensions_mut().insert(self.share.clone());
                drop(tokio::spawn(forward(self.routes.clone(), request, respond, deadline)));
            }
        }
    }
}
