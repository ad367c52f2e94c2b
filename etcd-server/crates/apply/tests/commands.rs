//! The commands of scripts: each is an entry, or a turn of the member.

use crate::member::Member;
use apply::{Applied, MembershipChange, Operations};
use bytes::Bytes;
use membership::{ConfChange, Member as Joining};
use model::Response;
use prost::Message as _;
use proto::authpb::{Permission, UserAddOptions};
use proto::etcdserverpb::*;
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest};
use proto::raftpb;
use schema::{Table, meta};
use std::fmt::Write as _;
use types::MemberId;

/// Runs a command and returns its output.
pub(crate) fn run(member: &mut Member, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["quota", bytes] => *member = Member::with_quota(bytes.parse().ok()),
        ["stored", bytes] => member.stored_bytes = bytes.parse().unwrap(),
        ["flush"] => member.end_batch(),
        ["restart"] => member.restart(),
        ["leases"] => {
            let one = |(id, terms): (types::LeaseId, lease::Terms)| {
                format!("{}: {} of {} s", id.0, terms.remaining_ttl_seconds, terms.ttl_seconds)
            };
            return member.state.leases.leases().map(one).collect::<Vec<_>>().join(", ");
        }
        ["position"] => {
            let number =
                |key| member.stored(Table::Meta, key).map(|value| u64::from_be_bytes(value.try_into().unwrap()));
            return format!("index {:?}, term {:?}", number(meta::APPLIED_INDEX), number(meta::APPLIED_TERM));
        }
        ["configuration"] => {
            let stored = member.stored(Table::Meta, meta::CONF_STATE).unwrap_or_default();
            let state = raftpb::ConfState::decode(&stored[..]).unwrap();
            return format!("voters {:?}, learners {:?}", state.voters, state.learners);
        }
        ["empty"] => return outcome(&member.apply_data(&[])),
        ["member", ref rest @ ..] => return change_member(member, rest),
        ["as", caller, ref rest @ ..] => {
            let (name, revision) = caller.split_once('@').unwrap_or((caller, ""));
            let auth_revision = revision.parse().unwrap_or_else(|_| member.state.auth.auth_revision());
            let header = if name == "anonymous" {
                RequestHeader::default()
            } else {
                RequestHeader { username: name.to_owned(), auth_revision, ..RequestHeader::default() }
            };
            let request = InternalRaftRequest { header: Some(header), ..request(rest) };
            return outcome(&member.apply(request));
        }
        ref words => return outcome(&member.apply(request(words))),
    }
    "done".to_owned()
}

fn text(word: &str) -> String {
    if word == "-" { String::new() } else { word.to_owned() }
}

/// Returns the request that the words describe.
pub(crate) fn request(words: &[&str]) -> InternalRaftRequest {
    let none = InternalRaftRequest::default();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    match *words {
        ["put", ref rest @ ..] => InternalRaftRequest { put: Some(script::put(rest)), ..none },
        ["del", ref rest @ ..] => InternalRaftRequest { delete_range: Some(script::delete(rest)), ..none },
        ["get", ref rest @ ..] => InternalRaftRequest { range: Some(script::range(rest)), ..none },
        ["txn", ref rest @ ..] => InternalRaftRequest { txn: Some(script::txn(&mut rest.iter())), ..none },
        ["compact", _] => {
            InternalRaftRequest { compaction: Some(CompactionRequest { revision: number(1), physical: false }), ..none }
        }
        ["grant", ..] => {
            InternalRaftRequest { lease_grant: Some(LeaseGrantRequest { id: number(1), ttl: number(2) }), ..none }
        }
        ["revoke", _] => InternalRaftRequest { lease_revoke: Some(LeaseRevokeRequest { id: number(1) }), ..none },
        ["checkpoint", ..] => {
            let checkpoints = vec![LeaseCheckpoint { id: number(1), remaining_ttl: number(2) }];
            InternalRaftRequest { lease_checkpoint: Some(LeaseCheckpointRequest { checkpoints }), ..none }
        }
        ["alarm", action, member_id, kind] => {
            let action = ["get", "raise", "clear"]
                .iter()
                .position(|name| *name == action)
                .map_or(7, |at| i32::try_from(at).unwrap());
            let alarm = ["none", "nospace", "corrupt"]
                .iter()
                .position(|name| *name == kind)
                .map_or(7, |at| i32::try_from(at).unwrap());
            InternalRaftRequest {
                alarm: Some(AlarmRequest { action, member_id: member_id.parse().unwrap(), alarm }),
                ..none
            }
        }
        ["version", ver] => {
            InternalRaftRequest { cluster_version_set: Some(ClusterVersionSetRequest { ver: text(ver) }), ..none }
        }
        ["publish", id, name, ref urls @ ..] => {
            let attributes = Attributes { name: text(name), client_urls: urls.iter().map(|url| text(url)).collect() };
            let set =
                ClusterMemberAttrSetRequest { member_id: id.parse().unwrap(), member_attributes: Some(attributes) };
            InternalRaftRequest { cluster_member_attr_set: Some(set), ..none }
        }
        ["downgrade", ver] => {
            let set = DowngradeInfoSetRequest { enabled: ver != "off", ver: text(ver) };
            InternalRaftRequest { downgrade_info_set: Some(set), ..none }
        }
        ["downgrade-test"] => {
            InternalRaftRequest { downgrade_version_test: Some(DowngradeVersionTestRequest::default()), ..none }
        }
        ["unknown"] => none,
        ["auth" | "user" | "role" | "login", ..] => auth_request(words),
        _ => panic!("no such command: {words:?}"),
    }
}

