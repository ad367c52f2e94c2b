//! Connections to other members, and small HTTP requests over them.

use crate::link::Cause;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

/// A connection, encrypted or not.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// A connection being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send + 'a>>;

/// Makes connections to peer URLs.
pub trait Connect: Send + Sync {
    /// Connects to the host and port of `url`, encrypted if its scheme says so.
    fn connect<'a>(&'a self, url: &'a Uri) -> Connecting<'a>;

    /// Returns the class of an error that encryption has caused, anywhere in its chain; `None` for
    /// other errors.
    fn classify(&self, error: &(dyn std::error::Error + 'static)) -> Option<Cause> {
        let _ = error;
        None
    }
}

/// Connects without encryption; refuses https.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Connect for Plain {
    fn connect<'a>(&'a self, url: &'a Uri) -> Connecting<'a> {
        Box::pin(async move {
            if url.scheme_str() != Some("http") {
                return Err(io::Error::other(format!("{url}: only http is configured for peers")));
            }
            let stream: Box<dyn Socket> = Box::new(tcp(url).await?);
            Ok(stream)
        })
    }
}

/// The peer URL as a [`Uri`]; `None` if it is none. One of a unix socket keeps its path as
/// hexadecimal digits in place of the host, because a `Uri` has no form for it.
#[must_use]
pub fn uri(text: &str) -> Option<Uri> {
    let (scheme, rest) = text.split_once(':')?;
    if !matches!(scheme, "unix" | "unixs") {
        return text.parse::<Uri>().ok().filter(|url| url.host().is_some());
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let digits: String = path.bytes().map(|byte| format!("{byte:02x}")).collect();
    if digits.is_empty() { None } else { format!("{scheme}://{digits}").parse().ok() }
}

/// Returns the text of a peer URL that [`uri`] has made.
pub(crate) fn text(url: &Uri) -> String {
    match socket_path(url) {
        Some(path) => format!("{}://{}", url.scheme_str().unwrap_or_default(), path.display()),
        None => url.to_string().trim_end_matches('/').to_owned(),
    }
}

/// The path of the unix socket that a [`uri`] leads to; `None` for other URLs.
#[must_use]
pub fn socket_path(url: &Uri) -> Option<PathBuf> {
    if !matches!(url.scheme_str(), Some("unix" | "unixs")) {
        return None;
    }
    let digits =
        url.host()?.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some(PathBuf::from(std::ffi::OsString::from_vec(digits.collect::<Option<Vec<u8>>>()?)))
}

/// A TCP connection to the host and port of a URL.
pub async fn tcp(url: &Uri) -> io::Result<TcpStream> {
    tcp_from(url, None).await
}

/// As [`tcp`], from this address of the machine if one is given.
pub async fn tcp_from(url: &Uri, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let host = url.host().ok_or_else(|| io::Error::other(format!("{url}: no host")))?;
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = match local {
        None => TcpStream::connect((host, port)).await?,
        Some(local) => connect_from(local, host, port).await?,
    };
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    Ok(stream)
}

async fn connect_from(local: IpAddr, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = None;
    // An address of the other kind cannot be reached from this one.
    for address in tokio::net::lookup_host((host, port)).await?.filter(|address| address.is_ipv4() == local.is_ipv4()) {
        let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((local, 0).into())?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::other(format!("{host} has no address that can be reached from {local}"))))
}

/// Enables TCP keep-alive: a pending request notices a host that is gone after some 25 seconds.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &10)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &5)?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)?;
    Ok(())
}

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// Took too long.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// The answer is too long or broke off.
    #[error("reading the response: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The URL and path do not go together.
    #[error("{0}")]
    Url(#[from] http::Error),
}

/// An answer read whole.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    /// Status and headers.
    pub(crate) head: http::response::Parts,
    /// The body.
    pub(crate) body: Bytes,
}

/// One connection that requests go over, one at a time. Ends with the value.
pub(crate) struct Connection<B> {
    sender: SendRequest<B>,
    driver: tokio::task::JoinHandle<()>,
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Connection<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) async fn open(connect: &dyn Connect, url: &Uri, timeout: Duration) -> Result<Self, RequestError> {
        let connecting = async {
            let stream = connect.connect(url).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            Ok(Self { sender, driver })
        };
        tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(RequestError::TimedOut(timeout)))
    }

    pub(crate) async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, RequestError> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Returns a request builder with the headers that HTTP/1.1 requires.
pub(crate) fn request(method: http::Method, url: &Uri, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, url.authority().map_or("", |authority| authority.as_str()))
}

/// Reads an answer of at most `bytes_max`.
pub(crate) async fn whole(response: Response<Incoming>, bytes_max: usize) -> Result<HttpResponse, RequestError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(RequestError::Body)?.to_bytes();
    Ok(HttpResponse { head, body })
}

/// One question and its whole answer over a connection of its own.
pub(crate) async fn ask(
    connect: &dyn Connect,
    url: &Uri,
    build: impl FnOnce() -> Result<Request<Full<Bytes>>, http::Error> + Send,
    bytes_max: usize,
    timeout: Duration,
) -> Result<HttpResponse, RequestError> {
    let asking = async {
        let mut connection = Connection::open(connect, url, timeout).await?;
        whole(connection.send(build()?).await?, bytes_max).await
    };
    tokio::time::timeout(timeout, asking).await.unwrap_or(Err(RequestError::TimedOut(timeout)))
}
