//! From nothing to clusters that run, with this tool alone: founded from a document, grown by
//! joining, on certificates of its making.

use crate::members::{Member, eventually, server};
use crate::tool::Tool;
use std::cell::Cell;

const PASS: &str = "--passphrase-file passphrase";

/// Hosts on one machine: a document whose members differ in their ports.
pub(crate) struct Hosts {
    pub(crate) tool: Tool,
    ports: Vec<(u16, u16)>,
    commands: Cell<usize>,
}

impl Hosts {
    /// A document of so many members is there, and nothing else.
    pub(crate) fn new(size: usize) -> Self {
        let ports: [u16; 8] = testbed::free_ports().unwrap();
        let ports = ports.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let hosts = Self { tool: Tool::new(), ports, commands: Cell::new(0) };
        hosts.write(size);
        hosts
    }

    /// The document of the first so many members.
    pub(crate) fn write(&self, size: usize) {
        let home = self.tool.home().display();
        let members = self.ports.iter().take(size).zip(1..).map(|((client, peer), number)| {
            format!("- {{name: m{number}, host: 127.0.0.1, client_port: {client}, peer_port: {peer}}}\n")
        });
        let members: String = members.collect();
        let settings = "settings: {heartbeat-interval: 100, election-timeout: 1000}";
        let text = format!(
            "name: test\ntoken: test-1\nmembers:\n{members}data_dir: {home}/{{name}}/data\nconfig_file: {home}/{{name}}/etcd.yaml\n\
             tls: {{directory: '{home}/{{name}}/pki'}}\nauto_compaction: off\nquota: 64MiB\n{settings}\n"
        );
        std::fs::write(self.tool.path("cluster.yaml"), text).unwrap();
    }

    /// CAs, and the files that each host needs to start its member.
    pub(crate) fn prepare(&self, names: &[&str]) {
        self.run(&format!("ca init {PASS}"));
        for name in names {
            self.run(&format!("init apply --member {name} {PASS}"));
        }
    }

    /// An operator's command.
    #[track_caller]
    pub(crate) fn run(&self, args: &str) -> String {
        self.commands.set(self.commands.get() + 1);
        self.tool.run(args).good()
    }

    pub(crate) fn start(&self, name: &str) -> Option<Member> {
        Some(Member::with_config(&server()?, &self.tool, name, self.ports[0].0))
    }

    /// The members of the document, as a daemon wants to hear of them.
    pub(crate) fn initial_cluster(&self) -> String {
        let entries =
            self.ports.iter().take(3).zip(1..).map(|((_, peer), number)| format!("m{number}=https://127.0.0.1:{peer}"));
        entries.collect::<Vec<_>>().join(",")
    }

    /// The connection flags of a user of the cluster.
    pub(crate) fn at(&self, size: usize) -> String {
        let endpoints: Vec<_> =
            self.ports.iter().take(size).map(|(client, _)| format!("https://127.0.0.1:{client}")).collect();
        let file = |file: &str| self.tool.path("m1/pki/current").join(file).display().to_string();
        let endpoints = endpoints.join(",");
        format!(
            "--endpoints {endpoints} --cacert {} --cert {} --key {}",
            file("client-ca.crt"),
            file("server.crt"),
            file("server.key")
        )
    }
}

/// The commands of an operator with three hosts: CAs, one per host, and one that waits.
const COMMANDS: usize = 5;

#[test]
fn from_nothing_to_three_members_with_tls() {
    if server().is_none() {
        return;
    }
    let hosts = Hosts::new(3);
    hosts.prepare(&["m1", "m2", "m3"]);
    let members: Vec<Member> = ["m1", "m2", "m3"].iter().filter_map(|name| hosts.start(name)).collect();
    let at = hosts.at(3);
    hosts.run(&format!("wait --for healthy --timeout 3m {at}"));
    assert_eq!(hosts.commands.get(), COMMANDS, "the way has become longer");

    let tool = &hosts.tool;
    assert_eq!(tool.json(&format!("status {at}"))["tolerated"], 1);
    for goal in ["leader", "quorum", "caught-up"] {
        assert_eq!(tool.json(&format!("wait --for {goal} {at}"))["reached"], true, "{goal}");
    }
    let found = tool.json(&format!("doctor cluster {at}"));
    assert_eq!((found["ok"].as_bool(), found["bad"].as_u64()), (Some(true), Some(0)), "{found}");
    // A document that is applied again changes nothing, on a member that runs too.
    for name in ["m1", "m2", "m3"] {
        assert_eq!(tool.json(&format!("init apply --member {name} {PASS}"))["changed"], false);
    }
    // On a member, nothing has to be said.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
    let text =
        command.arg("status").env_clear().env("ETCD_ADMIN_MEMBER_CONFIG", tool.path("m2/etcd.yaml")).output().unwrap();
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    // The host of a member that runs, and of one that does not.
    let text = tool
        .run(&format!("doctor host --no-probe --config {}", tool.path("m1/etcd.yaml").display()))
        .ends(0, "a daemon uses the data");
    assert!(text.contains("is valid for 127.0.0.1"), "{text}");
    tool.run(&format!("doctor offline {}", tool.path("m1/data").display())).ends(5, "is in use");
    tool.run("preflight --member m1 --no-probe").ends(0, "the member runs");
    drop(members);
    eventually("the lock is let go", || {
        tool.run(&format!("doctor offline {}", tool.path("m1/data").display())).code == Some(0)
    });
    tool.run(&format!("doctor host --no-probe --config {}", tool.path("m1/etcd.yaml").display()))
        .ends(0, "no daemon uses the data");
    tool.run(&format!("wait --for quorum --timeout 1s {at}")).ends(8, "not a quorum within 1s");
    tool.run(&format!("doctor cluster {at}")).ends(4, "nothing listens there");
}

