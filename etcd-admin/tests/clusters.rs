//! Whole clusters on certificates that the tool alone has made: served, exchanged under load, and
//! brought back when all have run out.

use crate::members::{NAMES, SOON, ask, etcdctl, eventually, server, start};
use crate::tool::{PASSPHRASE, Tool};
use certs::files::{CaDir, HostDir, HostFile, NewCa};
use certs::{CaKind, CaPlan, KeyAlgorithm, LeafPlan, Name, Passphrase, PrivateKey, Profile};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use time::{Duration, OffsetDateTime};

const PASS: &str = "--passphrase-file passphrase";

/// A key born on the host and a certificate signed where the CA is, for each profile of the kind.
fn provide(tool: &Tool, host: &str, profile: &str) {
    tool.run(&format!("cert request {profile} 127.0.0.1 localhost --dir {host} --cn {host} --replace")).good();
    let certificate = format!("{host}-{profile}.crt");
    drop(std::fs::remove_file(tool.path(&certificate)));
    tool.run(&format!("cert sign {host}/pending/{profile}.csr --profile {profile} --any-names --loopback-only --out {certificate} {PASS}"))
        .good();
    tool.run(&format!("cert install --dir {host} --cert {certificate}")).good();
}

/// Bundle and list of a kind, as they are now, to every host.
fn spread(tool: &Tool, kind: &str) {
    for host in NAMES {
        tool.run(&format!(
            "cert install --dir {host} --{kind}-ca pki/{kind}/bundle.crt --{kind}-crl pki/{kind}/crl.pem"
        ))
        .good();
    }
}

/// CAs, hosts and users.
fn provided() -> Tool {
    let tool = Tool::with_cas();
    for kind in ["client", "peer"] {
        tool.run(&format!("crl publish --kind {kind} {PASS}")).good();
    }
    for host in NAMES {
        std::fs::create_dir(tool.path(host)).unwrap();
        provide(&tool, host, "server");
        provide(&tool, host, "peer");
    }
    for kind in ["client", "peer"] {
        spread(&tool, kind);
    }
    for user in ["alice", "mallory"] {
        tool.run(&format!("cert issue client --cn {user} {PASS}")).good();
    }
    tool
}

/// CA keys never leave the administrator's directory: no file of a host holds one, whether sealed
/// or open.
fn hosts_hold_no_ca(tool: &Tool) {
    let keys: Vec<_> = ["pki/client/ca.key", "pki/peer/ca.key"]
        .iter()
        .map(|path| std::fs::read_to_string(tool.path(path)).unwrap())
        .collect();
    for (path, content) in tool.everything() {
        let of_host = NAMES
            .iter()
            .any(|host| path.starts_with(tool.path(host)) || path.starts_with(tool.path(&format!("{host}.etcd"))));
        let text = String::from_utf8_lossy(&content);
        let holds = keys.iter().any(|key| text.contains(key.lines().nth(1).unwrap()));
        assert!(!of_host || !holds && !path.ends_with("ca.key"), "{}", path.display());
    }
}

#[test]
fn three_members_serve_on_certificates_of_the_tool_alone() {
    let (Some(server), Some(etcdctl)) = (server(), etcdctl()) else { return };
    let (tool, other) = (provided(), Tool::with_cas());
    other.run(&format!("cert issue client --cn alice {PASS}")).good();
    for end in ["crt", "key"] {
        std::fs::copy(other.path(&format!("client-alice.{end}")), tool.path(&format!("stranger.{end}"))).unwrap();
    }
    let mut members = start(&server, &tool);
    members.iter_mut().for_each(|member| member.wait_for_log("ready to serve client requests"));
    tool.run("cert revoke client-mallory.crt").good();
    tool.run(&format!("crl publish --kind client {PASS}")).good();
    spread(&tool, "client");
    for member in &members {
        let port = member.client_port;
        eventually("alice puts", || ask(&etcdctl, &tool, port, "client-alice", "put greeting hello").0);
        eventually("mallory is refused", || !ask(&etcdctl, &tool, port, "client-mallory", "get greeting").0);
        for user in ["", "stranger"] {
            let (worked, output) = ask(&etcdctl, &tool, port, user, "get greeting");
            assert!(!worked, "{user:?}: {output}");
        }
    }
    hosts_hold_no_ca(&tool);
}

/// Puts over and over by etcdctl, to each member in turn, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<String>>>,
    user: Arc<Mutex<String>>,
}

