//! A real etcd's configuration becomes ours: settings that carry over, settings that do not, and that nothing is
//! lost on the way.

use crate::tool::Tool;
use std::os::unix::fs::MetadataExt as _;

const DEBIAN: &str = "## etcd(1) daemon options\n# comment\nETCD_NAME=\"m1\"\nETCD_DATA_DIR=/var/lib/etcd/default\nETCD_WAL_DIR=/wal\n\
ETCD_LISTEN_PEER_URLS=\"http://10.0.0.1:2380\"\nETCD_LISTEN_CLIENT_URLS='http://10.0.0.1:2379,http://127.0.0.1:2379'\n\
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.1:2380\nETCD_INITIAL_CLUSTER=m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380\n\
ETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.1:2379\nETCD_HEARTBEAT_INTERVAL=250\nETCD_ELECTION_TIMEOUT=2500\n\
ETCD_ENABLE_V2=false\nETCD_PROXY=off\n";

#[test]
fn an_environment_file_becomes_a_configuration() {
    let tool = Tool::new();
    std::fs::write(tool.path("etcd"), DEBIAN).unwrap();
    let adopt = "adopt --from etcd --to etcd.yaml --data-dir /srv/etcd";
    let before = tool.everything();
    assert_eq!(tool.json(&format!("{adopt} --dry-run"))["changed"], true);
    assert!(tool.everything() == before);
    let output = tool.json(adopt);
    let left: Vec<_> =
        output["left"].as_array().unwrap().iter().map(|left| left["setting"].as_str().unwrap()).collect();
    assert_eq!(left, ["ETCD_ENABLE_V2", "ETCD_PROXY", "wal-dir"], "{output}");
    let text = std::fs::read_to_string(tool.path("etcd.yaml")).unwrap();
    for line in ["name: m1", "data-dir: /srv/etcd", "heartbeat-interval: 250", "initial-cluster-state: existing"] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let next = output["next"].to_string();
    assert!(next.contains("member rebuild m1"), "{next}");
    assert_eq!(tool.json(adopt)["changed"], false);
}

/// As the package makes it, the directory is root's, and of the daemon's group.
#[test]
fn the_daemon_can_read_what_root_has_adopted() {
    let tool = Tool::new();
    std::fs::write(tool.path("etcd"), DEBIAN).unwrap();
    let dir = tool.path("etc");
    std::fs::create_dir(&dir).unwrap();
    // Who is not root keeps the group that files get anyway.
    let group = if nix::unistd::geteuid().is_root() { 65_533 } else { dir.metadata().unwrap().gid() };
    std::os::unix::fs::chown(&dir, None, Some(group)).unwrap();
    tool.json("adopt --from etcd --to etc/etcd.yaml --data-dir /srv/etcd");
    let file = dir.join("etcd.yaml").metadata().unwrap();
    assert_eq!((file.gid(), file.mode() & 0o777), (group, 0o640));
}

#[test]
fn a_configuration_file_of_one_member_is_told_how_its_data_comes_over() {
    let tool = Tool::new();
    let old = tool.path("old");
    std::fs::create_dir_all(old.join("member/snap")).unwrap();
    let text = format!(
        "name: solo\ndata-dir: {}\nsnapshot-count: 5000\nenable-v2: true\nclient-transport-security:\n  cert-file: /pki/a.crt\n  key-file: /pki/a.key\n\
         listen-client-urls: https://127.0.0.1:2379\nadvertise-client-urls: https://127.0.0.1:2379\n",
        old.display()
    );
    std::fs::write(tool.path("etcd.conf.yml"), text).unwrap();
    tool.run(&format!("adopt --from etcd.conf.yml --to etcd.yaml --data-dir {}", old.display()))
        .ends(5, "holds the data of a real etcd");
    tool.run("adopt --from etcd.conf.yml --to etcd.yaml").ends(9, "--leave-out enable-v2");
    let output = tool.run("adopt --from etcd.conf.yml --to etcd.yaml --leave-out enable-v2").good();
    assert!(output.contains("enable-v2") && output.contains("snapshot restore"), "{output}");
    let text = std::fs::read_to_string(tool.path("etcd.yaml")).unwrap();
    assert!(text.contains("old-appliance\n") && text.contains("  cert-file: /pki/a.crt\n"), "{text}");
    std::fs::write(tool.path("broken"), "ETCD_HEARTBEAT_INTERVAL=often\n").unwrap();
    tool.run("adopt --from broken --to etcd.yaml").ends(2, "ETCD_HEARTBEAT_INTERVAL");
}

