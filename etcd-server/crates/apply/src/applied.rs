//! The outcome of applying an entry.

use crate::{ApplyError, Operations, RequestKind};
use auth::DropTokens;
use proto::etcdserverpb as pb;
use proto::{authpb, etcdserverpb};
use types::{Event, MainRevision};

/// The response to the client that waits for an entry. Headers hold revisions alone; the member
/// fills in the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum ApplyResponse {
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
        /// The authenticated user.
        user: String,
        /// Behind the letters of a simple token.
        token_index: u64,
    },
    /// State and revision of authentication.
    AuthStatus {
        /// `true` if it is on.
        enabled: bool,
        /// Counts changes.
        auth_revision: u64,
    },
    /// Names of roles or users.
    Names(Vec<String>),
    /// The permissions of a role.
    Permissions(Vec<authpb::Permission>),
    /// The members after a change.
    Members(Vec<etcdserverpb::Member>),
}

/// The response to an ordered request, and the revision of the key space right behind its entry:
/// the revision of the response's header.
///
/// The published state may have moved on by the time a response is built, so no other revision is
/// right for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The response.
    pub response: ApplyResponse,
    /// The newest revision after this entry and before the next one.
    pub revision: MainRevision,
}

/// An action of this member that an entry requires, beside the change of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tokens that are no longer good.
    DropTokens(DropTokens),
    /// A token that is good from now on.
    AssignToken {
        /// The whole token.
        token: String,
        /// The user of the token.
        user: String,
    },
    /// History became obsolete: removal may start.
    Compacted,
    /// The quota was overrun: the NOSPACE alarm should be raised for this member.
    RaiseNoSpace,
}

/// One entry applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Id of the request, by which the waiting caller is found; 0 if the entry has none.
    pub request_id: u64,
    /// Kind of the request; `None` if the entry holds no request, such as the first of a leader and
    /// configuration changes.
    pub kind: Option<RequestKind>,
    /// The operations that it executed.
    pub operations: Operations,
    /// For the client.
    pub outcome: Result<Ordered, ApplyError>,
    /// For watchers, once the batch is readable.
    pub events: Vec<Event>,
    /// For this member.
    pub effects: Vec<Effect>,
}

impl Applied {
    /// Returns the outcome of an entry that holds no request: the first entry of a leader, or a
    /// configuration change.
    #[must_use]
    pub(crate) fn without_request(
        request_id: u64,
        revision: MainRevision,
        outcome: Result<ApplyResponse, ApplyError>,
    ) -> Self {
        let outcome = outcome.map(|response| Ordered { response, revision });
        Self {
            request_id,
            kind: None,
            operations: Operations::default(),
            outcome,
            events: Vec::new(),
            effects: Vec::new(),
        }
    }
}
