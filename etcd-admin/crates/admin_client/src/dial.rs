//! One connection, step by step, so that a failure can name its step.

use crate::address::{Address, Encryption, Place};
use crate::broken::{Broken, Step};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

/// A connection over any transport.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to one endpoint, as often as the channel wants.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) address: Address,
    /// The TLS settings, if certificates were given.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// In place of the address's host in the certificate.
    pub(crate) server_name: Option<String>,
    /// For each step; none if it is zero.
    pub(crate) timeout: Duration,
    pub(crate) protocol: Protocol,
}

/// The protocol to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Connector {
    pub(crate) async fn dial(&self) -> Result<Box<dyn Io>, Broken> {
        let plain = self.reach().await?;
        match (&self.tls, self.address.encryption) {
            (_, Encryption::Never) | (None, Encryption::IfConfigured) => Ok(plain),
            (Some(config), Encryption::Always | Encryption::IfConfigured) => {
                self.shake_hands(plain, Arc::clone(config)).await
            }
            (None, Encryption::Always) => {
                Err(Broken::new(&self.address, Step::Tls, "TLS is not set up", "give --cacert"))
            }
        }
    }

    async fn reach(&self) -> Result<Box<dyn Io>, Broken> {
        match &self.address.place {
            Place::Socket(path) => {
                let connected = self.in_time(UnixStream::connect(path)).await;
                connected
                    .map(|stream| Box::new(stream) as Box<dyn Io>)
                    .map_err(|error| Broken::tcp(&self.address, &error))
            }
            Place::Host { name, port } => {
                let found = self.in_time(tokio::net::lookup_host((name.as_str(), *port))).await;
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in found.map_err(|error| Broken::name(&self.address, &error))? {
                    match self.in_time(TcpStream::connect(address)).await {
                        Ok(stream) => {
                            // Small requests shall not wait for each other; where that cannot be
                            // had, they do.
                            drop(stream.set_nodelay(true));
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(Broken::tcp(&self.address, &last))
            }
        }
    }

    async fn shake_hands(&self, plain: Box<dyn Io>, config: Arc<ClientConfig>) -> Result<Box<dyn Io>, Broken> {
        let host = match (&self.server_name, &self.address.place) {
            (Some(name), _) => name.clone(),
            (None, Place::Host { name, .. }) => name.clone(),
            (None, Place::Socket(_)) => "localhost".to_owned(),
        };
        let name =
            ServerName::try_from(host).map_err(|error| Broken::new(&self.address, Step::Tls, error.to_string(), ""))?;
        let shaken = self.in_time(Box::pin(TlsConnector::from(config).connect(name, plain))).await;
        let stream = shaken.map_err(|error| Broken::handshake(&self.address, &error))?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.protocol == Protocol::Http2 && agreed.is_some_and(|protocol| protocol != b"h2") {
            return Err(Broken::new(
                &self.address,
                Step::Rpc,
                "the other side does not speak HTTP/2",
                "is this a client URL of a member?",
            ));
        }
        Ok(Box::new(stream))
    }

    async fn in_time<T>(&self, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        if self.timeout.is_zero() {
            return step.await;
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no response within {:?}", self.timeout));
        tokio::time::timeout(self.timeout, step).await.unwrap_or_else(|_| Err(late()))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.dial().await.map(TokioIo::new) })
    }
}
