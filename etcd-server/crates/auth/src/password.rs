//! Passwords: bcrypt, in the form that Go's library writes and etcd stores.
//!
//! Everything here but the base64 form burns CPU on purpose (some 50 ms at cost 10): the caller
//! runs it off the threads that serve requests, a bounded number at a time. Salts are arguments.
//! Nothing stores or prints a password.

use crate::AuthError;
use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt;

/// The cost that is used when none is given, or one that bcrypt does not know.
pub const BCRYPT_COST_DEFAULT: u32 = 10;
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// bcrypt looks at no more; Go refuses longer passwords instead of cutting them.
const PASSWORD_BYTES_MAX: usize = 72;

/// The reason why a password cannot be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Longer than bcrypt can distinguish. The text is the one that etcd's clients see.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
}

/// The cost to work with when `--bcrypt-cost` says `given`: outside 4 to 31 it is the default.
pub fn bcrypt_cost(given: u32) -> u32 {
    if BCRYPT_COSTS.contains(&given) { given } else { BCRYPT_COST_DEFAULT }
}

/// The hash of `password`: 60 characters that begin with `$2a$`. An unknown cost is replaced as
/// [`bcrypt_cost`] says.
///
/// # Errors
/// [`PasswordError::TooLong`].
pub fn hash_password(password: &str, cost: u32, salt: [u8; 16]) -> Result<String, PasswordError> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let parts = bcrypt::hash_with_salt(password, bcrypt_cost(cost), salt)
        .expect("only the cost can be wrong, and it was checked");
    Ok(parts.format_for_version(bcrypt::Version::TwoA))
}

/// The hash of `password` as it travels in a raft entry: base64 of the hash's text.
///
/// # Errors
/// [`PasswordError::TooLong`].
pub fn hash_for_raft(password: &str, cost: u32, salt: [u8; 16]) -> Result<String, PasswordError> {
    Ok(RAFT_FORM.encode(hash_password(password, cost, salt)?))
}

/// Returns `true` if `password` belongs to `hash`. A text that is no bcrypt hash, such as the empty
/// one, belongs to no password.
pub fn verify_password(password: &str, hash: &[u8]) -> bool {
    let hash = std::str::from_utf8(hash).unwrap_or_default();
    bcrypt::verify(password, hash).unwrap_or(false)
}

/// As Go's decoder reads it: stray bits in the last character do not matter, and line ends are
/// skipped by [`from_raft`].
const RAFT_FORM: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The hash's text out of a raft entry; nothing when it is not base64.
pub(crate) fn from_raft(hashed_password: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = hashed_password.bytes().filter(|byte| !b"\r\n".contains(byte)).collect();
    RAFT_FORM.decode(text).ok()
}

/// A salt for the rare entry that brings no hash: the same on every member, another for each
/// change.
pub(crate) fn salt_of_change(name: &str, auth_revision: u64) -> [u8; 16] {
    let digest = Sha256::new().chain_update(auth_revision.to_be_bytes()).chain_update(name).finalize();
    std::array::from_fn(|at| digest[at])
}

/// A login whose password is still to be checked. Made by [`crate::AuthStore::login`], checked
/// where CPU may be burnt.
pub struct Login {
    /// `None` for a user that does not exist.
    hash: Option<Bytes>,
    auth_revision: u64,
}

impl fmt::Debug for Login {
    // Neither the hash nor whether the user exists may reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("auth_revision", &self.auth_revision).finish_non_exhaustive()
    }
}

impl Login {
    pub(crate) fn of_user(hash: Bytes, auth_revision: u64) -> Self {
        Self { hash: Some(hash), auth_revision }
    }

    pub(crate) fn of_nobody(auth_revision: u64) -> Self {
        Self { hash: None, auth_revision }
    }

