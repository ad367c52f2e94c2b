//! A running cluster of a real etcd becomes ours and returns, under load. `ETCD_BIN_DIR` names the
//! etcd; the commands are those of the runbook.

use crate::members::eventually;
use crate::migrate_load::Load;
use crate::servers::{our_daemon, real_binaries, runtime};
use crate::tool::{Ended, Tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmRequest, AlarmType, MemberAddRequest, MemberRemoveRequest};
use rpc::etcdserverpb::{cluster_client::ClusterClient, maintenance_client::MaintenanceClient};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const HOSTS: usize = 3;

/// Three hosts in directories `h1` to `h3`, each with a configuration and a script that starts and
/// stops its daemons.
struct Hosts {
    tool: Tool,
    ports: [u16; 6],
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in 0..HOSTS {
            for daemon in ["etcd", "ours"] {
                let pid = std::fs::read_to_string(self.tool.path(&format!("h{}/{daemon}.pid", host + 1)));
                if let Some(pid) = pid.ok().and_then(|pid| pid.trim().parse().ok()) {
                    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
                }
            }
        }
    }
}

impl Hosts {
    /// Starts three members of etcd, with further settings in their files.
    fn start(binaries: &Path, settings: &str) -> Self {
        let hosts = Self { tool: Tool::new(), ports: testbed::free_ports().unwrap() };
        let initial: Vec<String> = (0..HOSTS).map(|host| format!("m{}={}", host + 1, hosts.peer_url(host))).collect();
        for host in 0..HOSTS {
            let dir = hosts.dir(host);
            std::fs::create_dir(&dir).unwrap();
            let (client, peer) = (hosts.client_url(host), hosts.peer_url(host));
            let text = format!(
                "# made by hand\nETCD_NAME=m{}\nETCD_DATA_DIR={}/data\nETCD_LISTEN_CLIENT_URLS={client}\nETCD_ADVERTISE_CLIENT_URLS={client}\n\
                 ETCD_LISTEN_PEER_URLS={peer}\nETCD_INITIAL_ADVERTISE_PEER_URLS={peer}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_CLUSTER_STATE=new\n{settings}",
                host + 1,
                dir.display(),
                initial.join(",")
            );
            std::fs::write(dir.join("etcd.env"), text).unwrap();
            let script = format!(
                "#!/bin/bash\ncd {dir}\nalive() {{ [ -f $1.pid ] && grep -qs '^State:.[^Z]' /proc/$(cat $1.pid)/status; }}\ncase $1 in\n\
                 start-etcd) alive etcd && exit 0; env -i $(grep -v '^#' etcd.env) setsid {etcd} >>etcd.log 2>&1 </dev/null & echo $! >etcd.pid;;\n\
                 start-ours) alive ours && exit 0; setsid {ours} --config-file etcd.yaml >>ours.log 2>&1 </dev/null & echo $! >ours.pid;;\n\
                 stop-*) daemon=${{1#stop-}}; alive $daemon || exit 0; kill $(cat $daemon.pid); while alive $daemon; do sleep 0.05; done;;\nesac\n",
                dir = dir.display(),
                etcd = binaries.join("etcd").display(),
                ours = our_daemon().display()
            );
            let path = dir.join("ctl");
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for host in 0..HOSTS {
            hosts.ctl(host, "start-etcd");
        }
        hosts.tool.run(&format!("wait --for healthy --timeout 60s {}", hosts.at())).good();
        hosts
    }

    fn dir(&self, host: usize) -> std::path::PathBuf {
        self.tool.path(&format!("h{}", host + 1))
    }

    fn client_url(&self, host: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[host])
    }

