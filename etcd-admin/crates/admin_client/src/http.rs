//! The HTTP pages of one member, over a connection of their own: they are served while gRPC is not.

use crate::address::Address;
use crate::broken::{Broken, Step};
use crate::client::Client;
use crate::dial;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Largest page that is read.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// The reason for which a page could not be read.
#[derive(Clone, Debug)]
pub enum PageError {
    /// No connection, or it broke before the response.
    Broken(Broken),
    /// The member answered with another status than 200.
    Status(u16),
    /// The response is not HTTP, or too late.
    Other(String),
}

impl std::fmt::Display for PageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Client {
    /// Returns the metrics page of the endpoint in use, within the time that a command has.
    pub async fn metrics_page(&self) -> Result<String, String> {
        let endpoint = self.session().await.map(|session| session.endpoint().to_owned()).unwrap_or_default();
        let position = self.addresses.iter().position(|address| address.to_string() == endpoint).unwrap_or(0);
        self.page_of(position, "/metrics").await.map_err(|error| error.to_string())
    }

    /// Returns a page of the first endpoint, within the time that a command has.
    pub async fn page(&self, path: &str) -> Result<String, PageError> {
        self.page_of(0, path).await
    }

    /// Reads a page of an endpoint, or of the listener for HTTP at the same host if the endpoint
    /// serves gRPC alone.
    async fn page_of(&self, position: usize, path: &str) -> Result<String, PageError> {
        let address = &self.addresses[position];
        let page = self.page_at(address, path).await;
        let Some(pages) = &self.settings.pages else { return page };
        match (page, address.listener(&pages.scheme, pages.port)) {
            (Err(error), Some(listener)) => self.page_at(&listener, path).await.map_err(|_| error),
            (page, _) => page,
        }
    }

    async fn page_at(&self, address: &Address, path: &str) -> Result<String, PageError> {
        let limit = self.settings.command_timeout;
        let late = |_| PageError::Other(format!("no response within {limit:?}"));
        let bytes = tokio::time::timeout(limit, self.fetch(address, path)).await.map_err(late)??;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) =
            text.split_once("\r\n\r\n").ok_or_else(|| PageError::Other("the response is not HTTP".to_owned()))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match status {
            Some(200) => Ok(body.to_owned()),
            Some(status) => Err(PageError::Status(status)),
            None => Err(PageError::Other("the response is not HTTP".to_owned())),
        }
    }

    async fn fetch(&self, address: &Address, path: &str) -> Result<Vec<u8>, PageError> {
        let mut connector = self.connector(address);
        connector.tls = self.tls.as_ref().map(|tls| {
            let mut config = (**tls).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        connector.protocol = dial::Protocol::Http1;
        let mut stream = connector.dial().await.map_err(PageError::Broken)?;
        // A member that refuses the certificate says so only now: the client's side of a TLS 1.3
        // handshake ends before.
        let broken = |error: std::io::Error| PageError::Broken(Broken::after_handshake(address, &error));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.authority());
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        // Without it an encrypted stream may keep the request to itself.
        stream.flush().await.map_err(broken)?;
        let mut page = Vec::new();
        let read = stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await;
        match read {
            Ok(0) => Err(PageError::Broken(Broken::new(
                address,
                Step::Rpc,
                "the connection was closed",
                crate::broken::HUNG_UP,
            ))),
            // A member that closes without TLS's farewell has sent the whole page all the same: its
            // end is marked by the connection.
            Err(error) if page.is_empty() => Err(broken(error)),
            Ok(_) | Err(_) => Ok(page),
        }
    }
}
