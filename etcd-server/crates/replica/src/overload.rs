//! The check before a proposal that apply keeps up with committed entries.
//!
//! The figures are etcd's (server/etcdserver/v3_server.go and util.go). etcd has no bound for the
//! number of requests in flight; raft bounds uncommitted entries, in bytes.

use apply::RequestKind;

/// Committed entries that may wait for apply before new requests are refused.
const GAP_MAX: u64 = 5_000;
/// The same for revokes of leases while they have priority.
const PRIORITY_GAP_MAX: u64 = 10_000;

/// The origin of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proposer {
    Client,
    /// The leader itself, such as for the revoke of an expired lease: clients must not be able to
    /// keep leases alive by overload.
    Leader,
}

/// When requests are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overload {
    /// The feature gate PriorityRequest.
    pub(crate) prioritizes_revokes: bool,
}

impl Overload {
    /// Returns `true` if a request is to be refused while `gap` committed entries are not applied.
    pub(crate) fn refuses(self, proposer: Proposer, kind: RequestKind, gap: u64) -> bool {
        let has_priority = self.prioritizes_revokes && kind == RequestKind::LeaseRevoke;
        proposer == Proposer::Client && gap > if has_priority { PRIORITY_GAP_MAX } else { GAP_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_clients_beyond_the_gap_and_never_the_leader() {
        let (plain, priority) = (Overload { prioritizes_revokes: false }, Overload { prioritizes_revokes: true });
        for (overload, kind, refused_from) in [
            (plain, RequestKind::Put, 5_001),
            (plain, RequestKind::LeaseRevoke, 5_001),
            (priority, RequestKind::Put, 5_001),
            (priority, RequestKind::LeaseRevoke, 10_001),
        ] {
            assert!(!overload.refuses(Proposer::Client, kind, refused_from - 1), "{overload:?} {kind:?}");
            assert!(overload.refuses(Proposer::Client, kind, refused_from), "{overload:?} {kind:?}");
            assert!(!overload.refuses(Proposer::Leader, kind, u64::MAX), "{overload:?} {kind:?}");
        }
    }
}
