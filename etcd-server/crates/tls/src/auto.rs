//! Self-signed certificates of `--auto-tls` and `--peer-auto-tls`, kept in the data directory where
//! etcd keeps them.

use crate::error::LoadError;
use crate::settings::{KeyPair, Role};
use certs::files::{PRIVATE_MODE, PUBLIC_MODE, private_dir};
use certs::{CertificateFacts, KeyAlgorithm, Name, PrivateKey};
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// The self-signed pair of one side: the one that is there while it lasts, or a new one for
/// `names`.
///
/// # Errors
/// When it cannot be made, read or written.
pub fn auto_files(
    data_dir: &Path,
    role: Role,
    names: &[Name],
    years: u64,
    now: OffsetDateTime,
) -> Result<KeyPair, LoadError> {
    let setting = match role {
        Role::Client => "--auto-tls",
        Role::Peer => "--peer-auto-tls",
    };
    let dir = data_dir.join("fixtures").join(role.label());
    let pair = KeyPair { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    let failed = |source: certs::Error| LoadError::File { setting, source };
    if pair.cert.exists() && pair.key.exists() {
        let file = certs::files::read(&pair.cert).map_err(failed)?;
        let found = certs::certificates(&file)
            .and_then(|found| CertificateFacts::of(&found[0]))
            .map_err(|error| failed(error.at(&pair.cert)))?;
        // etcd keeps an expired one in use, and every client then fails.
        if found.not_after > now {
            return Ok(pair);
        }
    }
    private_dir(&dir).map_err(failed)?;
    let key = PrivateKey::generate(KeyAlgorithm::P256).map_err(failed)?;
    let days = i64::try_from(years.saturating_mul(365)).unwrap_or(i64::MAX).min(365 * 1000);
    let made = certs::self_signed(names, &key, now, Duration::days(days)).map_err(failed)?;
    certs::files::replace(&pair.key, key.to_pem().as_bytes(), PRIVATE_MODE).map_err(failed)?;
    certs::files::replace(&pair.cert, made.pem.as_bytes(), PUBLIC_MODE).map_err(failed)?;
    tracing::info!(path = %pair.cert.display(), fingerprint = %made.facts().map_err(failed)?.fingerprint_hex(), "made a self-signed certificate");
    Ok(pair)
}

/// Returns the names of a self-signed certificate of these hosts; invalid names are left out.
#[must_use]
pub fn names_of<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<Name> {
    let mut names: Vec<_> = hosts.into_iter().filter_map(|host| Name::parse(host).ok()).collect();
    names.sort();
    names.dedup();
    names
}
