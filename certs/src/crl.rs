//! The content of a CRL.

use crate::{CertificateFacts, Error};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// The content of a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationListFacts {
    pub issuer: String,
    /// Grows with each list of the same issuer.
    pub number: Option<u64>,
    pub this_update: OffsetDateTime,
    /// After this the list is not to be relied upon.
    pub next_update: Option<OffsetDateTime>,
    /// Serial numbers, big-endian, with the moment of revocation.
    pub revoked: Vec<(Vec<u8>, OffsetDateTime)>,
}

impl RevocationListFacts {
    /// Reads one list in DER. Its signature is not looked at, see
    /// [`RevocationListFacts::is_signed_by`].
    ///
    /// # Errors
    /// When it is no list, or damaged.
    pub fn of(der: &[u8]) -> Result<Self, Error> {
        let list = parse(der)?;
        let revoked = list.iter_revoked_certificates();
        Ok(Self {
            issuer: list.issuer().to_string(),
            number: list.crl_number().and_then(|number| u64::try_from(number).ok()),
            this_update: list.last_update().to_datetime(),
            next_update: list.next_update().map(|moment| moment.to_datetime()),
            revoked: revoked.map(|entry| (entry.raw_serial().to_vec(), entry.revocation_date.to_datetime())).collect(),
        })
    }

    /// Returns `true` if the CRL of this encoding was signed by that CA.
    #[must_use]
    pub fn is_signed_by(der: &[u8], ca: &[u8]) -> bool {
        let (Ok(list), Ok((_, ca))) = (parse(der), X509Certificate::from_der(ca)) else { return false };
        list.issuer() == ca.subject() && list.verify_signature(ca.public_key()).is_ok()
    }

    /// Returns `true` if two thirds of its life are over, when the next one is to be published. A
    /// list without an end is never due.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        self.next_update.is_some_and(|end| now - self.this_update >= (end - self.this_update) * 2 / 3)
    }

    /// Returns `true` if it names this certificate.
    #[must_use]
    pub fn revokes(&self, certificate: &CertificateFacts) -> bool {
        self.issuer == certificate.issuer && self.revoked.iter().any(|(serial, _)| *serial == certificate.serial)
    }
}

fn parse(der: &[u8]) -> Result<CertificateRevocationList<'_>, Error> {
    let (rest, list) =
        CertificateRevocationList::from_der(der).map_err(|error| Error::RevocationList(error.to_string()))?;
    if !rest.is_empty() {
        return Err(Error::RevocationList(format!("{} bytes follow its end", rest.len())));
    }
    Ok(list)
}
