//! The directory of a CA, on the administrator's machine, never on a member.
//!
//! `ca.crt`, `ca.key` (encrypted unless the operator insists), `bundle.crt` (for members and
//! clients to trust), `register.jsonl`, `crl.pem`. While CAs are exchanged there is also `next/` or
//! `previous/`, see [`RotationPhase`](super::RotationPhase).

use super::register::{self, Entry, Issued, Register};
use super::{PRIVATE_MODE, PUBLIC_MODE};
use crate::ca::to_pem;
use crate::{
    Ca, CaKind, CaPlan, Certificate, CertificateFacts, Error, KeyAlgorithm, LeafPlan, Passphrase, PrivateKey,
    RevocationReason, SigningRequest,
};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

pub(super) const CERTIFICATE: &str = "ca.crt";
pub(super) const KEY: &str = "ca.key";
pub(super) const BUNDLE: &str = "bundle.crt";
const REGISTER: &str = "register.jsonl";
const REVOCATION_LIST: &str = "crl.pem";

/// Lifetime of a revocation list: as long as the certificates that are renewed with it, because an
/// expired list refuses everyone.
pub const LIST_DAYS: i64 = 365;

/// A CA to be made.
#[derive(Debug)]
pub struct NewCa<'a> {
    pub plan: CaPlan,
    pub algorithm: KeyAlgorithm,
    /// None leaves the key unprotected.
    pub passphrase: Option<&'a Passphrase>,
}

/// The directory of one CA.
#[derive(Clone, Debug)]
pub struct CaDir {
    kind: CaKind,
    path: PathBuf,
}

impl CaDir {
    /// Returns the directory of that CA below the directory of all.
    #[must_use]
    pub fn below(root: &Path, kind: CaKind) -> Self {
        Self { kind, path: root.join(kind.name()) }
    }

    #[must_use]
    pub fn kind(&self) -> CaKind {
        self.kind
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.join(CERTIFICATE).exists()
    }

    #[must_use]
    pub fn bundle_path(&self) -> PathBuf {
        self.path.join(BUNDLE)
    }

    #[must_use]
    pub fn revocation_list_path(&self) -> PathBuf {
        self.path.join(REVOCATION_LIST)
    }

    /// Makes a new CA in an empty place.
    ///
    /// # Errors
    /// When there is one already, the passphrase is too short, or the disk does not take it.
    pub fn create(&self, new: &NewCa<'_>, now: OffsetDateTime) -> Result<Ca, Error> {
        if self.exists() {
            return Err(Error::Exists { path: self.path.join(CERTIFICATE) });
        }
        super::private_dir(&self.path)?;
        let ca = write_ca(&self.path, new, now)?;
        super::create(&self.bundle_path(), ca.certificate().pem.as_bytes(), PUBLIC_MODE)?;
        Ok(ca)
    }

