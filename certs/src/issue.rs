//! The content of a new certificate.

use crate::ca::{BACKDATED, whole_seconds};
use crate::{CertificateFacts, Error, Name, Profile};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, SerialNumber};
use time::{Duration, OffsetDateTime};

/// Longest common name that a certificate can hold (RFC 5280, ub-common-name).
const COMMON_NAME_CHARACTERS_MAX: usize = 64;
const SERIAL_BYTES: usize = 16;

/// The content of a new certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafPlan {
    pub profile: Profile,
    /// With client authentication on, etcd's user.
    pub common_name: String,
    pub names: Vec<Name>,
    /// Cut at the end of the CA's own life.
    pub lifetime: Duration,
    /// `true` if a server that can only be reached from its own machine is meant.
    pub loopback_only: bool,
}

impl LeafPlan {
    /// Checks that the plan makes sense.
    ///
    /// # Errors
    /// When a server would have no name, one of this machine alone, or the name of the superuser.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |reason: String| Err(Error::Refused(reason));
        let profile = self.profile.name();
        if self.common_name.is_empty() || self.common_name.chars().count() > COMMON_NAME_CHARACTERS_MAX {
            return refused(format!(
                "a common name has 1 to {COMMON_NAME_CHARACTERS_MAX} characters, {:?} has not",
                self.common_name
            ));
        }
        if let Some(fixed) = self.profile.fixed_common_name()
            && fixed != self.common_name
        {
            return refused(format!(
                "the common name of a {profile} certificate is {fixed}; use the client profile for {:?}",
                self.common_name
            ));
        }
        if !self.profile.is_dialled() {
            return Ok(());
        }
        if self.common_name == "root" {
            return refused(format!(
                "a {profile} certificate named root would be the superuser of etcd; choose another common name"
            ));
        }
        if self.names.is_empty() {
            return refused(format!(
                "a {profile} certificate needs the names and addresses that it is reached by: add them"
            ));
        }
        if !self.loopback_only && self.names.iter().all(Name::is_loopback) {
            return refused(format!(
                "a {profile} certificate with loopback names alone cannot be used by other hosts: add the names that they use, or give --loopback-only"
            ));
        }
        Ok(())
    }

    pub(crate) fn params(&self, ca: &CertificateFacts, now: OffsetDateTime) -> Result<CertificateParams, Error> {
        self.check()?;
        if now >= ca.not_after {
            return Err(Error::Refused(format!(
                "the CA {} has expired: exchange it with `etcd-admin ca rotate`",
                ca.subject
            )));
        }
        let failed = |source: rcgen::Error| Error::make("name a certificate", &source);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        params.subject_alt_names = self.names.iter().map(Name::to_rcgen).collect::<Result<_, _>>().map_err(failed)?;
        params.not_before = whole_seconds((now - BACKDATED).max(ca.not_before));
        params.not_after = whole_seconds((now + self.lifetime).min(ca.not_after));
        params.serial_number = Some(serial_number()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = self.profile.usages();
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

/// Random, so that it needs no counter that could be lost; positive, and always of the same length.
pub(crate) fn serial_number() -> Result<SerialNumber, Error> {
    let mut bytes = [0; SERIAL_BYTES];
    getrandom::fill(&mut bytes).map_err(|source| Error::make("draw a serial number", &source))?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
