//! Names of a host's certificate files, and the daemon's settings for them.

use admin_ui::error::CliError;
use certs::{CaKind, Profile};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use std::path::Path;

/// `server.crt`, `client-alice.crt`.
pub(crate) fn stem(profile: Profile, common_name: &str) -> String {
    match profile {
        Profile::Client => format!("client-{common_name}"),
        Profile::Server | Profile::Peer | Profile::Admin | Profile::Metrics => profile.name().to_owned(),
    }
}

pub(crate) fn bundle_name(kind: CaKind) -> String {
    format!("{kind}-ca.crt")
}

pub(crate) fn list_name(kind: CaKind) -> String {
    format!("{kind}-crl.pem")
}

/// The daemon's flag for each file of a host.
pub(crate) const FLAGS: [(&str, &str); 8] = [
    ("server.crt", "cert-file"),
    ("server.key", "key-file"),
    ("client-ca.crt", "trusted-ca-file"),
    ("client-crl.pem", "client-crl-file"),
    ("peer.crt", "peer-cert-file"),
    ("peer.key", "peer-key-file"),
    ("peer-ca.crt", "peer-trusted-ca-file"),
    ("peer-crl.pem", "peer-crl-file"),
];

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let file = certs::files::read(path)?;
    certs::certificates(&file).map_err(|error| CliError::of_file(path, &error))
}

pub(crate) fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, CliError> {
    let file = certs::files::read(path)?;
    certs::revocation_lists(&file).map_err(|error| CliError::of_file(path, &error))
}

pub(crate) fn facts(path: &Path) -> Result<certs::CertificateFacts, CliError> {
    let found = certificates(path)?;
    certs::CertificateFacts::of(&found[0]).map_err(|error| CliError::of_file(path, &error))
}

/// Returns the probable profile of a certificate, by its usages and its names.
pub(crate) fn profile_of(facts: &certs::CertificateFacts, path: &Path) -> Profile {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match Profile::ALL.into_iter().find(|profile| name.starts_with(profile.name())) {
        Some(profile) => profile,
        None if facts.server_usage => Profile::Server,
        None => Profile::Client,
    }
}
