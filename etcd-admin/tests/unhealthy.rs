//! The output for an unhealthy cluster: without a leader, with one member left,
//! with broken certificates between members, with a full disk, with files of another owner, with a
//! learner that was never started. `ETCD_ADMIN_SHOW=1` prints what was seen.

use crate::members::{Member, NAMES, SOON, eventually, server, start};
use crate::servers::{cluster, one, our_daemon, real_binaries, runtime, settings};
use crate::tool::{Ended, Tool};
use serde_json::Value;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use testbed::{Cluster, Place, Server};

const PASS: &str = "--passphrase-file passphrase";
/// A user without a name, for files that are not ours.
const STRANGER: u32 = 54_321;

/// Notes what an operator sees, for the documentation.
fn shown(what: &str, ended: &Ended) {
    if std::env::var_os("ETCD_ADMIN_SHOW").is_some() {
        eprintln!("=== {what} ({:?})\n{}{}", ended.code, ended.out, ended.complaint);
    }
}

fn endpoints(servers: &[Server]) -> String {
    format!("--endpoints {}", servers.iter().map(Server::endpoint).collect::<Vec<_>>().join(","))
}

/// Waits until the output of a command satisfies `holds`.
#[track_caller]
fn until(tool: &Tool, args: &str, holds: impl Fn(&Ended) -> bool) -> Ended {
    let begun = Instant::now();
    loop {
        let ended = tool.run(args);
        if holds(&ended) {
            return ended;
        }
        assert!(begun.elapsed() < SOON, "{args}: {:?} {}{}", ended.code, ended.out, ended.complaint);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn healthy(tool: &Tool, at: &str) -> Ended {
    until(tool, &format!("status {at}"), |ended| ended.code == Some(0))
}

#[test]
fn a_healthy_cluster_reports_verified_connections() {
    let tool = Tool::new();
    let cluster = runtime().block_on(cluster(3));
    let at = endpoints(&cluster.members);
    let status = healthy(&tool, &at);
    shown("healthy: status", &status);
    assert!(status.out.contains(": healthy. 3 voters, 2 needed, 1 may fail. Revision "), "{}", status.out);
    assert!(status.out.lines().all(|line| line.chars().count() <= 100) && status.out.contains("2/2"), "{}", status.out);
    let json = tool.json(&format!("status {at}"));
    for member in json["members"].as_array().unwrap() {
        assert_eq!(
            member["connections"].as_array().unwrap().iter().filter(|link| link["state"] == "open").count(),
            2,
            "{member}"
        );
        assert!(member["last_index"].as_u64() > Some(0) && member["disk"]["free_bytes"].as_u64() > Some(0), "{member}");
    }
    let doctor = tool.run(&format!("doctor cluster {at}"));
    shown("healthy: doctor cluster", &doctor);
    doctor.ends(0, "1 may fail");
    tool.run(&format!("wait --for healthy --timeout 30s {at}")).ends(0, "all 3 voters follow");
}

/// Every command that shows the cluster works at a member that knows no leader, at once and by
/// itself, and after its restart too.
#[test]
fn every_member_is_shown_without_a_leader() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(3));
    let at = endpoints(&cluster.members);
    tool.run(&format!("put a b {at}")).good();
    healthy(&tool, &at);
    cluster.members[1].kill();
    cluster.members[2].kill();
    let status = until(&tool, &format!("status {at}"), |ended| ended.out.contains("NO LEADER"));
    shown("one of three left: status", &status);
    for restarted in [false, true] {
        if restarted {
            cluster.members[0].kill();
            cluster.members[0].relaunch().unwrap();
        }
        let only = format!("--endpoints {}", cluster.members[0].endpoint());
        for at in [&at, &only] {
            let status = until(&tool, &format!("status {at}"), |ended| ended.out.contains("NO LEADER"));
            assert_eq!(status.code, Some(3), "{}", status.out);
            for says in [
                "3 voters, 2 needed, 1 reachable",
                "m1",
                "unreachable",
                "Connection refused",
                "etcd-admin doctor host",
                "etcd-admin recover inspect",
            ] {
                assert!(status.out.contains(says), "{says}: {}", status.out);
            }
            let doctor = tool.run(&format!("doctor cluster {at}"));
            if !restarted {
                shown("one of three left: doctor cluster", &doctor);
            }
            doctor.ends(3, "m1 ends at entry ");
            let list = tool.run(&format!("member list {at}"));
            assert!(
                list.code == Some(0) && list.complaint.contains("no quorum confirms it"),
                "{}{}",
                list.out,
                list.complaint
            );
            assert_eq!(list.out.lines().filter(|line| line.contains("unreachable")).count(), 2, "{}", list.out);
            tool.run(&format!("top --once {at}")).ends(0, "NO LEADER");
            let json: Value = serde_json::from_str(&tool.run(&format!("-o json status {at}")).out).unwrap();
            assert_eq!((json["confirmed"].as_bool(), json.get("leader")), (Some(false), None), "{json}");
            let own = json["members"].as_array().unwrap().iter().find(|member| member["name"] == "m1").unwrap().clone();
            assert!(
                own["term"].as_u64() > Some(0)
                    && own["last_term"].as_u64() > Some(0)
                    && own["disk"]["path"].is_string(),
                "{own}"
            );
        }
        let begun = Instant::now();
        tool.run(&format!("status {at}"));
        eprintln!("status without a leader (restarted: {restarted}) took {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10), "status waited for what cannot come: {:?}", begun.elapsed());
        tool.run(&format!("wait --for healthy --timeout 1s {at}"))
            .ends(8, "no leader: 1 of 3 voters respond, 2 are needed");
        // Commands that change something still refuse.
        assert_ne!(tool.run(&format!("member remove m2 --yes --command-timeout 2s {at}")).code, Some(0));
    }
    for member in &mut cluster.members {
        member.kill();
    }
    tool.run(&format!("status {at}")).ends(4, "nothing listens there");
}

#[test]
fn no_leader_is_shown_while_a_majority_is_reachable() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(2));
    let at = endpoints(&cluster.members);
    healthy(&tool, &at);
    // Neither of two can lead once the other one is gone; the second endpoint is that of the member
    // that answers.
    cluster.members[0].kill();
    let status = until(&tool, &format!("status {at}"), |ended| ended.out.contains("NO LEADER"));
    shown("no leader: status", &status);
    let doctor = tool.run(&format!("doctor cluster {at}"));
    shown("no leader: doctor cluster", &doctor);
    doctor.ends(3, "start m1");
}

