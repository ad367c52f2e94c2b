//! The content of a certificate, as plain values.

#![expect(clippy::wildcard_enum_match_arm, reason = "kinds of extensions and names are many, and few matter")]

use crate::text::hex;
use crate::{Constraint, Error, Name};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use time::OffsetDateTime;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

/// The content of a certificate. Dates are UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The whole subject, `CN=etcd1, O=example`.
    pub subject: String,
    /// The last common name of the subject, as Go takes it: etcd's user.
    pub common_name: Option<String>,
    pub issuer: String,
    /// Big-endian.
    pub serial: Vec<u8>,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub names: Vec<Name>,
    /// `ECDSA P-256`, `RSA 2048`, `Ed25519`.
    pub key: String,
    /// The public key (SubjectPublicKeyInfo in DER).
    pub public_key: Vec<u8>,
    pub is_ca: bool,
    /// `true` if it may serve; a certificate that names no usage may do everything.
    pub server_usage: bool,
    /// `true` if it may be shown by a client.
    pub client_usage: bool,
    /// Empty when the certificate has none.
    pub subject_key_id: Vec<u8>,
    pub authority_key_id: Vec<u8>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

impl CertificateFacts {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// When it is no certificate, or damaged.
    pub fn of(der: &[u8]) -> Result<Self, Error> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| Error::Certificate(error.to_string()))?;
        if !rest.is_empty() {
            return Err(Error::Certificate(format!("{} bytes follow its end", rest.len())));
        }
        let usage = extended_usage(&parsed);
        let may = |allowed: fn(&ExtendedKeyUsage<'_>) -> bool| usage.is_none_or(|usage| usage.any || allowed(usage));
        Ok(Self {
            subject: parsed.subject().to_string(),
            common_name: common_name(&parsed),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial().to_vec(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            names: names(&parsed),
            key: key(&parsed),
            public_key: parsed.public_key().raw.to_vec(),
            is_ca: parsed.is_ca(),
            server_usage: may(|usage| usage.server_auth),
            client_usage: may(|usage| usage.client_auth),
            subject_key_id: key_ids(&parsed).0,
            authority_key_id: key_ids(&parsed).1,
            fingerprint: Sha256::digest(der).into(),
        })
    }

    /// SHA-256 of the certificate in hexadecimal.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        hex(&self.fingerprint)
    }

    #[must_use]
    pub fn serial_hex(&self) -> String {
        hex(&self.serial)
    }

    /// Returns the name constraints in a CA's certificate; empty where it may issue for all.
    ///
    /// # Errors
    /// When it is no certificate, or has constraints of an unknown kind.
    pub fn constraints_of(der: &[u8]) -> Result<Vec<Constraint>, Error> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| Error::Certificate(error.to_string()))?;
        let unknown = || Error::Certificate("its name constraints are of a kind that is not known here".to_owned());
        let Some(found) = parsed.name_constraints().map_err(|_| unknown())? else { return Ok(Vec::new()) };
        if found.value.excluded_subtrees.is_some() {
            return Err(unknown());
        }
        let permitted = found.value.permitted_subtrees.iter().flatten();
        permitted.map(|subtree| constraint(&subtree.base).ok_or_else(unknown)).collect()
    }

    /// Returns `true` if two thirds of its life are over, when it is time for the next.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        let life = self.not_after - self.not_before;
        now - self.not_before >= life * 2 / 3
    }

    /// The names that it stands for, of the wanted.
    #[must_use]
    pub fn uncovered<'a>(&self, wanted: &'a [Name]) -> Vec<&'a Name> {
        wanted.iter().filter(|wanted| !self.names.iter().any(|own| own.covers(wanted))).collect()
    }
}

fn extended_usage<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a ExtendedKeyUsage<'a>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::ExtendedKeyUsage(usage) => Some(usage),
        _ => None,
    })
}

/// Go reads a subject from front to back and keeps the last.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let found = certificate.subject().iter_common_name().last()?;
    found.as_str().ok().map(str::to_owned)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Name> {
    let Ok(Some(found)) = certificate.subject_alternative_name() else { return Vec::new() };
    found.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(host) => Some(Name::Dns(host.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => address(bytes).map(Name::Ip),
        GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some(Name::Other((*text).to_owned())),
        _ => None,
    }
}

fn constraint(name: &GeneralName<'_>) -> Option<Constraint> {
    match name {
        GeneralName::DNSName(domain) => Some(Constraint::Domain(domain.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let (network, mask) = bytes.split_at(bytes.len() / 2);
            let prefix = mask.iter().map(|byte| byte.count_ones()).sum::<u32>();
            Some(Constraint::Network { address: address(network)?, prefix: u8::try_from(prefix).ok()? })
        }
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.public_key().algorithm.algorithm.to_id_string();
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        // The size of the point identifies the curve, and is a byte more for P-521 than bits would
        // suggest.
        Ok(PublicKey::EC(point)) => match point.key_size() {
            256 => "ECDSA P-256".to_owned(),
            384 => "ECDSA P-384".to_owned(),
            size if size > 500 => "ECDSA P-521".to_owned(),
            size => format!("ECDSA {size}"),
        },
        _ if oid == "1.3.101.112" => "Ed25519".to_owned(),
        _ => oid,
    }
}

/// Returns the key ids of the subject and of the CA.
fn key_ids(certificate: &X509Certificate<'_>) -> (Vec<u8>, Vec<u8>) {
    let (mut subject, mut ca) = (Vec::new(), Vec::new());
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject = id.0.to_vec(),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                ca = id.key_identifier.as_ref().map_or_else(Vec::new, |id| id.0.to_vec())
            }
            _ => {}
        }
    }
    (subject, ca)
}
