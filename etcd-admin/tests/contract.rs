//! Properties of every command: exit codes, forms of output, which step of a connection broke, no
//! terminal, completion and manual pages.

use crate::servers::{one, our_daemon, runtime};
use crate::tool::Tool;
use std::process::Command;

#[test]
fn a_connection_that_fails_says_which_step_broke() {
    let tool = Tool::with_cas();
    let server = runtime().block_on(one(&our_daemon()));
    let plain = server.endpoint();
    let encrypted = plain.replace("http:", "https:");
    std::fs::write(tool.path("empty.pem"), "").unwrap();
    for (args, code, says) in [
        ("status --endpoints http://127.0.0.1:1".to_owned(), 4, "http://127.0.0.1:1: TCP: Connection refused"),
        ("get a --endpoints http://127.0.0.1:1".to_owned(), 4, "nothing listens there"),
        ("status --endpoints unix:///no/such/socket".to_owned(), 4, "unix:///no/such/socket: TCP: "),
        (format!("status --endpoints {encrypted}"), 4, "does not speak TLS"),
        (format!("status --endpoints {plain} --cacert empty.pem"), 2, "there is no certificate in it"),
        (format!("status --endpoints {plain} --cacert missing.pem"), 2, "open missing.pem: no such file or directory"),
        (format!("status --endpoints {plain} --cert empty.pem"), 2, "must both be present"),
        ("status --endpoints host".to_owned(), 2, "it has no port"),
        ("status --endpoints ftp://host:1".to_owned(), 2, "only http, https, unix and unixs are known"),
        (format!("get --endpoints {plain}"), 2, "get command needs one argument"),
        (format!("get a --endpoints {plain} --rev 99"), 1, "future revision"),
        (format!("get a --endpoints {plain} -w no"), 2, "unsupported output format"),
        (format!("member list extra --endpoints {plain}"), 2, "unexpected argument"),
        (format!("member frobnicate --endpoints {plain}"), 2, "unrecognized subcommand"),
        ("snapshot restore".to_owned(), 2, "required"),
    ] {
        let output = tool.run(&args).ends(code, says);
        assert!(!output.contains("panicked"), "{args}: {output}");
    }
    // Where one endpoint is dead, the next one answers.
    tool.run(&format!("put a b --endpoints http://127.0.0.1:1,{plain}")).ends(0, "OK");
    tool.run(&format!("etcdctl get a --endpoints http://127.0.0.1:1,{plain}")).ends(0, "b");
    let output = tool.run("etcdctl get a --endpoints http://127.0.0.1:1");
    assert_eq!(output.code, Some(1));
    assert!(
        output.complaint.starts_with("Error: context deadline exceeded\n  http://127.0.0.1:1: TCP: "),
        "{}",
        output.complaint
    );
}

#[test]
fn answers_have_the_form_that_is_asked_for_and_a_member_needs_no_flags() {
    let tool = Tool::new();
    let server = runtime().block_on(one(&our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    let json = tool.json(&format!("status {at}"));
    assert_eq!(
        (json["healthy"].as_bool(), json["members"][0]["role"].as_str()),
        (Some(true), Some("leader")),
        "{json}"
    );
    assert!(tool.run(&format!("-o yaml status {at}")).good().contains("healthy: true"));
    assert!(tool.run(&format!("status {at}")).good().starts_with("Cluster "));
    assert!(tool.run(&format!("-o json get a {at}")).good().starts_with("{\"header\":"));
    assert_eq!(tool.json(&format!("leader show {at}"))["name"], "node");
    assert_eq!(tool.json(&format!("leader move --to node {at}"))["changed"], false);
    tool.run(&format!("member ok-to-stop node {at}")).ends(3, "NOT OK");

    std::fs::write(
        tool.path("etcd.yaml"),
        format!("name: node\nlisten-client-urls: {0}\nadvertise-client-urls: {0}\n", server.endpoint()),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
    let text =
        command.arg("status").env_clear().env("ETCD_ADMIN_MEMBER_CONFIG", tool.path("etcd.yaml")).output().unwrap();
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    // etcdctl knows nothing of that, as everywhere.
    let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
    command.args(["etcdctl", "get", "a", "--dial-timeout", "100ms"]).env_clear();
    let text = command
        .env("ETCD_ADMIN_MEMBER_CONFIG", tool.path("etcd.yaml"))
        .env("ETCDCTL_ENDPOINTS", "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(text.status.code(), Some(1));
}

#[test]
fn shells_complete_and_pages_are_written() {
    let tool = Tool::new();
    for (shell, has) in [("bash", "complete -F"), ("zsh", "#compdef etcd-admin"), ("fish", "complete -c etcd-admin")] {
        assert!(tool.run(&format!("completion {shell}")).good().contains(has), "{shell}");
        assert!(tool.run(&format!("etcdctl completion {shell}")).good().contains("etcdctl"), "{shell}");
    }
    tool.run("man --dir pages").good();
    for page in
        ["etcd-admin.1", "etcd-admin-member-replace.1", "etcd-admin-snapshot-restore.1", "etcd-admin-recover-plan.1"]
    {
        assert!(tool.path("pages").join(page).is_file(), "{page}");
    }
    // Without a command, and for every group: the way on.
    for args in [
        "--help",
        "member --help",
        "snapshot restore --help",
        "recover plan --help",
        "etcdctl --help",
        "etcdutl --help",
    ] {
        tool.run(args).ends(0, "Usage: ");
    }
    tool.run("member --help").ends(0, "List, add, remove, replace, rebuild and promote members");
    tool.run("etcdutl version").ends(0, "etcdutl version: 3.7.1");
    tool.run("etcdutl snapshot status").ends(128, "Error: snapshot status requires exactly one argument");
    tool.run("etcdutl snapshot restore x --bump-revision 1")
        .ends(128, "--mark-compacted required if --revision-bump > 0");
}