/// Keys and certificates of three members; `m2`'s peer certificate is of a second CA, which `m3`
/// does not trust.
fn one_sided() -> (Tool, Tool) {
    let (tool, other) = (Tool::with_cas(), Tool::with_cas());
    for host in NAMES {
        std::fs::create_dir(tool.path(host)).unwrap();
        for profile in ["server", "peer"] {
            let ca = if host == "m2" && profile == "peer" { &other } else { &tool };
            tool.run(&format!("cert request {profile} 127.0.0.1 localhost --dir {host} --cn {host}")).good();
            let csr = tool.path(host).join(format!("pending/{profile}.csr"));
            let signed = tool.path(&format!("{host}-{profile}.crt"));
            let args = format!(
                "cert sign {} --profile {profile} --any-names --loopback-only --out {} {PASS}",
                csr.display(),
                signed.display()
            );
            ca.run(&args).good();
            tool.run(&format!("cert install --dir {host} --cert {}", signed.display())).good();
        }
        let bundle = |tool: &Tool| std::fs::read_to_string(tool.path("pki/peer/bundle.crt")).unwrap();
        let trusted = if host == "m3" { bundle(&tool) } else { bundle(&tool) + &bundle(&other) };
        let file = tool.path(&format!("{host}-peer-ca.crt"));
        std::fs::write(&file, trusted).unwrap();
        tool.run(&format!("cert install --dir {host} --client-ca pki/client/bundle.crt --peer-ca {}", file.display()))
            .good();
    }
    tool.run(&format!("cert issue client --cn root {PASS}")).good();
    (tool, other)
}

fn secure_endpoints(members: &[Member]) -> String {
    let urls =
        members.iter().map(|member| format!("https://127.0.0.1:{}", member.client_port)).collect::<Vec<_>>().join(",");
    format!("--endpoints {urls} --cacert pki/client/bundle.crt --cert client-root.crt --key client-root.key")
}

