//! The order of the checks of each request, and its effect.

use crate::auth::Access;
use crate::keys::Change;
use crate::response::{Effect, Response, Verdict};
use crate::{Lease, Model, Refusal};
use prost::Message as _;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::{
    AlarmMember, AlarmRequest, InternalRaftRequest, LeaseGrantRequest, PutRequest, Request, RequestHeader, TxnRequest,
};

const NOSPACE: i32 = 1;
const CORRUPT: i32 = 2;
/// The longest lease, in seconds.
const TTL_MAX: i64 = 9_000_000_000;

/// Results that are collected while an entry is executed.
#[derive(Default)]
struct Collected {
    changes: Vec<Change>,
    effects: Vec<Effect>,
}

impl Model {
    /// Applies the data of an entry. `stored_bytes` is the size that the quota is compared with.
    ///
    /// # Panics
    /// If `data` is no request: faults are outside of the model.
    pub fn apply(&mut self, index: u64, data: &[u8], stored_bytes: u64) -> Verdict {
        if data.is_empty() {
            let (changes, effects, counts) = Default::default();
            return Verdict {
                request_id: 0,
                response: Ok(Response::Done),
                revision: self.keys.current,
                changes,
                effects,
                counts,
            };
        }
        let request = InternalRaftRequest::decode(data)
            .unwrap_or_else(|_| crate::v2::request_of(Request::decode(data).expect("the data of a request")));
        let caller = request.header.clone().unwrap_or_default();
        let mut collected = Collected::default();
        let response = self.execute_request(index, &caller, &request, stored_bytes, &mut collected);
        let Collected { changes, effects } = collected;
        // A request that changes keys makes one revision, any other request none.
        self.keys.current += i64::from(!changes.is_empty());
        let request_id = if request.id == 0 { caller.id } else { request.id };
        let counts = response.as_ref().map(|response| crate::counts::of(&request, response, changes.len()));
        let counts = counts.unwrap_or_default();
        Verdict { request_id, response, revision: self.keys.current, changes, effects, counts }
    }

    fn execute_request(
        &mut self,
        index: u64,
        caller: &RequestHeader,
        request: &InternalRaftRequest,
        stored_bytes: u64,
        collected: &mut Collected,
    ) -> Result<Response, Refusal> {
        if let Some(set) = &request.cluster_version_set {
            self.members.set_version(set);
        } else if let Some(set) = &request.cluster_member_attr_set {
            self.members.set_attributes(set);
        } else if let Some(set) = &request.downgrade_info_set {
            self.members.set_downgrade(set);
        } else if request.downgrade_version_test.is_some() {
            // No effect, by definition.
        } else if let Some(range) = &request.range {
            self.check_not_corrupt()?;
            self.users.check_keys(caller, Access::Read, &range.key, &range.range_end)?;
        } else if let Some(put) = &request.put {
            self.check_space(cost_of_put(put))?;
            self.check_put_permission(caller, put)?;
            self.check_put(put)?;
            let response = Response::Put(self.put(put, &mut collected.changes));
            return self.within_quota(cost_of_put(put), stored_bytes, response, collected);
        } else if let Some(delete) = &request.delete_range {
            self.check_not_corrupt()?;
            self.users.check_keys(caller, Access::Write, &delete.key, &delete.range_end)?;
            if delete.prev_kv {
                self.users.check_keys(caller, Access::Read, &delete.key, &delete.range_end)?;
            }
            return Ok(Response::DeleteRange(self.delete_range(delete, &mut collected.changes)));
        } else if let Some(txn) = &request.txn {
            self.check_space(cost_of_txn(txn))?;
            self.check_txn_permission(caller, txn)?;
            let response = Response::Txn(self.txn(txn, &mut collected.changes)?);
            return self.within_quota(cost_of_txn(txn), stored_bytes, response, collected);
        } else if let Some(compaction) = &request.compaction {
            return self.compact(compaction.revision, collected);
        } else if let Some(grant) = &request.lease_grant {
            self.check_space(LEASE_COST)?;
            let response = Response::LeaseGrant(self.grant(grant)?);
            return self.within_quota(LEASE_COST, stored_bytes, response, collected);
        } else if let Some(revoke) = &request.lease_revoke {
            self.revoke(caller, revoke.id, collected)?;
        } else if let Some(recorded) = &request.lease_checkpoint {
            for checkpoint in &recorded.checkpoints {
                let is_durable = self.limits.keeps_checkpoints || self.members.keeps_checkpoints();
                if let Some(lease) = self.leases.get_mut(&checkpoint.id) {
                    lease.remaining_seconds = checkpoint.remaining_ttl;
                    if is_durable {
                        lease.durable_remaining_seconds = checkpoint.remaining_ttl;
                    }
                }
            }
        } else if let Some(alarm) = &request.alarm {
            return Ok(Response::Alarms(self.alarm(alarm)));
        } else {
            return self.administer(index, caller, request, &mut collected.effects);
        }
        Ok(Response::Done)
    }