    /// Returns the content of the CA's certificate.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn facts(&self) -> Result<CertificateFacts, Error> {
        facts_in(&self.path)
    }

    /// The certificates that members and clients are to trust now.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub fn bundle(&self) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, Error> {
        let path = self.bundle_path();
        crate::certificates(&super::read(&path)?).map_err(|error| error.at(&path))
    }

    /// Returns `true` if its key cannot be used without a passphrase.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn is_encrypted(&self) -> Result<bool, Error> {
        Ok(super::read_text(&self.path.join(KEY))?.contains("ENCRYPTED"))
    }

    /// Returns the CA, ready to sign.
    ///
    /// # Errors
    /// When the passphrase is wrong, or others may read the key.
    pub fn unlock(&self, passphrase: Option<&Passphrase>) -> Result<Ca, Error> {
        ca_in(&self.path, passphrase)
    }

    /// Issues a certificate for a key that is at hand.
    ///
    /// # Errors
    /// When the plan is refused or the register cannot be written.
    pub fn issue(&self, ca: &Ca, plan: &LeafPlan, key: &PrivateKey, now: OffsetDateTime) -> Result<Certificate, Error> {
        let mut register = self.register()?;
        record(&mut register, plan, ca, ca.issue(plan, key, now)?)
    }

    /// Signs a request.
    ///
    /// # Errors
    /// When the plan is refused or the register cannot be written.
    pub fn sign(
        &self,
        ca: &Ca,
        plan: &LeafPlan,
        request: &SigningRequest,
        now: OffsetDateTime,
    ) -> Result<Certificate, Error> {
        let mut register = self.register()?;
        record(&mut register, plan, ca, ca.sign(plan, request, now)?)
    }

    /// Returns the register's entry of a certificate that was issued here and has not been revoked.
    ///
    /// # Errors
    /// When it was not, or has been, or the register is damaged.
    pub fn good_standing(&self, certificate: &CertificateFacts) -> Result<Issued, Error> {
        let (entries, fingerprint) = (self.entries()?, certificate.fingerprint_hex());
        let found = register::issued(&entries).find(|issued| issued.fingerprint == fingerprint).cloned();
        let issued =
            found.ok_or_else(|| Error::Refused(format!("the {} CA has not issued this certificate", self.kind)))?;
        let is_it = |entry: &Entry| matches!(entry, Entry::Revoked { serial, .. } if *serial == issued.serial);
        if entries.iter().any(is_it) {
            return Err(Error::Refused(format!(
                "certificate {} has been revoked: its subject needs a new key",
                issued.serial
            )));
        }
        Ok(issued)
    }

    /// Signs a certificate for the key of one that has run out.
    ///
    /// # Errors
    /// When the plan is refused or the register cannot be written.
    pub fn sign_again(
        &self,
        ca: &Ca,
        plan: &LeafPlan,
        old: &CertificateFacts,
        now: OffsetDateTime,
    ) -> Result<Certificate, Error> {
        let mut register = self.register()?;
        record(&mut register, plan, ca, ca.sign_again(plan, old, now)?)
    }

    /// Notes that a certificate is not to be trusted any more; the next list says so to others.
    ///
    /// # Errors
    /// When it was not issued here, or has been revoked before.
    pub fn revoke(&self, serial: &str, reason: RevocationReason, now: OffsetDateTime) -> Result<Issued, Error> {
        let mut register = self.register()?;
        let serial = serial.to_ascii_lowercase().replace(':', "");
        let issued = register::issued(register.entries()).find(|issued| issued.serial == serial).cloned();
        let issued =
            issued.ok_or_else(|| Error::Refused(format!("the {} CA has issued no certificate {serial}", self.kind)))?;
        let is_it = |entry: &Entry| matches!(entry, Entry::Revoked { serial: of, .. } if *of == serial);
        if register.entries().iter().any(is_it) {
            return Err(Error::Refused(format!("certificate {serial} has been revoked before")));
        }
        register.append(Entry::Revoked { serial, at: now, reason, ca: issued.ca.clone() })?;
        Ok(issued)
    }

    /// Signs and writes the CRL; returns it in DER.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn publish(&self, ca: &Ca, now: OffsetDateTime, lifetime: Duration) -> Result<Vec<u8>, Error> {
        let mut register = self.register()?;
        let number = register::newest_number(register.entries()) + 1;
        let revoked = register::revoked(register.entries(), &ca.facts().fingerprint_hex());
        let list = ca.revocation_list(&revoked, number, now, lifetime)?;
        register.append(Entry::Published { number, at: now })?;
        super::replace(&self.revocation_list_path(), self.with_other_lists(ca, &list).as_bytes(), PUBLIC_MODE)?;
        Ok(list)
    }

    /// Returns `true` if the current list of this CA is missing, has lived two thirds of its
    /// life, or lacks a certificate that was revoked since.
    ///
    /// # Errors
    /// When the register or the CA's certificate is damaged.
    pub fn is_list_due(&self, now: OffsetDateTime) -> Result<bool, Error> {
        let path = self.revocation_list_path();
        if !path.exists() {
            return Ok(true);
        }
        let own = certificate_in(&self.path)?;
        let lists = crate::revocation_lists(&super::read(&path)?).map_err(|error| error.at(&path))?;
        let Some(list) = lists.iter().find(|list| crate::RevocationListFacts::is_signed_by(list, &own)) else {
            return Ok(true);
        };
        let list = crate::RevocationListFacts::of(list).map_err(|error| error.at(&path))?;
        let revoked = register::revoked(&self.entries()?, &self.facts()?.fingerprint_hex());
        let is_listed =
            |serial: &[u8]| list.revoked.iter().any(|(listed, _)| strip_zeros(listed) == strip_zeros(serial));
        Ok(list.is_due(now) || revoked.iter().any(|revocation| !is_listed(&revocation.serial)))
    }

    /// Adds the CRL of the other CA while two are trusted: all clients of a CA without a CRL of its
    /// own would be refused.
    fn with_other_lists(&self, ca: &Ca, list: &[u8]) -> String {
        let mut text = to_pem("X509 CRL", list);
        let bundle = self.bundle().unwrap_or_default();
        let path = self.revocation_list_path();
        let before = super::read(&path).and_then(|file| crate::revocation_lists(&file)).unwrap_or_default();
        let own = ca.certificate().der.as_slice();
        for other in before {
            let is_own = crate::RevocationListFacts::is_signed_by(&other, own);
            if !is_own && bundle.iter().any(|trusted| crate::RevocationListFacts::is_signed_by(&other, trusted)) {
                text += &to_pem("X509 CRL", &other);
            }
        }
        text
    }

    /// Returns the issued and revoked certificates.
    ///
    /// # Errors
    /// When the register is damaged.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        Register::read(&self.path.join(REGISTER))
    }

    fn register(&self) -> Result<Register, Error> {
        Register::open(&self.path.join(REGISTER))
    }
}

