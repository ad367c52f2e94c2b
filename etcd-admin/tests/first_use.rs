//! First use: one command for a cluster with TLS on this machine, ports and directories for several
//! members, and what protects a second run.

use crate::members::{Member, SOON, server};
use crate::servers::{cluster, real_binaries, runtime};
use crate::tool::Tool;
use std::process::Command;
use std::time::Instant;
use testbed::Server;

/// Runs a line of the output of `init local` in a shell, with this build's programs first in the
/// path.
fn shell(tool: &Tool, line: &str) -> std::process::Output {
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_etcd-admin")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    Command::new("sh")
        .args(["-c", line])
        .current_dir(tool.home())
        .env_clear()
        .env("PATH", path)
        .env("HOME", tool.home())
        .output()
        .unwrap()
}

#[test]
fn one_command_makes_a_cluster_with_tls() {
    let Some(server) = server() else { return };
    let tool = Tool::new();
    let begun = Instant::now();
    let [port]: [u16; 1] = testbed::free_ports().unwrap();
    let first = port.min(60_000);
    assert_eq!(tool.json(&format!("init local --dir demo --first-port {first} --dry-run"))["dry_run"], true);
    assert!(!tool.path("demo").exists());
    let output = tool.run(&format!("init local --dir demo --first-port {first}")).good();
    for says in ["etcd-server --config-file ", "/demo/etcd3/etcd.yaml", ". ", "/demo/environment", "etcd-admin status"]
    {
        assert!(output.contains(says), "{says}: {output}");
    }
    let mut members: Vec<Member> = (1..=3)
        .map(|number| {
            Member::with_config_at(
                &server,
                &tool,
                &tool.path(&format!("demo/etcd{number}/etcd.yaml")),
                &format!("etcd{number}"),
            )
        })
        .collect();
    members.iter_mut().for_each(|member| member.wait_for_log("ready to serve client requests"));
    let use_it = |line: &str| {
        let ended = shell(&tool, &format!(". demo/environment && {line}"));
        let text = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{line}: {text}");
        text
    };
    use_it("etcd-admin wait --for healthy --timeout 60s");
    let status = use_it("etcd-admin status");
    assert!(
        status.contains(": healthy. 3 voters, 2 needed, 1 may fail") && status.contains("https://127.0.0.1:"),
        "{status}"
    );
    use_it("etcd-admin put a b");
    eprintln!("from nothing to a healthy cluster with TLS: {:?}", begun.elapsed());
    if let Some(real) = real_binaries() {
        assert!(use_it(&format!("{} get a --print-value-only", real.join("etcdctl").display())).contains('b'));
    }
    // A host that is prepared beside them reaches their peer listeners with its own certificate,
    // and they accept it.
    let preflight = use_it("etcd-admin preflight --cluster demo/cluster.yaml --member etcd2 --no-probe || true");
    let reached = preflight.lines().filter(|line| line.contains(" peer ") && line.contains("answers")).count();
    assert_eq!(reached, 2, "{preflight}");
    // Nothing is overwritten.
    tool.run(&format!("init local --dir demo --first-port {first}")).ends(5, "is not empty");
}

#[test]
fn several_members_of_one_host_have_ports_and_directories() {
    let tool = Tool::new();
    let new = "init new lab m1=127.0.0.1:2379:2380 m2=127.0.0.1:12379:12380 m3=[::1]:22379:22380 --dir lab";
    std::fs::write(tool.path("cluster.yaml"), tool.run(new).good()).unwrap();
    for (member, port) in [("m1", 2379), ("m2", 12379), ("m3", 22379)] {
        tool.run("ca init --no-passphrase");
        tool.run(&format!("init apply --member {member}")).good();
        let text = std::fs::read_to_string(tool.path(&format!("lab/{member}/etcd.yaml"))).unwrap();
        assert!(text.contains(&format!(":{port}")) && text.contains(&format!("/lab/{member}/data")), "{text}");
        assert!(tool.path(&format!("lab/{member}/pki/current/server.crt")).is_file());
    }
    assert!(std::fs::read_to_string(tool.path("lab/m3/etcd.yaml")).unwrap().contains("https://[::1]:22380"));
}

