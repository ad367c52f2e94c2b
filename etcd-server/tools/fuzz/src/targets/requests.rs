//! Requests of clients: decoded, and checked as far as it goes without an order.

use crate::messages::{DESCRIPTORS, random};
use crate::{Dice, Target};
use auth::{AuthStore, Identity};
use prost::Message as _;
use prost_reflect::MessageDescriptor;
use proto::etcdserverpb::{
    DeleteRangeRequest, InternalRaftRequest, PutRequest, RangeRequest, TxnRequest, WatchRequest, watch_request,
};
use schema::MemoryStore;

pub(super) struct Requests {
    /// Of every method of every service.
    descriptors: Vec<MessageDescriptor>,
    users: AuthStore,
}

impl Requests {
    pub(super) fn new() -> Self {
        let methods = DESCRIPTORS.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let mut descriptors: Vec<_> = methods.map(|method| method.input()).collect();
        // Those with the most to go wrong in them more often than others.
        for name in ["RangeRequest", "PutRequest", "DeleteRangeRequest", "TxnRequest", "WatchRequest"] {
            let descriptor =
                DESCRIPTORS.get_message_by_name(&format!("etcdserverpb.{name}")).expect("requests are described");
            descriptors.extend(std::iter::repeat_n(descriptor, 20));
        }
        let store = MemoryStore::new();
        Self {
            descriptors,
            users: AuthStore::load(&store, &mut MemoryStore::new()).expect("an empty store can be loaded"),
        }
    }

    /// Handles a request as the server does before it is proposed.
    fn admit(&self, name: &str, bytes: &[u8]) -> bool {
        let identity = Identity::new("root", 1);
        match name {
            "RangeRequest" => RangeRequest::decode(bytes).is_ok_and(|range| {
                let permitted = self.users.check_range(&identity, &range).is_ok();
                admission::check_range(&range).is_ok() && permitted
            }),
            "PutRequest" => PutRequest::decode(bytes).is_ok_and(|put| {
                let request = InternalRaftRequest { put: Some(put.clone()), ..InternalRaftRequest::default() };
                apply::quota_cost(&request) > 0 && admission::check_put(&put).is_ok()
            }),
            "DeleteRangeRequest" => {
                DeleteRangeRequest::decode(bytes).is_ok_and(|delete| admission::check_delete_range(&delete).is_ok())
            }
            "TxnRequest" => TxnRequest::decode(bytes).is_ok_and(|txn| {
                let request = InternalRaftRequest { txn: Some(txn.clone()), ..InternalRaftRequest::default() };
                let nothing = &mut |_| Ok::<_, auth::AuthError>(Vec::new());
                let permitted = self.users.check_txn(&identity, &txn, nothing).is_ok();
                let reads = admission::is_read_only(&txn)
                    || !admission::is_serializable(&txn)
                    || apply::quota_cost(&request) < u64::MAX;
                admission::check_txn(&txn, 128).is_ok() && permitted && reads
            }),
            "WatchRequest" => WatchRequest::decode(bytes).is_ok_and(|request| match request.request_union {
                Some(watch_request::RequestUnion::CreateRequest(create)) => {
                    self.users.check_watch(&identity, &create).is_ok()
                }
                Some(_) => true,
                None => false,
            }),
            _ => decodes(name, bytes),
        }
    }
}

/// Returns `true` if any type of that name can be read from the bytes.
fn decodes(name: &str, bytes: &[u8]) -> bool {
    macro_rules! any_of {
        ($($package:ident: $($message:ident),+;)+) => {
            match name {
                $($(stringify!($message) => proto::$package::$message::decode(bytes).is_ok(),)+)+
                _ => false,
            }
        };
    }
    any_of! {
        etcdserverpb: CompactionRequest, HashRequest, HashKvRequest, DefragmentRequest, MoveLeaderRequest, AlarmRequest, DowngradeRequest,
            StatusRequest, SnapshotRequest, LeaseGrantRequest, LeaseRevokeRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest,
            LeaseLeasesRequest, MemberAddRequest, MemberRemoveRequest, MemberUpdateRequest, MemberListRequest, MemberPromoteRequest,
            AuthEnableRequest, AuthDisableRequest, AuthStatusRequest, AuthenticateRequest, AuthUserAddRequest, AuthUserGetRequest,
            AuthUserDeleteRequest, AuthUserChangePasswordRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest, AuthUserListRequest,
            AuthRoleAddRequest, AuthRoleGetRequest, AuthRoleDeleteRequest, AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest,
            AuthRoleListRequest;
        v3lockpb: LockRequest, UnlockRequest;
        v3electionpb: CampaignRequest, ProclaimRequest, LeaderRequest, ResignRequest;
        healthpb: HealthCheckRequest;
    }
}

impl Target for Requests {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let descriptor = dice.pick(&self.descriptors).clone();
        let mut bytes = random(&descriptor, dice).encode_to_vec();
        if !dice.once_in(3) {
            dice.spoil(&mut bytes);
        }
        self.admit(descriptor.name(), &bytes)
    }
}
