//! Reading another member's messages from the streams that this one opens to it.

use crate::connect::{Connect, Connection, RequestError, request};
use crate::frame::{Decoder, FrameError, StreamKind};
use crate::handshake::Mismatch;
use crate::link::{Cause, Problem, first_cause};
use crate::peer_sender::PeerSender;
use crate::shared::Shared;
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use std::sync::Arc;
use std::time::Duration;

/// Between two attempts (etcd: 100 ms, one token at a time).
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Pauses before each of the attempts to find out whether a member that closed a stream has ended.
const GONE_PAUSES: [Duration; 5] = [
    Duration::from_millis(0),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
];
/// Refused attempts to open a stream, one after the other, after each of which the same is found out:
/// a large process takes its time to end. Later it is no news, and the election timeout has passed.
const GONE_ATTEMPTS: u32 = 10;
/// Time for one of these attempts.
const GONE_TIMEOUT: Duration = Duration::from_millis(100);
/// Silence after which a stream is given up: a writer gives a sign of life every third of it.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Largest text that a refusal is read for.
const REFUSAL_BYTES_MAX: usize = 4096;

/// The reason why a stream was not opened or has ended.
#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("silent for {SILENCE_MAX:?}")]
    Silent,
    #[error("the member closed it")]
    Closed,
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    #[error("refused: {0}")]
    Mismatch(Mismatch),
    #[error("refused with {0}")]
    Status(StatusCode),
}

impl StreamEnd {
    /// Returns the class of the end; `None` for one that the next attempt repairs by itself.
    fn cause(&self, shared: &Shared) -> Option<Cause> {
        match self {
            Self::Request(error) => Some(cause_of_request(shared, error)),
            Self::Silent => Some(Cause::Silence),
            Self::Removed => Some(Cause::Membership),
            Self::Mismatch(mismatch) => Some(Cause::of_mismatch(*mismatch)),
            Self::Status(status) => Some(Cause::of_status(*status)),
            Self::Frame(_) => Some(Cause::Other),
            Self::Closed => None,
        }
    }
}

fn cause_of_request(shared: &Shared, error: &RequestError) -> Cause {
    if let Some(cause) = shared.connect.classify(error) {
        return cause;
    }
    if matches!(error, RequestError::TimedOut(_)) {
        return Cause::Silence;
    }
    first_cause(error, |error| error.downcast_ref::<std::io::Error>().map(Cause::of_io)).unwrap_or(Cause::Other)
}

