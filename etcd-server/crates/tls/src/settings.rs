//! The settings of an endpoint, from those of the daemon.

use config::{ListenerTls, TlsSettings, TlsVersion};
use std::path::PathBuf;

/// The other side: clients or members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Peer,
}

impl Role {
    /// As metrics and log lines name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }
}

/// Names of the settings that files come from, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
    pub(crate) client_cert: &'static str,
    pub(crate) client_key: &'static str,
    pub(crate) ca: &'static str,
    pub(crate) crl: &'static str,
}

impl Role {
    pub(crate) fn flags(self) -> Flags {
        match self {
            Self::Client => Flags {
                cert: "--cert-file",
                key: "--key-file",
                client_cert: "--client-cert-file",
                client_key: "--client-key-file",
                ca: "--trusted-ca-file",
                crl: "--client-crl-file",
            },
            Self::Peer => Flags {
                cert: "--peer-cert-file",
                key: "--peer-key-file",
                client_cert: "--peer-client-cert-file",
                client_key: "--peer-client-key-file",
                ca: "--peer-trusted-ca-file",
                crl: "--peer-crl-file",
            },
        }
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The certificate of an endpoint, its trust and its demands.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    pub role: Role,
    /// Shown by listeners. None where nothing secure is listened on.
    pub own: Option<KeyPair>,
    /// Shown when this member is the client; else `own`.
    pub as_client: Option<KeyPair>,
    pub trusted_ca: Option<PathBuf>,
    pub revocation_list: Option<PathBuf>,
    /// `true` if a client has to show a certificate.
    pub demands_certificates: bool,
    /// Common names of which a client must have one; empty allows all.
    pub allowed_common_names: Vec<String>,
    /// Host names of which a client's certificate must hold one; empty allows all.
    pub allowed_hostnames: Vec<String>,
    /// `true` if a client's address is held against the names of its certificate.
    pub checks_addresses: bool,
    /// `true` if every certificate is self-signed, so that none is verified.
    pub self_signed: bool,
    /// Refuses files that others can read, and revocation lists that do not cover every issuer,
    /// instead of warning about them.
    pub strict: bool,
    pub version_min: TlsVersion,
    pub version_max: Option<TlsVersion>,
    /// Go names; empty is the library's choice.
    pub cipher_suites: Vec<String>,
}

impl EndpointSettings {
    /// The endpoint towards clients. `auto` holds the self-signed pair where one was made.
    #[must_use]
    pub fn client(tls: &TlsSettings, auto: Option<KeyPair>) -> Self {
        Self::of(Role::Client, tls, &tls.client, auto)
    }

    /// The endpoint towards members.
    #[must_use]
    pub fn peer(tls: &TlsSettings, auto: Option<KeyPair>) -> Self {
        let endpoint = Self::of(Role::Peer, tls, &tls.peer.listener, auto);
        Self {
            allowed_common_names: tls.peer.allowed_common_names.clone(),
            checks_addresses: !tls.peer.skip_client_san_verification,
            ..endpoint
        }
    }

    /// Returns settings for outgoing connections alone. Without a CA those of the system are
    /// trusted.
    #[must_use]
    pub fn of_client_alone(as_client: Option<KeyPair>, trusted_ca: Option<PathBuf>, believes_anybody: bool) -> Self {
        Self {
            role: Role::Peer,
            own: None,
            as_client,
            trusted_ca,
            revocation_list: None,
            demands_certificates: false,
            allowed_common_names: Vec::new(),
            allowed_hostnames: Vec::new(),
            checks_addresses: false,
            self_signed: believes_anybody,
            strict: false,
            version_min: TlsVersion::Tls12,
            version_max: None,
            cipher_suites: Vec::new(),
        }
    }

    fn of(role: Role, tls: &TlsSettings, listener: &ListenerTls, auto: Option<KeyPair>) -> Self {
        let pair =
            |cert: &Option<PathBuf>, key: &Option<PathBuf>| Some(KeyPair { cert: cert.clone()?, key: key.clone()? });
        let given = pair(&listener.cert_file, &listener.key_file);
        let self_signed = given.is_none() && auto.is_some();
        Self {
            role,
            own: given.or(auto),
            as_client: pair(&listener.client_cert_file, &listener.client_key_file),
            trusted_ca: listener.trusted_ca_file.clone(),
            revocation_list: listener.crl_file.clone(),
            // Naming a CA alone makes certificates mandatory, as in etcd.
            demands_certificates: listener.client_cert_auth || listener.trusted_ca_file.is_some(),
            allowed_common_names: Vec::new(),
            allowed_hostnames: listener.allowed_hostnames.clone(),
            checks_addresses: false,
            self_signed,
            strict: tls.strict_files,
            version_min: tls.version_min,
            version_max: tls.version_max,
            cipher_suites: tls.cipher_suites.clone(),
        }
    }
}
