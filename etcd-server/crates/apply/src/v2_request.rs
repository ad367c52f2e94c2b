//! Requests to etcd's v2 store, which members of etcd 3.5 still write to the log.
//!
//! Two of them change the membership: the cluster version and a member's attributes. All others
//! change the v2 store alone, which this server does not have: they are applied as requests without
//! effect. Such an entry is never a valid `InternalRaftRequest`: its path begins with a byte that
//! is not a valid tag inside field 3. (Source of the rules: etcd 3.5,
//! server/etcdserver/apply_v2.go.)

use membership::attributes_from_json;
use prost::Message as _;
use proto::etcdserverpb::{InternalRaftRequest, Request, RequestHeader};
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};

const VERSION_PATH: &str = "/0/version";
const MEMBERS_PATH: &str = "/0/members/";
const ATTRIBUTES: &str = "/attributes";
/// The methods of the v2 store.
const METHODS: [&str; 5] = ["POST", "PUT", "DELETE", "QGET", "SYNC"];

/// Translates a v2 request. Returns `None` if `data` is not one, or holds attributes that cannot be
/// read: the entry is damaged.
pub(crate) fn translate(data: &[u8]) -> Option<InternalRaftRequest> {
    let request = Request::decode(data).ok()?;
    let header = Some(RequestHeader { id: request.id, ..RequestHeader::default() });
    let without_effect = InternalRaftRequest { header, ..InternalRaftRequest::default() };
    if !METHODS.contains(&request.method.as_str()) {
        return None;
    }
    if request.method != "PUT" {
        return Some(without_effect);
    }
    if request.path == VERSION_PATH {
        return Some(InternalRaftRequest {
            cluster_version_set: Some(ClusterVersionSetRequest { ver: request.val }),
            ..without_effect
        });
    }
    let Some(id) = request.path.strip_prefix(MEMBERS_PATH).and_then(|rest| rest.strip_suffix(ATTRIBUTES)) else {
        return Some(without_effect);
    };
    let (name, client_urls) = attributes_from_json(request.val.as_bytes()).ok()?;
    let set = ClusterMemberAttrSetRequest {
        member_id: u64::from_str_radix(id, 16).ok()?,
        member_attributes: Some(Attributes { name, client_urls }),
    };
    Some(InternalRaftRequest { cluster_member_attr_set: Some(set), ..without_effect })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &str, val: &str) -> Vec<u8> {
        // etcd writes the zero values of the other fields, which are skipped.
        let mut data = Request { id: 7, method: "PUT".into(), path: path.into(), val: val.into() }.encode_to_vec();
        data.extend_from_slice(b"\x28\x00\x32\x00\x38\x00");
        data
    }

    #[test]
    fn versions_and_attributes_are_translated() {
        let version = put("/0/version", "3.5.0");
        assert!(InternalRaftRequest::decode(&version[..]).is_err(), "a v2 request is never a valid request of today");
        let translated = translate(&version).unwrap();
        assert_eq!(translated.cluster_version_set.unwrap().ver, "3.5.0");
        assert_eq!(translated.header.unwrap().id, 7);
        let attributes =
            translate(&put("/0/members/2bc2/attributes", r#"{"name":"m1","clientURLs":["http://a:1"]}"#)).unwrap();
        let set = attributes.cluster_member_attr_set.unwrap();
        assert_eq!((set.member_id, set.member_attributes.unwrap().name.as_str()), (0x2bc2, "m1"));
    }

    #[test]
    fn unreadable_requests_are_damage() {
        let unknown_method =
            Request { id: 7, method: "GET".into(), path: "/1/key".into(), val: String::new() }.encode_to_vec();
        for data in [
            put("/0/members/xyz/attributes", "{}"),
            put("/0/members/2bc2/attributes", "{"),
            unknown_method,
            b"\xff\xff".to_vec(),
        ] {
            assert!(translate(&data).is_none());
        }
    }
}
