//! The outcome of an entry, in the terms of the model.

use apply::{Applied, ApplyError, ApplyResponse, MembershipChange, Operations};
use auth::{AuthError, DropTokens};
use lease::LeaseError;
use membership::MembershipError;
use model::{Change, Configuration, Counts, Effect, Refusal, Response, Tokens, Verdict};
use mvcc::MvccError;
use prost::Message as _;
use proto::mvccpb::KeyValue;
use types::Event;

/// Returns the outcome of an entry that was applied.
///
/// `revision` is the newest one behind the entry: a refusal does not carry it.
pub fn verdict(applied: &Applied, revision: i64) -> Verdict {
    let response = match &applied.outcome {
        Ok(ordered) => Ok(response(&ordered.response)),
        Err(error) => Err(refusal(error)),
    };
    let revision = applied.outcome.as_ref().map_or(revision, |ordered| ordered.revision);
    Verdict {
        request_id: applied.request_id,
        response,
        revision,
        changes: applied.events.iter().map(change).collect(),
        effects: applied.effects.iter().map(effect).collect(),
        counts: counts(applied.operations),
    }
}

/// Returns the effect of a configuration change.
pub fn configuration(change: MembershipChange) -> Configuration {
    match change {
        MembershipChange::None => Configuration::Unchanged,
        MembershipChange::AddVoter(id) => Configuration::Voter(id.0),
        MembershipChange::AddLearner(id) => Configuration::Learner(id.0),
        MembershipChange::Remove(id) => Configuration::Removed(id.0),
    }
}

fn counts(operations: Operations) -> Counts {
    let Operations { ranges, puts, deletes, put_bytes } = operations;
    Counts { ranges, puts, deletes, put_bytes, total: operations.total() }
}

fn change(event: &Event) -> Change {
    let decode = || KeyValue::decode(event.record.clone()).expect("the record of an event is a key-value message");
    let kv = (!event.is_delete()).then(decode);
    Change { main: event.revision.main, sub: event.revision.sub, key: event.key.to_vec(), kv }
}

fn effect(effect: &apply::Effect) -> Effect {
    match effect {
        apply::Effect::DropTokens(DropTokens::OfUser(user)) => Effect::DropTokens(Tokens::OfUser(user.clone())),
        apply::Effect::DropTokens(DropTokens::Everybody) => Effect::DropTokens(Tokens::All),
        apply::Effect::DropTokens(DropTokens::Nobody) => panic!("an effect without any token"),
        apply::Effect::AssignToken { token, user } => Effect::AssignToken(token.clone(), user.clone()),
        apply::Effect::Compacted => Effect::Compacted,
        apply::Effect::RaiseNoSpace => Effect::RaiseNoSpace,
    }
}

fn response(response: &ApplyResponse) -> Response {
    match response.clone() {
        ApplyResponse::Done => Response::Done,
        ApplyResponse::Put(put) => Response::Put(put),
        ApplyResponse::DeleteRange(delete) => Response::DeleteRange(delete),
        ApplyResponse::Txn(txn) => Response::Txn(txn),
        ApplyResponse::Compaction(revision) => Response::Compaction(revision),
        ApplyResponse::LeaseGrant(ttl) => Response::LeaseGrant(ttl),
        ApplyResponse::Alarms(alarms) => Response::Alarms(alarms),
        ApplyResponse::Authenticated { user, token_index } => Response::Authenticated(user, token_index),
        ApplyResponse::AuthStatus { enabled, auth_revision } => Response::AuthStatus(enabled, auth_revision),
        ApplyResponse::Names(names) => Response::Names(names),
        ApplyResponse::Permissions(permissions) => Response::Permissions(permissions),
        ApplyResponse::Members(members) => Response::Members(members),
    }
}

fn refusal(error: &ApplyError) -> Refusal {
    match error {
        ApplyError::NoSpace => Refusal::NoSpace,
        ApplyError::Corrupt => Refusal::Corrupt,
        ApplyError::UnknownRequest => Refusal::UnknownRequest,
        ApplyError::Keys(MvccError::Compacted { .. }) => Refusal::Compacted,
        ApplyError::Keys(MvccError::FutureRevision { .. }) => Refusal::FutureRevision,
        ApplyError::Keys(MvccError::KeyNotFound) => Refusal::KeyNotFound,
        ApplyError::Keys(MvccError::LeaseNotFound) | ApplyError::Lease(LeaseError::LeaseNotFound { .. }) => {
            Refusal::LeaseNotFound
        }
        ApplyError::Lease(LeaseError::LeaseExists { .. }) => Refusal::LeaseExists,
        ApplyError::Lease(LeaseError::TtlTooLarge { .. }) => Refusal::LeaseTtlTooLarge,
        ApplyError::Auth(error) => auth_refusal(*error),
        ApplyError::Membership(error) => member_refusal(error),
    }
}

fn auth_refusal(error: AuthError) -> Refusal {
    match error {
        AuthError::UserEmpty => Refusal::UserEmpty,
        AuthError::UserAlreadyExists => Refusal::UserExists,
        AuthError::UserNotFound => Refusal::UserNotFound,
        AuthError::RoleEmpty => Refusal::RoleEmpty,
        AuthError::RoleAlreadyExists => Refusal::RoleExists,
        AuthError::RoleNotFound => Refusal::RoleNotFound,
        AuthError::AuthFailed => Refusal::AuthFailed,
        AuthError::NoPasswordUser => Refusal::NoPasswordUser,
        AuthError::PermissionDenied => Refusal::PermissionDenied,
        AuthError::RoleNotGranted => Refusal::RoleNotGranted,
        AuthError::PermissionNotGranted => Refusal::PermissionNotGranted,
        AuthError::PermissionNotGiven => Refusal::PermissionNotGiven,
        AuthError::AuthNotEnabled => Refusal::AuthNotEnabled,
        AuthError::AuthOldRevision => Refusal::AuthOldRevision,
        AuthError::InvalidAuthMgmt => Refusal::InvalidAuthManagement,
        AuthError::RootUserNotExist => Refusal::RootUserNotExist,
        AuthError::RootRoleNotExist => Refusal::RootRoleNotExist,
        AuthError::InvalidAuthToken | AuthError::VerifyOnlyKey => Refusal::Other,
    }
}

fn member_refusal(error: &MembershipError) -> Refusal {
    match error {
        MembershipError::MemberRemoved { .. } | MembershipError::MemberNotFound { .. } => Refusal::MemberNotFound,
        MembershipError::MemberExists { .. } => Refusal::MemberExists,
        MembershipError::PeerUrlInUse { .. } => Refusal::PeerUrlExists,
        MembershipError::TooManyLearners { .. } => Refusal::TooManyLearners,
        MembershipError::NotLearner { .. } => Refusal::MemberNotLearner,
    }
}
