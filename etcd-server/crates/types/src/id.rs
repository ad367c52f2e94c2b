//! Identifiers. Each is a type of its own so that one cannot be passed for another.

use std::fmt;

/// A member's id: the first eight bytes of a SHA-1, as etcd computes it. Zero is never a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A cluster's id, computed from its first members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// A lease's id. Zero means "no lease"; negative ids are legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// "No lease".
    pub const NONE: Self = Self(0);

    /// Returns `true` if this names a lease at all.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

// Members and clusters are written in lower-case hex without leading zeros everywhere (headers,
// logs, paths).
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

// Leases are written in hex of the two's complement, sixteen digits, as etcd logs them.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
