//! What members of etcd 3.5 still say in the words of etcd's first store: the version of the cluster, and how a member is called.
//!
//! Such an entry is no `InternalRaftRequest`: its path begins with a byte that is no tag inside field 3. (etcd: server/etcdserver, apply_v2.go)

use membership::attributes_from_json;
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, Request, RequestHeader};
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};

const VERSION_PATH: &str = "/0/version";
const MEMBERS_PATH: &str = "/0/members/";
const ATTRIBUTES: &str = "/attributes";

/// The request in today's words; nothing when the data is none. A request that has no meaning today, such as a sync of a store without
/// keys, becomes one that asks for nothing.
pub(crate) fn translate(data: &[u8]) -> Option<InternalRaftRequest> {
    let request = Request::decode(data).ok()?;
    let header = Some(RequestHeader { id: request.id, ..RequestHeader::default() });
    let translated = InternalRaftRequest { header, ..InternalRaftRequest::default() };
    if request.method == "SYNC" {
        return Some(translated);
    }
    if request.method != "PUT" {
        return None;
    }
    if request.path == VERSION_PATH {
        return Some(InternalRaftRequest { cluster_version_set: Some(ClusterVersionSetRequest { ver: request.val }), ..translated });
    }
    let id = request.path.strip_prefix(MEMBERS_PATH)?.strip_suffix(ATTRIBUTES)?;
    let (name, client_urls) = attributes_from_json(request.val.as_bytes()).ok()?;
    let set = ClusterMemberAttrSetRequest {
        member_id: u64::from_str_radix(id, 16).ok()?,
        member_attributes: Some(Attributes { name, client_urls }),
    };
    Some(InternalRaftRequest { cluster_member_attr_set: Some(set), ..translated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &str, val: &str) -> Vec<u8> {
        // etcd writes the zeros of the other fields, which are passed over.
        let mut data = Request { id: 7, method: "PUT".into(), path: path.into(), val: val.into() }.encode_to_vec();
        data.extend_from_slice(b"\x28\x00\x32\x00\x38\x00");
        data
    }

    #[test]
    fn versions_and_attributes_are_understood() {
        let version = put("/0/version", "3.5.0");
        assert!(InternalRaftRequest::decode(&version[..]).is_err(), "it is never taken for one of today's");
        let translated = translate(&version).unwrap();
        assert_eq!(translated.cluster_version_set.unwrap().ver, "3.5.0");
        assert_eq!(translated.header.unwrap().id, 7);
        let attributes = translate(&put("/0/members/2bc2/attributes", r#"{"name":"m1","clientURLs":["http://a:1"]}"#)).unwrap();
        let set = attributes.cluster_member_attr_set.unwrap();
        assert_eq!((set.member_id, set.member_attributes.unwrap().name.as_str()), (0x2bc2, "m1"));
    }

    #[test]
    fn anything_else_is_damage() {
        for data in [put("/1/key", "value"), put("/0/members/xyz/attributes", "{}"), b"\xff\xff".to_vec()] {
            assert!(translate(&data).is_none());
        }
    }
}
