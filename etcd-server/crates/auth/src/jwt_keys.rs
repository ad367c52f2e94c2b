//! Keys of JWTs: read from the content of the files that `pub-key` and `priv-key` name, and proven
//! to belong together.

use crate::es512::{self, Es512Checker, Es512Signer};
use crate::token_options::{SignMethod, TokenOptionError};
use jsonwebtoken::crypto::{sign, verify};
use jsonwebtoken::errors::{ErrorKind, Result as KeyResult};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use p256::pkcs8::EncodePrivateKey;

const PUBLIC: &str = "pub-key";
const PRIVATE: &str = "priv-key";
const EITHER: &str = "pub-key or priv-key";
const NO_SUCH_KEY: &str = "not a PEM file with such a key";
/// Bytes of the modulus of the smallest RSA key that aws-lc verifies with; an encoded key is longer
/// than its modulus.
const RSA_BYTES_MIN: usize = 2048 / 8;
/// The text that is signed to see whether two keys belong together.
const PROBE: &[u8] = b"probe";

/// The signing and the verifying key. Without the first, this member can only check tokens.
pub(crate) enum JwtKeys {
    /// Of a method that the library knows.
    Library { algorithm: Algorithm, signing: Option<EncodingKey>, checking: DecodingKey },
    /// Of ES512.
    Es512 { signing: Option<Box<Es512Signer>>, checking: Box<Es512Checker> },
}

impl JwtKeys {
    /// Reads the contents of the key files, as far as they are given. With a private key alone the
    /// public one is computed.
    ///
    /// # Errors
    /// [`TokenOptionError::MissingKey`], [`TokenOptionError::BadKey`],
    /// [`TokenOptionError::KeyMismatch`].
    pub(crate) fn read(
        method: SignMethod,
        public: Option<&[u8]>,
        private: Option<&[u8]>,
    ) -> Result<Self, TokenOptionError> {
        let (public, private) = (public.filter(|key| !key.is_empty()), private.filter(|key| !key.is_empty()));
        match method.algorithm {
            None => read_es512(public, private),
            Some(algorithm) if algorithm.family() == AlgorithmFamily::Hmac => {
                let secret = private.ok_or(TokenOptionError::MissingKey { option: PRIVATE })?;
                let (signing, checking) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
                Ok(Self::Library { algorithm, signing: Some(signing), checking })
            }
            Some(algorithm) => read_pair(method, algorithm, public, private),
        }
    }

    /// Returns `true` if there is a key to sign with.
    pub(crate) fn can_sign(&self) -> bool {
        match self {
            Self::Library { signing, .. } => signing.is_some(),
            Self::Es512 { signing, .. } => signing.is_some(),
        }
    }
}

fn read_es512(public: Option<&[u8]>, private: Option<&[u8]>) -> Result<JwtKeys, TokenOptionError> {
    let bad = |option| TokenOptionError::BadKey { option, method: "ES512", detail: NO_SUCH_KEY.to_owned() };
    let private = private.map(|content| es512::read_private(content).ok_or_else(|| bad(PRIVATE))).transpose()?;
    let public = public.map(|content| es512::read_public(content).ok_or_else(|| bad(PUBLIC))).transpose()?;
    match (private, public) {
        (None, None) => Err(TokenOptionError::MissingKey { option: EITHER }),
        (None, Some(checking)) => Ok(JwtKeys::Es512 { signing: None, checking: Box::new(checking) }),
        (Some((_, own)), Some(given)) if !own.is_same(&given) => Err(TokenOptionError::KeyMismatch),
        (Some((signing, checking)), _) => {
            Ok(JwtKeys::Es512 { signing: Some(Box::new(signing)), checking: Box::new(checking) })
        }
    }
}

