//! TLS of clients and members. Files are named here, not opened.

use std::path::PathBuf;

use crate::error::{ConfigError, quoted};
use crate::merged::Merged;
use crate::settings::ListenSettings;
use crate::settings::cluster::path;
use crate::url::{Scheme, Url};
use crate::warning::Warning;

/// All of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub client: ListenerTls,
    pub peer: PeerTls,
    pub version_min: TlsVersion,
    /// `None` is the highest known.
    pub version_max: Option<TlsVersion>,
    /// Known Go names of TLS 1.2 suites, in the operator's order; empty is the library's choice.
    pub cipher_suites: Vec<String>,
    /// Years for which self-signed certificates are valid; above zero.
    pub self_signed_years: u64,
    /// `true` if files that are only warned about otherwise are refused. Not in etcd.
    pub strict_files: bool,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// Certificates of one kind of listener. `cert_file` and `key_file` are there both or not at all;
/// so are the client ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    pub client_cert_auth: bool,
    pub trusted_ca_file: Option<PathBuf>,
    pub crl_file: Option<PathBuf>,
    pub allowed_hostnames: Vec<String>,
    pub auto: bool,
}

/// Further settings of peer TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerTls {
    pub listener: ListenerTls,
    /// Empty when `listener.allowed_hostnames` is not.
    pub allowed_common_names: Vec<String>,
    pub skip_client_san_verification: bool,
}

/// Names that Go knows and etcd hence takes, each behind `TLS_`: the second list are the ones Go
/// calls insecure.
const CIPHERS: &[&str] = &[
    "AES_128_GCM_SHA256",
    "AES_256_GCM_SHA384",
    "CHACHA20_POLY1305_SHA256",
    "ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "RSA_WITH_RC4_128_SHA",
    "RSA_WITH_3DES_EDE_CBC_SHA",
    "RSA_WITH_AES_128_CBC_SHA",
    "RSA_WITH_AES_256_CBC_SHA",
    "RSA_WITH_AES_128_CBC_SHA256",
    "RSA_WITH_AES_128_GCM_SHA256",
    "RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE_ECDSA_WITH_RC4_128_SHA",
    "ECDHE_RSA_WITH_RC4_128_SHA",
    "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

impl TlsSettings {
    pub(super) fn from_merged(
        merged: &Merged,
        listen: &ListenSettings,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, ConfigError> {
        let (version_min, version_max) = versions(merged)?;
        let cipher_suites = merged.list("cipher-suites").to_vec();
        if version_min == TlsVersion::Tls13 && !cipher_suites.is_empty() {
            return Err(ConfigError::CiphersWithTls13);
        }
        let known = |suite: &str| suite.strip_prefix("TLS_").is_some_and(|name| CIPHERS.contains(&name));
        if let Some(suite) = cipher_suites.iter().find(|suite| !known(suite)) {
            return Err(ConfigError::Cipher(suite.clone()));
        }
        let peer = peer_tls(merged);
        let client = client_tls(merged);
        check_pairs(&peer.listener)?;
        check_peer_names(&peer)?;
        check_pairs(&client)?;
        check_certificates(&client, &peer.listener, listen)?;
        check_reachable(&client, &peer.listener)?;
        warn_of_unused(&client, &peer.listener, listen, warnings);
        Ok(Self {
            client,
            peer,
            version_min,
            version_max,
            cipher_suites,
            self_signed_years: self_signed_years(merged)?,
            strict_files: merged.bool("strict-file-checks"),
        })
    }
}

fn versions(merged: &Merged) -> Result<(TlsVersion, Option<TlsVersion>), ConfigError> {
    let read = |name: &str| match merged.text(name) {
        "" => Ok(None),
        "TLS1.2" => Ok(Some(TlsVersion::Tls12)),
        "TLS1.3" => Ok(Some(TlsVersion::Tls13)),
        other => Err(ConfigError::TlsVersion(other.to_owned())),
    };
    let (min, max) = (read("tls-min-version")?.unwrap_or(TlsVersion::Tls12), read("tls-max-version")?);
    if max.is_some_and(|max| max < min) {
        let (min, max) = (merged.text("tls-min-version").to_owned(), merged.text("tls-max-version").to_owned());
        return Err(ConfigError::TlsVersionOrder { min, max });
    }
    Ok((min, max))
}

fn client_tls(merged: &Merged) -> ListenerTls {
    ListenerTls {
        cert_file: path(merged, "cert-file"),
        key_file: path(merged, "key-file"),
        client_cert_file: path(merged, "client-cert-file"),
        client_key_file: path(merged, "client-key-file"),
        client_cert_auth: merged.bool("client-cert-auth"),
        trusted_ca_file: path(merged, "trusted-ca-file"),
        crl_file: path(merged, "client-crl-file"),
        allowed_hostnames: merged.list("client-cert-allowed-hostname").to_vec(),
        auto: merged.bool("auto-tls"),
    }
}

fn peer_tls(merged: &Merged) -> PeerTls {
    PeerTls {
        listener: ListenerTls {
            cert_file: path(merged, "peer-cert-file"),
            key_file: path(merged, "peer-key-file"),
            client_cert_file: path(merged, "peer-client-cert-file"),
            client_key_file: path(merged, "peer-client-key-file"),
            client_cert_auth: merged.bool("peer-client-cert-auth"),
            trusted_ca_file: path(merged, "peer-trusted-ca-file"),
            crl_file: path(merged, "peer-crl-file"),
            allowed_hostnames: merged.list("peer-cert-allowed-hostname").to_vec(),
            auto: merged.bool("peer-auto-tls"),
        },
        allowed_common_names: merged.list("peer-cert-allowed-cn").to_vec(),
        skip_client_san_verification: merged.bool("peer-skip-client-san-verification"),
    }
}

fn check_pairs(tls: &ListenerTls) -> Result<(), ConfigError> {
    let shown = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| path.display().to_string());
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        return Err(ConfigError::KeyPair { key: shown(&tls.key_file), cert: shown(&tls.cert_file) });
    }
    if tls.client_cert_file.is_some() != tls.client_key_file.is_some() {
        return Err(ConfigError::ClientKeyPair {
            key: shown(&tls.client_key_file),
            cert: shown(&tls.client_cert_file),
        });
    }
    Ok(())
}

