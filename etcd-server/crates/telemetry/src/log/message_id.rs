//! Messages with a stable `MESSAGE_ID`, by which the journal finds and explains them (`journalctl
//! -x`).
//!
//! An id is never changed or used again: alerts and scripts hold on to it. The explanations are
//! systemd's message catalog, in `systemd/usr/lib/systemd/catalog/etcd-server.catalog`; a test
//! holds the two together.

/// The id, as the journal writes it, and the message that has it.
pub(crate) const MESSAGES: &[(&str, &str)] = &[
    ("eb337b1bf20c4105b0cc373361af64d5", "ready to serve client requests"),
    ("e6dbdfa9351548578432e15ed6b83f59", "raft role changed"),
    ("351a2458b50c48db9becb0ddcdaa8938", "received signal; shutting down"),
    ("1bc62cb45d494cb2801db15407973531", "closed etcd server"),
    ("89d65c0b338a400392ef301146f4fbef", "server error"),
    ("49ddb94e40a245179234691651ce4449", "etcd-server stopped"),
    ("6b115643cfd245e38b3baf02f6f3f5e6", "member cannot continue"),
    ("ceb1b640910c4c968cc30d3c3fbc6ee0", "peer became active"),
    ("e31e15f90ba84e48b539e7c2144298cc", "peer became inactive (message send to peer failed)"),
    ("80f51d52a4ff4641b715766c49e932a4", "request sent was ignored by remote peer"),
    ("2557144d9c4f498ea0ac0888c7ac9a6a", "rejected request from remote peer"),
    ("607f0df592914f8d813220cd5b0cd191", "found data inconsistency between members: raising the CORRUPT alarm"),
    ("67a9d381d05343b5b34a16c3f891ac7f", "the quota is used up: raising the NOSPACE alarm"),
    (
        "00532fcdae2e4181af463090f0d4b156",
        "the raft log has not been synced for an election timeout: transferring leadership",
    ),
    ("1ba385f0e8214094b0e5d68dc806fd90", "the raft log has not been synced for two election timeouts: stepping down"),
    (
        "13154a2bd75748d4a7ce15a83d7fff56",
        "the raft log has not been synced for an election timeout, and no other member responds: stepping down",
    ),
    ("c98ccecac962465b9ef255972bbb56b7", "this member makes no progress; systemd will restart it if this continues"),
    ("f2c4b20a1d244cb1827741add8e35402", "certificate expires soon"),
    ("5a28f586e45d47698e586cc883842ab5", "certificate has expired"),
    ("0a18e07e73cf4a28b09d8c63cffb9440", "reloaded TLS files"),
    ("99f5245551a346c7ad1409e875d68a37", "TLS files have changed and cannot be used; those loaded before stay in use"),
    ("8913eab9a7fc4edd995ae34d7c99e98a", "installed the state of another member"),
    ("ae566a76b0d7426e9f6475d392be3f3b", "failed to send database snapshot"),
    ("f7f30922f3b243e39fc216256e2e0dc0", "cut an interrupted write off the raft log"),
    ("db8114b5d4a24d7697ed0c583bf08667", "forcing a new cluster of this member alone"),
    ("f0ddc16b90a34a72a2db1780d471921a", "added remote peer"),
    ("b002a4011e6f4f589bbad87c8fd92d0d", "removed remote peer"),
    ("b7d5bf7c3bb5494b9b665b3e4941e3d9", "promoted a learner that has caught up"),
    ("4bfef0fb20d2455999a7bfbf8152d487", "cluster version is updated"),
    ("66fe6f93812a401a98916c203d0d01d8", "leadership transfer failed"),
    ("76f2ec28f5eb4840a54f7749e1fbbc83", "failed to publish local member to cluster through raft"),
    ("a8f1690062764100ad84991c668f0413", "apply request took too long"),
];

/// The id of a message that has one.
pub(crate) fn of(message: &str) -> Option<&'static str> {
    MESSAGES.iter().find(|(_, text)| *text == message).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
    }

    #[test]
    fn each_is_explained_once_and_nothing_else_is() {
        let catalog =
            std::fs::read_to_string(repository().join("systemd/usr/lib/systemd/catalog/etcd-server.catalog")).unwrap();
        let explained: Vec<&str> = catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let known: Vec<&str> = MESSAGES.iter().map(|(id, _)| *id).collect();
        assert_eq!(explained, known);
        assert_eq!(known.iter().collect::<BTreeSet<_>>().len(), known.len());
        for id in known {
            assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
        }
    }

    #[test]
    fn each_is_said_somewhere() {
        let mut sources = Vec::new();
        for dir in ["etcd-server/src", "etcd-server/crates"] {
            collect(&repository().join(dir), &mut sources);
        }
        for (id, message) in MESSAGES {
            let said = format!("\"{message}\"");
            assert!(
                sources.iter().any(|source| source.contains("tracing::") && source.contains(&said)),
                "{id}: {message}"
            );
        }
    }

    /// Collects all sources below a directory but this one.
    fn collect(dir: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("log/message_id.rs") {
                into.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}
