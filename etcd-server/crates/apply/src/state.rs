//! The replicated state, and the one way in: an entry at a time.

use crate::applied::{Applied, ApplyResponse, Effect, Ordered};
use crate::v2_request;
use crate::{Alarms, ApplyError, Operations, RequestKind};
use auth::{AuthStore, Identity};
use bytes::Bytes;
use lease::{Lessor, Persist, Sealed};
use membership::{Membership, Version};
use mvcc::KeySpace;
use prost::Message as _;
use proto::etcdserverpb::InternalRaftRequest;
use proto::raftpb;
use schema::{Batch, Table, View, meta};
use types::{Event, Fault, LeaseId};

/// This member's own limits. They decide the response to a client, never the state.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of revisions at which writes are refused; `None` for no limit.
    pub quota_bytes: Option<u64>,
    /// The shortest lease, in seconds.
    pub minimum_lease_ttl_seconds: i64,
    /// The version that this program speaks.
    pub own_version: Version,
    /// `true` if checkpoints of leases are kept even by a cluster of an old version.
    pub keeps_checkpoints: bool,
}

/// From this cluster version on every member keeps checkpoints of leases across restarts (etcd:
/// lease/lessor.go).
const KEEPS_CHECKPOINTS_SINCE: Version = Version::new(3, 6, 0);

/// Everything that is replicated.
#[derive(Debug)]
pub struct State {
    /// Keys and their history.
    pub keys: KeySpace,
    /// Leases and which keys hang on them.
    pub leases: Lessor,
    /// Users, roles and the switch.
    pub auth: AuthStore,
    /// Active alarms.
    pub alarms: Alarms,
    /// The members, their attributes, and the version they have agreed on.
    pub members: Membership,
    pub(crate) settings: Settings,
    /// Index of the last entry that was applied, or begun.
    applied: u64,
}

/// The results that are collected for one entry.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) events: Vec<Event>,
    pub(crate) effects: Vec<Effect>,
}

/// The context of one entry being applied: its view, and the batch that it writes into.
pub(crate) struct Context<'a, V: View> {
    pub(crate) view: &'a V,
    pub(crate) batch: &'a mut dyn Batch,
    pub(crate) index: u64,
    /// Bytes of revisions stored now.
    pub(crate) stored_bytes: u64,
    pub(crate) gathered: Gathered,
}

pub(crate) type Outcome = Result<Result<ApplyResponse, ApplyError>, Fault>;

impl State {
    /// Reads the state that `view` holds; records that a fresh store lacks are written into
    /// `batch`.
    pub fn load(view: &impl View, settings: Settings, batch: &mut dyn Batch) -> Result<Self, Fault> {
        Ok(Self {
            keys: KeySpace::load(view)?,
            leases: Lessor::load(view, settings.minimum_lease_ttl_seconds)?,
            auth: AuthStore::load(view, batch)?,
            alarms: Alarms::load(view)?,
            members: Membership::load(view)?,
            settings,
            applied: meta::read_u64(view, meta::APPLIED_INDEX)?.unwrap_or(0),
        })
    }

    /// Returns the index of the last entry that was applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Begins an entry: the one behind the last. Applied twice, or left out, an entry would leave
    /// this member with another state than all others.
    ///
    /// # Panics
    /// If it is another entry.
    pub(crate) fn begin(&mut self, index: u64) {
        assert!(index == self.applied + 1, "entry {index} is applied behind entry {}", self.applied);
        self.applied = index;
    }

