//! Private keys: made, read, and written with or without a passphrase.

use crate::{Error, KeyAlgorithm};
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Below this a passphrase is guessed before the day is over.
const PASSPHRASE_CHARACTERS_MIN: usize = 8;
/// Cost of turning a passphrase into a key: eight times 16 MiB of memory written for each guess, in
/// turn, because openssl refuses to use 32 MiB at once.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_TURNS: u32 = 8;

/// A passphrase; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// One line of a file or an input; its end of line is not part of it.
    #[must_use]
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Checks that it is good enough to protect a key.
    ///
    /// # Errors
    /// When it is too short.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.chars().count() < PASSPHRASE_CHARACTERS_MIN {
            return Err(Error::PassphraseShort { least: PASSPHRASE_CHARACTERS_MIN });
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A private key; wiped when dropped, never shown.
pub struct PrivateKey {
    pair: KeyPair,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, Error> {
        Ok(Self { pair: algorithm.generate()? })
    }

    /// A key from a PEM file: PKCS#8, SEC1 or PKCS#1, or encrypted PKCS#8 with its passphrase.
    ///
    /// # Errors
    /// When there is no key in it, it is of an unknown kind, or the passphrase is missing or wrong.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, Error> {
        if text.contains("Proc-Type: 4,ENCRYPTED") {
            let reason = "it is encrypted in OpenSSL's older form; convert it with `openssl pkcs8 -topk8`";
            return Err(Error::Key(reason.to_owned()));
        }
        if is_encrypted(text) {
            let passphrase = passphrase.ok_or(Error::PassphraseNeeded)?;
            return Self::decrypt(text, passphrase);
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| Error::Key("no private key in PEM form found".to_owned()))?;
        Self::from_der(&der)
    }

    fn decrypt(text: &str, passphrase: &Passphrase) -> Result<Self, Error> {
        let start = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----").unwrap_or_default();
        let (_, document) = SecretDocument::from_pem(text[start..].trim_end())
            .map_err(|_| Error::Key("the PEM block is damaged".to_owned()))?;
        let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
            .map_err(|_| Error::Key("the PEM block is damaged".to_owned()))?;
        let plain = encrypted.decrypt(passphrase.bytes()).map_err(|_| Error::WrongPassphrase)?;
        let der = PrivateKeyDer::try_from(plain.as_bytes()).map_err(|reason| Error::Key(reason.to_owned()))?;
        Self::from_der(&der)
    }

    fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, Error> {
        let pair = KeyPair::try_from(der);
        let unknown = || {
            Error::Key(
                "it is of a kind that TLS here does not know; ECDSA, Ed25519 and RSA from 2048 bits are known"
                    .to_owned(),
            )
        };
        Ok(Self { pair: pair.map_err(|_| unknown())? })
    }

    /// PKCS#8 in PEM form, unprotected.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.serialize_pem())
    }

    /// PKCS#8 in PEM form under a passphrase (PBES2: scrypt and AES-256-CBC, which openssl reads).
    ///
    /// # Errors
    /// When the passphrase is too short.
    pub fn to_encrypted_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, Error> {
        passphrase.check()?;
        let (mut salt, mut vector) = ([0; 16], [0; 16]);
        let failed = |reason: &dyn std::fmt::Display| Error::Make {
            action: "encrypt a private key",
            reason: reason.to_string(),
        };
        getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut vector)).map_err(|error| failed(&error))?;
        let cost =
            pkcs8::pkcs5::scrypt::Params::new(SCRYPT_LOG_N, 8, SCRYPT_TURNS, 32).map_err(|error| failed(&error))?;
        let parameters = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &vector).map_err(|error| failed(&error))?;
        // Keys read from SEC1 or PKCS#1 files are brought into PKCS#8 first.
        let plain = Zeroizing::new(self.pkcs8()?);
        let info = PrivateKeyInfo::try_from(plain.as_slice()).map_err(|error| failed(&error))?;
        let document = info.encrypt_with_params(parameters, passphrase.bytes()).map_err(|error| failed(&error))?;
        document.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF).map_err(|error| failed(&error))
    }

    fn pkcs8(&self) -> Result<Vec<u8>, Error> {
        let der = self.pair.serialize_der();
        if PrivateKeyInfo::try_from(der.as_slice()).is_ok() {
            return Ok(der);
        }
        Err(Error::Key("it is not in PKCS#8 form; convert it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()))
    }

    /// The public half, as certificates hold it (SubjectPublicKeyInfo in DER).
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

/// Returns `true` if a PEM file holds a key that needs a passphrase.
fn is_encrypted(text: &str) -> bool {
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}
