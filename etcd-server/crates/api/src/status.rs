//! The one place where refusals become gRPC statuses. Clients compare these texts, so they are
//! etcd's, letter by letter.

use crate::call_head;
use admission::InvalidRequest;
use membership::{DowngradeRejection, ReconfigurationRejection};
use replica::RequestError;
use tonic::{Code, Status};

/// Something that has a gRPC status.
pub trait ToStatus {
    /// The status a client sees.
    fn to_status(&self) -> Status;
}

impl ToStatus for InvalidRequest {
    fn to_status(&self) -> Status {
        Status::invalid_argument(match self {
            Self::EmptyKey => "etcdserver: key is not provided",
            Self::EmptyOperation => "etcdserver: key not found",
            Self::ValueProvided => "etcdserver: value is provided",
            Self::LeaseProvided => "etcdserver: lease is provided",
            Self::TooManyOperations => "etcdserver: too many operations in txn request",
            Self::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Self::InvalidSortOption => "etcdserver: invalid sort option",
        })
    }
}

impl ToStatus for mvcc::MvccError {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            Self::Compacted { .. } => (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            Self::FutureRevision { .. } => {
                (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision")
            }
            Self::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
            Self::LeaseNotFound => (Code::NotFound, "etcdserver: requested lease not found"),
        };
        Status::new(code, text)
    }
}

impl ToStatus for lease::LeaseError {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            Self::LeaseNotFound { .. } => (Code::NotFound, "etcdserver: requested lease not found"),
            Self::LeaseExists { .. } => (Code::FailedPrecondition, "etcdserver: lease already exists"),
            Self::TtlTooLarge { .. } => (Code::OutOfRange, "etcdserver: too large lease TTL"),
        };
        Status::new(code, text)
    }
}

impl ToStatus for auth::AuthError {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            Self::UserEmpty => (Code::InvalidArgument, "etcdserver: user name is empty"),
            Self::UserAlreadyExists => (Code::FailedPrecondition, "etcdserver: user name already exists"),
            Self::UserNotFound => (Code::FailedPrecondition, "etcdserver: user name not found"),
            Self::RoleEmpty => (Code::InvalidArgument, "etcdserver: role name is empty"),
            Self::RoleAlreadyExists => (Code::FailedPrecondition, "etcdserver: role name already exists"),
            Self::RoleNotFound => (Code::FailedPrecondition, "etcdserver: role name not found"),
            Self::AuthFailed => {
                (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password")
            }
            // These two have no status of their own in etcd, so clients see the inner text as
            // unknown.
            Self::NoPasswordUser => {
                (Code::Unknown, "auth: authentication failed, password was given for no password user")
            }
            Self::VerifyOnlyKey => (Code::Unknown, "auth: token signing attempted with verify-only key"),
            Self::PermissionDenied => (Code::PermissionDenied, "etcdserver: permission denied"),
            Self::RoleNotGranted => (Code::FailedPrecondition, "etcdserver: role is not granted to the user"),
            Self::PermissionNotGranted => {
                (Code::FailedPrecondition, "etcdserver: permission is not granted to the role")
            }
            Self::PermissionNotGiven => (Code::InvalidArgument, "etcdserver: permission not given"),
            Self::AuthNotEnabled => (Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
            Self::AuthOldRevision => (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
            Self::InvalidAuthToken => (Code::Unauthenticated, "etcdserver: invalid auth token"),
            Self::InvalidAuthMgmt => (Code::InvalidArgument, "etcdserver: invalid auth management"),
            Self::RootUserNotExist => (Code::FailedPrecondition, "etcdserver: root user does not exist"),
            Self::RootRoleNotExist => (Code::FailedPrecondition, "etcdserver: root user does not have root role"),
        };
        Status::new(code, text)
    }
}

impl ToStatus for membership::MembershipError {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            Self::MemberRemoved { .. } | Self::MemberNotFound { .. } => {
                (Code::NotFound, "etcdserver: member not found")
            }
            Self::MemberExists { .. } => (Code::FailedPrecondition, "etcdserver: member ID already exist"),
            Self::PeerUrlInUse { .. } => (Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
            Self::TooManyLearners { .. } => {
                (Code::FailedPrecondition, "etcdserver: too many learner members in cluster")
            }
            Self::NotLearner { .. } => (Code::FailedPrecondition, "etcdserver: can only promote a learner member"),
        };
        Status::new(code, text)
    }
}