fn auth_request(words: &[&str]) -> InternalRaftRequest {
    let none = InternalRaftRequest::default();
    match *words {
        ["auth", "enable"] => InternalRaftRequest { auth_enable: Some(AuthEnableRequest {}), ..none },
        ["auth", "disable"] => InternalRaftRequest { auth_disable: Some(AuthDisableRequest {}), ..none },
        ["auth", "status"] => InternalRaftRequest { auth_status: Some(AuthStatusRequest {}), ..none },
        ["login", name, ref letters @ ..] => {
            let simple_token = letters.first().map(|letters| text(letters)).unwrap_or_default();
            let login = InternalAuthenticateRequest { name: text(name), password: String::new(), simple_token };
            InternalRaftRequest { authenticate: Some(login), ..none }
        }
        ["user", "add", name, ref options @ ..] => {
            let options = Some(UserAddOptions { no_password: options.contains(&"no-password") });
            let add = AuthUserAddRequest {
                name: text(name),
                hashed_password: "aGFzaA==".to_owned(),
                options,
                ..Default::default()
            };
            InternalRaftRequest { auth_user_add: Some(add), ..none }
        }
        ["user", "delete", name] => {
            InternalRaftRequest { auth_user_delete: Some(AuthUserDeleteRequest { name: text(name) }), ..none }
        }
        ["user", "password", name] => {
            let change = AuthUserChangePasswordRequest {
                name: text(name),
                hashed_password: "bmV3".to_owned(),
                ..Default::default()
            };
            InternalRaftRequest { auth_user_change_password: Some(change), ..none }
        }
        ["user", "grant", user, role] => InternalRaftRequest {
            auth_user_grant_role: Some(AuthUserGrantRoleRequest { user: text(user), role: text(role) }),
            ..none
        },
        ["user", "revoke", name, role] => InternalRaftRequest {
            auth_user_revoke_role: Some(AuthUserRevokeRoleRequest { name: text(name), role: text(role) }),
            ..none
        },
        ["user", "get", name] => {
            InternalRaftRequest { auth_user_get: Some(AuthUserGetRequest { name: text(name) }), ..none }
        }
        ["user", "list"] => InternalRaftRequest { auth_user_list: Some(AuthUserListRequest {}), ..none },
        ["role", "add", name] => {
            InternalRaftRequest { auth_role_add: Some(AuthRoleAddRequest { name: text(name) }), ..none }
        }
        ["role", "delete", role] => {
            InternalRaftRequest { auth_role_delete: Some(AuthRoleDeleteRequest { role: text(role) }), ..none }
        }
        ["role", "get", role] => {
            InternalRaftRequest { auth_role_get: Some(AuthRoleGetRequest { role: text(role) }), ..none }
        }
        ["role", "list"] => InternalRaftRequest { auth_role_list: Some(AuthRoleListRequest {}), ..none },
        ["role", "grant", name, kind, ref keys @ ..] => {
            let perm_type = ["read", "write", "readwrite"]
                .iter()
                .position(|known| *known == kind)
                .map_or(9, |at| i32::try_from(at).unwrap());
            let perm = Some(Permission { perm_type, key: script::key(keys[0]), range_end: end(keys) });
            let grant = AuthRoleGrantPermissionRequest { name: text(name), perm };
            InternalRaftRequest { auth_role_grant_permission: Some(grant), ..none }
        }
        ["role", "revoke", role, ref keys @ ..] => {
            let revoke =
                AuthRoleRevokePermissionRequest { role: text(role), key: script::key(keys[0]), range_end: end(keys) };
            InternalRaftRequest { auth_role_revoke_permission: Some(revoke), ..none }
        }
        _ => panic!("no such command: {words:?}"),
    }
}

