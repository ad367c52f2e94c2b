//! A server under test (ours, or a real etcd), and its verdict on each row.

use crate::make::{Key, pem};
use crate::table::{Row, Table};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Time limit of every wait; reached only when a test fails.
const SOON: Duration = Duration::from_secs(120);

/// A process that is ended with the test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    pub(crate) client: u16,
    pub(crate) peer: u16,
    plain: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Writes the files of a server into a directory.
pub(crate) fn write_files(dir: &Path, table: &Table, own: &Row) {
    let bundle: String = table.trusted.iter().map(|trusted| pem("CERTIFICATE", trusted)).collect();
    std::fs::write(dir.join("bundle.pem"), bundle).unwrap();
    write_pair(dir, own);
}

pub(crate) fn write_pair(dir: &Path, own: &Row) {
    let chain: String = own.shown.iter().map(|shown| pem("CERTIFICATE", shown)).collect();
    std::fs::write(dir.join("own.pem"), chain).unwrap();
    let file = dir.join("own.key");
    std::fs::write(&file, own.key.pem()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

impl Server {
    /// Starts a member that knows the others at these ports; `flags` come last.
    pub(crate) fn start(command: &str, dir: &Path, others: &[u16], flags: &[String]) -> Self {
        let [client, peer, plain] = testbed::free_ports().unwrap();
        let data = tempfile::tempdir_in(dir).unwrap().keep();
        let log = data.with_extension("log");
        let peer_url = format!("https://127.0.0.1:{peer}");
        let members = others.iter().enumerate().map(|(place, port)| format!("m{place}=https://127.0.0.1:{port}"));
        let cluster = std::iter::once(format!("node={peer_url}")).chain(members).collect::<Vec<_>>().join(",");
        let clients = format!("https://127.0.0.1:{client},http://127.0.0.1:{plain}");
        let mut process = Command::new(command);
        process.args(["--name", "node", "--initial-cluster", &cluster, "--data-dir"]).arg(&data);
        process.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        process.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        for prefix in ["", "peer-"] {
            for (flag, file) in [("cert-file", "own.pem"), ("key-file", "own.key"), ("trusted-ca-file", "bundle.pem")] {
                process.arg(format!("--{prefix}{flag}")).arg(dir.join(file));
            }
        }
        process.args(flags).current_dir(dir).stdin(Stdio::null());
        let output = std::fs::File::create(&log).unwrap();
        let child = process.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Self { child, log, client, peer, plain }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until clients are served.
    ///
    /// # Errors
    /// The log of a process that has ended.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.plain)).await {
                stream
                    .write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                let mut response = Vec::new();
                if stream.read_to_end(&mut response).await.is_ok() && response.starts_with(b"HTTP/1.1 200") {
                    return Ok(());
                }
            }
            if self.child.try_wait().unwrap().is_some() {
                return Err(self.log());
            }
            assert!(begun.elapsed() < SOON, "waited for a member that serves clients: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn certified(shown: &[Vec<u8>], key: &Key) -> Arc<SingleCertAndKey> {
    let chain = shown.iter().map(|der| CertificateDer::from(der.clone())).collect();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key.for_handshakes())))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Shows a row's certificate at a port, as a client.
///
/// # Errors
/// The error of the handshake or of the request.
pub(crate) async fn connect(port: u16, row: &Row, version: &'static SupportedProtocolVersion) -> Result<(), String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting));
    let config = builder.with_client_cert_resolver(certified(&row.shown, &row.key));
    let attempt = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await?;
        // In TLS 1.3 a client knows only by an answer that it was accepted.
        stream.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut response = [0; 8];
        stream.read_exact(&mut response).await.map(|_| response)
    };
    match tokio::time::timeout(SOON, attempt).await.expect("a handshake ends") {
        Ok(response) if response.starts_with(b"HTTP/1.1") => Ok(()),
        Ok(response) => Err(format!("answered {response:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A port that shows a row's certificate to every client.
pub(crate) struct Listener {
    pub(crate) port: u16,
    first: tokio::task::JoinHandle<Result<(), String>>,
}

impl Listener {
    pub(crate) async fn of(row: &Row) -> Self {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_cert_resolver(certified(&row.shown, &row.key));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let first = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.map(drop).map_err(|error| error.to_string())
        });
        Self { port, first }
    }

    /// The outcome of the first handshake.
    ///
    /// # Errors
    /// The error of the handshake.
    pub(crate) async fn outcome(self) -> Result<(), String> {
        tokio::time::timeout(SOON, self.first).await.expect("the member connects to every other one").unwrap()
    }
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
