//! Exchange of a CA: trust both, issue by the new one, then drop the old one.
//!
//! The files alone show the reached step, so that an interrupted exchange resumes where it stopped.

use super::ca_dir::{CERTIFICATE, ca_in, facts_in, write_ca};
use super::{CaDir, NewCa, PUBLIC_MODE, register};
use crate::{Ca, CertificateFacts, Error, Passphrase};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use time::OffsetDateTime;

const NEXT: &str = "next";
const PREVIOUS: &str = "previous";
const RETIRED: &str = "retired";

/// The phase of the exchange of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotationPhase {
    /// No exchange is under way.
    None,
    /// The next CA is made and in the bundle, but issues nothing yet: the bundle is to reach all
    /// members and clients first.
    TrustBoth,
    /// The new CA issues; certificates of the previous one are to be replaced.
    Reissue,
}

impl CaDir {
    /// Returns the phase of an exchange.
    #[must_use]
    pub fn rotation(&self) -> RotationPhase {
        if self.place(NEXT).join(CERTIFICATE).exists() {
            RotationPhase::TrustBoth
        } else if self.place(PREVIOUS).join(CERTIFICATE).exists() {
            RotationPhase::Reissue
        } else {
            RotationPhase::None
        }
    }

    /// Returns the CA that is to be dropped, while there is one.
    ///
    /// # Errors
    /// When its certificate is damaged.
    pub fn previous(&self) -> Result<Option<CertificateFacts>, Error> {
        if self.rotation() == RotationPhase::Reissue { facts_in(&self.place(PREVIOUS)).map(Some) } else { Ok(None) }
    }

    /// Makes the next CA and has both trusted.
    ///
    /// # Errors
    /// When an exchange is in progress.
    pub fn rotation_start(&self, new: &NewCa<'_>, now: OffsetDateTime) -> Result<Ca, Error> {
        if self.rotation() != RotationPhase::None {
            return Err(Error::Refused(format!("an exchange of the {} CA is under way already", self.kind())));
        }
        let place = self.place(NEXT);
        super::private_dir(&place)?;
        let ca = write_ca(&place, new, now)?;
        self.write_bundle(&[self.path().to_owned(), place])?;
        Ok(ca)
    }

    /// Returns the CA made by [`CaDir::rotation_start`], ready to sign.
    ///
    /// # Errors
    /// When the passphrase is wrong.
    pub fn unlock_next(&self, passphrase: Option<&Passphrase>) -> Result<Ca, Error> {
        ca_in(&self.place(NEXT), passphrase)
    }

    /// Lets the next CA issue. To be called once its certificate has reached all members and
    /// clients.
    ///
    /// # Errors
    /// When no next CA waits.
    pub fn rotation_switch(&self) -> Result<(), Error> {
        if self.rotation() != RotationPhase::TrustBoth {
            return Err(Error::Refused(format!(
                "no next {} CA waits: begin with `etcd-admin ca rotate start`",
                self.kind()
            )));
        }
        let (next, previous) = (self.place(NEXT), self.place(PREVIOUS));
        super::private_dir(&previous)?;
        // The certificate is last in each step: it shows that the step is done. Files that an
        // interrupted switch has saved are not saved again, for the place may hold the next CA
        // already.
        if !previous.join(CERTIFICATE).exists() {
            for name in [super::ca_dir::KEY, CERTIFICATE] {
                copy(&self.path().join(name), &previous.join(name))?;
            }
        }
        for name in [super::ca_dir::KEY, CERTIFICATE] {
            let content = super::read(&next.join(name))?;
            let mode = if name == CERTIFICATE { PUBLIC_MODE } else { super::PRIVATE_MODE };
            super::replace(&self.path().join(name), &content, mode)?;
        }
        self.write_bundle(&[self.path().to_owned(), previous])?;
        fs::remove_dir_all(&next).map_err(Error::file("remove", &next))
    }

    /// Returns the valid certificates of the previous CA: each is a reason not to drop it yet.
    ///
    /// # Errors
    /// When the register is damaged.
    pub fn left_of_previous(&self, now: OffsetDateTime) -> Result<Vec<register::Issued>, Error> {
        let Some(previous) = self.previous()? else { return Ok(Vec::new()) };
        let (entries, ca, issuing) = (self.entries()?, previous.fingerprint_hex(), self.facts()?.fingerprint_hex());
        let revoked: Vec<_> =
            register::revoked(&entries, &ca).iter().map(|revocation| crate::hex(&revocation.serial)).collect();
        // The register is in the order of issue: what comes later for the same bearer supersedes,
        // whatever names it has.
        let issued: Vec<&register::Issued> = register::issued(&entries).collect();
        let is_superseded = |position: usize, old: &register::Issued| {
            issued[position + 1..].iter().any(|new| {
                let by_either = new.ca == issuing || new.ca == ca;
                by_either && (new.profile, &new.common_name) == (old.profile, &old.common_name)
            })
        };
        let left = issued.iter().enumerate().filter(|(position, issued)| {
            let is_alive = issued.ca == ca && issued.not_after > now && !revoked.contains(&issued.serial);
            is_alive && !is_superseded(*position, issued)
        });
        Ok(left.map(|(_, issued)| (*issued).clone()).collect())
    }

    /// Drops the previous CA from the bundle. Its files are kept in `retired/`.
    ///
    /// # Errors
    /// When there is no previous CA.
    pub fn rotation_finish(&self) -> Result<(), Error> {
        let Some(previous) = self.previous()? else {
            return Err(Error::Refused(format!("there is no previous {} CA to drop", self.kind())));
        };
        self.write_bundle(&[self.path().to_owned()])?;
        let retired = self.place(RETIRED).join(&previous.fingerprint_hex()[..16]);
        super::private_dir(&self.place(RETIRED))?;
        fs::rename(self.place(PREVIOUS), &retired).map_err(Error::file("move to", &retired))
    }

    fn write_bundle(&self, dirs: &[PathBuf]) -> Result<(), Error> {
        let mut bundle = String::new();
        for dir in dirs {
            write!(bundle, "{}", *super::read_text(&dir.join(CERTIFICATE))?).expect("a text can always grow");
        }
        super::replace(&self.bundle_path(), bundle.as_bytes(), PUBLIC_MODE)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<(), Error> {
    let mode = if from.ends_with(CERTIFICATE) { PUBLIC_MODE } else { super::PRIVATE_MODE };
    super::replace(to, &super::read(from)?, mode)
}
