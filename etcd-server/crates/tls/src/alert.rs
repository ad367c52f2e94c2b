//! Alerts of TLS by the texts that Go logs, which people search logs for.

use crate::error::HandshakeError;
use rustls::{AlertDescription, CertificateError, Error};
use std::borrow::Cow;

/// Returns the text of `error`: Go's where there is one, else that of this server.
pub(crate) fn go_text(error: &HandshakeError) -> Cow<'static, str> {
    let HandshakeError::Tls(io) = error else { return error.to_string().into() };
    match io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) => remote_alert(*alert).map_or_else(|| io.to_string().into(), Into::into),
        Some(Error::NoCertificatesPresented) => "tls: client didn't provide a certificate".into(),
        Some(Error::InvalidCertificate(reason)) => {
            format!("tls: failed to verify certificate: {}", certificate(reason)).into()
        }
        Some(_) | None => io.to_string().into(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds that Go has a text for, of many")]
fn certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "x509: certificate signed by unknown authority".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("x509: certificate has expired or is not yet valid: {reason}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("x509: certificate has expired or is not yet valid: {reason}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "x509: certificate specifies an incompatible key usage".to_owned()
        }
        _ => reason.to_string(),
    }
}

/// The text of an alert that the client sent; `None` for one that Go does not know either.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enumeration of another crate may grow")]
fn remote_alert(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CloseNotify => "remote error: tls: close notify",
        AlertDescription::UnexpectedMessage => "remote error: tls: unexpected message",
        AlertDescription::BadRecordMac => "remote error: tls: bad record MAC",
        AlertDescription::DecryptionFailed => "remote error: tls: decryption failed",
        AlertDescription::RecordOverflow => "remote error: tls: record overflow",
        AlertDescription::DecompressionFailure => "remote error: tls: decompression failure",
        AlertDescription::HandshakeFailure => "remote error: tls: handshake failure",
        AlertDescription::BadCertificate => "remote error: tls: bad certificate",
        AlertDescription::UnsupportedCertificate => "remote error: tls: unsupported certificate",
        AlertDescription::CertificateRevoked => "remote error: tls: revoked certificate",
        AlertDescription::CertificateExpired => "remote error: tls: expired certificate",
        AlertDescription::CertificateUnknown => "remote error: tls: unknown certificate",
        AlertDescription::IllegalParameter => "remote error: tls: illegal parameter",
        AlertDescription::UnknownCA => "remote error: tls: unknown certificate authority",
        AlertDescription::AccessDenied => "remote error: tls: access denied",
        AlertDescription::DecodeError => "remote error: tls: error decoding message",
        AlertDescription::DecryptError => "remote error: tls: error decrypting message",
        AlertDescription::ExportRestriction => "remote error: tls: export restriction",
        AlertDescription::ProtocolVersion => "remote error: tls: protocol version not supported",
        AlertDescription::InsufficientSecurity => "remote error: tls: insufficient security level",
        AlertDescription::InternalError => "remote error: tls: internal error",
        AlertDescription::InappropriateFallback => "remote error: tls: inappropriate fallback",
        AlertDescription::UserCanceled => "remote error: tls: user canceled",
        AlertDescription::NoRenegotiation => "remote error: tls: no renegotiation",
        AlertDescription::MissingExtension => "remote error: tls: missing extension",
        AlertDescription::UnsupportedExtension => "remote error: tls: unsupported extension",
        AlertDescription::CertificateUnobtainable => "remote error: tls: certificate unobtainable",
        AlertDescription::UnrecognisedName => "remote error: tls: unrecognized name",
        AlertDescription::BadCertificateStatusResponse => "remote error: tls: bad certificate status response",
        AlertDescription::BadCertificateHashValue => "remote error: tls: bad certificate hash value",
        AlertDescription::UnknownPSKIdentity => "remote error: tls: unknown PSK identity",
        AlertDescription::CertificateRequired => "remote error: tls: certificate required",
        AlertDescription::NoApplicationProtocol => "remote error: tls: no application protocol",
        _ => return None,
    })
}
