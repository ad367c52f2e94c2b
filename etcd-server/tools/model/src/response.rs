//! The outcome that the model demands of an entry.

use crate::{Change, Counts, Refusal};
use proto::{authpb, etcdserverpb as pb};

/// The response to an ordered request. Headers hold revisions alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Without content.
    Done,
    /// To a put.
    Put(pb::PutResponse),
    /// To a deletion.
    DeleteRange(pb::DeleteRangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To a compaction at a revision.
    Compaction(i64),
    /// To a grant: the time to live in seconds.
    LeaseGrant(i64),
    /// To an alarm request.
    Alarms(Vec<pb::AlarmMember>),
    /// To a login: the user, and the number behind the letters of its token.
    Authenticated(String, u64),
    /// The switch, and the auth revision.
    AuthStatus(bool, u64),
    /// Names of users or roles.
    Names(Vec<String>),
    /// The permissions of a role.
    Permissions(Vec<authpb::Permission>),
    /// The members after a change.
    Members(Vec<pb::Member>),
}

/// The tokens that lose their validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Those of a user.
    OfUser(String),
    /// All.
    All,
}

/// An action of the member beside the change of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tokens that lose their validity.
    DropTokens(Tokens),
    /// A token that is valid from now on, and its user.
    AssignToken(String, String),
    /// Obsolete history may be removed.
    Compacted,
    /// The alarm NOSPACE is raised for this member.
    RaiseNoSpace,
}

/// Everything that one entry comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The id of the request; 0 for an entry without one.
    pub request_id: u64,
    /// The response or the refusal.
    pub response: Result<Response, Refusal>,
    /// The newest revision behind the entry.
    pub revision: i64,
    /// The changes of keys, in order.
    pub changes: Vec<Change>,
    /// The actions of the member.
    pub effects: Vec<Effect>,
    /// The operations that were executed.
    pub counts: Counts,
}
