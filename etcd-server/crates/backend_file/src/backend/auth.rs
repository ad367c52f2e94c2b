//! Buckets `auth`, `authUsers` and `authRoles`.
//!
//! A user's roles are sorted by name and a role's permissions by key; every change keeps them so.

use super::record::{Entry, RecordError, decode, encode};
use bytes::Bytes;
use proto::authpb::{Role, User};

/// In `auth`: one byte, 0 or 1.
pub const AUTH_ENABLED_KEY: &[u8] = b"authEnabled";

/// In `auth`: [`u64_value`](super::u64_value), from 1 on; written even if authentication was never
/// used.
pub const AUTH_REVISION_KEY: &[u8] = b"authRevision";

/// The entry of a user, under the name.
pub fn user_entry(user: &User) -> Entry {
    (user.name.clone(), encode(user))
}

/// Reads a user.
pub fn user_from(value: Bytes) -> Result<User, RecordError> {
    decode("user", value)
}

/// The entry of a role, under its name.
pub fn role_entry(role: &Role) -> Entry {
    (role.name.clone(), encode(role))
}

/// Reads a role.
pub fn role_from(value: Bytes) -> Result<Role, RecordError> {
    decode("role", value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::authpb::UserAddOptions;

    #[test]
    fn options_are_written_even_when_empty() {
        let user = |no_password| User { options: Some(UserAddOptions { no_password }), ..User::default() };
        assert_eq!(user_entry(&user(false)).1[..], [0x22, 0]);
        assert_eq!(user_entry(&user(true)).1[..], [0x22, 2, 8, 1]);
    }
}