    fn peer_url(&self, host: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[HOSTS + host])
    }

    fn endpoints(&self) -> Vec<String> {
        (0..HOSTS).map(|host| self.client_url(host)).collect()
    }

    fn at(&self) -> String {
        format!("--endpoints {}", self.endpoints().join(","))
    }

    fn ctl(&self, host: usize, what: &str) {
        let mut command = Command::new(self.dir(host).join("ctl"));
        command.arg(what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{what}");
    }

    /// Runs a command of the runbook with its placeholders filled in, on a host.
    fn runbook(&self, host: usize, command: &str) -> Ended {
        self.tool.run(&self.command(host, command))
    }

    fn command(&self, host: usize, command: &str) -> String {
        let command = command.strip_prefix("etcd-admin ").unwrap().replace("URLS", &self.endpoints().join(","));
        let dir = self.dir(host).display().to_string();
        let further = match command.split_whitespace().nth(1).unwrap() {
            "preflight" => format!("--from {dir}/etcd.env"),
            "run" => format!(
                "--from {dir}/etcd.env --to {dir}/etcd.yaml --state-dir {dir}/state --stop {dir}/ctl\u{a0}stop-etcd --start {dir}/ctl\u{a0}start-ours --wait 60s --command-timeout 20s --yes"
            ),
            "rollback" => format!(
                "--state-dir {dir}/state --stop {dir}/ctl\u{a0}stop-ours --start {dir}/ctl\u{a0}start-etcd --wait 60s --command-timeout 20s --yes"
            ),
            "status" => format!("--state-dir {dir}/state"),
            "commit" => "--yes".to_owned(),
            "save" => "snapshot.db".to_owned(),
            _ => String::new(),
        };
        format!("{command} {further}")
    }

    /// Runs a command and kills it after this time, unless it has ended by then.
    fn killed(&self, host: usize, command: &str, after: Duration) {
        let mut child = self.tool.start(&self.command(host, command));
        std::thread::sleep(after);
        drop(child.kill());
        drop(child.wait());
    }

    /// Returns the hosts in the order of the plan.
    fn plan(&self, command: &str) -> Vec<usize> {
        let plan = self.runbook(0, &command.replace("etcd-admin", "etcd-admin -o json"));
        let plan: serde_json::Value = serde_json::from_str(&plan.good()).unwrap();
        let members = plan["members"].as_array().unwrap();
        assert!(members.last().unwrap()["leads"] == true, "{plan}");
        members.iter().map(|member| member["member"].as_str().unwrap()[1..].parse::<usize>().unwrap() - 1).collect()
    }

    fn status(&self, host: usize) -> serde_json::Value {
        let ended = self.tool.run(&format!(
            "-o json migrate status {} --state-dir {}/state",
            self.at(),
            self.dir(host).display()
        ));
        serde_json::from_str(&ended.good()).unwrap()
    }
}

/// Returns the commands of a runbook: those of its steps, and those of its way back.
fn runbook(title: &str) -> (Vec<String>, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/RUNBOOKS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with(title)).unwrap();
    let (steps, back) = section.split_once("**Roll back**").unwrap();
    let commands = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_digit()));
        lines.filter_map(|line| line.split('`').nth(1).map(str::to_owned)).collect()
    };
    (commands(steps), commands(back))
}

fn of<'a>(commands: &'a [String], verb: &str) -> &'a str {
    commands.iter().find(|command| command.contains(verb)).unwrap_or_else(|| panic!("{verb} in {commands:?}"))
}

/// The etcd in `ETCD_BIN_DIR`, and `true` if its cluster version is below ours.
fn etcd() -> Option<(std::path::PathBuf, bool)> {
    let Some(binaries) = real_binaries() else {
        skip::report("set ETCD_BIN_DIR to a directory with etcd, etcdctl and etcdutl");
        return None;
    };
    let version = Command::new(binaries.join("etcd")).arg("--version").output().unwrap().stdout;
    let is_older = !String::from_utf8_lossy(&version).contains("etcd Version: 3.7.");
    Some((binaries, is_older))
}

#[test]
fn running_cluster_is_migrated_rolled_back_and_committed() {
    let Some((binaries, is_older)) = etcd() else { return };
    let (steps, back) = runbook("Migrate a running cluster of etcd");
    let hosts = Hosts::start(&binaries, "");
    let load = Load::start(hosts.endpoints());
    hosts.runbook(0, of(&steps, "snapshot save")).good();
    let order = hosts.plan(of(&steps, "migrate plan"));
    for host in &order {
        hosts.runbook(*host, of(&steps, "migrate preflight")).good();
    }
    let mut seconds = Vec::new();
    let mut step = |command: &str, host: usize| {
        let begun = Instant::now();
        hosts.runbook(host, command).good();
        seconds.push(format!("{:.1}", begun.elapsed().as_secs_f64()));
    };
    for (done, host) in order.iter().enumerate() {
        step(of(&steps, "migrate run"), *host);
        assert_eq!(hosts.status(*host)["migrated"], done + 1);
        assert!(
            hosts
                .dir(*host)
                .join("data")
                .read_dir()
                .unwrap()
                .flatten()
                .any(|entry| { entry.file_name().to_string_lossy().starts_with("member.aside-etcd-") })
        );
        hosts.runbook(*host, of(&steps, "migrate status")).good();
    }
    // A second run changes nothing.
    hosts.runbook(order[0], of(&steps, "migrate run")).ends(0, "nothing changed");
    hosts.runbook(order[0], of(&steps, "migrate verify")).good();
    if is_older {
        assert!(hosts.status(0)["held_version"].is_string(), "{}", hosts.status(0));
        hosts.tool.run(&format!("status {}", hosts.at())).ends(0, "is held at");
    }

    // One returns to etcd and comes again, then all return.
    for host in [&order[2..3], &order[..]].concat() {
        step(of(&back, "migrate rollback"), host);
        if host == order[2] && hosts.status(host)["migrated"] == 2 {
            assert_eq!(hosts.status(host)["held_version"], serde_json::Value::Null);
            step(of(&steps, "migrate run"), host);
        }
    }
    let status = hosts.status(0);
    assert_eq!((&status["migrated"], &status["held_version"]), (&0.into(), &serde_json::Value::Null), "{status}");
    hosts.runbook(0, of(&steps, "migrate verify")).good();
    hosts.runbook(0, of(&back, "migrate rollback")).ends(5, "has no journal");

    // The executor is killed at any time, twice for each member, and a further run completes.
    for (host, seed) in order.iter().zip([11_u64, 523, 907]) {
        for round in 0..2 {
            hosts.killed(*host, of(&steps, "migrate run"), Duration::from_millis(seed * (round + 1) % 1400));
        }
        step(of(&steps, "migrate run"), *host);
    }
    hosts.runbook(0, of(&steps, "migrate verify")).good();
    let committed = hosts.runbook(0, of(&steps, "migrate commit")).good();
    assert!(committed.contains("the cluster version is 3.7.0"), "{committed}");
    hosts.runbook(0, of(&steps, "migrate commit")).ends(0, "nothing changed");
    if is_older {
        hosts.runbook(0, of(&back, "migrate rollback")).ends(5, "the migration was committed");
    }
    let report = load.end();
    eprintln!("seconds per member: {}; {report:?}", seconds.join(" "));
    report.assert_sound();
    // A real etcd that loses the leadership stops for 5 s at times; the figure is printed above.
    assert!(report.longest_gap < Duration::from_secs(15), "{report:?}");
}