/// Two clusters of one user have CAs of their own, and those of earlier releases are still found.
#[test]
fn cas_belong_to_the_cluster_whose_document_is_here() {
    let tool = Tool::new();
    let run = |directory: &str, args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
        command.args(args.split(' ')).current_dir(tool.path(directory)).env_clear().env("HOME", tool.home());
        let ended = command.output().unwrap();
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr),
        )
    };
    for (directory, name) in [("one", "red"), ("two", "blue"), ("three", "old")] {
        std::fs::create_dir(tool.path(directory)).unwrap();
        std::fs::write(
            tool.path(&format!("{directory}/cluster.yaml")),
            tool.run(&format!("init new {name} m1=127.0.0.1")).good(),
        )
        .unwrap();
    }
    for directory in ["one", "two"] {
        let (code, text) = run(directory, "ca init --no-passphrase");
        assert_eq!(code, Some(0), "{text}");
    }
    assert!(
        tool.path(".etcd-admin/red/pki/peer/ca.crt").is_file()
            && tool.path(".etcd-admin/blue/pki/peer/ca.crt").is_file()
    );
    let fingerprint = |directory: &str| run(directory, "ca show").1;
    assert_ne!(fingerprint("one"), fingerprint("two"));
    // Where a user has one directory for all, from an earlier release, commands that read find it.
    let (code, _) = run(".", "ca init --no-passphrase");
    assert_eq!(code, Some(0));
    assert!(tool.path(".etcd-admin/pki/peer/ca.crt").is_file());
    assert_eq!(fingerprint("three"), fingerprint("."));
}

/// `init apply` on a host whose join has been begun goes on with the join, and founds nothing.
#[test]
fn apply_leaves_a_join_in_progress_alone() {
    let tool = Tool::new();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: m1, host: 127.0.0.1}, {name: m2, host: 127.0.0.2}]\ntls: {enabled: false}\n",
    )
    .unwrap();
    tool.run("init apply --member m2 --root host").good();
    let path = tool.path("host/etc/etcd/etcd.yaml");
    let founding = std::fs::read_to_string(&path).unwrap();
    assert!(founding.contains("initial-cluster-state: new"));
    // As join writes it, with the members that it found.
    let joining = founding
        .replace("initial-cluster-state: new", "initial-cluster-state: existing")
        .replace("m2=http://127.0.0.2:2380", "m2=http://127.0.0.2:2380,m9=http://127.0.0.9:2380");
    std::fs::write(&path, &joining).unwrap();
    for _ in 0..2 {
        tool.run("init apply --member m2 --root host").ends(0, "the join of this host is in progress");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("initial-cluster-state: existing") && text.contains("m9=http://127.0.0.9:2380"),
            "{text}"
        );
    }
}

/// A host with a schedule has its timer enabled, once, and says which credentials are missing.
#[test]
fn apply_enables_the_snapshot_timer() {
    let tool = Tool::new();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: m1, host: 127.0.0.1}]\ntls: {enabled: false}\nbackup: {credentials: /etc/etcd/snapshot.env}\n",
    )
    .unwrap();
    let link = tool.path("host/etc/systemd/system/timers.target.wants/etcd-snapshot.timer");
    tool.run("init plan --member m1 --root host").ends(0, "snapshots are on");
    assert!(!link.is_symlink());
    tool.run("init apply --member m1 --root host").ends(0, "write ETCDCTL_USER=NAME:PASSWORD");
    assert_eq!(std::fs::read_link(&link).unwrap(), std::path::Path::new("/usr/lib/systemd/system/etcd-snapshot.timer"));
    let unit =
        std::fs::read_to_string(tool.path("host/etc/systemd/system/etcd-snapshot.service.d/cluster.conf")).unwrap();
    let order: Vec<&str> = unit.lines().filter(|line| line.contains("etcd-admin snapshot")).collect();
    assert!(
        order.len() == 3
            && order[0].starts_with("ExecStart=-")
            && order[1].contains(" save ")
            && order[2].contains(" prune "),
        "{unit}"
    );
    assert!(unit.contains("EnvironmentFile=/etc/etcd/snapshot.env\n"), "{unit}");
    std::fs::write(tool.path("host/etc/etcd/snapshot.env"), "ETCDCTL_USER=backup:x\n").unwrap();
    tool.run("init apply --member m1 --root host").ends(0, "nothing to change");
}

