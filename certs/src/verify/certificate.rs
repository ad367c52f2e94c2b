//! A certificate, read once, with the data for verification; refused if Go would not read it.

#![expect(clippy::wildcard_enum_match_arm, reason = "kinds of extensions and names are many, and few matter")]

use super::constraints::{NameConstraints, SubjectNames, Subtrees, is_valid_domain};
use super::der::{self, SEQUENCE};
use super::{ChainProblem, Usage};
use crate::text::hex;
use std::net::IpAddr;
use time::OffsetDateTime;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, GeneralSubtree, ParsedExtension, X509Extension};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

const NULL: &[u8] = &[0x05, 0x00];
const OID_RSA: &str = "1.2.840.113549.1.1.1";
const OID_EC: &str = "1.2.840.10045.2.1";
const OID_ED25519: &str = "1.3.101.112";
const OID_ANY_POLICY: &str = "2.5.29.32.0";
/// Curves by identifier, with the bytes of a coordinate.
const CURVES: [(&str, &str, usize); 4] = [
    ("1.3.132.0.33", "P-224", 28),
    ("1.2.840.10045.3.1.7", "P-256", 32),
    ("1.3.132.0.34", "P-384", 48),
    ("1.3.132.0.35", "P-521", 66),
];
/// Extensions that have a meaning here; a critical one outside of them makes the certificate
/// unusable.
const KNOWN_EXTENSIONS: [&str; 12] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];
const AUTHORITY_INFORMATION: &str = "1.3.6.1.5.5.7.1.1";
/// Extensions that Go refuses when they are marked critical.
const NEVER_CRITICAL: [&str; 3] = ["2.5.29.14", "2.5.29.35", AUTHORITY_INFORMATION];
const CERT_SIGN: u16 = 1 << 5;

/// The kind of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Rsa {
        bits: usize,
    },
    /// By the name of its curve.
    Ecdsa(&'static str),
    Ed25519,
    /// By its identifier; it can sign nothing here.
    Other(String),
}

/// A certificate that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCertificate {
    encoded: Vec<u8>,
    signed_part: std::ops::Range<usize>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    version: u32,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    issuer_text: String,
    subject_text: String,
    common_name: Option<String>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    key_info: Vec<u8>,
    key_algorithm: Vec<u8>,
    key: Vec<u8>,
    key_kind: KeyKind,
    rsa_numbers: Option<(Vec<u8>, Vec<u8>)>,
    extensions: Extensions,
}

/// The contents of the extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extensions {
    /// CA flag and path length; `None` without the extension.
    basic: Option<(bool, Option<u32>)>,
    /// Zero without the extension.
    key_usage: u16,
    /// Server and client; `None` if every usage is allowed.
    usages: Option<(bool, bool)>,
    names: SubjectNames,
    constraints: Option<NameConstraints>,
    subject_key_id: Vec<u8>,
    authority_key_id: Vec<u8>,
    unhandled: Option<String>,
    requires_policy: bool,
}

fn malformed(text: impl Into<String>) -> ChainProblem {
    ChainProblem::Malformed(text.into())
}

