//! Files that the daemon does not start with: exit code 1, one line with the reason, and no data
//! directory made.

use crate::pki::Pki;
use std::process::{Command, Stdio};

fn outcome(pki: &Pki, flags: &[&str]) -> (Option<i32>, String, bool) {
    let data = pki.path("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-server"));
    command.args(["--name", "node", "--data-dir"]).arg(&data).args(["--listen-client-urls", "https://127.0.0.1:0"]);
    command.args(["--advertise-client-urls", "https://127.0.0.1:1"]).args(flags).current_dir(pki.dir.path());
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    (ended.status.code(), told, data.exists())
}

#[test]
fn bad_files_are_refused_before_anything_is_made() {
    let pki = Pki::new();
    pki.write("empty", b"");
    pki.write("open.key", std::fs::read(pki.path("server.key")).unwrap().as_slice());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(pki.path("open.key"), open).unwrap();
    pki.write("other.key", pki.user("alice").key.as_bytes());
    let good = ["--cert-file", "server.crt", "--key-file", "server.key"];
    for (flags, says) in [
        (vec!["--cert-file", "nowhere.crt", "--key-file", "server.key"], "--cert-file: read nowhere.crt: No such file"),
        (
            vec!["--cert-file", "empty", "--key-file", "server.key"],
            "--cert-file empty: no certificate found: the file is empty",
        ),
        (
            vec!["--cert-file", "server.crt", "--key-file", "open.key", "--strict-file-checks"],
            "--key-file: open.key can be read by others (mode 0644): chmod 600",
        ),
        (
            vec!["--cert-file", "server.crt", "--key-file", "other.key"],
            "--key-file other.key: the key in it does not belong",
        ),
        (
            [&good[..], &["--trusted-ca-file", "server.key"]].concat(),
            "--trusted-ca-file server.key: no certificate found: the file holds a PRIVATE KEY",
        ),
        (
            [&good[..], &["--trusted-ca-file", "ca.crt", "--client-crl-file", "ca.crt"]].concat(),
            "--client-crl-file ca.crt: no revocation list",
        ),
        (
            [&good[..], &["--trusted-ca-file", "ca.crt", "--client-crl-file", "gone"]].concat(),
            "--client-crl-file: read gone: No such file",
        ),
        (
            [&good[..], &["--cipher-suites", "TLS_RSA_WITH_RC4_128_SHA", "--tls-max-version", "TLS1.2"]].concat(),
            "--cipher-suites: none of them",
        ),
        (
            vec![],
            "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:0 with HTTPS scheme",
        ),
    ] {
        let (code, told, made) = outcome(&pki, &flags);
        assert_eq!(code, Some(1), "{flags:?}: {told}");
        assert!(told.contains(says), "{flags:?} says {says:?}: {told}");
        assert!(!told.contains("panicked") && !made, "{flags:?}: {told}");
    }
}
