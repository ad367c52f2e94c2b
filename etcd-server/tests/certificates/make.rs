//! Keys and certificates of the table: made when the test runs, so that they are in date, and as
//! wrong as a row wants them.

use crate::der::{
    self, BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, OCTET_STRING, PRINTABLE, SEQUENCE, SET, UTC_TIME, element,
    oid, sequence,
};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// A key pair that can sign certificates and handshakes.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// By the library.
    Library(Arc<KeyPair>),
    /// By openssl, for RSA keys that the library refuses: the file of the key, and its public half.
    Openssl(Arc<OpensslKey>),
}

#[derive(Debug)]
pub(crate) struct OpensslKey {
    file: PathBuf,
    info: Vec<u8>,
}

impl Key {
    pub(crate) fn p256() -> Self {
        Self::of(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn of(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        Self::Library(Arc::new(KeyPair::generate_for(algorithm).unwrap()))
    }

    /// Returns an RSA key of any size, made and used by openssl. The directory has to outlive it.
    pub(crate) fn rsa(dir: &std::path::Path, bits: usize) -> Self {
        let file = dir.join(format!("rsa-{bits}-{}.pem", fastrand::u64(..)));
        openssl(&["genrsa", "-out", file.to_str().unwrap(), &bits.to_string()], &[]);
        Self::of_openssl(file)
    }

    /// A key on P-256 that signs with any hash.
    pub(crate) fn p256_with_any_hash(dir: &std::path::Path) -> Self {
        let file = dir.join(format!("ec-{}.pem", fastrand::u64(..)));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file.to_str().unwrap()], &[]);
        Self::of_openssl(file)
    }

    fn of_openssl(file: PathBuf) -> Self {
        let info = openssl(&["pkey", "-in", file.to_str().unwrap(), "-pubout", "-outform", "DER"], &[]);
        Self::Openssl(Arc::new(OpensslKey { file, info }))
    }

    /// SubjectPublicKeyInfo in DER.
    pub(crate) fn info(&self) -> Vec<u8> {
        match self {
            Self::Library(key) => key.subject_public_key_info(),
            Self::Openssl(key) => key.info.clone(),
        }
    }

    pub(crate) fn sign(&self, signature: Signature, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Library(key) => key.sign(message).unwrap(),
            Self::Openssl(key) => key.sign(signature.hash(), signature == Signature::RsaPssSha256, message),
        }
    }

    /// The same key for the handshakes of rustls.
    pub(crate) fn for_handshakes(&self) -> Arc<dyn SigningKey> {
        match self {
            Self::Library(key) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap()
            }
            Self::Openssl(key) => Arc::new(Handshakes(Arc::clone(key))),
        }
    }

    pub(crate) fn pem(&self) -> String {
        match self {
            Self::Library(key) => key.serialize_pem(),
            Self::Openssl(key) => std::fs::read_to_string(&key.file).unwrap(),
        }
    }
}

impl OpensslKey {
    fn sign(&self, hash: &str, is_pss: bool, message: &[u8]) -> Vec<u8> {
        let mut words = vec!["dgst", hash, "-sign", self.file.to_str().unwrap()];
        if is_pss {
            words.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
        }
        openssl(&words, message)
    }
}

fn openssl(words: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child =
        command.spawn().expect("this test needs openssl, for RSA keys of sizes that no library here signs with");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {words:?}");
    output.stdout
}

/// Handshakes with a key of openssl's: one process for each signature.
#[derive(Debug)]
struct Handshakes(Arc<OpensslKey>);

