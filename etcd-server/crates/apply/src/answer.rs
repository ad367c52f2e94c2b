//! What applying an entry comes to.

use crate::{Operations, Refusal, RequestKind};
use auth::DropTokens;
use proto::etcdserverpb as pb;
use proto::{authpb, etcdserverpb};
use types::{Event, MainRevision};

/// What the client that waits for an entry is told. Headers hold revisions alone; the rest is the member's to fill in.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, and there is nothing to say.
    Done,
    /// To a put.
    Put(pb::PutResponse),
    /// To a deletion.
    DeleteRange(pb::DeleteRangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To a compaction: history up to here is being removed.
    Compaction(MainRevision),
    /// To a lease grant: the time to live it got, in seconds.
    LeaseGrant(i64),
    /// To an alarm request: the alarms it is about.
    Alarms(Vec<pb::AlarmMember>),
    /// To a login: the user, and the index that a simple token carries.
    Authenticated {
        /// Who logged in.
        user: String,
        /// Behind the letters of a simple token.
        token_index: u64,
    },
    /// Whether authentication is on, and its revision.
    AuthStatus {
        /// Whether it is on.
        enabled: bool,
        /// Counts changes.
        auth_revision: u64,
    },
    /// Names of roles or users.
    Names(Vec<String>),
    /// What a role may do.
    Permissions(Vec<authpb::Permission>),
    /// The members after a change.
    Members(Vec<etcdserverpb::Member>),
}

/// The response to an ordered request, and the revision of the key space right behind its entry: the revision of the response's header.
///
/// The published state may have moved on by the time a response is built, so no other revision is right for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The response.
    pub answer: Answer,
    /// The newest revision after this entry and before the next one.
    pub revision: MainRevision,
}

/// What this member has to do because of an entry, beside the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tokens that are no longer good.
    DropTokens(DropTokens),
    /// A token that is good from now on.
    AssignToken {
        /// The whole token.
        token: String,
        /// Whose it is.
        user: String,
    },
    /// History became superfluous: removal may start.
    Compacted,
    /// The quota was overrun: the NOSPACE alarm should be raised for this member.
    RaiseNoSpace,
}

/// One entry applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Id of the request, for finding who waits for it; 0 when the entry has none.
    pub request_id: u64,
    /// What was asked for; `None` when the entry holds no request, as the first of a leader and configuration changes do.
    pub kind: Option<RequestKind>,
    /// What it came to.
    pub operations: Operations,
    /// For the client.
    pub outcome: Result<Ordered, Refusal>,
    /// For watchers, once the batch is readable.
    pub events: Vec<Event>,
    /// For this member.
    pub effects: Vec<Effect>,
}

impl Applied {
    /// Returns the outcome of an entry that holds no request: the first entry of a leader, or a configuration change.
    #[must_use]
    pub(crate) fn without_request(request_id: u64, revision: MainRevision, outcome: Result<Answer, Refusal>) -> Self {
        let outcome = outcome.map(|answer| Ordered { answer, revision });
        Self { request_id, kind: None, operations: Operations::default(), outcome, events: Vec::new(), effects: Vec::new() }
    }
}
