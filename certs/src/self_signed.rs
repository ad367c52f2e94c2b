//! Self-signed certificates, for `--auto-tls` and `--peer-auto-tls`: encryption without identity.

use crate::ca::{BACKDATED, whole_seconds};
use crate::issue::serial_number;
use crate::{Certificate, Error, Name, PrivateKey};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Returns a self-signed certificate for the hosts of the listeners. It is a CA, as etcd's are, so
/// that a client with it as its only CA accepts it.
///
/// # Errors
/// When a name cannot be written.
pub fn self_signed(
    names: &[Name],
    key: &PrivateKey,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<Certificate, Error> {
    let failed = |source: rcgen::Error| Error::make("make a self-signed certificate", &source);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.subject_alt_names = names.iter().map(Name::to_rcgen).collect::<Result<_, _>>().map_err(failed)?;
    params.not_before = whole_seconds(now - BACKDATED);
    params.not_after = whole_seconds(now + lifetime);
    params.serial_number = Some(serial_number()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let made = params.self_signed(key.pair()).map_err(failed)?;
    Ok(Certificate { der: made.der().to_vec(), pem: made.pem() })
}
