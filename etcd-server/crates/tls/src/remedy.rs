//! The class of a failed handshake, and what an operator does about it.

use crate::error::HandshakeError;
use crate::rejection::{Refused, Rejection};
use rustls::AlertDescription;
use std::error::Error;

/// The class of a failed handshake with another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The certificate does not contain the host.
    Name,
    /// One side does not accept the certificate of the other for another reason.
    Certificate,
}

impl HandshakeFailure {
    /// Returns the class of this one error, its sources left aside; `None` if TLS has not caused
    /// it.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return Some(if rejection.refused == Refused::Name { Self::Name } else { Self::Certificate });
        }
        error.downcast_ref::<rustls::Error>().map(|_| Self::Certificate)
    }
}

impl Refused {
    /// Returns what an operator does about a certificate that was refused for this reason.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Name => "issue a certificate that contains the host of the URL (etcd-admin cert request)",
            Self::Validity => {
                "renew the certificate (etcd-admin cert renew), or correct the clock of one of the two hosts"
            }
            Self::Issuer => "issue the certificate by a CA of the trusted CA file, or add its CA to that file",
            Self::Usage => "issue the certificate with the right profile: client, server or peer",
            Self::Revoked => "the certificate is revoked: issue a new one for a new key (etcd-admin cert request)",
            Self::RevocationList => "publish a new CRL (etcd-admin crl publish) and copy it to this host",
            Self::Content => "inspect the certificate with etcd-admin cert inspect",
        }
    }
}

/// Returns what an operator does about a connection that was not accepted; empty if there is
/// nothing to do.
pub(crate) fn of_rejected(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Certificate(rejection) => rejection.refused.remedy(),
        HandshakeError::Address { .. } | HandshakeError::OtherAddress { .. } => {
            "issue a certificate that contains the address or name from which its subject connects"
        }
        HandshakeError::Tls(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match inner {
                Some(rustls::Error::NoCertificatesPresented) => {
                    "connect with a client certificate (etcdctl: --cert and --key)"
                }
                Some(rustls::Error::InvalidMessage(_)) => "connect with https:// (TLS)",
                Some(rustls::Error::AlertReceived(alert)) => of_alert(*alert),
                Some(_) | None => "",
            }
        }
        HandshakeError::Timeout | HandshakeError::Crowded | HandshakeError::Dropped => "",
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the alerts about certificates, of many")]
fn of_alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::UnknownCA => {
            "the other side does not accept the certificate of this member: compare its trusted CA file, the names and the clock"
        }
        _ => "",
    }
}
