//! cluster.yaml: accepted and refused settings, and the files made from it.

use crate::tool::Tool;
use std::os::unix::fs::PermissionsExt as _;

const SMALL: &str =
    "name: prod\ntoken: prod-1\nmembers:\n- {name: etcd1, host: 10.0.0.11}\n- {name: etcd2, host: etcd2.example.org}\n";

const RENDERED: &str = "\
# Made by etcd-admin init from cluster.yaml: change that, and apply it again.
name: etcd2
data-dir: /var/lib/etcd
listen-client-urls: https://0.0.0.0:2379
advertise-client-urls: https://etcd2.example.org:2379
listen-peer-urls: https://0.0.0.0:2390
initial-advertise-peer-urls: https://etcd2.example.org:2390
initial-cluster: etcd1=https://10.0.0.11:2390,etcd2=https://etcd2.example.org:2390
initial-cluster-token: prod-1
initial-cluster-state: new
quota-backend-bytes: 2147483648
auto-compaction-mode: periodic
auto-compaction-retention: 1h
client-transport-security:
  cert-file: /etc/etcd/pki/current/server.crt
  key-file: /etc/etcd/pki/current/server.key
  trusted-ca-file: /etc/etcd/pki/current/client-ca.crt
  client-cert-auth: true
peer-transport-security:
  cert-file: /etc/etcd/pki/current/peer.crt
  key-file: /etc/etcd/pki/current/peer.key
  trusted-ca-file: /etc/etcd/pki/current/peer-ca.crt
  client-cert-auth: true
max-request-bytes: 3000000
";

const TIMER: &str = "\
# Made by etcd-admin init from cluster.yaml: change that, and apply it again.
[Timer]
OnCalendar=
OnCalendar=hourly
";

const SERVICE: &str = "\
# Made by etcd-admin init from cluster.yaml: change that, and apply it again.
[Service]
ExecStart=
ExecStart=-/usr/bin/etcd-admin snapshot prune --keep-last 9 --keep-daily 7 --keep-weekly 4 /srv/etcd2
ExecStart=/usr/bin/etcd-admin snapshot save --scheduled --dir /srv/etcd2 --metrics-file /var/lib/etcd-snapshot/etcd_snapshot.prom
ExecStart=/usr/bin/etcd-admin snapshot prune --keep-last 9 --keep-daily 7 --keep-weekly 4 /srv/etcd2
ReadWritePaths=/srv/etcd2
";

#[test]
fn every_host_has_its_files_and_nothing_else_is_written() {
    let tool = Tool::new();
    let more = "peer_port: 2390\nquota: 2GiB\nsettings: {max-request-bytes: 3000000}\nbackup: {directory: '/srv/{name}', calendar: hourly, keep: {last: 9}}\n";
    std::fs::write(tool.path("cluster.yaml"), format!("{SMALL}{more}")).unwrap();
    let before = tool.everything();
    let output = tool.json("init render --out hosts --dry-run");
    assert_eq!(
        (output["changed"].as_bool(), output["diff"].as_array().map(Vec::len)),
        (Some(true), Some(6)),
        "{output}"
    );
    assert!(tool.everything() == before, "a dry run wrote something");
    tool.run("init render --out hosts").good();
    let read = |path: &str| std::fs::read_to_string(tool.path("hosts").join(path)).unwrap();
    assert_eq!(read("etcd2/etc/etcd/etcd.yaml"), RENDERED);
    assert_eq!(read("etcd2/etc/systemd/system/etcd-snapshot.timer.d/cluster.conf"), TIMER);
    assert_eq!(read("etcd2/etc/systemd/system/etcd-snapshot.service.d/cluster.conf"), SERVICE);
    assert!(read("etcd1/etc/etcd/etcd.yaml").contains("listen-peer-urls: https://10.0.0.11:2390\n"));
    assert_eq!(tool.everything().len(), before.len() + 6);
    assert_eq!(tool.json("init render --out hosts")["changed"], false);
}

#[test]
fn a_first_document_has_a_token_of_its_own() {
    let tool = Tool::new();
    let one = tool.run("init new prod etcd1=10.0.0.11 etcd2=10.0.0.12 etcd3=10.0.0.13").good();
    let other = tool.run("init new prod etcd1=10.0.0.11 etcd2=10.0.0.12 etcd3=10.0.0.13").good();
    assert_ne!(one, other);
    std::fs::write(tool.path("cluster.yaml"), one).unwrap();
    tool.run("init render --out hosts").good();
    assert!(tool.run("init schema").good().contains("schema: 1 "));
    tool.run("init new prod etcd1").ends(2, "write NAME=HOST");
    tool.run("init new prod etcd1=10.0.0.11:2379").ends(2, "ports have keys of their own");
}

