//! The identity of a caller: a user's name, and the auth revision at which it was established.

use proto::etcdserverpb::RequestHeader;

/// The identity of a request's caller. It travels in the header of the raft entry.
///
/// Invariant: the default value is anonymous: no user and auth revision 0, which no store ever has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name; empty for an anonymous caller.
    pub user: String,
    /// The auth revision at which the identity was established: that of the request for simple
    /// tokens and certificates, that of the login for JWT.
    pub auth_revision: u64,
}

impl Identity {
    /// The user `name`, as of `auth_revision`.
    pub fn new(name: impl Into<String>, auth_revision: u64) -> Self {
        Self { user: name.into(), auth_revision }
    }

    /// Returns the identity in an entry's header; an entry without a header is anonymous.
    pub fn from_header(header: Option<&RequestHeader>) -> Self {
        header.map(|header| Self::new(header.username.as_str(), header.auth_revision)).unwrap_or_default()
    }
}
