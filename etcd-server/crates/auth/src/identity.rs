//! Who asks: a user's name, and how fresh the knowledge of it is.

use proto::etcdserverpb::RequestHeader;

/// Who a request comes from. It travels in the header of the raft entry.
///
/// Invariant: the default value is "nobody": no user and auth revision 0, which no store ever has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name; empty for nobody.
    pub user: String,
    /// The auth revision at which the identity was established: that of the request for simple tokens and certificates, that of the login for JWT.
    pub auth_revision: u64,
}

impl Identity {
    /// The user `name`, as of `auth_revision`.
    pub fn new(name: impl Into<String>, auth_revision: u64) -> Self {
        Self { user: name.into(), auth_revision }
    }

    /// What an entry's header says; an entry without a header comes from nobody.
    pub fn from_header(header: Option<&RequestHeader>) -> Self {
        header.map(|header| Self::new(header.username.as_str(), header.auth_revision)).unwrap_or_default()
    }
}