#[test]
fn a_document_with_a_mistake_is_refused_with_its_place() {
    let tool = Tool::new();
    for (text, says) in [
        (SMALL.replace("token: prod-1\n", ""), "missing field `token`"),
        (SMALL.replace("prod-1", "two words"), "token: \"two words\" has to be letters"),
        (SMALL.replace("etcd2,", "etcd1,"), "etcd1 is the name of two"),
        (SMALL.replace("etcd2.example.org", "10.0.0.11"), "10.0.0.11:2379 is the host and port of two"),
        (SMALL.replace("etcd2.example.org", "https://etcd2"), "is neither a name nor an address"),
        (SMALL.replace("etcd2.example.org", "0.0.0.0"), "0.0.0.0 is not reachable"),
        (format!("{SMALL}quota: 8GB\n"), "quota: write bytes, or a number with KiB, MiB or GiB"),
        (format!("{SMALL}quotas: 8GiB\n"), "unknown field `quotas`"),
        (format!("{SMALL}auto_compaction: sometimes\n"), "auto_compaction:"),
        (format!("{SMALL}data_dir: data\n"), "data_dir: \"data\" is not an absolute path"),
        (format!("{SMALL}tls: {{key: dsa}}\n"), "tls.key: dsa is not a key algorithm"),
        (format!("{SMALL}settings: {{name: x}}\n"), "name follows from other settings"),
        (format!("{SMALL}settings: {{max-requst-bytes: 1}}\n"), "did you mean max-request-bytes?"),
        (format!("{SMALL}settings: {{max-request-bytes: many}}\n"), "the daemon would not start as etcd1"),
        (format!("{SMALL}client_port: 2380\n"), "10.0.0.11:2380 is the host and port of two"),
        ("schema: 2\n".to_owned() + SMALL, "schema: 2 is not known here"),
        ("name: prod\ntoken: t\nmembers: []\n".to_owned(), "there are 0"),
    ] {
        std::fs::write(tool.path("cluster.yaml"), &text).unwrap();
        tool.run("init render --out hosts").ends(2, says);
        assert!(!tool.path("hosts").exists(), "{text}");
    }
    std::fs::remove_file(tool.path("cluster.yaml")).unwrap();
    tool.run("init plan --cluster nowhere.yaml").ends(1, "nowhere.yaml");
}

#[test]
fn a_host_is_made_once_and_the_second_time_nothing_changes() {
    let tool = Tool::with_cas();
    std::fs::write(tool.path("cluster.yaml"), format!("{SMALL}backup: {{}}\n")).unwrap();
    let apply = "init apply --member etcd1 --root host --passphrase-file passphrase";
    tool.run("init plan").ends(2, "cannot determine which member this host");
    tool.run("init plan --member etcd9").ends(2, "no member is called etcd9; there are etcd1, etcd2");
    let before = tool.everything();
    let planned = tool.json("init plan --member etcd1 --root host");
    assert_eq!((planned["changed"].as_bool(), planned["ready"].as_bool()), (Some(true), Some(true)), "{planned}");
    assert!(tool.everything() == before, "a plan wrote something");
    let done = tool.json(apply);
    assert_eq!(done["diff"], planned["diff"]);
    let mode = |path: &str| std::fs::metadata(tool.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("host/var/lib/etcd"), mode("host/etc/etcd/etcd.yaml"), mode("host/var/backups/etcd")),
        (0o700, 0o640, 0o700)
    );
    assert_eq!(mode("host/etc/etcd/pki/current/server.key"), 0o600);
    tool.run("cert verify --dir host/etc/etcd/pki --san 10.0.0.11").good();
    let made = tool.everything();
    let again = tool.json(apply);
    assert_eq!((again["changed"].as_bool(), again["diff"].as_array().map(Vec::len)), (Some(false), Some(0)), "{again}");
    assert!(tool.everything() == made, "the second time changed something");
    // A change is printed line by line, and the old file is kept.
    std::fs::write(tool.path("cluster.yaml"), format!("{SMALL}backup: {{}}\nquota: 4GiB\n")).unwrap();
    tool.run("init plan --member etcd1 --root host").ends(0, "+ quota-backend-bytes: 4294967296");
    tool.run(apply).good();
    let kept =
        tool.everything().into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "old")).count();
    assert_eq!(kept, 1);
    // Another name for the host: its certificates do not stand for it.
    std::fs::write(tool.path("cluster.yaml"), SMALL.replace("10.0.0.11", "10.0.0.21")).unwrap();
    let output = tool.run("init plan --member etcd1 --root host").good();
    assert!(output.contains("a new key, and a certificate for 10.0.0.21"), "{output}");
    // etcd's own data is never touched.
    std::fs::create_dir_all(tool.path("host/var/lib/etcd/member/snap")).unwrap();
    tool.run(apply).ends(5, "has the data of an etcd");
}

#[test]
fn keys_stay_on_the_host_and_requests_get_what_the_document_says() {
    let (host, admin) = (Tool::new(), Tool::with_cas());
    for tool in [&host, &admin] {
        std::fs::write(tool.path("cluster.yaml"), SMALL).unwrap();
    }
    let apply = "init apply --member etcd1 --root host";
    let output = host.json(apply);
    assert_eq!((output["changed"].as_bool(), output["ready"].as_bool()), (Some(true), Some(false)), "{output}");
    let again = host.json(apply);
    assert_eq!((again["changed"].as_bool(), again["ready"].as_bool()), (Some(false), Some(false)), "{again}");
    std::fs::create_dir(admin.path("requests")).unwrap();
    for name in ["server.csr", "peer.csr"] {
        std::fs::copy(host.path("host/etc/etcd/pki/pending").join(name), admin.path("requests").join(name)).unwrap();
    }
    let sign = "--requests requests --out signed --passphrase-file passphrase";
    admin.run(&format!("init sign --member etcd2 {sign}")).ends(7, "the request is for 10.0.0.11 as etcd1");
    assert!(!admin.path("signed").exists());
    admin.run(&format!("init sign --member etcd1 {sign}")).good();
    let signed = admin.path("signed").display().to_string();
    let output = host.json(&format!("{apply} --signed {signed}"));
    assert_eq!((output["changed"].as_bool(), output["ready"].as_bool()), (Some(true), Some(true)), "{output}");
    host.run("cert verify --dir host/etc/etcd/pki --san 10.0.0.11").good();
    let last = host.json(&format!("{apply} --signed {signed}"));
    assert_eq!((last["changed"].as_bool(), last["ready"].as_bool()), (Some(false), Some(true)), "{last}");
    assert!(host.everything().iter().all(|(path, _)| !path.ends_with("ca.key")));
}