impl SigningKey for Handshakes {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let scheme = known.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(OneSignature { key: Arc::clone(&self.0), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

#[derive(Debug)]
struct OneSignature {
    key: Arc<OpensslKey>,
    scheme: SignatureScheme,
}

impl Signer for OneSignature {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.key.sign("-sha256", self.scheme == SignatureScheme::RSA_PSS_SHA256, message))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// The algorithm that a certificate names for its signature. Those of SHA-1 and MD5 are made by
/// openssl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    EcdsaSha1,
    Ed25519,
    RsaSha256,
    RsaSha512,
    RsaPssSha256,
    RsaSha1,
    RsaMd5,
}

impl Signature {
    fn hash(self) -> &'static str {
        match self {
            Self::RsaSha1 => "-sha1",
            Self::RsaMd5 => "-md5",
            Self::RsaSha512 | Self::EcdsaSha512 => "-sha512",
            Self::EcdsaSha384 => "-sha384",
            Self::EcdsaSha1 => "-sha1",
            Self::EcdsaSha256 | Self::Ed25519 | Self::RsaSha256 | Self::RsaPssSha256 => "-sha256",
        }
    }

    pub(crate) fn identifier(self) -> Vec<u8> {
        let with_null = |text: &str| sequence(&[oid(text), vec![5, 0]]);
        let alone = |text: &str| sequence(&[oid(text)]);
        match self {
            Self::EcdsaSha256 => alone("1.2.840.10045.4.3.2"),
            Self::EcdsaSha384 => alone("1.2.840.10045.4.3.3"),
            Self::EcdsaSha512 => alone("1.2.840.10045.4.3.4"),
            Self::EcdsaSha1 => alone("1.2.840.10045.4.1"),
            Self::Ed25519 => alone("1.3.101.112"),
            Self::RsaSha256 => with_null("1.2.840.113549.1.1.11"),
            Self::RsaSha512 => with_null("1.2.840.113549.1.1.13"),
            Self::RsaSha1 => with_null("1.2.840.113549.1.1.5"),
            Self::RsaMd5 => with_null("1.2.840.113549.1.1.4"),
            Self::RsaPssSha256 => {
                let sha256 = with_null("2.16.840.1.101.3.4.2.1");
                let mask = sequence(&[oid("1.2.840.113549.1.1.8"), sha256.clone()]);
                let salt = element(INTEGER, &[32]);
                let parameters = sequence(&[element(0xa0, &sha256), element(0xa1, &mask), element(0xa2, &salt)]);
                sequence(&[oid("1.2.840.113549.1.1.10"), parameters])
            }
        }
    }
}

/// A certificate as it will be made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    /// In DER.
    pub(crate) subject: Vec<u8>,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) extensions: Vec<Vec<u8>>,
    /// Replaces the public key of the holder.
    pub(crate) info: Option<Vec<u8>>,
    pub(crate) signature: Signature,
    /// The algorithm named inside, where it differs.
    pub(crate) inner_signature: Option<Signature>,
    /// Replaces the name of the issuer.
    pub(crate) issuer: Option<Vec<u8>>,
    pub(crate) damaged: bool,
}

impl Plan {
    /// Version 3, in date, signed with ECDSA and SHA-256, without extensions.
    pub(crate) fn new(common_name: &str) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            version: 3,
            serial: fastrand::u64(1..1 << 62).to_be_bytes().to_vec(),
            subject: name(PRINTABLE, common_name.as_bytes()),
            not_before: now - Duration::days(30),
            not_after: now + Duration::days(300),
            extensions: Vec::new(),
            info: None,
            signature: Signature::EcdsaSha256,
            inner_signature: None,
            issuer: None,
            damaged: false,
        }
    }

    pub(crate) fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The same with other subject alternative names.
    pub(crate) fn replacing(mut self, names: Vec<u8>) -> Self {
        let identifier = oid("2.5.29.17");
        self.extensions.retain(|extension| !extension.windows(identifier.len()).any(|window| window == identifier));
        self.with(names)
    }

    pub(crate) fn signed(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    pub(crate) fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    pub(crate) fn expired(mut self) -> Self {
        self.not_after = OffsetDateTime::now_utc() - Duration::days(1);
        self
    }

    pub(crate) fn not_yet(mut self) -> Self {
        self.not_before = OffsetDateTime::now_utc() + Duration::days(1);
        self
    }

    /// Makes the certificate for `holder`, signed by `issuer` under its name.
    pub(crate) fn issue(&self, holder: &Key, issuer: &Issuer) -> Vec<u8> {
        let algorithm = self.signature.identifier();
        let mut parts = Vec::new();
        if self.version > 1 {
            parts.push(element(0xa0, &element(INTEGER, &[self.version - 1])));
        }
        parts.push(element(INTEGER, &self.serial));
        parts.push(self.inner_signature.map_or_else(|| algorithm.clone(), Signature::identifier));
        parts.push(self.issuer.clone().unwrap_or_else(|| issuer.subject.clone()));
        parts.push(sequence(&[time(self.not_before), time(self.not_after)]));
        parts.push(self.subject.clone());
        parts.push(self.info.clone().unwrap_or_else(|| holder.info()));
        if !self.extensions.is_empty() {
            parts.push(element(0xa3, &sequence(&self.extensions)));
        }
        let signed = sequence(&parts);
        let mut signature = issuer.key.sign(self.signature, &signed);
        if self.damaged {
            *signature.last_mut().unwrap() ^= 1;
        }
        sequence(&[signed, algorithm, der::bits(&signature)])
    }

    /// Makes a certificate that its own key has signed.
    pub(crate) fn self_signed(&self, key: &Key) -> Vec<u8> {
        self.issue(key, &Issuer { key: key.clone(), subject: self.subject.clone() })
    }
}

