//! A connection that did not come about: which step of it broke, why, and what to do.

use super::Address;
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

/// Why one endpoint could not be used.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) endpoint: String,
    pub(crate) step: Step,
    cause: String,
    cure: &'static str,
}

impl Broken {
    pub(crate) fn new(endpoint: &Address, step: Step, cause: impl Into<String>, cure: &'static str) -> Self {
        Self { endpoint: endpoint.to_string(), step, cause: cause.into(), cure }
    }

    pub(crate) fn tcp(endpoint: &Address, error: &io::Error) -> Self {
        let cure = CURES.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, cure)| *cure);
        Self::new(endpoint, Step::Tcp, error.to_string(), cure)
    }

    pub(crate) fn name(endpoint: &Address, error: &io::Error) -> Self {
        Self::new(endpoint, Step::Name, error.to_string(), "the host's name is not known: look at its spelling, DNS and /etc/hosts")
    }

    /// What a handshake failed of, told apart by what rustls says.
    pub(crate) fn handshake(endpoint: &Address, error: &io::Error) -> Self {
        use rustls::{AlertDescription as Alert, Error};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let (step, cure) = match inner {
            Some(Error::InvalidCertificate(why)) => (Step::Certificate, certificate_cure(why)),
            Some(Error::InvalidMessage(_)) => (Step::Tls, "the other side does not speak TLS: write http:// for this endpoint"),
            Some(Error::AlertReceived(
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnknownCA
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::AccessDenied,
            )) => (Step::Certificate, "the member wants a client's certificate of its authority: give --cert and --key"),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => {
                (Step::Tls, "the other side hung up: it may not speak TLS (write http://), or may want --cert and --key")
            }
            _ => (Step::Tls, ""),
        };
        Self::new(endpoint, step, inner.map_or_else(|| error.to_string(), ToString::to_string), cure)
    }
}

/// What to do about a socket that cannot be had.
const CURES: [(io::ErrorKind, &str); 6] = [
    (io::ErrorKind::ConnectionRefused, "nothing listens there: is the member running, and is the port right?"),
    (io::ErrorKind::TimedOut, "no answer: is the host up, and does a firewall let this port through?"),
    (io::ErrorKind::HostUnreachable, "no way leads there: look at addresses and routes"),
    (io::ErrorKind::NetworkUnreachable, "no way leads there: look at addresses and routes"),
    (io::ErrorKind::NotFound, "there is no such socket: is the member running, and does it listen there?"),
    (io::ErrorKind::PermissionDenied, "run it as a user who may use the socket"),
];

/// What to do about a member's certificate that is not believed.
fn certificate_cure(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Certificate;
    if matches!(why, Certificate::UnknownIssuer) {
        "the member's certificate is of another authority: give its bundle with --cacert"
    } else if matches!(why, Certificate::Expired | Certificate::ExpiredContext { .. }) {
        "renew the member's certificate (etcd-admin cert renew), or set this machine's clock"
    } else if matches!(why, Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) {
        "set the clock of this machine or of the authority's"
    } else if matches!(why, Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) {
        "the certificate does not stand for this host: use a name of it, or issue one that has it"
    } else {
        "look at it with etcd-admin cert inspect"
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.endpoint, self.step.name(), self.cause)?;
        if self.cure.is_empty() { Ok(()) } else { write!(f, " ({})", self.cure) }
    }
}

impl std::error::Error for Broken {}