    /// Applies the data of a normal entry. `stored_bytes` is compared with the quota.
    ///
    /// # Panics
    /// If `index` does not follow the last one, the changes are not those of one new revision, a
    /// refused request makes any, or a revision moves back.
    pub fn apply<V: View>(
        &mut self,
        view: &V,
        batch: &mut dyn Batch,
        index: u64,
        data: &Bytes,
        stored_bytes: u64,
    ) -> Result<Applied, Fault> {
        self.begin(index);
        let before = self.keys.current();
        let (compacted, auth_revision) = (self.keys.compacted(), self.auth.auth_revision());
        if data.is_empty() {
            return Ok(Applied::without_request(0, self.keys.current(), Ok(ApplyResponse::Done)));
        }
        let request = InternalRaftRequest::decode(data.clone()).or_else(|error| {
            v2_request::translate(data).ok_or_else(|| Fault::corrupt(format_args!("raft entry {index}"), error))
        })?;
        let identity = Identity::from_header(request.header.as_ref());
        let request_id = match &request.header {
            Some(header) if request.id == 0 => header.id,
            _ => request.id,
        };
        let mut context = Context { view, batch, index, stored_bytes, gathered: Gathered::default() };
        let outcome = self.dispatch(&mut context, &identity, &request)?;
        let Gathered { events, effects } = context.gathered;
        let kind = RequestKind::of(&request);
        let mut operations =
            outcome.as_ref().map_or_else(|_| Operations::default(), |response| Operations::of(&request, response));
        if kind == RequestKind::LeaseRevoke {
            operations.deletes = events.len() as u64;
        }
        let revision = self.keys.current();
        let expected = before + i64::from(!events.is_empty());
        assert!(
            revision == expected,
            "entry {index} made {} changes, and revision {before} became {revision}",
            events.len()
        );
        let numbered =
            events.iter().zip(0..).all(|(event, sub)| (event.revision.main, event.revision.sub) == (revision, sub));
        assert!(numbered, "events of entry {index} are not those of revision {revision}, in order");
        // Beyond the quota a write is refused to its client and done all the same.
        let may_change = matches!(outcome, Ok(_) | Err(ApplyError::NoSpace));
        assert!(events.is_empty() || may_change, "entry {index} is refused and made {} changes", events.len());
        assert!(
            self.keys.compacted() >= compacted,
            "entry {index} moves the compacted revision back from {compacted} to {}",
            self.keys.compacted()
        );
        assert!(
            self.auth.auth_revision() >= auth_revision,
            "entry {index} moves the auth revision back from {auth_revision} to {}",
            self.auth.auth_revision()
        );
        let outcome = outcome.map(|response| Ordered { response, revision });
        Ok(Applied { request_id, kind: Some(kind), operations, outcome, events, effects })
    }

    /// Writes the voters and learners, for raft to start from.
    pub fn write_conf_state(&self, batch: &mut dyn Batch) {
        let ids = |learner| {
            self.members.members().filter(|member| member.is_learner == learner).map(|member| member.id.0).collect()
        };
        let state = raftpb::ConfState { voters: ids(false), learners: ids(true), ..raftpb::ConfState::default() };
        batch.put(Table::Meta, meta::CONF_STATE, &state.encode_to_vec());
    }

    /// Ends a batch: totals and positions are written behind its entries.
    ///
    /// # Panics
    /// If `index` is not that of the last entry.
    pub fn settle<V: View>(&mut self, view: &V, batch: &mut dyn Batch, index: u64, term: u64) -> Result<Sealed, Fault> {
        assert!(index == self.applied, "a batch ends at entry {index}, and entry {} was applied last", self.applied);
        self.keys.settle(view, batch)?;
        meta::write_u64(batch, meta::APPLIED_INDEX, index);
        meta::write_u64(batch, meta::APPLIED_TERM, term);
        Ok(self.leases.seal())
    }

    /// The batch can be read from the store now.
    pub fn visible(&mut self, sealed: Sealed) {
        self.keys.visible();
        self.leases.became_visible(sealed);
    }

    fn checkpoint_persistence(&self) -> Persist {
        let agreed = self.members.cluster_version().is_some_and(|version| version >= KEEPS_CHECKPOINTS_SINCE);
        if agreed || self.settings.keeps_checkpoints { Persist::Yes } else { Persist::No }
    }

    /// Executes the request of an entry; if several are set, the first in this order (etcd:
    /// apply/apply.go).
    fn dispatch<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &InternalRaftRequest,
    ) -> Outcome {
        if let Some(set) = &request.cluster_version_set {
            return self.cluster_version_set(context, set);
        }
        if let Some(set) = &request.cluster_member_attr_set {
            return self.member_attributes_set(context, set);
        }
        if let Some(set) = &request.downgrade_info_set {
            return self.downgrade_set(context, set);
        }
        if request.downgrade_version_test.is_some() {
            return Ok(Ok(ApplyResponse::Done));
        }
        if let Some(range) = &request.range {
            return self.range(context, identity, range);
        }
        if let Some(put) = &request.put {
            return self.put(context, identity, put);
        }
        if let Some(delete) = &request.delete_range {
            return self.delete_range(context, identity, delete);
        }
        if let Some(txn) = &request.txn {
            return self.txn(context, identity, txn);
        }
        if let Some(compaction) = &request.compaction {
            return Ok(self.compact(context, compaction));
        }
        if let Some(grant) = &request.lease_grant {
            return Ok(self.lease_grant(context, grant));
        }
        if let Some(revoke) = &request.lease_revoke {
            return self.lease_revoke(context, identity, revoke);
        }
        if let Some(checkpoint) = &request.lease_checkpoint {
            let persist = self.checkpoint_persistence();
            for checkpoint in &checkpoint.checkpoints {
                self.leases.checkpoint(context.batch, LeaseId(checkpoint.id), checkpoint.remaining_ttl, persist);
            }
            return Ok(Ok(ApplyResponse::Done));
        }
        if let Some(alarm) = &request.alarm {
            return Ok(Ok(ApplyResponse::Alarms(self.alarms.execute(alarm, context.batch))));
        }
        Ok(self.auth_request(context, identity, request))
    }
}
