//! Calls of services whose responses are taken in the task of the connection: Watch, LeaseKeepAlive.

use crate::call_head::Deadline;
use crate::http2_heads::{send_head, send_trailers};
use crate::stream_link::{LinkResponder, StreamLink, WAITING_BYTES_MAX};
use futures::future::BoxFuture;
use http::Response;
use http_body::Body as _;
use http2::{Connection, End, Reason, StreamKey};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Sleep;
use tonic::body::Body;

/// Frames of a response before other calls get their turn.
const FRAMES_MAX: usize = 64;

/// The services at work on a call.
pub(crate) type Called = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// A call of a service whose response is taken as it comes, without a task in between: there are
/// many of them, with few bytes each.
pub(crate) struct Serving {
    progress: Progress,
    /// The request, which may be read elsewhere.
    link: Arc<StreamLink>,
    /// Keeps the stream while the request is not read any more.
    _respond: LinkResponder,
    deadline: Option<Pin<Box<Sleep>>>,
}

enum Progress {
    Called(Called),
    Responding(Body),
}

impl Serving {
    /// The services have been called for the request of `link`, and `respond` is its response's.
    pub(crate) fn new(
        called: Called,
        link: Arc<StreamLink>,
        respond: LinkResponder,
        deadline: Option<Deadline>,
    ) -> Self {
        let deadline = deadline.map(|Deadline(at)| Box::pin(tokio::time::sleep_until(at)));
        Self { progress: Progress::Called(called), link, _respond: respond, deadline }
    }

    /// The request.
    pub(crate) fn link(&self) -> &Arc<StreamLink> {
        &self.link
    }

    /// Sends what there is of the response; ready at its end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection, key: StreamKey) -> Poll<()> {
        for _ in 0..FRAMES_MAX {
            let body = match &mut self.progress {
                Progress::Called(called) => {
                    let Ok(response) = ready!(called.as_mut().poll(cx));
                    let (head, body) = response.into_parts();
                    let end = if body.is_end_stream() { End::Stream } else { End::Later };
                    send_head(connection, key, &Response::from_parts(head, ()), end);
                    if end == End::Stream {
                        return Poll::Ready(());
                    }
                    self.progress = Progress::Responding(body);
                    continue;
                }
                Progress::Responding(body) => body,
            };
            if connection.pending_bytes(key).is_none_or(|bytes| bytes >= WAITING_BYTES_MAX) {
                // A part of a message is out, so no status can follow.
                let Some(deadline) = &mut self.deadline else { return Poll::Pending };
                ready!(deadline.as_mut().poll(cx));
                connection.reset(key, Reason::CANCEL);
                return Poll::Ready(());
            }
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => connection.send_data(key, data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        send_trailers(connection, key, &trailers);
                        return Poll::Ready(());
                    }
                },
                Some(Err(_)) => {
                    connection.reset(key, Reason::INTERNAL_ERROR);
                    return Poll::Ready(());
                }
                None => {
                    connection.send_end(key);
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
