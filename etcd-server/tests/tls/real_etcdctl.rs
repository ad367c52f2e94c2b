//! The real etcdctl over TLS.

use crate::daemon::{Daemon, Ports};
use crate::pki::{Leaf, Pki, leaf};
use certs::Profile;
use std::path::{Path, PathBuf};
use std::process::Command;
use time::OffsetDateTime;

fn etcdctl() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("ETCD_BIN_DIR")?).join("etcdctl");
    path.is_file().then_some(path)
}

fn run(etcdctl: &Path, pki: &Pki, port: u16, shown: Option<&Leaf>, words: &str) -> (bool, String) {
    let mut command = Command::new(etcdctl);
    command.args([
        "--endpoints",
        &format!("https://127.0.0.1:{port}"),
        "--dial-timeout",
        "3s",
        "--command-timeout",
        "3s",
    ]);
    command.arg("--cacert").arg(pki.path("ca.crt"));
    if let Some(leaf) = shown {
        pki.write("user.crt", leaf.pem.as_bytes());
        pki.write("user.key", leaf.key.as_bytes());
        command.arg("--cert").arg(pki.path("user.crt")).arg("--key").arg(pki.path("user.key"));
    }
    let ended = command.args(words.split_whitespace()).env_clear().output().unwrap();
    (
        ended.status.success(),
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)),
    )
}

#[test]
fn etcdctl_works_with_a_certificate_and_not_without() {
    let Some(etcdctl) = etcdctl() else {
        skip::report("set ETCD_BIN_DIR to a directory with etcdctl");
        return;
    };
    let pki = Pki::new();
    let mut flags = pki.flags_with_list();
    flags.push("--client-cert-auth".to_owned());
    let daemon = Daemon::start(&flags, Ports::Shared);
    let (root, mallory) = (pki.user("root"), pki.user("mallory"));
    let stranger = leaf(&pki.stranger, Profile::Client, "root", &[], OffsetDateTime::now_utc());
    for (shown, words, good, says) in [
        (Some(&root), "put greeting hello", true, "OK"),
        (Some(&root), "get greeting", true, "hello"),
        (Some(&root), "endpoint health", true, "is healthy"),
        (Some(&root), "lease grant 60", true, "granted"),
        (None, "get greeting", false, ""),
        (Some(&stranger), "get greeting", false, ""),
        (Some(&mallory), "get greeting", true, "hello"),
        (Some(&root), "user add root:secret-password", true, "created"),
        (Some(&root), "user grant-role root root", true, "granted"),
        (Some(&root), "auth enable", true, "Enabled"),
        (Some(&root), "get greeting", true, "hello"),
        (Some(&mallory), "get greeting", false, "permission denied"),
    ] {
        let (worked, told) = run(&etcdctl, &pki, daemon.client, shown, words);
        assert_eq!(worked, good, "{words}: {told}");
        assert!(told.contains(says), "{words}: {told}");
    }
    pki.write_list(&[&mallory]);
    daemon.wait_for_log("reloaded TLS files");
    let (worked, told) = run(&etcdctl, &pki, daemon.client, Some(&mallory), "get greeting");
    assert!(!worked && !told.contains("permission denied"), "refused at the door: {told}");
}