/// Two followers that do not accept each other's certificates: the cluster serves, and would have
/// no leader after the next failure.
#[test]
fn certificates_broken_on_one_side_are_reported_by_every_command() {
    let Some(server) = server() else { return };
    let (tool, other) = one_sided();
    let members = start(&server, &tool);
    let at = secure_endpoints(&members);
    // m1 reaches both of the others; only under its lead do all three follow.
    until(&tool, &format!("leader move --to m1 {at}"), |ended| ended.code == Some(0));
    let status = until(&tool, &format!("status {at}"), |ended| {
        ended.out.contains("NOT HEALTHY")
            && ended.out.contains("connection m3-m2: certificate")
            && ended.out.contains("connection m2-m3: certificate")
    });
    shown("TLS broken on one side: status", &status);
    assert_eq!(status.code, Some(3));
    assert!(status.out.contains("0 may fail") && status.out.contains("--peer-trusted-ca-file"), "{}", status.out);
    let doctor = tool.run(&format!("doctor cluster {at}"));
    shown("TLS broken on one side: doctor cluster", &doctor);
    doctor.ends(3, "connection");
    let waited = tool.run(&format!("wait --for healthy --timeout 1s {at}"));
    waited.ends(8, "has no connection to");
    tool.run(&format!("member ok-to-stop m1 {at}")).ends(3, "no leader could be elected among");
    tool.run(&format!("member ok-to-stop m2 {at}")).ends(0, "ok: stop m2");
    // The metrics page has the streams and the reason.
    let page = fetch(&tool, members[2].client_port, "/metrics");
    assert!(page.contains("etcd_peer_stream_failure{peer=") && page.contains("reason=\"certificate\"} 1"), "{page}");
    assert!(page.contains("etcd_peer_streams{direction=\"in\",peer="), "{page}");
    // Both sides say it, with the remedy, and not nine times a second.
    std::thread::sleep(Duration::from_secs(3));
    for (member, text) in
        [(&members[1], "failed to open a stream from a peer"), (&members[2], "rejected connection on peer endpoint")]
    {
        let log = member.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(text)).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("\"remedy\":\"")), "{text}: {log}");
        let rejections = log
            .lines()
            .filter(|line| line.contains("rejected connection") || line.contains("failed TLS handshake"))
            .count();
        assert!(rejections <= 6, "{rejections} rejections: {log}");
    }
    // With the CA of m2 in m3's bundle all is well, without a restart.
    let bundle = |tool: &Tool| std::fs::read_to_string(tool.path("pki/peer/bundle.crt")).unwrap();
    std::fs::write(tool.path("m3-peer-ca.crt"), bundle(&tool) + &bundle(&other)).unwrap();
    tool.run("cert install --dir m3 --peer-ca m3-peer-ca.crt").good();
    let status = until(&tool, &format!("status {at}"), |ended| ended.code == Some(0));
    assert!(status.out.contains("1 may fail"), "{}", status.out);
}

/// A page of a member of a TLS cluster, by the tool's own client certificate.
fn fetch(tool: &Tool, port: u16, path: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--cacert", "pki/client/bundle.crt", "--cert", "client-root.crt", "--key", "client-root.key"]);
    let ended = command.arg(format!("https://127.0.0.1:{port}{path}")).current_dir(tool.home()).output().unwrap();
    String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap()
}