impl ParsedCertificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// The first error in it.
    pub fn of(encoded: &[u8]) -> Result<Self, ChainProblem> {
        let (rest, parsed) =
            X509Certificate::from_der(encoded).map_err(|error| malformed(format!("malformed certificate: {error}")))?;
        if !rest.is_empty() {
            return Err(malformed("trailing data"));
        }
        let shape = || malformed("malformed certificate");
        let body = der::expect(SEQUENCE, encoded).ok_or_else(shape)?.content;
        let signed = der::expect(SEQUENCE, body).ok_or_else(shape)?;
        let algorithm = der::expect(SEQUENCE, signed.rest).ok_or_else(shape)?;
        let key_info = parsed.public_key();
        let key_parts = der::expect(SEQUENCE, key_info.raw).ok_or_else(shape)?.content;
        let key_algorithm = der::expect(SEQUENCE, key_parts).ok_or_else(shape)?;
        let version = parsed.version().0 + 1;
        if version > 3 {
            return Err(malformed("invalid version"));
        }
        if parsed.raw_serial().first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(malformed("negative serial number"));
        }
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(malformed("inner and outer signature algorithm identifiers don't match"));
        }
        check_name(parsed.issuer())?;
        check_name(parsed.subject())?;
        let start = signed.whole.as_ptr() as usize - encoded.as_ptr() as usize;
        let key = der::bits(key_algorithm.rest).ok_or_else(|| malformed("malformed subjectPublicKey"))?;
        let (key_kind, rsa_numbers) = key_kind(&parsed, key_algorithm.content, key)?;
        Ok(Self {
            encoded: encoded.to_vec(),
            signed_part: start..start + signed.whole.len(),
            signature_algorithm: algorithm.content.to_vec(),
            signature: der::bits(algorithm.rest).ok_or_else(|| malformed("malformed signature"))?.to_vec(),
            version,
            serial: without_zeros(parsed.raw_serial()).to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            issuer_text: parsed.issuer().to_string(),
            subject_text: parsed.subject().to_string(),
            // Go reads a subject from front to back and keeps the last.
            common_name: parsed
                .subject()
                .iter_common_name()
                .last()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            key_info: key_info.raw.to_vec(),
            key_algorithm: key_algorithm.content.to_vec(),
            key: key.to_vec(),
            key_kind,
            rsa_numbers,
            extensions: if version == 3 { Extensions::of(parsed.extensions())? } else { Extensions::default() },
        })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Big-endian, without leading zeros.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The subject as text, `CN=etcd1, O=example`.
    #[must_use]
    pub fn subject_text(&self) -> &str {
        &self.subject_text
    }

    #[must_use]
    pub fn issuer_text(&self) -> &str {
        &self.issuer_text
    }

    /// The subject in DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The issuer in DER.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The last common name of the subject: etcd's user.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The host names among the subject alternative names, as they are written.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.extensions.names.dns
    }

    /// The addresses among the subject alternative names.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.extensions.names.addresses.iter().copied()
    }

    #[must_use]
    pub fn key_kind(&self) -> &KeyKind {
        &self.key_kind
    }

    /// The public key (SubjectPublicKeyInfo in DER).
    #[must_use]
    pub fn key_info(&self) -> &[u8] {
        &self.key_info
    }

    /// The identifier of the key's algorithm, without its outer tag.
    #[must_use]
    pub fn key_algorithm(&self) -> &[u8] {
        &self.key_algorithm
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns `true` if the certificate has the CA flag.
    #[must_use]
    pub fn has_ca_flag(&self) -> bool {
        self.extensions.basic.is_some_and(|(is_ca, _)| is_ca)
    }

    pub(super) fn rsa_numbers(&self) -> Option<(&[u8], &[u8])> {
        self.rsa_numbers.as_ref().map(|(modulus, exponent)| (modulus.as_slice(), exponent.as_slice()))
    }

    pub(super) fn signed_part(&self) -> &[u8] {
        &self.encoded[self.signed_part.clone()]
    }

    pub(super) fn signature_algorithm(&self) -> &[u8] {
        &self.signature_algorithm
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub(super) fn names(&self) -> &SubjectNames {
        &self.extensions.names
    }

    pub(super) fn constraints(&self) -> Option<&NameConstraints> {
        self.extensions.constraints.as_ref()
    }

    pub(super) fn key_ids(&self) -> (&[u8], &[u8]) {
        (&self.extensions.subject_key_id, &self.extensions.authority_key_id)
    }

    pub(super) fn requires_policy(&self) -> bool {
        self.extensions.requires_policy
    }

    /// Returns `true` if its extended key usage, should it have one, allows the role.
    #[must_use]
    pub fn allows(&self, usage: Usage) -> bool {
        self.extensions.usages.is_none_or(|(server, client)| match usage {
            Usage::Server => server,
            Usage::Client => client,
        })
    }

    /// Checks for defects that make a certificate unusable in any place of a chain; `below` are the
    /// CA certificates between it and the leaf.
    pub(super) fn check(&self, below: usize, now: OffsetDateTime) -> Result<(), ChainProblem> {
        if let Some(extension) = &self.extensions.unhandled {
            return Err(ChainProblem::UnhandledExtension(extension.clone()));
        }
        if now < self.not_before {
            return Err(ChainProblem::NotValidYet(crate::rfc3339(self.not_before)));
        }
        if now > self.not_after {
            return Err(ChainProblem::Expired(crate::rfc3339(self.not_after)));
        }
        match self.extensions.basic {
            Some((_, Some(length))) if below > usize::try_from(length).unwrap_or(usize::MAX) => {
                Err(ChainProblem::Other("too many intermediates for path length constraint".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that it may sign certificates.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check_issuing(&self) -> Result<(), &'static str> {
        match self.extensions.basic {
            None if self.version == 3 => return Err("it has no basic constraints (CA:TRUE)"),
            Some((false, _)) => return Err("its basic constraints are CA:FALSE"),
            None | Some((true, _)) => {}
        }
        let usage = self.extensions.key_usage;
        if usage != 0 && usage & CERT_SIGN == 0 { Err("its key usage does not include keyCertSign") } else { Ok(()) }
    }

    /// Checks that it may stand between a root and another certificate, for which the CA flag is
    /// needed in every version.
    pub(super) fn check_intermediate(&self) -> Result<(), &'static str> {
        if self.has_ca_flag() { Ok(()) } else { Err("it is not a CA certificate") }
    }

    /// The serial number in hexadecimal.
    #[must_use]
    pub fn serial_text(&self) -> String {
        hex(&self.serial)
    }
}

pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// The kind of the key, and modulus and exponent of an RSA key.
type Key = (KeyKind, Option<(Vec<u8>, Vec<u8>)>);

fn key_kind(parsed: &X509Certificate<'_>, algorithm: &[u8], key: &[u8]) -> Result<Key, ChainProblem> {
    let info = parsed.public_key();
    let identifier = info.algorithm.algorithm.to_id_string();
    let parameters = der::element(algorithm).map_or(&[][..], |identifier| identifier.rest);
    match identifier.as_str() {
        OID_RSA => {
            if parameters != NULL {
                return Err(malformed("RSA key missing NULL parameters"));
            }
            let Ok(PublicKey::RSA(rsa)) = info.parsed() else { return Err(malformed("invalid RSA public key")) };
            let is_negative = |number: &[u8]| number.first().is_none_or(|byte| byte & 0x80 != 0);
            if is_negative(rsa.modulus) || is_negative(rsa.exponent) {
                return Err(malformed("RSA modulus or public exponent is not a positive number"));
            }
            let (modulus, exponent) = (without_zeros(rsa.modulus), without_zeros(rsa.exponent));
            let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
            let bits = modulus.len() * 8 - usize::try_from(unused).unwrap_or_default();
            Ok((KeyKind::Rsa { bits }, Some((modulus.to_vec(), exponent.to_vec()))))
        }
        OID_EC => {
            let curve = info
                .algorithm
                .parameters
                .as_ref()
                .and_then(|parameters| parameters.as_oid().ok())
                .map(|oid| oid.to_id_string());
            let curve = curve.ok_or_else(|| malformed("invalid ECDSA parameters"))?;
            let known = CURVES.iter().find(|(known, ..)| *known == curve);
            let (_, name, bytes) = known.ok_or_else(|| malformed("unsupported elliptic curve"))?;
            if key.first() != Some(&4) || key.len() != 1 + 2 * bytes {
                return Err(malformed("invalid ECDSA public key"));
            }
            Ok((KeyKind::Ecdsa(name), None))
        }
        OID_ED25519 if !parameters.is_empty() || key.len() != 32 => Err(malformed("invalid Ed25519 public key")),
        OID_ED25519 => Ok((KeyKind::Ed25519, None)),
        _ => Ok((KeyKind::Other(identifier), None)),
    }
}

/// Checks the strings of a name, as Go does by their kinds.
fn check_name(name: &X509Name<'_>) -> Result<(), ChainProblem> {
    use x509_parser::der_parser::asn1_rs::Tag;
    let refused = |kind: &str| Err(malformed(format!("invalid RDNSequence: invalid attribute value: invalid {kind}")));
    for attribute in name.iter_attributes() {
        let (tag, value) = (attribute.attr_value().tag(), attribute.attr_value().data);
        match tag {
            Tag::PrintableString if !value.iter().all(|byte| is_printable(*byte)) => return refused("PrintableString"),
            Tag::Utf8String if std::str::from_utf8(value).is_err() => return refused("UTF-8 string"),
            Tag::Ia5String if !value.is_ascii() => return refused("IA5String"),
            Tag::NumericString if !value.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ') => {
                return refused("NumericString");
            }
            Tag::BmpString if value.len() % 2 != 0 => return refused("BMPString"),
            Tag::PrintableString
            | Tag::Utf8String
            | Tag::Ia5String
            | Tag::NumericString
            | Tag::BmpString
            | Tag::T61String => {}
            _ => return refused("string type"),
        }
    }
    Ok(())
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+,-./ :=?*&".contains(&byte)
}

impl Extensions {
    fn of(extensions: &[X509Extension<'_>]) -> Result<Self, ChainProblem> {
        let mut read = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for extension in extensions {
            let identifier = extension.oid.to_id_string();
            if seen.contains(&identifier) {
                return Err(malformed(format!("certificate contains duplicate extension with OID {identifier:?}")));
            }
            if extension.critical && NEVER_CRITICAL.contains(&identifier.as_str()) {
                return Err(malformed(format!("extension {identifier} is incorrectly marked critical")));
            }
            let is_handled = read.take(extension, &identifier)?;
            if extension.critical && !is_handled {
                read.unhandled = Some(identifier.clone());
            }
            seen.push(identifier);
        }
        Ok(read)
    }

    /// Takes in one extension; returns `true` if all of it is understood.
    fn take(&mut self, extension: &X509Extension<'_>, identifier: &str) -> Result<bool, ChainProblem> {
        let is_known = KNOWN_EXTENSIONS.contains(&identifier) || identifier == AUTHORITY_INFORMATION;
        match extension.parsed_extension() {
            _ if !is_known => return Ok(false),
            ParsedExtension::KeyUsage(usage) => self.key_usage = usage.flags,
            ParsedExtension::BasicConstraints(basic) => self.basic = Some((basic.ca, basic.path_len_constraint)),
            ParsedExtension::ExtendedKeyUsage(usage) => self.usages = usages(usage),
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = id.0.to_vec(),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map_or_else(Vec::new, |id| id.0.to_vec());
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                self.names = subject_names(&names.general_names)?;
                self.names.raw = Some(extension.value.to_vec());
                let SubjectNames { dns, mails, uris, addresses, .. } = &self.names;
                return Ok(!(dns.is_empty() && mails.is_empty() && uris.is_empty() && addresses.is_empty()));
            }
            ParsedExtension::NameConstraints(found) => {
                let (permitted, all_permitted) = subtrees(found.permitted_subtrees.as_deref().unwrap_or_default())?;
                let (excluded, all_excluded) = subtrees(found.excluded_subtrees.as_deref().unwrap_or_default())?;
                if found.permitted_subtrees.is_none() && found.excluded_subtrees.is_none() {
                    return Err(malformed("empty name constraints extension"));
                }
                self.constraints = Some(NameConstraints { permitted, excluded });
                return Ok(all_permitted && all_excluded);
            }
            ParsedExtension::PolicyConstraints(found) => {
                self.requires_policy |= found.require_explicit_policy.is_some()
            }
            ParsedExtension::PolicyMappings(found) => {
                let is_any = |policy: &x509_parser::der_parser::Oid<'_>| policy.to_id_string() == OID_ANY_POLICY;
                self.requires_policy |= found
                    .mappings
                    .iter()
                    .any(|map| is_any(&map.issuer_domain_policy) || is_any(&map.subject_domain_policy));
            }
            ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::CRLDistributionPoints(_)
            | ParsedExtension::InhibitAnyPolicy(_)
            | ParsedExtension::AuthorityInfoAccess(_) => {}
            _ => return Err(malformed(format!("invalid extension {identifier}"))),
        }
        Ok(true)
    }
}

/// Server and client. An extension without any usage restricts nothing in Go.
fn usages(usage: &ExtendedKeyUsage<'_>) -> Option<(bool, bool)> {
    let others = usage.code_signing
        || usage.email_protection
        || usage.time_stamping
        || usage.ocsp_signing
        || !usage.other.is_empty();
    let is_empty = !usage.server_auth && !usage.client_auth && !others;
    (!usage.any && !is_empty).then_some((usage.server_auth, usage.client_auth))
}

fn subject_names(names: &[GeneralName<'_>]) -> Result<SubjectNames, ChainProblem> {
    let mut read = SubjectNames::default();
    for name in names {
        match name {
            GeneralName::DNSName(name) if name.is_ascii() => read.dns.push((*name).to_owned()),
            GeneralName::RFC822Name(mail) if mail.is_ascii() => read.mails.push((*mail).to_owned()),
            GeneralName::URI(uri) if is_uri(uri) => read.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = address(bytes)
                    .ok_or_else(|| malformed(format!("cannot parse IP address of length {}", bytes.len())))?;
                read.addresses.push(address);
            }
            GeneralName::DNSName(_) | GeneralName::RFC822Name(_) | GeneralName::URI(_) | GeneralName::Invalid(..) => {
                return Err(malformed("invalid subject alternative name"));
            }
            _ => {}
        }
    }
    Ok(read)
}

/// Returns `true` for a URI, by a rough version of Go's rule.
fn is_uri(text: &str) -> bool {
    let host = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let escapes =
        text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    let has_odd_scheme = text.starts_with(':')
        || text.split_once(':').is_some_and(|(scheme, _)| scheme.starts_with(|first: char| first.is_ascii_digit()));
    text.bytes().all(|byte| byte.is_ascii_graphic()) && escapes && !has_odd_scheme && is_valid_domain(host, false)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The subtrees, and `true` if all of them are of kinds that are known.
fn subtrees(found: &[GeneralSubtree<'_>]) -> Result<(Subtrees, bool), ChainProblem> {
    let (mut read, mut all_known) = (Subtrees::default(), true);
    let invalid = |text: &str| malformed(format!("failed to parse name constraint {text:?}"));
    for subtree in found {
        match &subtree.base {
            GeneralName::DNSName(domain) if is_valid_domain(domain, true) => read.domains.push((*domain).to_owned()),
            GeneralName::URI(domain) if is_valid_domain(domain, true) && domain.parse::<IpAddr>().is_err() => {
                read.uri_domains.push((*domain).to_owned());
            }
            GeneralName::RFC822Name(mail) => {
                let is_good = match mail.rsplit_once('@') {
                    Some((local, domain)) => !local.is_empty() && !domain.is_empty() && is_valid_domain(domain, false),
                    None => is_valid_domain(mail, true),
                };
                if !is_good {
                    return Err(invalid(mail));
                }
                read.mails.push((*mail).to_owned());
            }
            GeneralName::IPAddress(bytes) => {
                let (network, mask) = bytes.split_at(bytes.len() / 2);
                if !matches!(bytes.len(), 8 | 32) || !is_one_run(mask) {
                    return Err(malformed("IP constraint contained invalid mask"));
                }
                read.networks.push((network.to_vec(), mask.to_vec()));
            }
            GeneralName::DNSName(text) | GeneralName::URI(text) => return Err(invalid(text)),
            GeneralName::Invalid(..) => return Err(malformed("invalid NameConstraints extension")),
            _ => all_known = false,
        }
    }
    Ok((read, all_known))
}

/// Returns `true` if the ones of a mask come first.
fn is_one_run(mask: &[u8]) -> bool {
    let bits: Vec<bool> = mask.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    bits.is_sorted_by(|left, right| left >= right)
}
