//! Requests about the cluster: its version, a downgrade, and what members publish about themselves.

use fastrand::Rng;
use prost::Message as _;
use proto::etcdserverpb::{DowngradeVersionTestRequest, InternalRaftRequest, Request};
use proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest};

/// Versions of the cluster that every member can follow.
const VERSIONS: [&str; 3] = ["3.5.0", "3.6.0", "3.7.0"];

fn version(random: &mut Rng) -> String {
    random.choice(VERSIONS).unwrap_or_default().to_owned()
}

/// Returns the name of a member and its URL for clients.
fn attributes(random: &mut Rng, member: u64) -> (String, String) {
    (format!("m{member}-{}", random.u8(..4)), format!("http://127.0.0.1:{}", random.u16(..4)))
}

/// Returns a request as members of etcd 3.6 and later propose it.
pub(crate) fn request(random: &mut Rng, member: u64) -> InternalRaftRequest {
    let none = InternalRaftRequest::default();
    match random.u8(..4) {
        0 => {
            let set = ClusterVersionSetRequest { ver: version(random) };
            InternalRaftRequest { cluster_version_set: Some(set), ..none }
        }
        1 => {
            let (name, url) = attributes(random, member);
            let member_attributes = Some(Attributes { name, client_urls: vec![url] });
            let set = ClusterMemberAttrSetRequest { member_id: member, member_attributes };
            InternalRaftRequest { cluster_member_attr_set: Some(set), ..none }
        }
        2 => {
            let set = DowngradeInfoSetRequest { enabled: random.bool(), ver: version(random) };
            InternalRaftRequest { downgrade_info_set: Some(set), ..none }
        }
        _ => {
            let test = DowngradeVersionTestRequest { ver: version(random) };
            InternalRaftRequest { downgrade_version_test: Some(test), ..none }
        }
    }
}

/// Returns the data of an entry by which a member of etcd 3.5 changes its v2 store.
pub(crate) fn v2_request(random: &mut Rng, id: u64, member: u64) -> Vec<u8> {
    let (name, url) = attributes(random, member);
    let (method, path, val) = match random.u8(..5) {
        0 => ("PUT", "/0/version".to_owned(), version(random)),
        1 | 2 => {
            let published = format!(r#"{{"name":"{name}","clientURLs":["{url}"]}}"#);
            ("PUT", format!("/0/members/{member:x}/attributes"), published)
        }
        // These change nothing that still exists.
        3 => ("PUT", format!("/0/members/{member:x}/raftAttributes"), name),
        _ => ("DELETE", "/0/version".to_owned(), String::new()),
    };
    let mut data = Request { id, method: method.to_owned(), path, val }.encode_to_vec();
    // etcd writes the zero values of the other fields, too.
    data.extend_from_slice(b"\x28\x00\x32\x00\x38\x00");
    data
}