/// A signer: a key under a name.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    pub(crate) key: Key,
    pub(crate) subject: Vec<u8>,
}

/// A name of one common name.
pub(crate) fn name(tag: u8, common_name: &[u8]) -> Vec<u8> {
    let attribute = sequence(&[oid("2.5.4.3"), element(tag, common_name)]);
    element(SEQUENCE, &element(SET, &attribute))
}

pub(crate) fn time(moment: OffsetDateTime) -> Vec<u8> {
    let (date, clock) = (moment.date(), moment.time());
    let tail = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    );
    if date.year() < 2050 {
        element(UTC_TIME, format!("{:02}{tail}", date.year() % 100).as_bytes())
    } else {
        element(GENERALIZED_TIME, format!("{:04}{tail}", date.year()).as_bytes())
    }
}

pub(crate) fn extension(identifier: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(identifier)];
    if critical {
        parts.push(element(BOOLEAN, &[0xff]));
    }
    parts.push(element(OCTET_STRING, value));
    sequence(&parts)
}

/// CA flag and path length.
pub(crate) fn basic(is_ca: bool, path_length: Option<u8>) -> Vec<u8> {
    let flag = if is_ca { element(BOOLEAN, &[0xff]) } else { Vec::new() };
    let length = path_length.map_or_else(Vec::new, |length| element(INTEGER, &[length]));
    extension("2.5.29.19", true, &sequence(&[flag, length]))
}

pub(crate) const SIGN: u8 = 0x80;
pub(crate) const ENCIPHER: u8 = 0x20;
pub(crate) const CERT_SIGN: u8 = 0x04;
pub(crate) const CRL_SIGN: u8 = 0x02;

pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &element(BIT_STRING, &[u8::try_from(bits.trailing_zeros()).unwrap(), bits]))
}

pub(crate) const SERVER: &str = "1.3.6.1.5.5.7.3.1";
pub(crate) const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const CODE: &str = "1.3.6.1.5.5.7.3.3";
pub(crate) const ANY: &str = "2.5.29.37.0";

pub(crate) fn usages(usages: &[&str]) -> Vec<u8> {
    extension("2.5.29.37", false, &sequence(&usages.iter().map(|usage| oid(usage)).collect::<Vec<_>>()))
}

/// Subject alternative names by the numbers of their kinds: 1 mail, 2 host, 6 URI, 7 address.
pub(crate) fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    names_as(false, names)
}

pub(crate) fn names_as(critical: bool, names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|(kind, value)| element(0x80 | kind, value)).collect();
    extension("2.5.29.17", critical, &sequence(&names))
}

/// The addresses of members on this machine.
pub(crate) fn here() -> Vec<u8> {
    names(&[(2, b"localhost"), (7, &[127, 0, 0, 1])])
}

/// Name constraints, permitted and excluded.
pub(crate) fn constraints(critical: bool, permitted: &[(u8, &[u8])], excluded: &[(u8, &[u8])]) -> Vec<u8> {
    let subtrees = |tag: u8, names: &[(u8, &[u8])]| {
        let names: Vec<_> = names.iter().map(|(kind, value)| sequence(&[element(*kind, value)])).collect();
        if names.is_empty() { Vec::new() } else { element(tag, &names.concat()) }
    };
    extension("2.5.29.30", critical, &sequence(&[subtrees(0xa0, permitted), subtrees(0xa1, excluded)]))
}

pub(crate) fn pem(label: &str, encoded: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(encoded);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