/// Returns the whole chain of an error on one line, without repetitions.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Keeps one stream open for as long as the member belongs to the cluster.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<PeerSender>, kind: StreamKind) {
    let mut attempt: usize = 0;
    let mut suspicion = Suspicion::default();
    loop {
        let (end, was_open) = follow(&shared, &peer, kind, attempt).await;
        if kind == StreamKind::Message && suspicion.after(&end, was_open) && report_if_gone(&shared, &peer).await {
            suspicion.confirmed();
        }
        match &end {
            StreamEnd::Removed => shared.told_removed(),
            StreamEnd::Mismatch(mismatch) => peer.report_mismatch(shared.own.cluster, mismatch),
            StreamEnd::Request(_)
            | StreamEnd::Frame(_)
            | StreamEnd::Silent
            | StreamEnd::Closed
            | StreamEnd::Status(_) => {
                tracing::debug!(remote_peer_id = %types::MemberId(peer.id), stream = kind.path(), %end, "stream to peer ended")
            }
        }
        if let Some(cause) = end.cause(&shared) {
            peer.report_problem(kind, Problem { cause, text: chain(&end) });
        }
        peer.lost(&end);
        attempt = attempt.wrapping_add(1);
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// The suspicion that the process of a member has ended, because it closed its stream, or refuses a
/// new one.
#[derive(Debug, Default)]
struct Suspicion {
    /// Ends of streams and refused attempts since the member was last found alive.
    refused: u32,
}

impl Suspicion {
    /// A stream has ended, or was not opened. Returns `true` if it is to be found out whether the
    /// process has ended.
    fn after(&mut self, end: &StreamEnd, was_open: bool) -> bool {
        let refused = matches!(end, StreamEnd::Closed | StreamEnd::Request(_));
        if was_open || !refused {
            self.refused = 0;
        }
        self.refused = self.refused.saturating_add(refused.into());
        (1..=GONE_ATTEMPTS).contains(&self.refused)
    }

    /// The process has ended, which is found out once.
    fn confirmed(&mut self) {
        self.refused = GONE_ATTEMPTS;
    }
}

/// Opens a stream and reads it to its end. Returns the end, and `true` if it was open.
async fn follow(shared: &Shared, peer: &PeerSender, kind: StreamKind, attempt: usize) -> (StreamEnd, bool) {
    match open(shared, peer, kind, attempt).await {
        Ok((connection, body, url)) => {
            peer.seen();
            peer.set_source(kind, Some(url));
            tracing::debug!(remote_peer_id = %types::MemberId(peer.id), stream = kind.path(), "established TCP streaming connection");
            let end = read(shared, peer, kind, body).await;
            peer.set_source(kind, None);
            drop(connection);
            (end, true)
        }
        Err(end) => (end, false),
    }
}

/// Reports that the process of the member has ended, and returns `true`, if it has.
async fn report_if_gone(shared: &Shared, peer: &PeerSender) -> bool {
    let urls = peer.urls.lock().clone();
    let ended = has_ended(&*shared.connect, &urls).await;
    if ended {
        tracing::info!(remote_peer_id = %types::MemberId(peer.id), "no process listens for the peer: its addresses refuse connections");
        shared.gone(peer.id);
    }
    ended
}

/// Returns `true` if all addresses of a member refuse connections: then there is nobody who listens. A
/// process that hangs, a network that breaks, a host that is gone or a listener without room refuse
/// none.
async fn has_ended(connect: &dyn Connect, urls: &[Uri]) -> bool {
    for pause in GONE_PAUSES {
        tokio::time::sleep(pause).await;
        let mut refused = 0;
        for url in urls {
            match tokio::time::timeout(GONE_TIMEOUT, connect.connect(url)).await {
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => refused += 1,
                // Its listener lives a little longer than its streams, or the process lives.
                Ok(_) => break,
                Err(_) => return false,
            }
        }
        if refused == urls.len() {
            return true;
        }
    }
    false
}

async fn open(
    shared: &Shared,
    peer: &PeerSender,
    kind: StreamKind,
    attempt: usize,
) -> Result<(Connection<Empty<Bytes>>, hyper::body::Incoming, Uri), StreamEnd> {
    let url = {
        let urls = peer.urls.lock();
        urls[attempt % urls.len()].clone()
    };
    let mut connection = Connection::open(&*shared.connect, &url, shared.dial_timeout).await?;
    let path = format!("/raft/stream/{}/{}", kind.path(), shared.own.member);
    let mut asked = request(Method::GET, &url, &path).body(Empty::new()).map_err(RequestError::from)?;
    asked.headers_mut().extend(shared.own.headers(Some(peer.id)));
    let response = tokio::time::timeout(SILENCE_MAX, connection.send(asked)).await.map_err(|_| StreamEnd::Silent)??;
    match response.status() {
        StatusCode::OK => {
            peer.set_kind(response.headers().contains_key(crate::handshake::FROM));
            shared.heard(peer, response.headers());
            Ok((connection, response.into_body(), url))
        }
        StatusCode::GONE => Err(StreamEnd::Removed),
        Mismatch::STATUS => {
            let refusal = crate::connect::whole(response, REFUSAL_BYTES_MAX).await?;
            Err(Mismatch::from_body(&refusal.body).map_or(StreamEnd::Status(Mismatch::STATUS), StreamEnd::Mismatch))
        }
        other => Err(StreamEnd::Status(other)),
    }
}

async fn read(shared: &Shared, peer: &PeerSender, kind: StreamKind, mut body: hyper::body::Incoming) -> StreamEnd {
    let mut decoder = Decoder::new(kind, peer.id, shared.own.member.0);
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Err(_) => return StreamEnd::Silent,
            Ok(None) => return StreamEnd::Closed,
            Ok(Some(Err(error))) => return RequestError::Http(error).into(),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        peer.observer.received(data.len());
        decoder.extend(&data);
        loop {
            match decoder.message() {
                Ok(Some(message)) => shared.deliver(message),
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Connecting, Plain};
    use std::net::TcpListener;

    /// A host that does not respond.
    struct Silent;

    impl Connect for Silent {
        fn connect<'a>(&'a self, _url: &'a Uri) -> Connecting<'a> {
            Box::pin(std::future::pending())
        }
    }

    /// A host that cannot be reached.
    struct Unreachable;

    impl Connect for Unreachable {
        fn connect<'a>(&'a self, _url: &'a Uri) -> Connecting<'a> {
            Box::pin(async { Err(std::io::ErrorKind::HostUnreachable.into()) })
        }
    }

    fn listener() -> (TcpListener, Uri) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        (listener, url)
    }

    #[tokio::test]
    async fn only_refused_connections_show_that_a_process_has_ended() {
        let (ended, closed) = listener();
        drop(ended);
        // It takes connections and does nothing with them: a process that hangs.
        let (_listening, open) = listener();
        assert!(has_ended(&Plain, std::slice::from_ref(&closed)).await);
        assert!(!has_ended(&Plain, std::slice::from_ref(&open)).await);
        for urls in [[closed.clone(), open.clone()], [open, closed.clone()]] {
            assert!(!has_ended(&Plain, &urls).await, "one of its addresses takes connections");
        }
        assert!(!has_ended(&Silent, std::slice::from_ref(&closed)).await);
        assert!(!has_ended(&Unreachable, std::slice::from_ref(&closed)).await);
    }

    #[test]
    fn a_closed_stream_raises_a_suspicion_for_a_while() {
        let mut suspicion = Suspicion::default();
        let closed = |suspicion: &mut Suspicion, was_open| suspicion.after(&StreamEnd::Closed, was_open);
        for was_open in [false, true, true] {
            assert!(closed(&mut suspicion, was_open));
            (1..GONE_ATTEMPTS).for_each(|_| assert!(closed(&mut suspicion, false)));
            assert!(!closed(&mut suspicion, false), "it is no news");
        }
        for end in [StreamEnd::Silent, StreamEnd::Removed, StreamEnd::Status(StatusCode::NOT_FOUND)] {
            assert!(!suspicion.after(&end, false), "{end} is the end of no process");
            assert!(closed(&mut suspicion, false), "it has been alive");
        }
        suspicion.confirmed();
        assert!(!closed(&mut suspicion, false), "it is known");
        assert!(closed(&mut suspicion, true), "it has started again");
    }

    /// A process whose listener ends after so many connections.
    struct Ending(std::sync::atomic::AtomicUsize);

    impl Connect for Ending {
        fn connect<'a>(&'a self, _url: &'a Uri) -> Connecting<'a> {
            let takes = self.0.load(std::sync::atomic::Ordering::Relaxed) > 0;
            if takes {
                self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            }
            Box::pin(async move {
                let taken: Box<dyn crate::connect::Socket> = Box::new(tokio::io::duplex(1).0);
                if takes { Ok(taken) } else { Err(std::io::ErrorKind::ConnectionRefused.into()) }
            })
        }
    }

    #[tokio::test]
    async fn a_listener_may_outlive_its_streams_a_little() {
        let url = "http://127.0.0.1:1".parse().unwrap();
        assert!(has_ended(&Ending(2.into()), std::slice::from_ref(&url)).await);
        assert!(!has_ended(&Ending(GONE_PAUSES.len().into()), std::slice::from_ref(&url)).await);
    }
}
