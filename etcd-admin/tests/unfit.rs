//! Hosts that are not fit, and data that is not whole: found, named, and told what to do about.

use crate::servers::{one, our_daemon, runtime};
use crate::tool::Tool;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// A document of one member on this machine.
fn document(tool: &Tool, host: &str, port: u16, more: &str) {
    let home = tool.home().display();
    let text = format!(
        "name: test\ntoken: t\nmembers:\n- {{name: m1, host: {host}, client_port: {port}, peer_port: 1}}\ndata_dir: {home}/data\n\
         config_file: {home}/etcd.yaml\nuser: nobody\n{more}"
    );
    std::fs::write(tool.path("cluster.yaml"), text).unwrap();
}

#[test]
fn what_makes_a_host_unfit_is_found_before_anything_is_changed() {
    let tool = Tool::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let tls = format!("tls: {{directory: '{}/pki'}}\n", tool.home().display());
    document(&tool, "127.0.0.1", port, &tls);
    let output = tool.run("preflight --member m1 --no-probe").ends(3, "in use by another process");
    assert!(output.contains("What to do") && output.contains(&format!(":{port}'")), "{output}");
    drop(held);
    document(&tool, "192.0.2.1", port, &tls);
    tool.run("preflight --member m1 --no-probe").ends(3, "this host does not have this address");
    document(&tool, "no-such-host.invalid", port, &tls);
    tool.run("preflight --member m1 --no-probe").ends(3, "check its spelling");
    document(&tool, "127.0.0.1", port, &format!("{tls}quota: 1000000GiB\n"));
    tool.run("preflight --member m1 --no-probe").ends(3, "disk-space");
    document(&tool, "127.0.0.1", port, "tls: {enabled: false}\nquota: 16MiB\n");
    tool.run("preflight --member m1").ends(0, "connections are not encrypted");
    std::fs::create_dir_all(tool.path("data/member/snap")).unwrap();
    tool.run("preflight --member m1 --no-probe").ends(3, "it holds the data of a real etcd");
    let json = tool.run("-o json preflight --member m1 --no-probe").ends(3, "\"check\": \"data\"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["ok"].as_bool(), json["findings"][0]["severity"].as_str()), (Some(false), Some("bad")), "{json}");
}

#[test]
fn certificates_that_do_not_stand_for_the_host_are_found() {
    let tool = Tool::with_cas();
    let tls = format!("tls: {{directory: '{}/pki-of-host'}}\n", tool.home().display());
    let [port] = testbed::free_ports().unwrap();
    document(&tool, "127.0.0.1", port, &tls);
    tool.run("init apply --member m1 --passphrase-file passphrase").good();
    document(&tool, "127.0.0.2", port, &tls);
    tool.run("preflight --member m1 --no-probe").ends(3, "is not valid for 127.0.0.2");
}

/// A file of that name below a directory.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| if path.is_dir() { find(&path, name) } else { (path.file_name()? == name).then_some(path) })
}

#[test]
fn data_at_rest_is_looked_at_without_being_changed() {
    let tool = Tool::new();
    let mut server = runtime().block_on(one(&our_daemon()));
    tool.run(&format!("put a b --endpoints {}", server.endpoint())).good();
    let data = server.data_dir().to_owned();
    let look = format!("doctor offline {}", data.display());
    tool.run(&look).ends(5, "is in use");
    server.kill();
    let output = tool.run(&look).ends(0, "applied");
    assert!(output.contains("one of 1 members"), "{output}");
    // The file that says which tables there are.
    let current = find(&data, "CURRENT").unwrap();
    std::fs::write(current, "nonsense").unwrap();
    tool.run(&look).ends(3, "do not repair it by hand");
    std::fs::remove_dir_all(data.join("member")).unwrap();
    std::fs::create_dir_all(data.join("member/snap")).unwrap();
    tool.run(&look).ends(3, "it is the data of a real etcd");
}

#[test]
fn a_configuration_that_the_daemon_would_refuse_is_named() {
    let tool = Tool::new();
    std::fs::write(tool.path("etcd.yaml"), "name: m1\nheartbeat-interval: often\n").unwrap();
    tool.run("doctor host --no-probe --config etcd.yaml").ends(3, "heartbeat-interval");
    tool.run("doctor host --no-probe --config nowhere.yaml").ends(3, "nowhere.yaml");
    std::fs::write(
        tool.path("etcd.yaml"),
        format!(
            "name: m1\ndata-dir: {}\nhearbeat-interval: 100\nquota-backend-bytes: 16777216\n",
            tool.home().display()
        ),
    )
    .unwrap();
    tool.run("doctor host --no-probe --config etcd.yaml").ends(0, "did you mean heartbeat-interval?");
}

#[test]
fn a_sync_of_the_disk_is_measured() {
    let tool = Tool::new();
    let json = tool.json("bench fsync --dir . --writes 20");
    assert_eq!((json["writes"].as_u64(), json["bytes"].as_u64()), (Some(20), Some(2300)));
    assert!(json["max_microseconds"].as_u64() >= json["p50_microseconds"].as_u64());
    assert_eq!(std::fs::read_dir(tool.home()).unwrap().count(), 1, "the passphrase alone");
    tool.run("bench fsync --dir nowhere").ends(1, "nowhere");
    tool.run("bench fsync --dir . --dry-run").ends(0, "would write 1000 times");
    assert!(tool.run("bench fsync --dir . --writes 5").good().starts_with("WRITES  BYTES  P50"));
}