/// Each mistake of TLS has its own text, at our server and at a real etcd.
#[test]
fn tls_mistakes_have_texts_of_their_own() {
    let Some(server) = server() else { return };
    let (tool, other) = one_sided();
    other.run(&format!("cert issue client --cn root --out stranger {PASS}")).good();
    for end in ["crt", "key"] {
        std::fs::copy(other.path(&format!("stranger/client-root.{end}")), tool.path(&format!("stranger.{end}")))
            .unwrap();
    }
    tool.run(&format!("cert issue client --cn mallory {PASS}")).good();
    tool.run("cert revoke client-mallory.crt").good();
    tool.run(&format!("crl publish --kind client {PASS}")).good();
    for host in NAMES {
        tool.run(&format!("cert install --dir {host} --client-crl pki/client/crl.pem")).good();
    }
    let members = start(&server, &tool);
    let port = members[0].client_port;
    eventually("m1 serves", || members[0].log().contains("ready to serve client requests"));
    let ca = "--cacert pki/client/bundle.crt";
    let secure = format!("--endpoints https://127.0.0.1:{port} --dial-timeout 5s");
    for (args, says) in [
        (format!("status {secure} {ca}"), "give --cert and --key"),
        (format!("status {secure} {ca} --cert client-mallory.crt --key client-mallory.key"), "is revoked"),
        (format!("status {secure} {ca} --cert stranger.crt --key stranger.key"), "another CA"),
        (format!("status {secure}"), "give its bundle with --cacert"),
        (format!("status --endpoints http://127.0.0.1:{port}"), "write https://"),
        (format!("member ok-to-stop m1 {secure} {ca}"), "give --cert and --key"),
        (format!("get a {secure} {ca}"), "give --cert and --key"),
        (format!("get a --endpoints http://127.0.0.1:{port}"), "write https://"),
    ] {
        let ended = tool.run(&args);
        let all = format!("{}{}", ended.out, ended.complaint);
        assert!(ended.code != Some(0) && all.contains(says) && !all.contains("invalid size"), "{args}: {all}");
    }
    let Some(real) = real_binaries() else { return };
    let plain = tool.path("plain");
    let etcd = real_etcd(&real, &tool, &plain);
    let secure = format!("--endpoints https://127.0.0.1:{} --dial-timeout 5s", etcd.port);
    eventually("etcd serves", || {
        tool.run(&format!("status {secure} {ca} --cert client-root.crt --key client-root.key")).code == Some(0)
    });
    for (args, says) in [
        (format!("status {secure} {ca}"), "give --cert and --key"),
        (format!("status {secure} {ca} --cert stranger.crt --key stranger.key"), "another CA"),
        (format!("status --endpoints http://127.0.0.1:{}", etcd.port), "write https://"),
    ] {
        let ended = tool.run(&args);
        let all = format!("{}{}", ended.out, ended.complaint);
        assert!(ended.code != Some(0) && all.contains(says), "real etcd: {args}: {all}");
    }
}

