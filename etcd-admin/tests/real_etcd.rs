//! A real etcd serves with our certificates, and the real etcdctl uses them.

use crate::tool::Tool;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn binaries() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("ETCD_BIN_DIR")?);
    ["etcd", "etcdctl"].iter().all(|name| dir.join(name).is_file()).then_some(dir)
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(binaries: &Path, tool: &Tool, ports: [u16; 2]) -> Running {
    let log = std::fs::File::create(tool.path("etcd.log")).unwrap();
    let [client, peer] = ports.map(|port| format!("https://127.0.0.1:{port}"));
    let mut command = Command::new(binaries.join("etcd"));
    command.args([
        "--name",
        "one",
        "--data-dir",
        "data",
        "--log-level",
        "error",
        "--initial-cluster",
        &format!("one={peer}"),
    ]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args([
        "--cert-file",
        "host/current/server.crt",
        "--key-file",
        "host/current/server.key",
        "--client-cert-auth",
    ]);
    command.args(["--trusted-ca-file", "host/current/client-ca.crt", "--client-crl-file", "crl.der"]);
    command.args([
        "--peer-cert-file",
        "host/current/peer.crt",
        "--peer-key-file",
        "host/current/peer.key",
        "--peer-client-cert-auth",
    ]);
    command.args(["--peer-trusted-ca-file", "host/current/peer-ca.crt"]);
    command.current_dir(tool.home()).env_clear().stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

fn etcdctl(binaries: &Path, tool: &Tool, port: u16, user: &str, args: &str) -> (bool, String) {
    let mut command = Command::new(binaries.join("etcdctl"));
    command.args([
        "--endpoints",
        &format!("https://127.0.0.1:{port}"),
        "--command-timeout",
        "3s",
        "--dial-timeout",
        "3s",
    ]);
    command.args(["--cacert", "host/current/client-ca.crt"]);
    if !user.is_empty() {
        command.args(["--cert", &format!("{user}.crt"), "--key", &format!("{user}.key")]);
    }
    let ended = command.args(args.split_whitespace()).current_dir(tool.home()).env_clear().output().unwrap();
    (
        ended.status.success(),
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)),
    )
}

/// Everything that etcd needs is made by the tool alone; the CA's key is never in the host's
/// directory.
#[test]
fn a_real_etcd_serves_with_our_certificates() {
    let Some(binaries) = binaries() else {
        skip::report("set ETCD_BIN_DIR to a directory with etcd and etcdctl");
        return;
    };
    let tool = Tool::with_cas();
    std::fs::create_dir(tool.path("host")).unwrap();
    for profile in ["server", "peer"] {
        tool.run(&format!("cert request {profile} 127.0.0.1 localhost --dir host --cn etcd1")).good();
        tool.run(&format!("cert sign host/pending/{profile}.csr --profile {profile} --any-names --loopback-only --out {profile}.crt --passphrase-file passphrase"))
            .good();
    }
    tool.run("cert install --dir host --cert server.crt --cert peer.crt --client-ca pki/client/bundle.crt --peer-ca pki/peer/bundle.crt")
        .good();
    for user in ["alice", "mallory"] {
        tool.run(&format!("cert issue client --cn {user} --passphrase-file passphrase")).good();
    }
    tool.run("cert issue admin --passphrase-file passphrase").good();
    tool.run("cert revoke client-mallory.crt --reason key-compromise").good();
    tool.run("crl publish --kind client --passphrase-file passphrase").good();
    let list = certs::revocation_lists(&std::fs::read(tool.path("pki/client/crl.pem")).unwrap()).unwrap();
    std::fs::write(tool.path("crl.der"), &list[0]).unwrap();
    let ports = testbed::free_ports().unwrap();
    let mut etcd = start(&binaries, &tool, ports);
    let begun = Instant::now();
    let ctl = |user: &str, args: &str| etcdctl(&binaries, &tool, ports[0], user, args);
    while !ctl("admin", "endpoint health").0 {
        let log = || std::fs::read_to_string(tool.path("etcd.log")).unwrap();
        assert!(etcd.0.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(30), "{}", log());
    }
    for (user, args, good) in [
        ("admin", "put greeting hello", true),
        ("client-alice", "get greeting", true),
        ("client-mallory", "get greeting", false),
        ("", "get greeting", false),
        ("admin", "user add root:secret", true),
        ("admin", "user grant-role root root", true),
        ("admin", "user add alice --no-password", true),
        ("admin", "auth enable", true),
        ("admin", "get greeting", true),
        ("client-alice", "get greeting", false),
    ] {
        let (worked, output) = ctl(user, args);
        assert_eq!(worked, good, "{user} {args}: {output}");
    }
}