fn end(keys: &[&str]) -> Bytes {
    keys.get(1).map(|end| script::key(end)).unwrap_or_default()
}

fn change_member(member: &mut Member, words: &[&str]) -> String {
    let id = MemberId(words[1].parse().unwrap());
    let peer_urls = || words[2..].iter().map(|url| format!("http://{url}")).collect::<Vec<_>>();
    let joining = |is_learner| Joining { id, peer_urls: peer_urls(), is_learner, ..Joining::default() };
    let change = match words[0] {
        "add" => ConfChange::Add(joining(false)),
        "add-learner" => ConfChange::Add(joining(true)),
        "promote" => ConfChange::Promote(id),
        "update" => ConfChange::Update { id, peer_urls: peer_urls() },
        "remove" => ConfChange::Remove(id),
        _ => panic!("no such command: {words:?}"),
    };
    let (applied, group) = member.apply_conf_change(&change.to_raft(99));
    let raft = match group {
        MembershipChange::None => "no change for raft".to_owned(),
        MembershipChange::AddVoter(_) | MembershipChange::AddLearner(_) | MembershipChange::Remove(_) => {
            format!("raft: {group:?}")
        }
    };
    format!("{}\n{raft}", outcome(&applied))
}

/// Returns the text of an outcome: the response, then events, actions and counted operations where
/// there are any.
pub(crate) fn outcome(applied: &Applied) -> String {
    let mut told = match judge::verdict(applied, 0).response {
        Ok(response) => response_text(&response),
        Err(refusal) => format!("refused: {refusal:?}"),
    };
    if let Ok(ordered) = &applied.outcome {
        write!(told, " [{}]", ordered.revision).unwrap();
    }
    for event in &applied.events {
        let kind = if event.is_delete() { "DELETE" } else { "PUT" };
        write!(told, "\n{kind} {} {}.{}", event.key.escape_ascii(), event.revision.main, event.revision.sub).unwrap();
    }
    for effect in &applied.effects {
        write!(told, "\n{effect:?}").unwrap();
    }
    let Operations { ranges, puts, deletes, put_bytes } = applied.operations;
    if applied.operations != Operations::default() {
        write!(told, "\ncounted: {ranges} ranges, {puts} puts, {deletes} deletes, {put_bytes} bytes put").unwrap();
    }
    told
}

fn response_text(response: &Response) -> String {
    match response {
        Response::Put(put) => script::put_text(put),
        Response::DeleteRange(delete) => script::delete_text(delete),
        Response::Txn(txn) => script::txn_text(txn),
        Response::Alarms(alarms) => {
            let one = |alarm: &AlarmMember| format!("{} {}", alarm.member_id, alarm.alarm);
            format!("alarms: {}", alarms.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Response::Permissions(permissions) => {
            let one = |held: &Permission| {
                format!("{} [{}, {})", held.perm_type, held.key.escape_ascii(), held.range_end.escape_ascii())
            };
            format!("permissions: {}", permissions.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Response::Members(members) => {
            let one = |member: &proto::etcdserverpb::Member| {
                format!(
                    "{}{} {}",
                    member.id,
                    if member.is_learner { " learner" } else { "" },
                    member.peer_ur_ls.join(" ")
                )
            };
            format!("members: {}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Response::Done
        | Response::Compaction(_)
        | Response::LeaseGrant(_)
        | Response::Authenticated(..)
        | Response::AuthStatus(..)
        | Response::Names(_) => format!("{response:?}"),
    }
}
