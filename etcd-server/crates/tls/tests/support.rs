//! CAs, files, endpoints and clients for tests.

use certs::{Ca, CaPlan, Certificate, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile, Revocation, RevocationReason};
use config::TlsVersion;
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tls::{Accepted, Endpoint, EndpointSettings, HandshakeError, KeyPair, Protocols, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;

pub(crate) const YEAR: Duration = Duration::days(365);

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub(crate) fn ca(name: &str) -> Ca {
    let plan = CaPlan { common_name: name.to_owned(), lifetime: YEAR * 10, constraints: Vec::new() };
    Ca::create(&plan, PrivateKey::generate(KeyAlgorithm::P256).unwrap(), now() - YEAR * 2).unwrap()
}

pub(crate) struct Leaf {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

pub(crate) fn leaf(ca: &Ca, profile: Profile, common_name: &str, names: &[&str]) -> Leaf {
    leaf_at(ca, profile, common_name, names, now())
}

pub(crate) fn leaf_at(ca: &Ca, profile: Profile, common_name: &str, names: &[&str], at: OffsetDateTime) -> Leaf {
    let plan = LeafPlan {
        profile,
        common_name: common_name.to_owned(),
        names: names.iter().map(|name| Name::parse(name).unwrap()).collect(),
        lifetime: YEAR,
        loopback_only: true,
    };
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    Leaf { certificate: ca.issue(&plan, &key, at).unwrap(), key }
}

/// A list that revokes these.
pub(crate) fn list(ca: &Ca, revoked: &[&Leaf], number: u64) -> Vec<u8> {
    let revoked: Vec<_> = revoked
        .iter()
        .map(|leaf| Revocation {
            serial: leaf.certificate.facts().unwrap().serial,
            at: now(),
            reason: RevocationReason::KeyCompromise,
        })
        .collect();
    ca.revocation_list(&revoked, number, now(), Duration::days(7)).unwrap()
}

/// An empty list that is to be replaced at this time.
pub(crate) fn list_until(ca: &Ca, number: u64, next_update: OffsetDateTime) -> Vec<u8> {
    let lifetime = Duration::days(7);
    ca.revocation_list(&[], number, next_update - lifetime, lifetime).unwrap()
}

/// A directory of files, and an endpoint on them: a server certificate, and clients of one CA
/// accepted.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) settings: EndpointSettings,
    pub(crate) clients: Ca,
    pub(crate) servers: Ca,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let settings = EndpointSettings {
            role: Role::Client,
            own: Some(KeyPair { cert: path("server.crt"), key: path("server.key") }),
            as_client: None,
            trusted_ca: Some(path("ca.crt")),
            revocation_list: None,
            demands_certificates: true,
            allowed_common_names: Vec::new(),
            allowed_hostnames: Vec::new(),
            checks_addresses: false,
            self_signed: false,
            strict: false,
            version_min: TlsVersion::Tls12,
            version_max: None,
            cipher_suites: Vec::new(),
        };
        let rig = Self { dir, settings, clients: ca("clients"), servers: ca("servers") };
        rig.write_pair(&leaf(&rig.servers, Profile::Server, "etcd1", &["localhost", "127.0.0.1"]));
        rig.write("ca.crt", rig.clients.certificate().pem.as_bytes());
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        certs::files::replace(&self.path(name), content, 0o600).unwrap();
    }

    pub(crate) fn write_pair(&self, leaf: &Leaf) {
        self.write("server.crt", leaf.certificate.pem.as_bytes());
        self.write("server.key", leaf.key.to_pem().as_bytes());
    }

    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        Endpoint::load(self.settings.clone()).unwrap()
    }

    pub(crate) fn user(&self, name: &str) -> Leaf {
        leaf(&self.clients, Profile::Client, name, &[])
    }
}

/// The certificate and protocols of a client.
pub(crate) struct Client {
    config: ClientConfig,
}

impl Client {
    pub(crate) fn new(rig: &Rig, shown: Option<&Leaf>) -> Self {
        Self::speaking(rig, shown, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub(crate) fn speaking(
        rig: &Rig,
        shown: Option<&Leaf>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(rig.servers.certificate().der.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(leaf) => {
                let key = PrivateKeyDer::from_pem_slice(leaf.key.to_pem().as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![CertificateDer::from(leaf.certificate.der.clone())], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        // As eager to resume as a client can be.
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
        Self { config }
    }

    pub(crate) fn offering(mut self, protocols: &[&[u8]]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    pub(crate) fn with_suites(mut self, keep: impl Fn(rustls::CipherSuite) -> bool) -> Self {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| keep(suite.suite()));
        let mut config = self.config.clone();
        std::mem::swap(&mut config, &mut self.config);
        let fresh = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.extend(Vec::new());
        let mut fresh = fresh.with_root_certificates(roots).with_no_client_auth();
        fresh.dangerous().set_certificate_verifier(Arc::new(Trusting));
        fresh.client_auth_cert_resolver = config.client_auth_cert_resolver;
        Self { config: fresh }
    }

    /// A handshake and one byte back and forth: in TLS 1.3 a client believes itself let in before
    /// it is.
    pub(crate) async fn meet(&self, endpoint: &Arc<Endpoint>, protocols: Protocols) -> Met {
        let (near, far) = tokio::io::duplex(64 << 10);
        let acceptor = endpoint.acceptor().unwrap();
        let server = tokio::spawn(async move {
            let mut accepted = acceptor.accept(far, Some(([127, 0, 0, 1], 1).into()), protocols).await?;
            accepted.stream.write_all(b"!").await.map_err(HandshakeError::Tls)?;
            accepted.stream.flush().await.map_err(HandshakeError::Tls)?;
            Ok(accepted)
        });
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let client = async {
            let mut stream = connector.connect("localhost".try_into().unwrap(), near).await?;
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            Ok(stream)
        };
        let client = client.await;
        Met { server: server.await.unwrap(), client }
    }
}

/// Both sides of a handshake.
pub(crate) struct Met {
    pub(crate) server: Result<Accepted<DuplexStream>, HandshakeError>,
    pub(crate) client: std::io::Result<tokio_rustls::client::TlsStream<DuplexStream>>,
}

impl Met {
    pub(crate) fn is_in(&self) -> bool {
        assert_eq!(self.server.is_ok(), self.client.is_ok(), "both sides know: {:?}", self.server.as_ref().err());
        self.server.is_ok()
    }

    pub(crate) fn reason(&self) -> String {
        self.server.as_ref().map_or_else(ToString::to_string, |_| "let in".to_owned())
    }
}

#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