#[test]
fn unfit_clusters_are_refused_and_nothing_changes() {
    let Some((binaries, _)) = etcd() else { return };
    let (steps, _) = runbook("Migrate a running cluster of etcd");
    let hosts = Hosts::start(&binaries, "");
    let (preflight, run) = (of(&steps, "migrate preflight"), of(&steps, "migrate run"));
    let refused = |says: &str| {
        hosts.runbook(0, preflight).ends(3, says);
        hosts.runbook(0, run).ends(5, says);
        assert!(!hosts.dir(0).join("etcd.yaml").exists() && !hosts.dir(0).join("state").exists(), "{says}");
    };
    let runtime = runtime();
    let endpoint = tonic::transport::Endpoint::from_shared(hosts.client_url(0)).unwrap();
    let channel = || endpoint.connect();
    let alarm = async |action: AlarmAction| {
        let request = AlarmRequest { action: action.into(), member_id: 7, alarm: AlarmType::Nospace.into() };
        MaintenanceClient::new(channel().await.unwrap()).alarm(request).await.unwrap();
    };
    runtime.block_on(alarm(AlarmAction::Activate));
    refused("NOSPACE is raised");
    runtime.block_on(alarm(AlarmAction::Deactivate));

    let added = runtime.block_on(async {
        let request = MemberAddRequest { peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()], is_learner: true };
        let mut cluster = ClusterClient::new(channel().await.unwrap());
        // A new cluster has to settle first.
        loop {
            match cluster.member_add(request.clone()).await {
                Ok(added) => break added.into_inner().member.unwrap().id,
                Err(status) => assert!(status.message().contains("unhealthy cluster"), "{status}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    refused("added and never started");
    runtime.block_on(async {
        let request = MemberRemoveRequest { id: added };
        ClusterClient::new(channel().await.unwrap()).member_remove(request).await.unwrap();
    });

    let file = hosts.dir(0).join("etcd.env");
    let fit = std::fs::read_to_string(&file).unwrap();
    for (text, says) in [
        (fit.clone() + "ETCD_FROBNICATION=high\n", "--leave-out ETCD_FROBNICATION"),
        (fit.replace("NAME=m1", "NAME=m9"), "no member m9 with the peer URLs"),
        (fit.replace("/data\n", "/elsewhere\n"), "is not an absolute path of a directory with the data of an etcd"),
        (fit.clone() + "ETCD_KEY_FILE=/no/such/key\nETCD_CERT_FILE=/no/such/certificate\n", "/no/such/key"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = hosts.runbook(0, preflight);
        assert!(matches!(ended.code, Some(2 | 3)), "{}{}", ended.out, ended.complaint);
        ended.ends(3, says);
        assert_ne!(hosts.runbook(0, run).code, Some(0));
        assert!(!hosts.dir(0).join("etcd.yaml").exists() && !hosts.dir(0).join("state").exists(), "{says}");
    }
    std::fs::write(&file, &fit).unwrap();
    let other = hosts.dir(1).join("etcd.env");
    let text = std::fs::read_to_string(&other).unwrap();
    std::fs::write(&other, text + "ETCD_QUOTA_BACKEND_BYTES=1234567\n").unwrap();
    hosts.runbook(0, &format!("{preflight} --compare {}", other.display())).ends(3, "the default here, 1234567 in");
    hosts.ctl(2, "stop-etcd");
    eventually("the member is missed", || hosts.runbook(0, preflight).code == Some(3));
    refused("not available: TCP");
}
