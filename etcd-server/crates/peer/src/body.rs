//! The bodies of requests: bounded in size and in time.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use std::error::Error;
use std::time::Duration;

/// Time limit of a posted body; its sender gives up long before.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than allowed, or cut off.
    Refused,
    TooSlow,
}

pub(crate) async fn whole<B>(body: B, bytes_max: usize) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect());
    read.await.map_err(|_| Unread::TooSlow)?.map(http_body_util::Collected::to_bytes).map_err(|_| Unread::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{Stream, StreamExt as _, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn body(pieces: impl Stream<Item = &'static str>) -> impl Body<Data = Bytes, Error = Infallible> {
        StreamBody::new(pieces.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_so_much_time_and_room() {
        let pieces = || stream::iter(["one", "two"]);
        assert_eq!(whole(body(pieces()), 6).await, Ok(Bytes::from_static(b"onetwo")));
        assert_eq!(whole(body(pieces()), 5).await, Err(Unread::Refused));
        // One that never ends, and one that trickles without end.
        assert_eq!(whole(body(pieces().chain(stream::pending())), 100).await, Err(Unread::TooSlow));
        let trickle = stream::repeat("x").then(|piece| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            piece
        });
        assert_eq!(whole(body(Box::pin(trickle)), 100).await, Err(Unread::TooSlow));
    }
}
