//! Positions in the history of the key space.

/// The number of a mutating request: starts at 1 on an empty store, the first write is 2.
pub type MainRevision = i64;

/// The position of one change in history: the number of the request, and the number of the change
/// within that request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Shared by all changes of one request.
    pub main: MainRevision,
    /// Counts 0, 1, 2… within the request.
    pub sub: i64,
}

impl Revision {
    /// Length of the form that etcd stores and hashes.
    pub const ETCD_BYTES: usize = 17;

    /// `main` and `sub` together.
    pub fn new(main: MainRevision, sub: i64) -> Self {
        Self { main, sub }
    }

    /// The form of etcd's backend: big-endian main, `_`, big-endian sub. A tombstone's key has a
    /// `t` behind it.
    pub fn to_etcd_bytes(self) -> [u8; Self::ETCD_BYTES] {
        let mut bytes = [0; Self::ETCD_BYTES];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[8] = b'_';
        bytes[9..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }
}
