//! The rest of a request that is answered before it is read to its end.
//!
//! A connection that is closed under a client's hands loses the response: the client sees a broken
//! pipe instead of a reason. So the rest is read and dropped, within bounds, before the response is
//! sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

use crate::response::{Body, BoxError};

/// Of one request. etcd reads any body to its end before it refuses it.
const DRAINED_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Responds to a request, and reads the unread rest of its body.
pub(crate) async fn answer_and_drain<F: Future<Output = Response<Body>>>(
    request: Request<Body>,
    handler: impl FnOnce(Request<Body>) -> F,
) -> Response<Body> {
    // A client that waits for permission to send its body has not sent it.
    let drains = !request.headers().contains_key(EXPECT);
    let (unread_tx, mut unread) = oneshot::channel();
    let response =
        handler(request.map(|body| Watched { body: Some(body), unread: drains.then_some(unread_tx) }.boxed_unsync()))
            .await;
    // A body that is still being read, by a stream, is not here.
    if let Ok(body) = unread.try_recv() {
        drop(tokio::time::timeout(DRAIN_TIMEOUT, drain(body)).await);
    }
    response
}

async fn drain(mut body: Body) {
    let mut left = DRAINED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// A body that is handed on, when it is dropped, unless it was read to its end.
struct Watched {
    body: Option<Body>,
    unread: Option<oneshot::Sender<Body>>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !http_body::Body::is_end_stream(body));
        if let Some((sender, body)) = self.unread.take().zip(unread) {
            drop(sender.send(body));
        }
    }
}