impl ToStatus for ReconfigurationRejection {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            // etcd forgets to give this one its code.
            Self::NotEnoughStarted { .. } => {
                (Code::Unknown, "etcdserver: re-configuration failed due to not enough started members")
            }
            Self::Unhealthy { .. } => (Code::Unavailable, "etcdserver: unhealthy cluster"),
        };
        Status::new(code, text)
    }
}

impl ToStatus for DowngradeRejection {
    fn to_status(&self) -> Status {
        let (code, text) = match self {
            Self::WrongFormat { .. } => (Code::InvalidArgument, "etcdserver: wrong downgrade target version format"),
            Self::NoClusterVersion => {
                (Code::FailedPrecondition, "etcdserver: cluster version not found during downgrade")
            }
            Self::InvalidTarget { .. } => (Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
            Self::InProgress { .. } => {
                (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress")
            }
        };
        Status::new(code, text)
    }
}

impl ToStatus for apply::ApplyError {
    fn to_status(&self) -> Status {
        match self {
            Self::Keys(refusal) => refusal.to_status(),
            Self::Lease(refusal) => refusal.to_status(),
            Self::Auth(refusal) => refusal.to_status(),
            Self::Membership(refusal) => refusal.to_status(),
            Self::NoSpace => Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
            Self::Corrupt => Status::data_loss("etcdserver: corrupt cluster"),
            Self::UnknownRequest => Status::unknown("etcdserver: unknown request"),
        }
    }
}

impl ToStatus for RequestError {
    fn to_status(&self) -> Status {
        match self {
            Self::State(refusal) => refusal.to_status(),
            // etcd forgets to give this one its code.
            Self::TooManyRequests => Status::unknown("etcdserver: too many requests"),
            Self::TooLarge => Status::invalid_argument("etcdserver: request is too large"),
            Self::NoLeader => call_head::deadline_exceeded(),
            Self::TimedOut => Status::unavailable("etcdserver: request timed out"),
            Self::LeaderFailed => {
                Status::unavailable("etcdserver: request timed out, possibly due to previous leader failure")
            }
            Self::Stopped => Status::unavailable("etcdserver: server stopped"),
        }
    }
}

/// A timeout of a member that had lost its leader, or as leader its followers.
pub(crate) fn connection_lost() -> Status {
    Status::unavailable("etcdserver: request timed out, possibly due to connection lost")
}

/// The alarm that stops writes, met before proposing.
pub(crate) fn no_space() -> Status {
    apply::ApplyError::NoSpace.to_status()
}

/// As etcd's gRPC library says it.
pub(crate) fn too_large(length: usize, bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({length} vs. {bytes_max})"))
}

/// Returns the status of a call that a learner does not serve.
pub(crate) fn not_for_learners() -> Status {
    Status::failed_precondition("etcdserver: rpc not supported for learner")
}

/// Only the leader can do this.
pub(crate) fn not_leader() -> Status {
    Status::failed_precondition("etcdserver: not leader")
}

/// Another member leads than the one that was asked: the same question finds its way the next time.
pub(crate) fn leader_changed() -> Status {
    Status::unavailable("etcdserver: leader changed")
}

/// Returns the status after a failed read of the store: the member is stopping, and no other
/// response would be true.
pub(crate) fn faulted() -> Status {
    stopped()
}

/// The member is stopping.
pub(crate) fn stopped() -> Status {
    RequestError::Stopped.to_status()
}