/// A real etcd with client certificates.
struct RealEtcd {
    child: std::process::Child,
    port: u16,
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The command of a single member called `default`, of ours or of etcd.
fn single_member(program: &Path, data: &Path, client_url: &str, peer_url: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(data);
    command.args(["--listen-client-urls", client_url, "--advertise-client-urls", client_url]);
    command.args(["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]);
    command.args(["--initial-cluster", &format!("default={peer_url}")]);
    command
}

fn real_etcd(binaries: &Path, tool: &Tool, data: &Path) -> RealEtcd {
    let [port, peer]: [u16; 2] = testbed::free_ports().unwrap();
    let (url, peer) = (format!("https://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let mut command = single_member(&binaries.join("etcd"), data, &url, &peer);
    command.args(["--cert-file", "m1/current/server.crt", "--key-file", "m1/current/server.key", "--client-cert-auth"]);
    command
        .args(["--trusted-ca-file", "pki/client/bundle.crt", "--log-outputs", "/dev/null"])
        .current_dir(tool.home())
        .env_clear();
    RealEtcd { child: command.spawn().unwrap(), port }
}

#[test]
fn a_learner_that_was_never_started_is_named_with_both_ways_out() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(3));
    let at = endpoints(&cluster.members);
    healthy(&tool, &at);
    let place = Place::free("m4").unwrap();
    until(&tool, &format!("member add m4 --peer-urls {} --no-wait {at}", place.peer_url()), |ended| {
        ended.code == Some(0)
    });
    let status = tool.run(&format!("status {at}"));
    shown("learner never started: status", &status);
    assert!(status.out.contains("a learner that was added and never started"), "{}", status.out);
    assert!(status.out.contains("1 may fail") && status.out.contains("etcd-admin member remove "), "{}", status.out);
    let doctor = tool.run(&format!("doctor cluster {at}"));
    shown("learner never started: doctor cluster", &doctor);
    doctor.ends(3, "etcd-admin join");
    // It is also told where there is no leader.
    cluster.members[1].kill();
    cluster.members[2].kill();
    let status = until(&tool, &format!("status {at}"), |ended| ended.out.contains("NO LEADER"));
    assert!(status.out.contains("unstarted") && status.out.contains("never started"), "{}", status.out);
}

/// A file system in memory; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, megabytes: u32) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"])
            .arg(&path)
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip::report("this user cannot mount a small file system");
            return None;
        }
        Some(Self(path))
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let stat = nix_free(&self.0);
        std::fs::write(self.0.join("ballast"), vec![1; usize::try_from(stat.saturating_sub(leave)).unwrap()]).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

fn nix_free(path: &Path) -> u64 {
    let out = Command::new("df").args(["--output=avail", "-B1"]).arg(path).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_disk_that_is_almost_full_is_a_problem_before_the_member_stops() {
    let tool = Tool::new();
    let Some(disk) = SmallDisk::mount(tool.path("disk"), 400) else { return };
    let mut small = settings(&our_daemon());
    small.parent = Some(disk.0.clone());
    let cluster =
        runtime().block_on(Cluster::start_each(vec![settings(&our_daemon()), settings(&our_daemon()), small])).unwrap();
    let at = endpoints(&cluster.members);
    healthy(&tool, &at);
    disk.fill(8 << 20);
    let status = tool.run(&format!("status {at}"));
    shown("full disk: status", &status);
    assert!(
        status.out.contains("disk m3: ") && status.out.contains("the member stops when a write fails"),
        "{}",
        status.out
    );
    let doctor = tool.run(&format!("doctor cluster {at}"));
    shown("full disk: doctor cluster", &doctor);
    doctor.ends(3, "disk ");
}

/// A snapshot that does not fit leaves nothing behind, and neither does one that is killed, once
/// the next one has run.
#[test]
fn a_snapshot_on_a_full_disk_leaves_no_part_and_the_next_one_works() {
    let tool = Tool::new();
    let Some(disk) = SmallDisk::mount(tool.path("backups"), 16) else { return };
    let server = runtime().block_on(one(&our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    for number in 0..8 {
        tool.run_with(&format!("put key{number} {at}"), &"x".repeat(1 << 20)).good();
    }
    disk.fill(2 << 20);
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(&disk.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != "ballast");
        names.sort();
        names
    };
    let save = format!("snapshot save --dir backups {at}");
    for _ in 0..2 {
        tool.run(&save).ends(1, "the part was removed: free disk space");
        assert!(files().is_empty(), "{:?}", files());
    }
    // Remains of a killed run are shown, and removed by prune or by the next run.
    std::fs::write(disk.0.join("etcd-1-2-20260101T000000Z.db.part"), vec![1; 1 << 20]).unwrap();
    let listed = tool.run("snapshot list backups");
    assert!(listed.complaint.contains("left by an interrupted snapshot"), "{}{}", listed.out, listed.complaint);
    tool.run("snapshot prune --keep-last 1 backups").ends(0, "removed backups/etcd-1-2-20260101T000000Z.db.part");
    std::fs::write(disk.0.join("etcd-1-2-20260101T000001Z.db.part"), vec![1; 1 << 20]).unwrap();
    disk.free();
    tool.run(&save).good();
    let left = files();
    assert!(left.len() == 2 && left.iter().all(|name| !name.ends_with(".part")), "{left:?}");
}

/// With `--listen-client-http-urls` a member serves its page beside gRPC. On a member's host it is
/// found.
#[test]
fn the_page_of_a_separate_http_listener_is_read() {
    let Some(server) = server() else { return };
    let tool = Tool::new();
    let [client, http, peer]: [u16; 3] = testbed::free_ports().unwrap();
    std::fs::create_dir(tool.path("m1")).unwrap();
    let config = tool.path("m1/etcd.yaml");
    let (client, http, peer) =
        (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{http}"), format!("http://127.0.0.1:{peer}"));
    let text = format!(
        "name: m1\ndata-dir: {}\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-client-http-urls: {http}\n\
         listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: m1={peer}\n",
        tool.path("m1/data").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut member = Member::with_config_at(&server, &tool, &config, "m1");
    member.wait_for_log("ready to serve client requests");
    let disk =
        |ended: &Ended| serde_json::from_str::<Value>(&ended.out).unwrap()["members"][0]["disk"]["free_bytes"].as_u64();
    let on_host = [("ETCD_ADMIN_MEMBER_CONFIG", config.to_str().unwrap())];
    let status = tool.run_in(&on_host, "-o json status", "");
    assert!(disk(&status) > Some(0), "{}{}", status.out, status.complaint);
    // Where the listener is not known the member is healthy all the same, and less is known of it.
    let elsewhere = tool.run(&format!("-o json status --endpoints {client}"));
    assert_eq!((elsewhere.code, disk(&elsewhere)), (Some(0), None), "{}{}", elsewhere.out, elsewhere.complaint);
}

/// A library that sets the clock of one process ahead.
fn clock_ahead(tool: &Tool, seconds: i64) -> Option<PathBuf> {
    let (source, library) = (tool.path("clock.c"), tool.path("clock.so"));
    let text = format!(
        "#define _GNU_SOURCE\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
         int clock_gettime(clockid_t clock, struct timespec *now) {{\n\
         long failed = syscall(SYS_clock_gettime, clock, now);\n\
         if (!failed && clock == CLOCK_REALTIME) now->tv_sec += {seconds};\nreturn (int)failed; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        skip::report("no C compiler");
        return None;
    }
    Some(library)
}

/// Members measure the clocks of the others, and each of them is compared with that of the
/// operator.
#[test]
fn a_wrong_clock_is_named_by_the_other_members() {
    const AHEAD: i64 = 90;
    let tool = Tool::new();
    let Some(library) = clock_ahead(&tool, AHEAD) else { return };
    let mut wrong = settings(&our_daemon());
    wrong.command = format!("env LD_PRELOAD={} {}", library.display(), our_daemon().display());
    let cluster =
        runtime().block_on(Cluster::start_each(vec![settings(&our_daemon()), settings(&our_daemon()), wrong])).unwrap();
    let at = endpoints(&cluster.members);
    let doctor = until(&tool, &format!("doctor cluster {at}"), |ended| ended.out.contains("ahead of that of m"));
    shown("clock skew: doctor cluster", &doctor);
    let output = |says: &str| {
        doctor.out.lines().any(|line| line.contains(" clock ") && line.contains(" m3 ") && line.contains(says))
    };
    assert!(output("ahead of that of this machine") && output("ahead of that of m"), "{}", doctor.out);
    assert!(doctor.out.contains("synchronize the clocks (chrony, systemd-timesyncd)"), "{}", doctor.out);
    let status = until(&tool, &format!("status {at}"), |ended| ended.out.contains("ahead of that of"));
    assert!(
        status.code == Some(0) && !status.out.contains("clock m1: its clock is 89 s ahead"),
        "{:?} {}",
        status.code,
        status.out
    );
}

/// Our package and unit are not on the host of a real etcd: the plan says what is there.
#[test]
fn a_mixed_cluster_is_rolled_with_the_commands_of_each_member() {
    let Some(real) = real_binaries() else { return };
    let etcd = settings(&real.join("etcd"));
    let tool = Tool::new();
    let cluster = runtime().block_on(Cluster::start_each(vec![etcd.clone(), etcd, settings(&our_daemon())])).unwrap();
    let at = endpoints(&cluster.members);
    until(&tool, &format!("wait --for healthy --timeout 1s {at}"), |ended| ended.code == Some(0));
    for (kind, of_etcd, of_ours) in [
        ("restart", "systemctl restart etcd", "systemctl restart etcd-server"),
        ("upgrade", "upgrade it with its own package", "apt-get install --only-upgrade etcd-appliance etcd-admin"),
        ("rotate", "replace its certificate files", "etcd-admin init apply --member m3"),
    ] {
        let plan = tool.json(&format!("roll {kind} {at}"));
        let steps = plan["steps"].as_array().unwrap();
        let commands = |member: &str| -> Vec<&str> {
            steps.iter().filter(|step| step["member"] == member).map(|step| step["command"].as_str().unwrap()).collect()
        };
        for member in ["m1", "m2"] {
            let commands = commands(member);
            assert!(commands.iter().any(|command| command.contains(of_etcd)), "{kind} {member}: {plan}");
            assert!(
                !commands.iter().any(|command| command.contains("etcd-appliance") || command.contains("etcd-server")),
                "{plan}"
            );
            // The rails are the same for all: leadership and quorum do not depend on the program.
            if kind == "restart" {
                assert!(commands.contains(&format!("etcd-admin member ok-to-stop {member}").as_str()), "{plan}");
                assert!(
                    commands.contains(&format!("etcd-admin wait --for caught-up --member {member}").as_str()),
                    "{plan}"
                );
            }
        }
        assert!(commands("m3").iter().any(|command| command.contains(of_ours)), "{kind}: {plan}");
        let leader = tool.json(&format!("leader show {at}"))["name"].as_str().unwrap().to_owned();
        assert_eq!(plan["order"].as_array().unwrap().last().unwrap(), leader.as_str());
        if kind != "rotate" {
            assert!(commands(&leader).contains(&"etcd-admin leader move"), "{kind}: {plan}");
        }
    }
}

/// A snapshot that fits and whose manifest does not is removed: `prune` would never remove it.
#[test]
fn a_snapshot_without_room_for_its_manifest_is_removed() {
    const BLOCK: u64 = 4096;
    let tool = Tool::new();
    let Some(disk) = SmallDisk::mount(tool.path("backups"), 16) else { return };
    let server = runtime().block_on(one(&our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    let names = || {
        let entries =
            std::fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name != "ballast").collect::<Vec<_>>()
    };
    let bytes = tool.json(&format!("snapshot save measured.db {at}"))["bytes"].as_u64().unwrap();
    disk.fill(bytes.div_ceil(BLOCK) * BLOCK);
    tool.run(&format!("snapshot save --dir backups {at}")).ends(1, "No space left on device");
    assert_eq!(names(), [""; 0]);
    tool.run("snapshot copy measured.db backups").ends(1, "No space left on device");
    assert_eq!(names(), [""; 0]);
    disk.free();
    tool.run(&format!("snapshot save --dir backups {at}")).good();
    tool.run("snapshot copy measured.db backups").good();
    assert_eq!(names().len(), 4);
}

/// Two in one second, names of an operator's own, and a file that is no snapshot.
#[test]
fn snapshots_neither_collide_nor_go_when_an_operator_has_named_them() {
    let tool = Tool::new();
    let server = runtime().block_on(one(&our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    tool.run(&format!("put a b {at}")).good();
    std::fs::create_dir(tool.path("backups")).unwrap();
    let threads: Vec<_> = std::thread::scope(|scope| {
        let saves: Vec<_> =
            (0..4).map(|_| scope.spawn(|| tool.run(&format!("snapshot save --dir backups {at}")).code)).collect();
        saves.into_iter().map(|save| save.join().unwrap()).collect()
    });
    assert_eq!(threads, [Some(0); 4]);
    tool.run(&format!("snapshot save backups/before-upgrade.db {at}")).good();
    tool.run("snapshot prune --keep-last 1 backups").good();
    let kept: Vec<_> = std::fs::read_dir(tool.path("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(kept.iter().any(|path| path.ends_with("before-upgrade.db")), "{kept:?}");
    assert_eq!(kept.iter().filter(|path| path.extension().is_some_and(|end| end == "db")).count(), 2, "{kept:?}");
    let output = tool.run("snapshot verify /etc/passwd").ends(7, "is not a snapshot of etcd");
    assert!(!output.contains("skip-hash-check"), "{output}");
}

/// A stopped member's data directory that belongs to another user, with one file that root has
/// made.
struct Foreign {
    tool: Tool,
    data: PathBuf,
    log: PathBuf,
    daemon: PathBuf,
}

/// `None` where this user may not give files away.
fn foreign() -> Option<Foreign> {
    let tool = Tool::new();
    let daemon = tool.path("etcd-server");
    std::fs::copy(our_daemon(), &daemon).unwrap();
    let data = tool.path("data");
    let [client, peer]: [u16; 2] = testbed::free_ports().unwrap();
    let run = |user: Option<u32>, log: &str| {
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut command = single_member(&daemon, &data, &client, &peer);
        let output = std::fs::File::create(tool.path(log)).unwrap();
        command.env_clear().stdout(output.try_clone().unwrap()).stderr(output);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        command
    };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tool.home(), open).unwrap();
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    if chown(&data, Some(STRANGER), Some(STRANGER)).is_err() {
        skip::report("only root can give files to another user");
        return None;
    }
    let mut child = run(Some(STRANGER), "first.log").spawn().unwrap();
    eventually("the member serves", || {
        std::fs::read_to_string(tool.path("first.log")).unwrap().contains("ready to serve client requests")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // As root, on data of another user: refused before anything is made.
    let refused = run(None, "root.log").status().unwrap();
    let log = std::fs::read_to_string(tool.path("root.log")).unwrap();
    assert!(
        !refused.success() && log.contains(&format!("is owned by user {STRANGER}, and this process runs as root")),
        "{log}"
    );
    // Root may check the settings of a member, as the runbooks do.
    let checked = run(None, "check.log").arg("--check-config").status().unwrap();
    assert!(checked.success(), "{}", std::fs::read_to_string(tool.path("check.log")).unwrap());
    // Files left by an older release that root ran.
    let file = first_file(&data.join("member"));
    chown(&file, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = run(Some(STRANGER), "second.log").status().unwrap();
    assert!(!refused.success());
    Some(Foreign { log: tool.path("second.log"), data, daemon, tool })
}

fn first_file(dir: &Path) -> PathBuf {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let files = entries.iter().filter(|path| path.is_file() && !path.ends_with("lock"));
    files.clone().next().cloned().unwrap_or_else(|| first_file(entries.iter().find(|path| path.is_dir()).unwrap()))
}

#[test]
fn a_wrong_owner_is_named_and_never_taken_for_lost_data() {
    let Some(Foreign { tool, data, log, daemon }) = foreign() else { return };
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains(&format!("run chown -R {STRANGER}:{STRANGER} ")) && log.contains("the data is not lost"),
        "{log}"
    );
    assert!(log.contains(&first_file(&data.join("member")).display().to_string()), "{log}");
    let offline = tool.run(&format!("doctor offline {}", data.display()));
    shown("wrong owner: doctor offline", &offline);
    let text = offline.ends(3, &format!("chown -R {STRANGER}:{STRANGER} "));
    assert!(!text.contains("rebuild") && !text.contains("backup"), "{text}");
    std::fs::write(
        tool.path("etcd.yaml"),
        format!(
            "name: default\ndata-dir: {}\nlisten-client-urls: http://127.0.0.1:1\nadvertise-client-urls: http://127.0.0.1:1\n",
            data.display()
        ),
    )
    .unwrap();
    let host = tool.run("doctor host --config etcd.yaml --no-probe");
    shown("wrong owner: doctor host", &host);
    host.ends(3, "owner");
    // With the owner corrected it starts, and holds what it held.
    let chowned = Command::new("chown").arg("-R").arg(format!("{STRANGER}:{STRANGER}")).arg(&data).status().unwrap();
    assert!(chowned.success());
    tool.run(&format!("doctor offline {}", data.display())).ends(0, "all files belong to");
    let check = Command::new(daemon)
        .args(["--data-dir", &data.display().to_string(), "--check-config"])
        .uid(STRANGER)
        .gid(STRANGER)
        .env_clear()
        .output();
    drop(check);
}

/// A mistyped name is not "nothing to do", and the codes of one mistake are the same everywhere.
#[test]
fn exit_statuses_are_those_of_the_table() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(3));
    let at = endpoints(&cluster.members);
    healthy(&tool, &at);
    for (args, code) in [
        ("member remove TYPO --yes", 5),
        ("member promote TYPO", 5),
        ("member rebuild TYPO --yes", 5),
        ("member ok-to-stop TYPO", 5),
        ("leader move --to TYPO", 5),
        ("member frobnicate", 2),
        ("snapshot verify /etc/passwd", 7),
    ] {
        let connection = if args.starts_with("snapshot") { "" } else { &at };
        tool.run(&format!("{args} {connection}")).ends(code, "");
    }
    cluster.members[2].kill();
    until(&tool, &format!("status {at}"), |ended| ended.code == Some(3));
    tool.run(&format!("doctor cluster {at}")).ends(3, "not reached");
    // A cluster with a member down takes no member in: a refusal, and not "no endpoint".
    let place = Place::free("m4").unwrap();
    tool.run(&format!("member add m4 --peer-urls {} --no-wait {at}", place.peer_url())).ends(5, "");
    let help = tool.run("--help").good();
    let listed = help.split("Exit status:").nth(1).unwrap();
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130"] {
        assert!(listed.lines().any(|line| line.split_whitespace().next() == Some(code)), "{code}: {help}");
        tool.run(&format!("explain {code}")).ends(0, "exit code");
    }
    tool.run("explain 78").ends(0, "journalctl");
}
