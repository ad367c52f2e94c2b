//! Requests on keys: the permissions that each needs, checked before proposing and again at apply.
//!
//! A transaction needs everything that any of its branches needs, at any depth, whether it will be
//! taken or not; else a compare would reveal keys that may not be read. An operation without
//! content needs nothing: other rules refuse it.

use crate::permissions::Access;
use crate::{AuthError, AuthStore, Identity};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest};
use types::{KeyRange, LeaseId};

/// Returns the keys attached to a lease; none for a lease that does not exist. `E` is the caller's
/// error for a read that failed.
pub type LeaseKeys<'a, E> = &'a mut dyn FnMut(LeaseId) -> Result<Vec<Bytes>, E>;

impl AuthStore {
    /// READ on the range.
    ///
    /// # Errors
    /// Those of [`AuthStore::check`], here and below.
    pub fn check_range(&self, identity: &Identity, request: &RangeRequest) -> Result<(), AuthError> {
        self.check_wire(identity, Access::Read, &request.key, &request.range_end)
    }

    /// READ on the watched range.
    pub fn check_watch(&self, identity: &Identity, request: &WatchCreateRequest) -> Result<(), AuthError> {
        self.check_wire(identity, Access::Read, &request.key, &request.range_end)
    }

    /// WRITE on the range, and READ on it when the previous values are wanted.
    pub fn check_delete_range(&self, identity: &Identity, request: &DeleteRangeRequest) -> Result<(), AuthError> {
        self.check_wire(identity, Access::Write, &request.key, &request.range_end)?;
        if request.prev_kv {
            self.check_wire(identity, Access::Read, &request.key, &request.range_end)?;
        }
        Ok(())
    }

    /// WRITE on the key and on every key already attached to the lease, and READ on the key when
    /// its previous value is wanted.
    ///
    /// The lease rule keeps a user from attaching a key to a lease that it could not revoke.
    pub fn check_put<E: From<AuthError>>(
        &self,
        identity: &Identity,
        request: &PutRequest,
        lease_keys: LeaseKeys<'_, E>,
    ) -> Result<(), E> {
        self.check_wire(identity, Access::Write, &request.key, &Bytes::new())?;
        let lease = LeaseId(request.lease);
        if lease.is_some() && self.is_limited(identity) {
            self.check_keys(identity, Access::Write, &lease_keys(lease)?)?;
        }
        if request.prev_kv {
            self.check_wire(identity, Access::Read, &request.key, &Bytes::new())?;
        }
        Ok(())
    }

    /// Checks READ on every compared range, and the permissions of each operation of both branches,
    /// at any depth. Recursion is bounded by the depth that decoding allows (100).
    pub fn check_txn<E: From<AuthError>>(
        &self,
        identity: &Identity,
        request: &TxnRequest,
        lease_keys: LeaseKeys<'_, E>,
    ) -> Result<(), E> {
        for compare in &request.compare {
            self.check_wire(identity, Access::Read, &compare.key, &compare.range_end)?;
        }
        for operation in request.success.iter().chain(&request.failure) {
            self.check_operation(identity, operation, lease_keys)?;
        }
        Ok(())
    }

    fn check_operation<E: From<AuthError>>(
        &self,
        identity: &Identity,
        op: &RequestOp,
        lease_keys: LeaseKeys<'_, E>,
    ) -> Result<(), E> {
        match &op.request {
            None => Ok(()),
            Some(Request::RequestRange(range)) => Ok(self.check_range(identity, range)?),
            Some(Request::RequestPut(put)) => self.check_put(identity, put, lease_keys),
            Some(Request::RequestDeleteRange(delete)) => Ok(self.check_delete_range(identity, delete)?),
            Some(Request::RequestTxn(txn)) => self.check_txn(identity, txn, lease_keys),
        }
    }

    /// The same access on each of `keys`: WRITE for revoking or keeping a lease alive, READ for
    /// listing its keys.
    pub fn check_keys(&self, identity: &Identity, access: Access, keys: &[Bytes]) -> Result<(), AuthError> {
        keys.iter().try_for_each(|key| self.check(identity, access, &KeyRange::single(key.clone())))
    }

    /// Returns `true` if key permissions have to be looked at for `identity` at all; if not, the
    /// keys of leases need not be read.
    fn is_limited(&self, identity: &Identity) -> bool {
        self.check(identity, Access::Write, &KeyRange::all()).is_err()
    }

    fn check_wire(&self, identity: &Identity, access: Access, key: &Bytes, range_end: &Bytes) -> Result<(), AuthError> {
        if !self.enabled() {
            return Ok(());
        }
        self.check(identity, access, &KeyRange::from_wire(key.clone(), range_end.clone()))
    }
}
