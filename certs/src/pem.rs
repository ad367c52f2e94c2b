//! PEM files with several blocks, and single blocks in DER.

use crate::Error;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

/// All certificates of a PEM file, or the one of a DER file; at least one. Text around the blocks,
/// CRLF and other blocks do not matter.
///
/// # Errors
/// When there is none, or a block is damaged.
pub fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file).collect();
    let found = found.map_err(|error| Error::Certificate(error.to_string()))?;
    if !found.is_empty() {
        return Ok(found);
    }
    if file.first() == Some(&0x30) {
        return Ok(vec![CertificateDer::from(file.to_vec())]);
    }
    Err(Error::Missing { wanted: "certificate", found: what_is(file) })
}

/// All revocation lists of a PEM file, or the one of a DER file; at least one.
///
/// # Errors
/// When there is none, or a block is damaged.
pub fn revocation_lists(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(file).collect();
    let found = found.map_err(|error| Error::RevocationList(error.to_string()))?;
    if !found.is_empty() {
        return Ok(found);
    }
    if file.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(file.to_vec())]);
    }
    Err(Error::Missing { wanted: "revocation list", found: what_is(file) })
}

/// Returns a guess at the content of a file that holds nothing useful.
fn what_is(file: &[u8]) -> String {
    let label = String::from_utf8_lossy(file);
    let label = label.split("-----BEGIN ").nth(1).and_then(|rest| rest.split("-----").next().map(str::to_owned));
    match label {
        _ if file.is_empty() => "the file is empty".to_owned(),
        Some(label) => format!("the file holds a {label}"),
        None => "the file is neither PEM nor DER".to_owned(),
    }
}
