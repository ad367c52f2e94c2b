//! Requests to etcd's v2 store in the log of a cluster that has members of etcd 3.5.

use crate::member::Member;
use prost::Message as _;
use proto::etcdserverpb::Request;

fn v2(method: &str, path: &str, val: &str) -> Vec<u8> {
    let mut data = Request { id: 7, method: method.into(), path: path.into(), val: val.into() }.encode_to_vec();
    // etcd writes the zero values of all other fields, too: Dir, PrevValue, PrevIndex.
    data.extend_from_slice(b"\x28\x00\x32\x00\x38\x00");
    data
}

#[test]
fn cluster_version_takes_effect() {
    let mut member = Member::new();
    let applied = member.apply_unjudged(v2("PUT", "/0/version", "3.5.0"));
    assert!(applied.outcome.is_ok());
    assert_eq!(applied.request_id, 7);
    assert_eq!(member.state.members.cluster_version().unwrap().to_string(), "3.5.0");
}

#[test]
fn requests_of_v2_clients_have_no_effect() {
    for (method, path) in [
        ("PUT", "/1/key"),
        ("PUT", "/1/dir/key"),
        ("PUT", "/0/unknown"),
        ("PUT", "/0/members/2bc2/raftAttributes"),
        ("POST", "/1/queue"),
        ("DELETE", "/1/key"),
        ("DELETE", "/0/version"),
        ("QGET", "/1/key"),
        ("SYNC", ""),
    ] {
        let mut member = Member::new();
        let (before, hash) = (member.state.members.clone(), member.state.keys.live_hash());
        let applied = member.apply_unjudged(v2(method, path, "value"));
        assert!(applied.events.is_empty() && applied.effects.is_empty(), "{method} {path}: {applied:?}");
        assert_eq!(member.state.members, before, "{method} {path}");
        assert_eq!(member.state.keys.live_hash(), hash, "{method} {path}");
        assert_eq!(member.state.keys.current(), 1, "{method} {path}");
    }
}
