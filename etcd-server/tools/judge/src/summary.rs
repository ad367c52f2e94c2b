//! The state, in terms that the model has too.

use apply::State;
use model::Model;
use mvcc::RangeOptions;
use prost::Message as _;
use proto::authpb::Permission;
use proto::etcdserverpb::{AuthRoleGetRequest, RangeRequest};
use proto::mvccpb::KeyValue;
use schema::View;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use types::Fault;

/// Everything that is replicated and that a client can see.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The newest and the compacted revision.
    pub revisions: (i64, i64),
    /// Keys that live.
    pub keys: Vec<KeyValue>,
    /// Leases: id, time to live and remaining time in seconds, attached keys.
    pub leases: Vec<(i64, i64, i64, Vec<Vec<u8>>)>,
    /// The switch and the auth revision.
    pub auth: (bool, u64),
    /// Users and their roles.
    pub users: Vec<(String, Vec<String>)>,
    /// Roles and their permissions.
    pub roles: Vec<(String, Vec<Permission>)>,
    /// Active alarms: member and kind.
    pub alarms: Vec<(u64, i32)>,
    /// Members: id, peer URLs, learner, name, client URLs.
    pub members: Vec<(u64, model::Member)>,
    /// Ids of removed members.
    pub removed: Vec<u64>,
    /// The version of the cluster, and the version that it is downgraded to.
    pub versions: (String, String),
}

impl Summary {
    /// Returns a number that stands for all of it.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.revisions, &self.leases, self.auth, &self.users, &self.alarms, &self.removed, &self.versions)
            .hash(&mut hasher);
        for kv in &self.keys {
            kv.encode_to_vec().hash(&mut hasher);
        }
        for (name, permissions) in &self.roles {
            name.hash(&mut hasher);
            permissions.iter().for_each(|permission| permission.encode_to_vec().hash(&mut hasher));
        }
        for (id, member) in &self.members {
            (id, &member.peer_urls, member.is_learner, &member.name, &member.client_urls).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Returns the summary of a state whose last batch is readable in `view`.
///
/// # Errors
/// Faults of reading.
pub fn summary_of(state: &State, view: &impl View) -> Result<Summary, Fault> {
    let point = state.keys.read_point();
    let all = RangeRequest { key: b"\0"[..].into(), range_end: b"\0"[..].into(), ..RangeRequest::default() };
    let found = point.range(view, &RangeOptions::new(&all))?;
    let keys = found.map_err(|error| Fault::corrupt("range over all keys", error))?.into_response()?.kvs;
    let mut leases = Vec::new();
    for (id, terms) in state.leases.leases() {
        let attached = state.leases.keys(view, id)?.iter().map(|key| key.to_vec()).collect();
        leases.push((id.0, terms.ttl_seconds, terms.remaining_ttl_seconds, attached));
    }
    let permissions =
        |name: &str| state.auth.role_get(&AuthRoleGetRequest { role: name.to_owned() }).unwrap_or_default();
    let member = |member: &membership::Member| model::Member {
        peer_urls: member.peer_urls.clone(),
        is_learner: member.is_learner,
        name: member.name.clone(),
        client_urls: member.client_urls.clone(),
    };
    let members = &state.members;
    Ok(Summary {
        revisions: (state.keys.current(), state.keys.compacted()),
        keys,
        leases,
        auth: (state.auth.enabled(), state.auth.auth_revision()),
        users: state.auth.users().map(|(name, roles)| (name.to_owned(), roles.to_vec())).collect(),
        roles: state.auth.role_list().into_iter().map(|name| (name.clone(), permissions(&name))).collect(),
        alarms: state.alarms.of(0).iter().map(|alarm| (alarm.member_id, alarm.alarm)).collect(),
        members: members.members().map(|known| (known.id.0, member(known))).collect(),
        removed: members.removed().map(|id| id.0).collect(),
        versions: (
            members.cluster_version().map(|version| version.to_string()).unwrap_or_default(),
            members.downgrade().target_version.clone(),
        ),
    })
}

/// Returns the summary that the model demands.
pub fn summary_of_model(model: &Model) -> Summary {
    let lease = |(id, lease): (&i64, &model::Lease)| {
        (*id, lease.ttl_seconds, lease.remaining_seconds, model.keys_of_lease(*id))
    };
    let all = Permission { perm_type: 2, key: b""[..].into(), range_end: b"\0"[..].into() };
    let role = |(name, role): (&String, &model::Role)| {
        (name.clone(), if name == "root" { vec![all.clone()] } else { role.clone() })
    };
    Summary {
        revisions: (model.keys.current, model.keys.compacted),
        keys: model.keys.live().cloned().collect(),
        leases: model.leases.iter().map(lease).collect(),
        auth: (model.users.enabled, model.users.revision),
        users: model
            .users
            .users
            .iter()
            .map(|(name, user)| (name.clone(), user.roles.iter().cloned().collect()))
            .collect(),
        roles: model.users.roles.iter().map(role).collect(),
        alarms: model.alarms.iter().copied().collect(),
        members: model.members.members.iter().map(|(id, member)| (*id, member.clone())).collect(),
        removed: model.members.removed.iter().copied().collect(),
        versions: (model.members.version.clone(), model.members.downgrade.clone()),
    }
}
