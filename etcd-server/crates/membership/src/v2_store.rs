//! The members as a tree of etcd's first store, which its members still want beside a raft
//! snapshot: 3.5 takes its members from it, 3.6 reads it, 3.7 passes over it.

use crate::json;
use crate::membership::Membership;
use serde::Serialize;
use std::collections::BTreeMap;

/// The time that means never.
const NEVER: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    path: String,
    created_index: u64,
    modified_index: u64,
    expire_time: &'static str,
    value: String,
    children: Option<BTreeMap<String, Node>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Store {
    root: Node,
}

#[derive(Serialize)]
struct RaftAttributes<'a> {
    #[serde(rename = "peerURLs")]
    peer_urls: &'a [String],
    #[serde(rename = "isLearner", skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
}

#[derive(Serialize)]
struct Attributes<'a> {
    name: &'a str,
    #[serde(rename = "clientURLs", skip_serializing_if = "<[String]>::is_empty")]
    client_urls: &'a [String],
}

fn leaf(path: String, value: String) -> Node {
    Node { path, created_index: 0, modified_index: 0, expire_time: NEVER, value, children: None }
}

fn dir(path: &str, children: impl IntoIterator<Item = Node>) -> Node {
    let name = |node: &Node| node.path.rsplit('/').next().unwrap_or_default().to_owned();
    let children = children.into_iter().map(|node| (name(&node), node)).collect();
    Node { children: Some(children), ..leaf(path.to_owned(), String::new()) }
}

/// The JSON that goes into a raft snapshot's data.
pub fn v2_store(membership: &Membership) -> String {
    let members = membership.members().map(|member| {
        let path = format!("/0/members/{}", member.id);
        let raft = RaftAttributes { peer_urls: &member.peer_urls, is_learner: member.is_learner };
        let mut children = vec![leaf(format!("{path}/raftAttributes"), json::encode(&raft))];
        if member.is_started() {
            let attributes = Attributes { name: &member.name, client_urls: &member.client_urls };
            children.push(leaf(format!("{path}/attributes"), json::encode(&attributes)));
        }
        dir(&path, children)
    });
    let mut cluster = vec![
        dir("/0/members", members),
        dir(
            "/0/removed_members",
            membership.removed().map(|id| leaf(format!("/0/removed_members/{id}"), String::new())),
        ),
    ];
    if let Some(version) = membership.cluster_version() {
        cluster.push(leaf("/0/version".to_owned(), version.to_string()));
    }
    json::encode(&Store { root: dir("/", [dir("/0", cluster), dir("/1", [])]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfChange, Member};
    use schema::MemoryStore;
    use types::MemberId;

    #[test]
    fn the_tree_is_what_etcd_reads() {
        let mut membership = Membership::default();
        let mut store = MemoryStore::new();
        for (id, name, is_learner) in [(0xa, "one", false), (0xb, "", true)] {
            let peer_urls = vec![format!("http://{id}:2380")];
            let client_urls = if name.is_empty() { vec![] } else { vec!["http://c:2379".to_owned()] };
            let member = Member { id: MemberId(id), peer_urls, is_learner, name: name.to_owned(), client_urls };
            membership.apply_conf_change(&ConfChange::Add(member), 1, &mut store).unwrap();
        }
        let tree: serde_json::Value = serde_json::from_str(&v2_store(&membership)).unwrap();
        let zero = &tree["Root"]["Children"]["0"]["Children"];
        let members = &zero["members"]["Children"];
        assert_eq!(members["a"]["Children"]["raftAttributes"]["Value"], r#"{"peerURLs":["http://10:2380"]}"#);
        assert_eq!(members["a"]["Children"]["attributes"]["Value"], r#"{"name":"one","clientURLs":["http://c:2379"]}"#);
        assert_eq!(
            members["b"]["Children"]["raftAttributes"]["Value"],
            r#"{"peerURLs":["http://11:2380"],"isLearner":true}"#
        );
        assert!(members["b"]["Children"].get("attributes").is_none());
        assert_eq!(members["a"]["Children"]["raftAttributes"]["Children"], serde_json::Value::Null);
        assert_eq!(tree["Root"]["Children"]["1"]["Children"], serde_json::json!({}));
        assert!(tree.get("WatcherHub").is_none());
    }
}