impl Load {
    /// Runs `exchange` under load; prints the number of puts and the failures.
    fn during(etcdctl: &Path, tool: &Tool, ports: [u16; 3], exchange: impl FnOnce(&Self)) -> (u64, Vec<String>) {
        let load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            user: Arc::new(Mutex::new("client-alice".to_owned())),
        };
        std::thread::scope(|scope| {
            for port in ports {
                let load = &load;
                scope.spawn(move || {
                    while !load.stop.load(Ordering::Relaxed) {
                        let user = load.user.lock().unwrap().clone();
                        let (worked, output) = ask(etcdctl, tool, port, &user, "put load x");
                        load.done.fetch_add(1, Ordering::Relaxed);
                        if !worked {
                            load.failed.lock().unwrap().push(format!("{user} at {port}: {output}"));
                        }
                    }
                });
            }
            exchange(&load);
            load.stop.store(true, Ordering::Relaxed);
        });
        let failed = std::mem::take(&mut *load.failed.lock().unwrap());
        (load.done.load(Ordering::Relaxed), failed)
    }

    /// Lets every thread put a few times.
    fn go_on(&self) {
        let (before, begun) = (self.done.load(Ordering::Relaxed), Instant::now());
        while self.done.load(Ordering::Relaxed) < before + 9 {
            assert!(begun.elapsed() < SOON, "the load has come to a stop");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// CA1 → CA1 and CA2 → CA2, for clients and for members: no restart, no failed request, and CA1's
/// clients are refused at the end.
#[test]
fn cas_are_exchanged_under_load_and_nobody_notices() {
    let (Some(server), Some(etcdctl)) = (server(), etcdctl()) else { return };
    let tool = provided();
    let mut members = start(&server, &tool);
    members.iter_mut().for_each(|member| member.wait_for_log("ready to serve client requests"));
    let ports = [0, 1, 2].map(|number: usize| members[number].client_port);
    tool.run("cert revoke client-mallory.crt").good();
    let (done, failed) = Load::during(&etcdctl, &tool, ports, |load| {
        load.go_on();
        for kind in ["client", "peer"] {
            tool.run(&format!("ca rotate start --kind {kind} {PASS}")).good();
            spread(&tool, kind);
            reloaded(&tool, &members, kind);
            load.go_on();
            tool.run(&format!("ca rotate switch --kind {kind}")).good();
            let profile = if kind == "client" { "server" } else { "peer" };
            NAMES.iter().for_each(|host| provide(&tool, host, profile));
            load.go_on();
        }
        tool.run(&format!("cert issue client --cn alice --out renewed {PASS}")).good();
        *load.user.lock().unwrap() = "renewed/client-alice".to_owned();
        load.go_on();
        for kind in ["client", "peer"] {
            tool.run(&format!("ca rotate finish --kind {kind}")).good();
            spread(&tool, kind);
            load.go_on();
        }
        for port in ports {
            eventually("the old alice is refused", || !ask(&etcdctl, &tool, port, "client-alice", "get load").0);
        }
        load.go_on();
    });
    eprintln!("{done} puts while both CAs were exchanged, {} failed", failed.len());
    assert!(failed.is_empty(), "{} of {done}: {}", failed.len(), failed[0]);
    assert!(members.iter_mut().all(|member| member.is_running()));
    hosts_hold_no_ca(&tool);
}

/// Every member has taken up the bundle as it is now: it trusts as many CAs as stand in it.
fn reloaded(tool: &Tool, members: &[crate::members::Member; 3], kind: &str) {
    let bundle = std::fs::read_to_string(tool.path(&format!("pki/{kind}/bundle.crt"))).unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    for member in members {
        let output = format!("\"endpoint\":\"{kind}\"");
        eventually("files are taken up", || {
            let log = member.log();
            log.lines().filter(|line| line.contains("reloaded TLS files") && line.contains(&output)).count() >= 1
        });
    }
}

const YEAR: Duration = Duration::days(365);

/// A cluster of two years ago: the CA of clients still lives, that of members does not, and no
/// certificate does.
fn forgotten() -> Tool {
    let tool = Tool::new();
    let past = OffsetDateTime::now_utc() - YEAR * 2;
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    for host in NAMES {
        std::fs::create_dir(tool.path(host)).unwrap();
    }
    for (kind, years, profile) in [(CaKind::Client, 10, Profile::Server), (CaKind::Peer, 1, Profile::Peer)] {
        let dir = CaDir::below(&tool.path("pki"), kind);
        let plan = CaPlan { common_name: format!("old {kind}"), lifetime: YEAR * years, constraints: Vec::new() };
        let new = NewCa { plan, algorithm: KeyAlgorithm::P256, passphrase: Some(&passphrase) };
        let ca = dir.create(&new, past).unwrap();
        let issue = |profile: Profile, common_name: &str, names: &[&str]| {
            let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
            let names = names.iter().map(|name| Name::parse(name).unwrap()).collect();
            let plan =
                LeafPlan { profile, common_name: common_name.to_owned(), names, lifetime: YEAR, loopback_only: true };
            let made = dir.issue(&ca, &plan, &key, past).unwrap();
            (made.pem.into_bytes(), key.to_pem().as_bytes().to_vec())
        };
        for host in NAMES {
            let (certificate, key) = issue(profile, host, &["127.0.0.1", "localhost"]);
            let file = |name: String, content: Vec<u8>, private| HostFile { name, content: content.into(), private };
            let files = [
                file(format!("{}.crt", profile.name()), certificate.clone(), false),
                file(format!("{}.key", profile.name()), key, true),
                file(format!("{kind}-ca.crt"), ca.certificate().pem.clone().into_bytes(), false),
            ];
            HostDir::at(&tool.path(host)).change(&files).unwrap();
            std::fs::create_dir_all(tool.path(&format!("collected/{host}"))).unwrap();
            std::fs::write(tool.path(&format!("collected/{host}/{}.crt", profile.name())), certificate).unwrap();
        }
        if kind == CaKind::Client {
            for user in ["alice", "mallory"] {
                let (certificate, key) = issue(Profile::Client, user, &[]);
                std::fs::write(tool.path(&format!("{user}.crt")), certificate).unwrap();
                std::fs::write(tool.path(&format!("{user}.key")), key).unwrap();
            }
        }
    }
    tool
}

fn rescue_args(tool: &Tool) -> String {
    let files =
        NAMES.iter().flat_map(|host| ["server", "peer"].map(|profile| format!("collected/{host}/{profile}.crt")));
    let files: Vec<_> = files.chain(["alice.crt".to_owned()]).collect();
    assert!(files.iter().all(|file| tool.path(file).exists()));
    format!("ca rescue {} --out rescued {PASS}", files.join(" "))
}

/// The members run all the while, cannot reach each other, and do as soon as they have what the
/// tool made; no key has moved.
#[test]
fn a_cluster_whose_certificates_have_all_run_out_comes_back() {
    let Some(server) = server() else { return };
    let tool = forgotten();
    let mut members = start(&server, &tool);
    for member in &mut members {
        member.wait_for_log("certificate has expired");
        assert!(
            !member.log().contains("ready to serve client requests"),
            "it works with certificates that have run out"
        );
    }
    let output = tool.run(&rescue_args(&tool)).good();
    assert!(
        output.contains("The client CA is still valid")
            && output.contains("The peer CA had expired and was created again"),
        "{output}"
    );
    for host in NAMES {
        let certificates = format!("--cert rescued/{host}/server.crt --cert rescued/{host}/peer.crt");
        tool.run(&format!(
            "cert install --dir {host} {certificates} --client-ca rescued/client-ca.crt --peer-ca rescued/peer-ca.crt"
        ))
        .good();
    }
    for member in &mut members {
        member.wait_for_log("ready to serve client requests");
    }
    std::fs::rename(tool.path("rescued/alice.crt"), tool.path("alice.crt")).unwrap();
    if let Some(etcdctl) = etcdctl() {
        for member in &members {
            eventually("alice puts", || ask(&etcdctl, &tool, member.client_port, "alice", "put greeting hello").0);
            assert!(
                !ask(&etcdctl, &tool, member.client_port, "mallory", "get greeting").0,
                "mallory's certificate has run out"
            );
        }
    }
    assert!(members.iter_mut().all(|member| member.is_running()));
    hosts_hold_no_ca(&tool);
}

#[test]
fn a_rescue_is_refused_before_anything_is_changed() {
    let tool = forgotten();
    tool.run("cert revoke mallory.crt").good();
    std::fs::create_dir(tool.path("there")).unwrap();
    let stranger = Tool::with_cas();
    stranger.run(&format!("cert issue client --cn eve {PASS}")).good();
    std::fs::copy(stranger.path("client-eve.crt"), tool.path("eve.crt")).unwrap();
    certs::files::create(&tool.path("wrong"), b"not-the-passphrase", 0o600).unwrap();
    let before = tool.everything();
    for (args, code, says) in [
        (format!("ca rescue mallory.crt --out rescued {PASS}"), 5, "has been revoked: its subject needs a new key"),
        (format!("ca rescue eve.crt --out rescued {PASS}"), 5, "has not issued this certificate"),
        (format!("ca rescue alice.crt --out there {PASS}"), 5, "there exists already, and nothing is overwritten"),
        (format!("ca rescue alice.crt alice.crt --out rescued {PASS}"), 2, "two certificates would be written to"),
        (format!("ca rescue gone.crt --out rescued {PASS}"), 1, "gone.crt"),
        ("ca rescue alice.crt --out rescued --passphrase-file wrong".to_owned(), 7, ""),
    ] {
        let ended = tool.run(&args);
        eprintln!("{args}: {:?} {}", ended.code, ended.complaint);
        ended.ends(code, says);
    }
    let output = tool.run(&format!("--dry-run {}", rescue_args(&tool))).good();
    assert!(
        output.contains("would make a new one of the peer CA") && output.contains("would sign server m2 again"),
        "{output}"
    );
    assert!(tool.everything() == before, "something was changed");
}
