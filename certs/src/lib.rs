//! Certificates of a cluster: CAs, profiles, requests, renewal, revocation, inspection.
//!
//! Results are values: time is an argument, and only [`files`] touches a disk. Randomness (keys,
//! serial numbers, salts) is the system's. A private key is never part of an error, a `Debug` text
//! or a file that others may read.

mod algorithm;
mod ca;
mod chain;
mod crl;
mod error;
pub mod files;
mod host_check;
mod inspect;
mod issue;
mod key;
mod name;
mod pem;
mod profile;
mod request;
mod self_signed;
mod text;
pub mod verify;

pub use algorithm::KeyAlgorithm;
pub use ca::{Ca, CaKind, CaPlan, Revocation, RevocationReason};
pub use chain::Chain;
pub use crl::RevocationListFacts;
pub use error::Error;
pub use host_check::{Finding, HostCheck, Severity};
pub use inspect::CertificateFacts;
pub use issue::LeafPlan;
pub use key::{Passphrase, PrivateKey};
pub use name::{Constraint, Name, NameError};
pub use pem::{certificates, revocation_lists};
pub use profile::Profile;
pub use request::SigningRequest;
pub use self_signed::self_signed;
pub use text::{hex, rfc3339, time_left};
pub use verify::{ChainProblem, Usage};

/// A certificate with its PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub der: Vec<u8>,
    pub pem: String,
}

impl Certificate {
    /// Returns its content.
    ///
    /// # Errors
    /// Never for one that this crate made.
    pub fn facts(&self) -> Result<CertificateFacts, Error> {
        CertificateFacts::of(&self.der)
    }
}
