//! The responses of the state to membership changes that it cannot make; the same on every member.

use types::MemberId;

/// The reason why an ordered membership change changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The member was removed; its id never comes back. Answered to clients as "member not found".
    #[error("member {id} was removed")]
    MemberRemoved {
        /// The member meant.
        id: MemberId,
    },
    /// No such member.
    #[error("member {id} is not known")]
    MemberNotFound {
        /// The member meant.
        id: MemberId,
    },
    /// The id is taken.
    #[error("member {id} exists already")]
    MemberExists {
        /// The member meant.
        id: MemberId,
    },
    /// Another member has one of the peer URLs.
    #[error("peer URL {url} is in use by member {by}")]
    PeerUrlInUse {
        /// The URL.
        url: String,
        /// The member that has it.
        by: MemberId,
    },
    /// There would be more learners than allowed.
    #[error("there are {learners} learners already")]
    TooManyLearners {
        /// The number of learners.
        learners: usize,
    },
    /// Only a learner can be promoted.
    #[error("member {id} is not a learner")]
    NotLearner {
        /// The member meant.
        id: MemberId,
    },
}
