//! Clients over TLS: gRPC, and plain HTTP of both versions.

use crate::pki::{Leaf, Pki};
use certs::Ca;
use hyper_util::rt::TokioIo;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use rpc::etcdserverpb::kv_client::KvClient;
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// The certificate, CAs and protocols of a client; it remembers sessions, and would resume them.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    config: ClientConfig,
}

impl Client {
    pub(crate) fn new(pki: &Pki, shown: Option<&Leaf>) -> Self {
        Self::speaking(pki, shown, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub(crate) fn speaking(pki: &Pki, shown: Option<&Leaf>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self::trusting(&[&pki.ca], shown, versions)
    }

    pub(crate) fn trusting(cas: &[&Ca], shown: Option<&Leaf>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for ca in cas {
            roots.add(CertificateDer::from(ca.certificate().der.clone())).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(leaf) => {
                let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![CertificateDer::from(leaf.der.clone())], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
        Self { config }
    }

    pub(crate) async fn stream(&self, port: u16, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.stream_named(port, "localhost", protocol).await
    }

    async fn stream_named(&self, port: u16, name: &str, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(("127.0.0.1", port)).await?, name, protocol).await
    }

    /// Connects over any kind of socket.
    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &str,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<S>> {
        let name = name.to_owned().try_into().unwrap();
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A gRPC channel of one connection.
    pub(crate) async fn channel(&self, port: u16) -> Result<Channel, tonic::transport::Error> {
        let connector = Connector { client: self.clone(), port };
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await
    }

    /// Makes a read over gRPC.
    pub(crate) async fn grpc(&self, port: u16) -> Result<(), String> {
        let channel = self.channel(port).await.map_err(|error| format!("{error:?}"))?;
        let read = RangeRequest { key: "a".into(), ..RangeRequest::default() };
        KvClient::new(channel).range(read).await.map(drop).map_err(|status| status.to_string())
    }

    pub(crate) async fn put(&self, port: u16, key: &str) -> Result<(), String> {
        let channel = self.channel(port).await.map_err(|error| format!("{error:?}"))?;
        let put = PutRequest { key: key.to_owned().into(), ..PutRequest::default() };
        KvClient::new(channel).put(put).await.map(drop).map_err(|status| status.to_string())
    }

    /// The answer to a request over HTTP/1.1: status line, headers and body.
    pub(crate) async fn http(&self, port: u16, method: &str, path: &str, body: &str) -> Result<String, String> {
        let stream = self.stream(port, b"http/1.1").await.map_err(|error| error.to_string())?;
        Self::ask(stream, method, path, body).await
    }

    /// The answer to a GET from a server of that name.
    pub(crate) async fn http_named(&self, port: u16, name: &str, path: &str) -> Result<String, String> {
        let stream = self.stream_named(port, name, b"http/1.1").await.map_err(|error| error.to_string())?;
        Self::ask(stream, "GET", path, "").await
    }

    async fn ask(mut stream: TlsStream<TcpStream>, method: &str, path: &str, body: &str) -> Result<String, String> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut response = Vec::new();
        // Some servers end without a close frame; their response before that counts.
        let ended = stream.read_to_end(&mut response).await;
        let response = String::from_utf8_lossy(&response).into_owned();
        if response.is_empty() { Err(format!("no answer: {ended:?}")) } else { Ok(response) }
    }

    /// The status and body of a GET over HTTP/2.
    pub(crate) async fn http2(&self, port: u16, path: &str) -> Result<(u16, String), String> {
        let stream = self.stream(port, b"h2").await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        let driven = tokio::spawn(async move { drop(connection.await) });
        let request = http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).map_err(|error| error.to_string())?;
        let response = response.await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let (mut body, mut text) = (response.into_body(), Vec::new());
        while let Some(part) = body.data().await {
            text.extend_from_slice(&part.map_err(|error| error.to_string())?);
        }
        driven.abort();
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

struct Connector {
    client: Client,
    port: u16,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (client, port) = (self.client.clone(), self.port);
        Box::pin(async move { client.stream(port, b"h2").await.map(TokioIo::new) })
    }
}
