//! Requests on keys and leases.

use crate::ApplyError;
use crate::applied::{ApplyResponse, Effect};
use crate::cost;
use crate::leases::Attachments;
use crate::state::{Context, Outcome, State};
use auth::{Access, Identity};
use proto::etcdserverpb::{
    AlarmType, CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
    TxnRequest,
};
use schema::View;
use types::{Fault, KeyRange, LeaseId};

/// A permission check that had to read the keys of a lease: refused, or could not read.
enum CheckFailed {
    Refused(auth::AuthError),
    Fault(Fault),
}

impl From<auth::AuthError> for CheckFailed {
    fn from(error: auth::AuthError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for CheckFailed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl CheckFailed {
    fn into_outcome(self) -> Outcome {
        match self {
            Self::Refused(error) => Ok(Err(error.into())),
            Self::Fault(fault) => Err(fault),
        }
    }
}

impl State {
    /// Executes a read that was ordered by the log: it changes nothing, so only its permission
    /// matters here.
    pub(crate) fn range<V: View>(
        &mut self,
        _: &mut Context<'_, V>,
        identity: &Identity,
        request: &RangeRequest,
    ) -> Outcome {
        if self.alarms.any(AlarmType::Corrupt) {
            return Ok(Err(ApplyError::Corrupt));
        }
        Ok(self.auth.check_range(identity, request).map(|()| ApplyResponse::Done).map_err(ApplyError::from))
    }

    pub(crate) fn put<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &PutRequest,
    ) -> Outcome {
        let cost = cost::put_cost(request);
        if let Err(error) = self.admits_writes(cost) {
            return Ok(Err(error));
        }
        let (auth, leases, view) = (&self.auth, &self.leases, context.view);
        if let Err(failed) =
            auth.check_put(identity, request, &mut |lease| leases.keys(view, lease).map_err(CheckFailed::from))
        {
            return failed.into_outcome();
        }
        let within_quota = self.has_room_for(context, cost);
        let mut attachments = Attachments(&mut self.leases);
        let mut write = self.keys.write(context.view, context.batch, &mut attachments);
        let executed = mvcc::execute_put(&mut write, request)?;
        context.gathered.events = write.end();
        Ok(executed
            .map(ApplyResponse::Put)
            .map_err(ApplyError::from)
            .and_then(|response| told(context, within_quota, response)))
    }

    pub(crate) fn delete_range<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &DeleteRangeRequest,
    ) -> Outcome {
        if self.alarms.any(AlarmType::Corrupt) {
            return Ok(Err(ApplyError::Corrupt));
        }
        if let Err(error) = self.auth.check_delete_range(identity, request) {
            return Ok(Err(error.into()));
        }
        let mut attachments = Attachments(&mut self.leases);
        let mut write = self.keys.write(context.view, context.batch, &mut attachments);
        let response = mvcc::execute_delete_range(&mut write, request)?;
        context.gathered.events = write.end();
        Ok(Ok(ApplyResponse::DeleteRange(response)))
    }

    pub(crate) fn txn<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &TxnRequest,
    ) -> Outcome {
        let cost = cost::txn_cost(request);
        if let Err(error) = self.admits_writes(cost) {
            return Ok(Err(error));
        }
        let (auth, leases, view) = (&self.auth, &self.leases, context.view);
        if let Err(failed) =
            auth.check_txn(identity, request, &mut |lease| leases.keys(view, lease).map_err(CheckFailed::from))
        {
            return failed.into_outcome();
        }
        let within_quota = self.has_room_for(context, cost);
        let mut attachments = Attachments(&mut self.leases);
        let mut write = self.keys.write(context.view, context.batch, &mut attachments);
        let executed = mvcc::execute_txn(&mut write, request)?;
        context.gathered.events = write.end();
        Ok(executed
            .map(ApplyResponse::Txn)
            .map_err(ApplyError::from)
            .and_then(|response| told(context, within_quota, response)))
    }

    pub(crate) fn compact<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &CompactionRequest,
    ) -> Result<ApplyResponse, ApplyError> {
        if self.alarms.any(AlarmType::Corrupt) {
            return Err(ApplyError::Corrupt);
        }
        self.keys.compact(request.revision, context.batch)?;
        assert!(
            self.keys.compacted() == request.revision,
            "a compaction to {} ends at {}",
            request.revision,
            self.keys.compacted()
        );
        context.gathered.effects.push(Effect::Compacted);
        Ok(ApplyResponse::Compaction(request.revision))
    }

    pub(crate) fn lease_grant<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        request: &LeaseGrantRequest,
    ) -> Result<ApplyResponse, ApplyError> {
        self.admits_writes(cost::lease_cost())?;
        let within_quota = self.has_room_for(context, cost::lease_cost());
        let ttl_seconds = self.leases.grant(context.batch, LeaseId(request.id), request.ttl)?;
        told(context, within_quota, ApplyResponse::LeaseGrant(ttl_seconds))
    }

    /// All keys of the lease go in one revision; none is spent when it had none.
    pub(crate) fn lease_revoke<V: View>(
        &mut self,
        context: &mut Context<'_, V>,
        identity: &Identity,
        request: &LeaseRevokeRequest,
    ) -> Outcome {
        if self.alarms.any(AlarmType::Corrupt) {
            return Ok(Err(ApplyError::Corrupt));
        }
        let id = LeaseId(request.id);
        if self.auth.enabled() && self.leases.exists(id) {
            let keys = self.leases.keys(context.view, id)?;
            if let Err(error) = self.auth.check_keys(identity, Access::Write, &keys) {
                return Ok(Err(error.into()));
            }
        }
        let keys = match self.leases.revoke(context.view, context.batch, id)? {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut attachments = Attachments(&mut self.leases);
        let mut write = self.keys.write(context.view, context.batch, &mut attachments);
        let attached = keys.len();
        for key in keys {
            write.delete_range(&KeyRange::single(key))?;
        }
        context.gathered.events = write.end();
        let deleted = context.gathered.events.len();
        assert!(deleted == attached, "lease {id} had {attached} keys, of which {deleted} lived");
        Ok(Ok(ApplyResponse::Done))
    }

    fn admits_writes(&self, cost: u64) -> Result<(), ApplyError> {
        if self.alarms.any(AlarmType::Corrupt) {
            return Err(ApplyError::Corrupt);
        }
        if cost > 0 && self.alarms.any(AlarmType::Nospace) {
            return Err(ApplyError::NoSpace);
        }
        Ok(())
    }

    fn has_room_for<V: View>(&self, context: &Context<'_, V>, cost: u64) -> bool {
        self.settings.quota_bytes.is_none_or(|quota| cost == 0 || context.stored_bytes.saturating_add(cost) < quota)
    }
}

/// Returns the outcome of a write. Over quota the write is done all the same, so that quotas never
/// make members differ; the client gets an error, and an alarm follows.
fn told<V: View>(
    context: &mut Context<'_, V>,
    within_quota: bool,
    response: ApplyResponse,
) -> Result<ApplyResponse, ApplyError> {
    if within_quota {
        return Ok(response);
    }
    context.gathered.effects.push(Effect::RaiseNoSpace);
    Err(ApplyError::NoSpace)
}
