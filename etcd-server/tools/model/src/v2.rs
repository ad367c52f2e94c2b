//! Requests to etcd's v2 store. Members of etcd 3.5 still publish the version of the cluster and
//! their attributes by them (server/etcdserver/apply_v2.go).

use crate::members::member_of;
use proto::etcdserverpb::{InternalRaftRequest, Request, RequestHeader};
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};

/// Returns the request of today with the same effect; one without any effect stands for a change of
/// the v2 store alone.
///
/// # Panics
/// If the attributes of a member are no JSON: faults are outside of the model.
pub(crate) fn request_of(old: Request) -> InternalRaftRequest {
    let header = Some(RequestHeader { id: old.id, ..RequestHeader::default() });
    let mut request = InternalRaftRequest { header, ..InternalRaftRequest::default() };
    let parts: Vec<&str> = old.path.split('/').collect();
    match (&old.method[..], &parts[..]) {
        ("PUT", ["", "0", "version"]) => {
            request.cluster_version_set = Some(ClusterVersionSetRequest { ver: old.val });
        }
        ("PUT", ["", "0", "members", id, "attributes"]) => {
            let member = member_of(&serde_json::from_str(&old.val).expect("attributes in JSON"));
            let attributes = Attributes { name: member.name, client_urls: member.client_urls };
            request.cluster_member_attr_set = Some(ClusterMemberAttrSetRequest {
                member_id: u64::from_str_radix(id, 16).expect("the id of a member"),
                member_attributes: Some(attributes),
            });
        }
        _ => {}
    }
    request
}