fn check_peer_names(peer: &PeerTls) -> Result<(), ConfigError> {
    let (names, hosts) = (&peer.allowed_common_names, &peer.listener.allowed_hostnames);
    if names.is_empty() || hosts.is_empty() {
        return Ok(());
    }
    Err(ConfigError::NamesAndHosts { names: quoted(names), hosts: quoted(hosts) })
}

/// Every secure listener needs a certificate, its own or a self-signed one.
fn check_certificates(client: &ListenerTls, peer: &ListenerTls, listen: &ListenSettings) -> Result<(), ConfigError> {
    let bare = |tls: &ListenerTls, urls: &[Url]| {
        let has_certificate = tls.cert_file.is_some() || tls.auto;
        urls.iter().find(|url| url.scheme().is_secure() && !has_certificate).map(Url::to_string)
    };
    if let Some(url) = bare(peer, &listen.peer) {
        return Err(ConfigError::NoCertificate { flags: "--peer-cert-file, --peer-key-file", what: "peer", url });
    }
    if let Some(url) = bare(client, &listen.client).or_else(|| bare(client, &listen.client_http)) {
        return Err(ConfigError::NoCertificate { flags: "--cert-file, --key-file", what: "client", url });
    }
    bare(client, &listen.metrics).map_or(Ok(()), |_| Err(ConfigError::NoMetricsCertificate))
}

/// With a self-signed certificate etcd drops the demand for client certificates, without a word.
/// Here it would hold, and no CA could meet it.
fn check_reachable(client: &ListenerTls, peer: &ListenerTls) -> Result<(), ConfigError> {
    let is_closed = |tls: &ListenerTls| {
        tls.auto && tls.cert_file.is_none() && tls.client_cert_auth && tls.trusted_ca_file.is_none()
    };
    if is_closed(client) {
        return Err(ConfigError::AutoTlsWithoutCa {
            auto: "--auto-tls",
            auth: "--client-cert-auth",
            ca: "--trusted-ca-file",
        });
    }
    if is_closed(peer) {
        return Err(ConfigError::AutoTlsWithoutCa {
            auto: "--peer-auto-tls",
            auth: "--peer-client-cert-auth",
            ca: "--peer-trusted-ca-file",
        });
    }
    Ok(())
}

fn warn_of_unused(client: &ListenerTls, peer: &ListenerTls, listen: &ListenSettings, warnings: &mut Vec<Warning>) {
    for (flag, tls, urls) in [("--peer-cert-file", peer, &listen.peer), ("--cert-file", client, &listen.client)] {
        for url in
            urls.iter().filter(|url| matches!(url.scheme(), Scheme::Http | Scheme::Unix) && tls.cert_file.is_some())
        {
            warnings.push(Warning::new(
                flag,
                format!("scheme of {url} is HTTP while key and cert files are present; ignoring key and cert files"),
            ));
        }
    }
}

/// A file's zero stands for one year; on a command line it is a mistake.
fn self_signed_years(merged: &Merged) -> Result<u64, ConfigError> {
    match merged.unsigned("self-signed-cert-validity") {
        0 if merged.has_file => Ok(1),
        0 => Err(ConfigError::CertificateValidity),
        years => Ok(years),
    }
}