    /// Checks `password` and returns the auth revision it was checked at. `cost` is the configured
    /// one: for a user that does not exist, or has no usable hash, that much work is done all the
    /// same, so that the time reveals no names.
    ///
    /// # Errors
    /// [`AuthError::AuthFailed`].
    pub fn verify(&self, password: &str, cost: u32) -> Result<u64, AuthError> {
        let usable = self.hash.as_ref().filter(|hash| hash.len() == 60);
        let Some(hash) = usable else {
            // Only its cost matters; the answer is no.
            let _spent = verify_password(password, dummy_hash(cost).as_bytes());
            return Err(AuthError::AuthFailed);
        };
        if verify_password(password, hash) { Ok(self.auth_revision) } else { Err(AuthError::AuthFailed) }
    }
}

/// A well-formed hash of no known password.
fn dummy_hash(cost: u32) -> String {
    format!("$2a${:02}${}", bcrypt_cost(cost), ".".repeat(53))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_the_form_of_go_and_a_known_value() {
        // A published test vector of bcrypt ("U*U" with this salt), in the version that Go writes.
        let salt = [0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10, 0x41, 0x04, 0x10];
        assert_eq!(
            hash_password("U*U", 5, salt).unwrap(),
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
        );
    }

    #[test]
    fn a_hash_that_etcd_stored_is_verified() {
        let stored = b"$2a$04$btXHOE0oO8JX9r.HWswFDuqC3/t/6usVNCdtMVJqHi.3ZVuTzK8ki";
        assert!(verify_password("rootpw", stored) && !verify_password("rootpx", stored));
    }

    #[test]
    fn raft_form_is_read_back_and_verified() {
        let field = hash_for_raft("secret", 4, [7; 16]).unwrap();
        let text = from_raft(&field).unwrap();
        assert!(text.starts_with(b"$2a$04$") && text.len() == 60);
        assert!(verify_password("secret", &text) && !verify_password("Secret", &text) && !verify_password("", &text));
        assert_eq!(from_raft(&format!("{}\r\n{}", &field[..10], &field[10..])), Some(text));
        assert_eq!(from_raft("not base64!"), None);
    }

    #[test]
    fn passwords_beyond_72_bytes_are_refused_when_set_and_cut_when_checked() {
        let longest = "x".repeat(72);
        let hash = hash_password(&longest, 4, [1; 16]).unwrap();
        assert_eq!(hash_password(&"x".repeat(73), 4, [1; 16]), Err(PasswordError::TooLong));
        assert!(
            verify_password(&"x".repeat(80), hash.as_bytes()) && !verify_password(&"x".repeat(71), hash.as_bytes())
        );
    }

    #[test]
    fn costs_outside_bcrypts_range_become_the_default() {
        assert_eq!([0, 3, 4, 31, 32].map(bcrypt_cost), [10, 10, 4, 31, 10]);
    }

    #[test]
    fn each_change_has_a_salt_of_its_own() {
        let changes = [("ann", 1), ("ann", 2), ("bob", 1)];
        let salts = changes.map(|(name, auth_revision)| salt_of_change(name, auth_revision));
        assert_eq!(salts, changes.map(|(name, auth_revision)| salt_of_change(name, auth_revision)), "on every member");
        assert!(salts[0] != salts[1] && salts[0] != salts[2] && salts[1] != salts[2]);
    }

    #[test]
    fn the_dummy_is_a_real_hash_of_the_asked_cost() {
        assert_eq!(bcrypt::verify("", &dummy_hash(4)).ok(), Some(false));
        assert!(dummy_hash(12).starts_with("$2a$12$"));
    }

    #[test]
    fn nobody_and_empty_hashes_never_pass() {
        let logins =
            [Login::of_nobody(3), Login::of_user(Bytes::new(), 3), Login::of_user(Bytes::from(vec![b'.'; 60]), 3)];
        assert!(logins.iter().all(|login| login.verify("", 4) == Err(AuthError::AuthFailed)));
        let known = Login::of_user(hash_password("", 4, [0; 16]).unwrap().into(), 3);
        assert_eq!(known.verify("", 4), Ok(3));
        assert_eq!(format!("{known:?}"), "Login { auth_revision: 3, .. }");
    }
}
