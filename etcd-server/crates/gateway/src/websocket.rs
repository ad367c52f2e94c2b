//! Websockets below `/v3/`: each message from the client is one JSON request, each line of the
//! response is one message back.
//!
//! The socket is turned into a POST whose body is the client's messages, so that everything else is
//! the same as without it. Between the socket and the call lies a queue of one message: when the
//! service does not read, neither do we. A client that closes the socket cancels the call.

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::response::{Body, BoxError, empty, text};

const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Returns `true` if the client asks for a websocket.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Checks the handshake: returns the response that switches protocols, and the work to do once it
/// is sent.
pub(crate) fn accept(request: &mut Request<Body>) -> Result<(Response<Body>, Handshake), Box<Response<Body>>> {
    if request.method() != Method::GET {
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"));
    }
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let Some(key) = key.filter(|_| headers.get(SEC_WEBSOCKET_VERSION) == Some(&VERSION)) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "Bad Request\n"));
    };
    let accepted = derive_accept_key(key.as_bytes());
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(refuse(StatusCode::BAD_REQUEST, "Bad Request\n"));
    };
    let protocol =
        request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = protocol.strip_prefix("Bearer").map(|rest| rest.trim_start_matches(',').trim().to_owned());
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let out = response.headers_mut();
    out.insert(UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accepted).expect("base64 is a header value"));
    if token.is_some() {
        out.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("Bearer"));
    }
    Ok((response, Handshake { on_upgrade, headers: call_headers(request.headers(), token.as_deref()) }))
}

fn refuse(status: StatusCode, words: &'static str) -> Box<Response<Body>> {
    let mut response = text(status, words);
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
    Box::new(response)
}

/// Headers of the POST that the socket stands for. A token among the subprotocols is there for
/// browsers, which cannot set headers.
fn call_headers(headers: &HeaderMap, token: Option<&str>) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONNECTION, UPGRADE, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL] {
        headers.remove(name);
    }
    if let Some(Ok(bearer)) = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))) {
        headers.insert(AUTHORIZATION, bearer);
    }
    headers
}

/// A handshake that was answered with 101.
#[derive(Debug)]
pub(crate) struct Handshake {
    on_upgrade: OnUpgrade,
    headers: HeaderMap,
}

impl Handshake {
    /// Carries one call over the socket, until either side ends it. `text_bytes_max` bounds one
    /// message of the client.
    pub(crate) async fn run<F>(self, text_bytes_max: usize, call: impl FnOnce(Request<Body>) -> F)
    where
        F: Future<Output = Response<Body>>,
    {
        // Without an upgraded connection the client has gone.
        let Ok(upgraded) = self.on_upgrade.await else { return };
        let socket = open(upgraded, text_bytes_max).await;
        let (sink, source) = socket.split();
        // Filled by `receive`, emptied by the call; when it is full the socket is not read.
        let (messages, body) = mpsc::channel::<Bytes>(1);
        let mut request = Request::new(body_of(body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.headers;
        tokio::select! {
            () = send(sink, call(request)) => {}
            () = receive(source, messages) => {}
        }
    }
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

async fn open(upgraded: Upgraded, text_bytes_max: usize) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(text_bytes_max))
        .max_frame_size(Some(text_bytes_max));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

fn body_of(messages: mpsc::Receiver<Bytes>) -> Body {
    let frames = stream::unfold(messages, |mut messages| async {
        let message = messages.recv().await?;
        Some((Ok::<_, BoxError>(Frame::data(message)), messages))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Ends when the client closes the socket or breaks the protocol.
async fn receive(mut source: stream::SplitStream<Socket>, messages: mpsc::Sender<Bytes>) {
    while let Some(Ok(message)) = source.next().await {
        let (Message::Text(_) | Message::Binary(_)) = message else { continue };
        let mut line = message.into_data().to_vec();
        // A number, too, must end: the line break shows it to the reader.
        line.push(b'\n');
        if messages.send(line.into()).await.is_err() {
            // The call wants no more requests; the socket is still read, to see it close.
            continue;
        }
    }
}

/// Ends when the answer has ended or the client takes no more.
async fn send(mut sink: stream::SplitSink<Socket, Message>, response: impl Future<Output = Response<Body>>) {
    let mut body = response.await.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(line) = frame.into_data() else { continue };
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        if !line.is_empty() && sink.send(Message::text(line)).await.is_err() {
            return;
        }
    }
    // Said as a courtesy: the call is over whether or not the client hears it.
    sink.close().await.ok();
}