    fn check_not_corrupt(&self) -> Result<(), Refusal> {
        if self.alarms_of(CORRUPT).is_empty() { Ok(()) } else { Err(Refusal::Corrupt) }
    }

    fn check_space(&self, cost: u64) -> Result<(), Refusal> {
        self.check_not_corrupt()?;
        if cost == 0 || self.alarms_of(NOSPACE).is_empty() { Ok(()) } else { Err(Refusal::NoSpace) }
    }

    /// A write above the quota is executed all the same, so that members never differ; its client
    /// gets a refusal, and the alarm is raised.
    fn within_quota(
        &self,
        cost: u64,
        stored: u64,
        response: Response,
        collected: &mut Collected,
    ) -> Result<Response, Refusal> {
        match self.limits.quota_bytes {
            Some(quota) if cost > 0 && stored + cost >= quota => {
                collected.effects.push(Effect::RaiseNoSpace);
                Err(Refusal::NoSpace)
            }
            _ => Ok(response),
        }
    }

    fn compact(&mut self, revision: i64, collected: &mut Collected) -> Result<Response, Refusal> {
        self.check_not_corrupt()?;
        if revision <= self.keys.compacted {
            return Err(Refusal::Compacted);
        }
        if revision > self.keys.current {
            return Err(Refusal::FutureRevision);
        }
        self.keys.compacted = revision;
        collected.effects.push(Effect::Compacted);
        Ok(Response::Compaction(revision))
    }

    fn grant(&mut self, grant: &LeaseGrantRequest) -> Result<i64, Refusal> {
        if grant.id == 0 {
            return Err(Refusal::LeaseNotFound);
        }
        if grant.ttl > TTL_MAX {
            return Err(Refusal::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&grant.id) {
            return Err(Refusal::LeaseExists);
        }
        let ttl_seconds = grant.ttl.max(self.limits.minimum_ttl_seconds);
        self.leases.insert(grant.id, Lease { ttl_seconds, remaining_seconds: 0, durable_remaining_seconds: 0 });
        Ok(ttl_seconds)
    }

    fn revoke(&mut self, caller: &RequestHeader, lease: i64, collected: &mut Collected) -> Result<(), Refusal> {
        self.check_not_corrupt()?;
        self.check_lease_permission(caller, lease)?;
        let keys = self.keys_of_lease(lease);
        self.leases.remove(&lease).ok_or(Refusal::LeaseNotFound)?;
        for key in keys {
            self.change(key, None, &mut collected.changes);
        }
        Ok(())
    }

    fn alarm(&mut self, request: &AlarmRequest) -> Vec<AlarmMember> {
        let one = AlarmMember { member_id: request.member_id, alarm: request.alarm };
        let key = (request.member_id, request.alarm);
        match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => self.alarms_of(request.alarm),
            Ok(AlarmAction::Activate) if request.alarm != 0 => {
                self.alarms.insert(key);
                vec![one]
            }
            Ok(AlarmAction::Deactivate) if self.alarms.remove(&key) => vec![one],
            Ok(AlarmAction::Activate | AlarmAction::Deactivate) | Err(_) => Vec::new(),
        }
    }
}

const LEASE_COST: u64 = 64;

/// Returns the bytes that a request may add to the store; 0 if it is never refused for the quota.
pub fn cost(request: &InternalRaftRequest) -> u64 {
    let put = request.put.as_ref().map(cost_of_put);
    let txn = request.txn.as_ref().map(cost_of_txn);
    let grant = request.lease_grant.map(|_| LEASE_COST);
    put.or(txn).or(grant).unwrap_or(0)
}

fn cost_of_put(put: &PutRequest) -> u64 {
    256 + (put.key.len() + put.value.len()) as u64
}

/// The cost of the dearer branch, nested transactions included.
fn cost_of_txn(txn: &TxnRequest) -> u64 {
    let branch = |operations: &[proto::etcdserverpb::RequestOp]| -> u64 {
        let one = |operation: &proto::etcdserverpb::RequestOp| match &operation.request {
            Some(Operation::RequestPut(put)) => cost_of_put(put),
            Some(Operation::RequestTxn(inner)) => cost_of_txn(inner),
            Some(Operation::RequestRange(_) | Operation::RequestDeleteRange(_)) | None => 0,
        };
        operations.iter().map(one).sum()
    };
    branch(&txn.success).max(branch(&txn.failure))
}
