//! A CA: a certificate that signs others, with its key.

use crate::issue::{LeafPlan, serial_number};
use crate::{Certificate, CertificateFacts, Constraint, Error, PrivateKey, SigningRequest};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, NameConstraints, RevokedCertParams, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;
use std::fmt;
use time::{Duration, OffsetDateTime};

/// Clocks of machines differ; a certificate is valid so long before it was made.
pub(crate) const BACKDATED: Duration = Duration::minutes(5);

/// The kind of a CA: two of them, so that a client's certificate is not valid between members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaKind {
    /// Issues for clients and for their servers.
    Client,
    /// Issues for members among themselves.
    Peer,
}

impl CaKind {
    pub const ALL: [Self; 2] = [Self::Client, Self::Peer];

    /// Returns its name, as operators write it, and as directories are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }
}

impl fmt::Display for CaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The properties of a new CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaPlan {
    pub common_name: String,
    pub lifetime: Duration,
    /// Names and networks that it may issue for; none stands for all.
    pub constraints: Vec<Constraint>,
}

/// A certificate that is no longer to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Big-endian, as in the certificate.
    pub serial: Vec<u8>,
    pub at: OffsetDateTime,
    pub reason: RevocationReason,
}

/// The reason why a certificate was revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    #[default]
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

impl RevocationReason {
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// As operators write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    fn code(self) -> Option<rcgen::RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(rcgen::RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(rcgen::RevocationReason::AffiliationChanged),
            Self::Superseded => Some(rcgen::RevocationReason::Superseded),
            Self::CessationOfOperation => Some(rcgen::RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(rcgen::RevocationReason::PrivilegeWithdrawn),
        }
    }
}

/// A certificate and the key that it signs others with. Invariant: they belong together, and the
/// certificate is a CA's.
#[derive(Debug)]
pub struct Ca {
    certificate: Certificate,
    facts: CertificateFacts,
    key: PrivateKey,
}

impl Ca {
    /// Creates a new CA, signed by itself.
    ///
    /// # Errors
    /// When the common name cannot be written into a certificate.
    pub fn create(plan: &CaPlan, key: PrivateKey, now: OffsetDateTime) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, plan.common_name.as_str());
        params.not_before = whole_seconds(now - BACKDATED);
        params.not_after = whole_seconds(now + plan.lifetime);
        params.serial_number = Some(serial_number()?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        if !plan.constraints.is_empty() {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: plan.constraints.iter().map(Constraint::to_rcgen).collect(),
                excluded_subtrees: Vec::new(),
            });
        }
        let made = params.self_signed(key.pair()).map_err(|source| Error::make("make a CA", &source))?;
        Self::of(made.der().to_vec(), key)
    }

    /// Returns a CA from its files.
    ///
    /// # Errors
    /// When the certificate is no CA's, or the key is another's.
    pub fn of(certificate: Vec<u8>, key: PrivateKey) -> Result<Self, Error> {
        let facts = CertificateFacts::of(&certificate)?;
        if !facts.is_ca {
            return Err(Error::Refused(format!("{} is not a CA: it may not sign certificates", facts.subject)));
        }
        if facts.public_key != key.public_key() {
            return Err(Error::KeyMismatch);
        }
        let pem = to_pem("CERTIFICATE", &certificate);
        Ok(Self { certificate: Certificate { der: certificate, pem }, facts, key })
    }

    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    #[must_use]
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// A certificate for a key that is at hand.
    ///
    /// # Errors
    /// When the plan is refused, see [`LeafPlan`].
    pub fn issue(&self, plan: &LeafPlan, key: &PrivateKey, now: OffsetDateTime) -> Result<Certificate, Error> {
        let params = plan.params(&self.facts, now)?;
        self.signed(&params, key.pair())
    }

    /// Signs a certificate for a key that stays where it was made. The plan decides its content,
    /// not the request.
    ///
    /// # Errors
    /// When the plan is refused, see [`LeafPlan`].
    pub fn sign(&self, plan: &LeafPlan, request: &SigningRequest, now: OffsetDateTime) -> Result<Certificate, Error> {
        let params = plan.params(&self.facts, now)?;
        self.signed(&params, request.public_key())
    }

    /// A certificate in the place of one that has run out: for the key in it, which stays where it
    /// is.
    ///
    /// # Errors
    /// When the plan is refused, see [`LeafPlan`], or the key is of a kind that is not known.
    pub fn sign_again(
        &self,
        plan: &LeafPlan,
        old: &CertificateFacts,
        now: OffsetDateTime,
    ) -> Result<Certificate, Error> {
        let params = plan.params(&self.facts, now)?;
        let key = SubjectPublicKeyInfo::from_der(&old.public_key)
            .map_err(|source| Error::make("read the key of a certificate", &source))?;
        self.signed(&params, &key)
    }

    fn signed(&self, params: &CertificateParams, key: &impl rcgen::PublicKeyData) -> Result<Certificate, Error> {
        let made =
            params.signed_by(key, &self.issuer()?).map_err(|source| Error::make("sign a certificate", &source))?;
        Ok(Certificate { der: made.der().to_vec(), pem: made.pem() })
    }

    /// Returns the CRL of this CA, in DER. `number` grows with each CRL.
    ///
    /// # Errors
    /// When the dates cannot be written.
    pub fn revocation_list(
        &self,
        revoked: &[Revocation],
        number: u64,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Vec<u8>, Error> {
        let revoked = revoked.iter().map(|revocation| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&revocation.serial),
            revocation_time: whole_seconds(revocation.at),
            reason_code: revocation.reason.code(),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: whole_seconds(now - BACKDATED),
            next_update: whole_seconds(now + lifetime),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(self.facts.subject_key_id.clone()),
        };
        let list =
            params.signed_by(&self.issuer()?).map_err(|source| Error::make("sign a revocation list", &source))?;
        Ok(list.der().to_vec())
    }

    fn issuer(&self) -> Result<Issuer<'static, &rcgen::KeyPair>, Error> {
        let der = CertificateDer::from(self.certificate.der.clone());
        Issuer::from_ca_cert_der(&der, self.key.pair()).map_err(|source| Error::make("use a CA", &source))
    }
}

/// Certificates count in seconds.
pub(crate) fn whole_seconds(moment: OffsetDateTime) -> OffsetDateTime {
    moment.replace_nanosecond(0).unwrap_or(moment)
}

/// One block of PEM.
pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    pkcs8::der::pem::encode_string(label, pkcs8::LineEnding::LF, der)
        .expect("labels are ours, and bytes of a certificate fit into memory")
}