/// Every name that etcd 3.5 and 3.6 had as experimental, as a variable and as a key of the file;
/// each does here what it did there.
#[test]
fn experimental_settings_carry_over_under_their_present_names() {
    let tool = Tool::new();
    let settings = [
        ("COMPACT_HASH_CHECK_ENABLED", "true", "CompactHashCheck=true"),
        ("COMPACT_HASH_CHECK_TIME", "7m", "compact-hash-check-time: 420000000000"),
        ("COMPACTION_BATCH_LIMIT", "77", "compaction-batch-limit: 77"),
        ("COMPACTION_SLEEP_INTERVAL", "7ms", "compaction-sleep-interval: 7000000"),
        ("CORRUPT_CHECK_TIME", "7h", "corrupt-check-time: 25200000000000"),
        ("DISTRIBUTED_TRACING_ADDRESS", "t:1", "distributed-tracing-address: t:1"),
        ("DISTRIBUTED_TRACING_SERVICE_NAME", "svc", "distributed-tracing-service-name: svc"),
        ("DOWNGRADE_CHECK_TIME", "7s", "downgrade-check-time: 7000000000"),
        ("ENABLE_LEASE_CHECKPOINT", "true", "LeaseCheckpoint=true"),
        ("INITIAL_CORRUPT_CHECK", "true", "InitialCorruptCheck=true"),
        ("PEER_SKIP_CLIENT_SAN_VERIFICATION", "true", "skip-client-san-verification: true"),
        ("SNAPSHOT_CATCHUP_ENTRIES", "777", "snapshot-catchup-entries: 777"),
        ("WARNING_APPLY_DURATION", "70ms", "warning-apply-duration: 70000000"),
        ("WARNING_UNARY_REQUEST_DURATION", "700ms", "warning-unary-request-duration: 700000000"),
        ("WATCH_PROGRESS_NOTIFY_INTERVAL", "7m", "watch-progress-notify-interval: 420000000000"),
    ];
    let variables: String =
        settings.iter().map(|(name, value, _)| format!("ETCD_EXPERIMENTAL_{name}={value}\n")).collect();
    std::fs::write(tool.path("etcd"), DEBIAN.to_owned() + &variables).unwrap();
    let key = |name: &str| format!("experimental-{}", name.to_lowercase().replace('_', "-"));
    let keys: String = settings.iter().map(|(name, value, _)| format!("{}: {value}\n", key(name))).collect();
    std::fs::write(tool.path("etcd.conf.yml"), format!("name: m1\n{keys}")).unwrap();
    for from in ["etcd", "etcd.conf.yml"] {
        let output = tool.json(&format!("adopt --from {from} --to {from}.yaml --data-dir /srv/etcd"));
        let text = std::fs::read_to_string(tool.path(&format!("{from}.yaml"))).unwrap();
        for (name, _, expected) in settings {
            assert!(text.contains(expected), "{name} of {from}: {expected} is not in {text}\n{output}");
        }
        assert!(!output["left"].to_string().to_lowercase().contains("experimental"), "{output}");
    }
    // A setting without a counterpart is refused: nothing is written before the operator decides.
    std::fs::write(tool.path("odd"), DEBIAN.to_owned() + "ETCD_FROBNICATION=high\nETCD_EXPERIMENTAL_ENABLE_V2V3=/v2\n")
        .unwrap();
    let adopt = "adopt --from odd --to odd.yaml --data-dir /srv/etcd";
    tool.run(adopt).ends(9, "--leave-out ETCD_FROBNICATION --leave-out ETCD_EXPERIMENTAL_ENABLE_V2V3");
    assert!(!tool.path("odd.yaml").exists());
    tool.run(&format!("{adopt} --leave-out ETCD_FROBNICATION --leave-out ETCD_EXPERIMENTAL_ENABLE_V2V3")).good();
    assert!(tool.path("odd.yaml").exists());
}