/// Joins while the new member is started as soon as its configuration is there, as systemd would on
/// an operator's word.
fn join(hosts: &Hosts, name: &str) -> Member {
    let command = format!("join --member {name} --wait 3m {PASS}");
    let tool = &hosts.tool;
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| tool.run(&command));
        eventually("the configuration is written", || {
            hosts.tool.path(name).join("etcd.yaml").exists() || joining.is_finished()
        });
        let member = hosts.start(name);
        joining.join().unwrap().good();
        member.unwrap()
    })
}

#[test]
fn one_grows_to_three_and_an_interrupted_join_goes_on() {
    if server().is_none() {
        return;
    }
    let hosts = Hosts::new(1);
    hosts.prepare(&["m1"]);
    let _first = hosts.start("m1");
    hosts.run(&format!("wait --for healthy --timeout 3m {}", hosts.at(1)));
    hosts.write(3);
    let tool = &hosts.tool;
    // A dry run prints the actions and changes nothing.
    let before = tool.run(&format!("member list -o json {}", hosts.at(1))).good();
    let output = tool.json(&format!("join --member m2 --dry-run {PASS}"));
    assert_eq!((output["changed"].as_bool(), output["votes"].as_bool()), (Some(true), Some(false)), "{output}");
    assert!(!tool.path("m2").exists());
    let after = tool.run(&format!("member list -o json {}", hosts.at(1))).good();
    assert_eq!(before.matches("\"id\"").count(), after.matches("\"id\"").count());
    // Interrupted twice: certificates only, then a learner that never started.
    tool.run(&format!("init apply --member m2 --root elsewhere {PASS}")).good();
    let output = tool.json(&format!("join --member m2 --no-wait {PASS}"));
    assert_eq!((output["changed"].as_bool(), output["votes"].as_bool()), (Some(true), Some(false)), "{output}");
    let text = std::fs::read_to_string(tool.path("m2/etcd.yaml")).unwrap();
    assert!(text.contains("initial-cluster-state: existing") && !text.contains("m3="), "{text}");
    tool.run(&format!("join --member m3 --no-wait {PASS}")).ends(5, "was added and never started");
    let _second = join(&hosts, "m2");
    let _third = join(&hosts, "m3");
    for name in ["m2", "m3"] {
        let output = tool.json(&format!("join --member {name} {PASS}"));
        assert_eq!((output["changed"].as_bool(), output["votes"].as_bool()), (Some(false), Some(true)), "{output}");
        assert_eq!(tool.json(&format!("init apply --member {name} {PASS}"))["changed"], false);
    }
    assert_eq!(tool.json(&format!("status {}", hosts.at(3)))["voters"], 3);
}

/// A member that has lost its data is rebuilt with `member rebuild` and the command that it prints.
#[test]
fn member_without_data_is_rebuilt_by_joining() {
    if server().is_none() {
        return;
    }
    let hosts = Hosts::new(3);
    hosts.prepare(&["m1", "m2", "m3"]);
    let mut members: Vec<Member> = ["m1", "m2", "m3"].iter().filter_map(|name| hosts.start(name)).collect();
    let (tool, at) = (&hosts.tool, hosts.at(3));
    hosts.run(&format!("wait --for healthy --timeout 3m {at}"));
    hosts.run(&format!("put kept value {at}"));
    let id = |name: &str| {
        let listed: serde_json::Value = tool.json(&format!("member list {at}"));
        let member = listed.as_array().unwrap().iter().find(|member| member["name"] == name).cloned();
        member.map(|member| member["id"].as_str().unwrap().to_owned())
    };
    let lost = id("m1");
    drop(members.remove(0));
    std::fs::remove_dir_all(tool.path("m1/data")).unwrap();
    let home = [("HOME", tool.home().to_str().unwrap())];
    let rebuild = format!("member rebuild m1 --yes --no-wait {at}");
    tool.run_in(&home, &rebuild, "").ends(0, "etcd-admin join --member m1");
    // Given again before the member is there, it is at the same step.
    tool.run_in(&home, &rebuild, "").ends(0, "etcd-admin join --member m1");
    let join = format!("join --member m1 --wait 3m {PASS}");
    let member = std::thread::scope(|scope| {
        let joining = scope.spawn(|| tool.run(&join));
        let is_joining =
            || std::fs::read_to_string(tool.path("m1/etcd.yaml")).unwrap().contains("initial-cluster-state: existing");
        eventually("the configuration is that of a join", || is_joining() || joining.is_finished());
        let member = hosts.start("m1");
        joining.join().unwrap().good();
        member
    });
    hosts.run(&format!("wait --for healthy --timeout 3m {at}"));
    assert_eq!(tool.json(&format!("status {at}"))["voters"], 3);
    assert_ne!(id("m1"), lost, "it never votes under an id whose promises are lost");
    let files = at.split_once(" --cacert ").unwrap().1;
    let own = format!("--endpoints https://127.0.0.1:{} --cacert {files}", hosts.ports[0].0);
    tool.run(&format!("get kept --consistency s --print-value-only {own}")).ends(0, "value");
    drop(member);
}