/// The daemon's group reads what `init apply` writes, whatever the umask of the root shell is.
#[test]
fn written_files_have_their_modes_under_any_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let tool = Tool::new();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: m1, host: 127.0.0.1}]\ndata_dir: /data\nbackup: {}\n",
    )
    .unwrap();
    for umask in ["000", "022", "077"] {
        let root = format!("root{umask}");
        let ended = shell(
            &tool,
            &format!(
                "umask {umask} && rm -rf cas && etcd-admin --ca-dir cas ca init --no-passphrase && etcd-admin --ca-dir cas init apply --member m1 --root {root}"
            ),
        );
        assert!(
            ended.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
        for (file, mode) in [
            ("etc/etcd/etcd.yaml", 0o640),
            ("etc/systemd/system/etcd-snapshot.service.d/cluster.conf", 0o644),
            ("etc/systemd/system/etcd-snapshot.timer.d/cluster.conf", 0o644),
            ("etc/etcd/pki/current/client-ca.crt", 0o644),
            ("etc/etcd/pki/current/client-crl.pem", 0o644),
        ] {
            let found = std::fs::metadata(tool.path(&root).join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "umask {umask}: {file} has {found:o}");
        }
        let key =
            std::fs::metadata(tool.path(&root).join("etc/etcd/pki/current/server.key")).unwrap().permissions().mode()
                & 0o777;
        assert_eq!(key & 0o007, 0, "umask {umask}: {key:o}");
    }
}

/// With authentication on, the error of a snapshot says which user it needs and where the timer
/// takes it from.
#[test]
fn a_snapshot_without_credentials_says_which_it_needs() {
    let tool = Tool::new();
    let server = runtime().block_on(crate::servers::one(&crate::servers::our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    for args in ["user add root --new-user-password secret", "user grant-role root root", "auth enable"] {
        tool.run(&format!("{args} {at}")).good();
    }
    let output = tool.run(&format!("snapshot save --dir . {at}"));
    let all = format!("{}{}", output.out, output.complaint);
    assert!(
        output.code != Some(0) && all.contains("/etc/etcd/snapshot.env") && all.contains("role root"),
        "{:?} {all}",
        output.code
    );
    tool.run(&format!("snapshot save --dir . --user root:secret {at}")).good();
    // A healthy cluster is seen as one without credentials, too.
    tool.run(&format!("status {at}")).ends(0, "healthy");
}

/// `member rebuild` that is interrupted after the removal goes on from its journal; its instruction
/// is `etcd-admin join`.
#[test]
fn an_interrupted_rebuild_goes_on() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(3));
    let at = format!("--endpoints {}", cluster.members.iter().map(Server::endpoint).collect::<Vec<_>>().join(","));
    let run = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
        command.args(args.split(' ')).current_dir(tool.home()).env_clear().env("HOME", tool.home());
        let ended = command.output().unwrap();
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr),
        )
    };
    let begun = Instant::now();
    while run(&format!("status {at}")).0 != Some(0) {
        assert!(begun.elapsed() < SOON);
    }
    // The member that is asked last, and the one that goes, is the one whose endpoint comes first.
    let (code, text) = run(&format!("member rebuild m1 --yes --no-wait {at}"));
    assert!(code == Some(0) && text.contains("etcd-admin join --member m1"), "{code:?} {text}");
    cluster.members[0].kill();
    let (_, listed) = run(&format!("-o json member list {at}"));
    let listed: serde_json::Value = serde_json::from_str(&listed[listed.find('[').unwrap()..]).unwrap();
    let added = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|member| member["role"] == "unstarted")
        .unwrap_or_else(|| panic!("{listed}"))
        .clone();
    // As after an interruption between removal and addition.
    let (code, text) = run(&format!("member remove {} --yes {at}", added["id"].as_str().unwrap()));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&format!("member rebuild m1 --yes --no-wait {at}"));
    assert!(code == Some(0) && text.contains("add m1 as a learner"), "{code:?} {text}");
    let (_, text) = run(&format!("member list {at}"));
    assert!(text.contains("unstarted"), "{text}");
    assert_eq!(run(&format!("member rebuild TYPO --yes {at}")).0, Some(5));
}

/// A real etcd that was killed has acknowledged writes that are in its log alone.
#[test]
fn writes_in_the_log_of_a_killed_etcd_are_not_left_out() {
    let Some(real) = real_binaries() else { return };
    let tool = Tool::new();
    let mut server = runtime().block_on(crate::servers::one(&real.join("etcd")));
    let at = format!("--endpoints {}", server.endpoint());
    (0..20).for_each(|number| drop(tool.run(&format!("put key{number} v {at}")).good()));
    server.kill();
    let source = server.data_dir();
    let restore = |output: &str| {
        tool.run(&format!(
            "snapshot restore {} --name m1 --initial-cluster m1=http://127.0.0.1:1 --data-dir {output}",
            source.display()
        ))
    };
    let text = restore("first").ends(5, "start it once and stop it cleanly");
    assert!(text.contains("writes that its database does not") && !tool.path("first").exists(), "{text}");
    server.relaunch().unwrap();
    runtime().block_on(server.healthy()).unwrap();
    server.terminate(SOON);
    restore("second").good();
    assert!(tool.path("second").is_dir());
}
