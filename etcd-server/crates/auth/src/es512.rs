//! The one sign method of etcd that the JWT library lacks: ECDSA over P-521 with SHA-512.
//!
//! Only the differences are here: keys, and the compact form `header.claims.signature` around bytes
//! of claims.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p521::ecdsa::signature::{Signer, Verifier};
use p521::ecdsa::{Signature, SigningKey, VerifyingKey};
use p521::elliptic_curve::sec1::ToEncodedPoint;
use p521::pkcs8::{DecodePrivateKey, DecodePublicKey};
use p521::{PublicKey, SecretKey};
use serde::Deserialize;

const HEADER: &str = r#"{"alg":"ES512","typ":"JWT"}"#;

/// Signs claims.
pub(crate) struct Es512Signer(SigningKey);

/// Checks signatures.
pub(crate) struct Es512Checker(VerifyingKey);

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// A private key in either PEM form, with its public half; nothing when the content holds none on
/// this curve.
pub(crate) fn read_private(content: &[u8]) -> Option<(Es512Signer, Es512Checker)> {
    let text = std::str::from_utf8(content).ok()?;
    let secret = SecretKey::from_pkcs8_pem(text).ok().or_else(|| SecretKey::from_sec1_pem(text).ok())?;
    let signer = SigningKey::from_slice(&secret.to_bytes()).ok()?;
    Some((Es512Signer(signer), checker(&secret.public_key())?))
}

/// A public key; nothing when the content holds none on this curve.
pub(crate) fn read_public(content: &[u8]) -> Option<Es512Checker> {
    checker(&PublicKey::from_public_key_pem(std::str::from_utf8(content).ok()?).ok()?)
}

fn checker(key: &PublicKey) -> Option<Es512Checker> {
    VerifyingKey::from_encoded_point(&key.to_encoded_point(false)).ok().map(Es512Checker)
}

impl Es512Signer {
    /// A token around `claims`, which are JSON.
    pub(crate) fn token(&self, claims: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
        let signature: Signature = self.0.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

impl Es512Checker {
    /// The claims of a token whose header names this method and whose signature is right.
    pub(crate) fn claims(&self, token: &str) -> Option<Vec<u8>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let genuine = header.alg == "ES512" && self.0.verify(message.as_bytes(), &signature).is_ok();
        if genuine { URL_SAFE_NO_PAD.decode(claims).ok() } else { None }
    }

    /// Returns `true` if both halves are of one key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.to_encoded_point(false) == other.0.to_encoded_point(false)
    }
}