/// The operator's way by hand, on members that are configured by `init apply`: by this machine's
/// CA, and by lists that were brought.
#[test]
fn revoked_client_is_refused_on_members_made_by_init() {
    if server().is_none() {
        return;
    }
    let hosts = Hosts::new(1);
    hosts.prepare(&["m1"]);
    let tool = &hosts.tool;
    let text = std::fs::read_to_string(tool.path("m1/etcd.yaml")).unwrap();
    for name in ["client-crl.pem", "peer-crl.pem"] {
        let line = format!("crl-file: {}", tool.path("m1/pki/current").join(name).display());
        assert!(text.contains(&line) && tool.path("m1/pki/current").join(name).is_file(), "{name}: {text}");
    }
    let _member = hosts.start("m1");
    hosts.run(&format!("wait --for healthy --timeout 3m {}", hosts.at(1)));
    let as_client = |name: &str| {
        let (port, pki) = (hosts.ports[0].0, tool.path("m1/pki/current"));
        let files = format!(
            "--cacert {} --cert client-{name}.crt --key client-{name}.key",
            pki.join("client-ca.crt").display()
        );
        tool.run(&format!("get key --endpoints https://127.0.0.1:{port} {files}"))
    };
    for (name, bring) in
        [("alice", "init apply --member m1"), ("bob", "cert install --dir m1/pki --client-crl pki/client/crl.pem")]
    {
        hosts.run(&format!("cert issue client --cn {name} {PASS}"));
        as_client(name).good();
        hosts.run(&format!("cert revoke client-{name}.crt"));
        // Nothing is signed twice: the list is due because it lacks the certificate, and then it is
        // not.
        assert_eq!(tool.json(&format!("crl publish --kind client --if-due {PASS}"))["changed"], true);
        assert_eq!(tool.json(&format!("crl publish --kind client --if-due {PASS}"))["changed"], false);
        as_client(name).good();
        hosts.run(&if bring.starts_with("init") { format!("{bring} {PASS}") } else { bring.to_owned() });
        eventually("a revoked client is refused", || as_client(name).code != Some(0));
    }
    hosts.run(&format!("cert issue client --cn carol {PASS}"));
    as_client("carol").good();
    let doctor = format!("doctor host --no-probe --config {}", tool.path("m1/etcd.yaml").display());
    let output = tool.run(&doctor).ends(0, "revocation-list");
    assert!(!output.contains("expires in"), "a fresh list is not about to expire: {output}");
    // A list of another CA, as of an intermediate one alone, and one that is about to expire.
    let list = tool.path("m1/pki/current/client-crl.pem");
    let own = std::fs::read(&list).unwrap();
    std::fs::copy(tool.path("pki/peer/crl.pem"), &list).unwrap();
    tool.run(&doctor).ends(3, "every certificate of it is refused");
    tool.run(&format!("crl publish --kind client --days 3 {PASS}")).good();
    std::fs::copy(tool.path("pki/client/crl.pem"), &list).unwrap();
    tool.run(&doctor).ends(0, "expires in");
    std::fs::write(&list, own).unwrap();
    // It is renewed in time, as a certificate is.
    tool.run("cert needs-renewal m1/pki/current/client-crl.pem").ends(1, "not due");
    tool.run("cert needs-renewal --days 400 m1/pki/current/client-crl.pem").ends(0, "due");
}

/// A certificate signed on another machine comes with its CRL.
#[test]
fn signed_host_enforces_lists_that_came_with_certificates() {
    let hosts = Hosts::new(1);
    let tool = &hosts.tool;
    hosts.run(&format!("ca init --ca-dir elsewhere {PASS}"));
    hosts.run("init apply --member m1");
    assert!(
        !std::fs::read_to_string(tool.path("m1/etcd.yaml")).unwrap().contains("crl-file"),
        "a list that is not there"
    );
    hosts.run(&format!("init sign --ca-dir elsewhere --member m1 --requests m1/pki/pending --out signed {PASS}"));
    assert!(tool.path("signed/client-crl.pem").is_file() && tool.path("signed/peer-crl.pem").is_file());
    hosts.run("init apply --member m1 --signed signed");
    assert_eq!(std::fs::read_to_string(tool.path("m1/etcd.yaml")).unwrap().matches("crl-file: ").count(), 2);
    assert_eq!(tool.json("init apply --member m1 --signed signed")["changed"], false);
}