fn read_pair(
    method: SignMethod,
    algorithm: Algorithm,
    public: Option<&[u8]>,
    private: Option<&[u8]>,
) -> Result<JwtKeys, TokenOptionError> {
    let bad =
        |option| move |error| TokenOptionError::BadKey { option, method: method.name(), detail: describe(&error) };
    let signing = private.map(|content| read_private(algorithm, content)).transpose().map_err(bad(PRIVATE))?;
    let given = public.map(|content| read_public(algorithm, content)).transpose().map_err(bad(PUBLIC))?;
    let checking = match (given, &signing) {
        (Some(key), _) => key,
        (None, Some(private)) => public_of(algorithm, private).map_err(bad(PRIVATE))?,
        (None, None) => return Err(TokenOptionError::MissingKey { option: EITHER }),
    };
    if let Some(signing) = &signing {
        let signature = sign(PROBE, signing, algorithm).map_err(bad(PRIVATE))?;
        let belongs = verify(&signature, PROBE, &checking, algorithm).map_err(bad(PUBLIC))?;
        belongs.then_some(()).ok_or(TokenOptionError::KeyMismatch)?;
    }
    Ok(JwtKeys::Library { algorithm, signing, checking })
}

/// The library's errors on keys hold no part of the key; the kind is enough for an operator.
fn describe(error: &jsonwebtoken::errors::Error) -> String {
    if matches!(error.kind(), ErrorKind::InvalidKeyFormat) { NO_SUCH_KEY.to_owned() } else { error.to_string() }
}

fn read_private(algorithm: Algorithm, content: &[u8]) -> KeyResult<EncodingKey> {
    match algorithm.family() {
        AlgorithmFamily::Ec => match ec_private_der(algorithm, content) {
            // `openssl ecparam -genkey` writes this older form, which the library does not read.
            Some(der) => Ok(EncodingKey::from_ec_der(&der)),
            None => EncodingKey::from_ec_pem(content),
        },
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(content),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(content),
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(content)),
    }
}

/// A private key in a block `EC PRIVATE KEY`, as PKCS #8.
fn ec_private_der(algorithm: Algorithm, content: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(content).ok()?;
    let der = if algorithm == Algorithm::ES256 {
        p256::SecretKey::from_sec1_pem(text).ok()?.to_pkcs8_der().ok()?
    } else {
        p384::SecretKey::from_sec1_pem(text).ok()?.to_pkcs8_der().ok()?
    };
    Some(der.as_bytes().to_vec())
}

fn read_public(algorithm: Algorithm, content: &[u8]) -> KeyResult<DecodingKey> {
    match algorithm.family() {
        AlgorithmFamily::Ec => {
            let key = DecodingKey::from_ec_pem(content)?;
            if is_point(algorithm, key.as_bytes()) { Ok(key) } else { Err(ErrorKind::InvalidEcdsaKey.into()) }
        }
        AlgorithmFamily::Ed => {
            let key = DecodingKey::from_ed_pem(content)?;
            // The library takes 32 bytes without asking whether there are so many.
            let whole = key.as_bytes().len() == 32;
            if whole { Ok(key) } else { Err(ErrorKind::InvalidKeyFormat.into()) }
        }
        AlgorithmFamily::Rsa => {
            let key = DecodingKey::from_rsa_pem(content)?;
            let is_large = key.as_bytes().len() > RSA_BYTES_MIN;
            if is_large {
                Ok(key)
            } else {
                Err(ErrorKind::InvalidRsaKey("RSA keys below 2048 bits are not supported".to_owned()).into())
            }
        }
        AlgorithmFamily::Hmac => Ok(DecodingKey::from_secret(content)),
    }
}

/// Returns `true` if the bytes are a point of the method's curve. The library would take any, and
/// refuse every token later.
fn is_point(algorithm: Algorithm, bytes: &[u8]) -> bool {
    if algorithm == Algorithm::ES256 {
        p256::PublicKey::from_sec1_bytes(bytes).is_ok()
    } else {
        p384::PublicKey::from_sec1_bytes(bytes).is_ok()
    }
}

fn public_of(algorithm: Algorithm, private: &EncodingKey) -> KeyResult<DecodingKey> {
    if algorithm.family() == AlgorithmFamily::Ed {
        use ed25519_dalek::pkcs8::DecodePrivateKey;
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(private.inner()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
        return Ok(DecodingKey::from_ed_der(key.verifying_key().as_bytes()));
    }
    DecodingKey::from_jwk(&Jwk::from_encoding_key(private, algorithm)?)
}