/// A positive number in DER may begin with a zero byte.
fn strip_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

fn record(register: &mut Register, plan: &LeafPlan, ca: &Ca, made: Certificate) -> Result<Certificate, Error> {
    register.append(Entry::Issued(Issued::of(&made.facts()?, plan.profile, ca.facts())))?;
    Ok(made)
}

pub(super) fn write_ca(dir: &Path, new: &NewCa<'_>, now: OffsetDateTime) -> Result<Ca, Error> {
    let key = PrivateKey::generate(new.algorithm)?;
    let pem = match new.passphrase {
        Some(passphrase) => key.to_encrypted_pem(passphrase)?,
        None => key.to_pem(),
    };
    let ca = Ca::create(&new.plan, key, now)?;
    // The key first: a certificate without its key shows that there is a CA.
    super::replace(&dir.join(KEY), pem.as_bytes(), PRIVATE_MODE)?;
    super::create(&dir.join(CERTIFICATE), ca.certificate().pem.as_bytes(), PUBLIC_MODE)?;
    Ok(ca)
}

pub(super) fn ca_in(dir: &Path, passphrase: Option<&Passphrase>) -> Result<Ca, Error> {
    let path = dir.join(KEY);
    super::check_private(&path)?;
    let key = PrivateKey::from_pem(&super::read_text(&path)?, passphrase).map_err(|error| error.at(&path))?;
    Ca::of(certificate_in(dir)?, key).map_err(|error| error.at(dir))
}

pub(super) fn facts_in(dir: &Path) -> Result<CertificateFacts, Error> {
    CertificateFacts::of(&certificate_in(dir)?).map_err(|error| error.at(dir.join(CERTIFICATE)))
}

fn certificate_in(dir: &Path) -> Result<Vec<u8>, Error> {
    let path = dir.join(CERTIFICATE);
    let found = crate::certificates(&super::read(&path)?).map_err(|error| error.at(&path))?;
    Ok(found.into_iter().next().expect("at least one certificate is found").to_vec())
}
