//! A failed connection: the step that broke, the reason, and the remedy.

use crate::address::Address;
use std::fmt;
use std::io;

/// The steps of a connection, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name,
    Tcp,
    Tls,
    Certificate,
    Rpc,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Certificate => "certificate",
            Self::Rpc => "RPC",
        }
    }
}

/// The reason why one endpoint could not be used.
#[derive(Clone, Debug)]
pub struct Broken {
    pub(crate) endpoint: String,
    pub(crate) step: Step,
    cause: String,
    remedy: &'static str,
}

impl Broken {
    pub(crate) fn new(endpoint: &Address, step: Step, cause: impl Into<String>, remedy: &'static str) -> Self {
        Self { endpoint: endpoint.to_string(), step, cause: cause.into(), remedy }
    }

    pub(crate) fn tcp(endpoint: &Address, error: &io::Error) -> Self {
        let remedy = CURES.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, remedy)| *remedy);
        Self::new(endpoint, Step::Tcp, error.to_string(), remedy)
    }

    pub(crate) fn name(endpoint: &Address, error: &io::Error) -> Self {
        Self::new(
            endpoint,
            Step::Name,
            error.to_string(),
            "the host name is unknown: check its spelling, DNS and /etc/hosts",
        )
    }

    /// Returns the failure of a handshake for an error of rustls.
    pub(crate) fn handshake(endpoint: &Address, error: &io::Error) -> Self {
        use rustls::Error;
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let (step, remedy) = match inner {
            Some(Error::InvalidCertificate(why)) => (Step::Certificate, certificate_remedy(why)),
            Some(Error::InvalidMessage(_)) => {
                (Step::Tls, "the other side does not speak TLS: write http:// for this endpoint")
            }
            Some(Error::AlertReceived(alert)) => (Step::Certificate, alert_remedy(*alert)),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => (
                Step::Tls,
                "the server closed the connection: it may not use TLS (write http://), or may require --cert and --key",
            ),
            _ => (Step::Tls, ""),
        };
        Self::new(endpoint, step, inner.map_or_else(|| error.to_string(), ToString::to_string), remedy)
    }

    /// Returns the failure of a connection that broke after this side's handshake: a member that
    /// refuses the certificate of the client says so then.
    pub(crate) fn after_handshake(endpoint: &Address, error: &io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            return Self::handshake(endpoint, error);
        }
        Self::new(endpoint, Step::Rpc, error.to_string(), HUNG_UP)
    }
}

/// The remedy when the other side closes a connection without a word.
pub(crate) const HUNG_UP: &str = "the server closed the connection: if it requires TLS, write https:// and give --cacert; else check that this is a client URL";

/// Returns the remedy for an alert that the member has sent.
#[expect(clippy::wildcard_enum_match_arm, reason = "the alerts about certificates, of many")]
pub(crate) fn alert_remedy(alert: rustls::AlertDescription) -> &'static str {
    use rustls::AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => "the member demands a client certificate: give --cert and --key",
        Alert::CertificateRevoked => {
            "the client certificate is revoked: issue a new one (etcd-admin cert issue client) and give it with --cert and --key"
        }
        Alert::CertificateExpired => {
            "the client certificate has expired: issue a new one (etcd-admin cert issue client), or correct the clock of this machine"
        }
        Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
            "the client certificate was issued by another CA than the member trusts, or for another use: give one of its client CA with --cert and --key"
        }
        Alert::AccessDenied => {
            "the name in the client certificate is not allowed (client-cert-allowed-cn or -hostname)"
        }
        _ => "",
    }
}

/// Remedies for socket errors.
const CURES: [(io::ErrorKind, &str); 6] = [
    (io::ErrorKind::ConnectionRefused, "nothing listens there: is the member running, and is the port right?"),
    (io::ErrorKind::TimedOut, "no response: check that the host is up and that no firewall blocks this port"),
    (io::ErrorKind::HostUnreachable, "no route: check addresses and routes"),
    (io::ErrorKind::NetworkUnreachable, "no route: check addresses and routes"),
    (io::ErrorKind::NotFound, "the socket does not exist: check that the member runs and listens there"),
    (io::ErrorKind::PermissionDenied, "run it as a user with access to the socket"),
];

/// Returns the remedy for a member's certificate that is not trusted.
fn certificate_remedy(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Certificate;
    if matches!(why, Certificate::UnknownIssuer) {
        "the member's certificate is of another CA: give its bundle with --cacert"
    } else if matches!(why, Certificate::Expired | Certificate::ExpiredContext { .. }) {
        "renew the member's certificate (etcd-admin cert renew), or set this machine's clock"
    } else if matches!(why, Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) {
        "set the clock of this machine or of the CA's"
    } else if matches!(why, Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) {
        "the certificate is not valid for this host name: use one of its names, or issue one with this name"
    } else {
        "inspect it with etcd-admin cert inspect"
    }
}

impl Broken {
    /// Returns `true` if no connection came about at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.step, Step::Name | Step::Tcp)
    }

    /// Returns step, cause and remedy.
    pub fn without_endpoint(&self) -> String {
        let remedy = if self.remedy.is_empty() { String::new() } else { format!(" ({})", self.remedy) };
        format!("{}: {}{remedy}", self.step.name(), self.cause)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.without_endpoint())
    }
}

impl std::error::Error for Broken {}
