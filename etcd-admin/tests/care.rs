//! Care: space given back, the order of restarts, the live view, the bundle, explanations.

use crate::servers::{cluster, one, our_daemon, runtime, settings};
use crate::tool::Tool;
use testbed::Server;

/// Rows of a table of the answer without its head.
fn lines(text: &str) -> Vec<&str> {
    text.lines().skip(1).collect()
}

#[test]
fn space_is_reclaimed_in_the_right_order() {
    let tool = Tool::new();
    let mut settings = settings(&our_daemon());
    settings.flags.extend(["--quota-backend-bytes".to_owned(), "4194304".to_owned()]);
    let server = runtime().block_on(Server::start(settings)).unwrap();
    let at = format!("--endpoints {}", server.endpoint());
    let value = "v".repeat(300_000);
    // The same key over and over, until there is no space.
    let mut full = false;
    for _ in 0..64 {
        let put = tool.run_with(&format!("put big {at}"), &value);
        full = put.code != Some(0);
        if full {
            assert!(put.complaint.contains("database space exceeded"), "{}", put.complaint);
            break;
        }
    }
    assert!(full, "the quota was never reached");
    let found = tool.run(&format!("doctor cluster {at}")).ends(3, "NOSPACE");
    assert!(found.contains("etcd-admin maintenance reclaim"), "{found}");
    tool.run(&format!("maintenance reclaim {at}")).ends(9, "confirm with --yes");
    let output = tool.run(&format!("maintenance reclaim --dry-run {at}")).good();
    let order: Vec<_> = output.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(order, ["compact", "defragment", "disarm"], "{output}");
    tool.run(&format!("put a b {at}")).ends(1, "database space exceeded");
    let output = tool.json(&format!("maintenance reclaim --yes {at}"));
    assert_eq!(
        (output["changed"].as_bool(), output["disarmed"].as_array().map(Vec::len)),
        (Some(true), Some(1)),
        "{output}"
    );
    tool.run(&format!("put a b {at}")).ends(0, "OK");
    tool.run(&format!("alarm list {at}")).ends(0, "");
    assert_eq!(tool.json(&format!("doctor cluster {at}"))["bad"], 0);
}

#[test]
fn members_are_restarted_one_by_one_and_the_leader_last() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(3));
    let endpoints = cluster.members.iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    let at = format!("--endpoints {endpoints} --command-timeout 20s");
    tool.run(&format!("wait --for healthy {at}")).good();
    for kind in ["restart", "upgrade", "rotate"] {
        let plan = tool.json(&format!("roll {kind} {at}"));
        let order = plan["order"].as_array().unwrap();
        assert_eq!(order.len(), 3);
        assert_eq!(plan["changed"], false);
        let commands: Vec<_> =
            plan["steps"].as_array().unwrap().iter().map(|step| step["command"].as_str().unwrap()).collect();
        let leads = plan["steps"].as_array().unwrap().iter().find(|step| step["command"] == "etcd-admin leader move");
        assert_eq!(leads.map(|step| &step["member"]), (kind != "rotate").then_some(&order[2]), "{plan}");
        assert_eq!(commands[0].contains("snapshot save"), kind == "upgrade", "{plan}");
        // Every command of the plan that is this tool's is one that it has.
        for command in commands.iter().filter_map(|command| command.strip_prefix("etcd-admin ")) {
            let ended = tool.run(&format!("{command} --help"));
            assert_eq!(ended.code, Some(0), "{command}: {}", ended.complaint);
        }
    }
    let text = tool.run(&format!("roll restart {at}")).good();
    assert_eq!(lines(&text).len(), 10, "{text}");
    // With one away, nobody else is touched.
    let leader = tool.json(&format!("leader show {at}"))["name"].as_str().unwrap().to_owned();
    let away = cluster.members.iter_mut().find(|member| member.place().name != leader).unwrap();
    away.kill();
    tool.run(&format!("wait --for quorum {at}")).good();
    tool.run(&format!("roll restart {at}")).ends(5, "bring it back before others are touched");
    tool.run(&format!("maintenance reclaim --yes {at}")).ends(5, "cannot be reached");
    let found = tool.run(&format!("doctor cluster {at}")).ends(3, "not reached");
    assert!(found.contains("What to do") && found.contains("0 may fail"), "{found}");
    tool.run(&format!("wait --for healthy --timeout 1s {at}")).ends(8, "nothing listens there");
    tool.run(&format!("top --once {at}")).ends(0, "unreachable");
}

#[test]
fn one_picture_of_the_cluster_without_a_terminal() {
    let (runtime, tool) = (runtime(), Tool::new());
    let cluster = runtime.block_on(cluster(3));
    let endpoints = cluster.members.iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    let at = format!("--endpoints {endpoints} --command-timeout 30s");
    tool.run(&format!("wait --for healthy {at}")).good();
    for args in ["top --once", "top"] {
        let picture = tool.run(&format!("{args} {at}")).good();
        let mut lines = picture.lines();
        assert!(lines.next().unwrap().contains(": healthy. 3 voters, 2 needed, 1 may fail."), "{picture}");
        let head: Vec<_> = lines.nth(2).unwrap().split_whitespace().collect();
        assert_eq!(head[..4], ["NAME", "ROLE", "TERM", "APPLIED"], "{picture}");
        assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
        assert_eq!((picture.matches("leader ").count(), picture.matches("follower ").count()), (1, 2), "{picture}");
        assert!(!picture.contains('\u{1b}'), "{picture}");
    }
    let json = tool.json(&format!("top {at}"));
    assert_eq!((json["members"].as_array().unwrap().len(), json["healthy"].as_bool()), (3, Some(true)), "{json}");
}

#[test]
fn a_bundle_holds_figures_and_never_keys_or_values() {
    let tool = Tool::new();
    let server = runtime().block_on(one(&our_daemon()));
    let at = format!("--endpoints {}", server.endpoint());
    tool.run(&format!("put canary-key canary-value {at}")).good();
    tool.run(&format!("get canary-key {at}")).good();
    tool.run(&format!("user add canary-user:canary-password {at}")).good();
    let data = server.data_dir().display().to_string();
    let config = format!(
        "name: node\ndata-dir: {data}\ninitial-cluster-token: canary-token\nlisten-client-urls: {}\n",
        server.endpoint()
    );
    std::fs::write(tool.path("etcd.yaml"), config + &format!("advertise-client-urls: {}\n", server.endpoint()))
        .unwrap();
    let log =
        "{\"level\":\"warn\",\"ts\":\"now\",\"msg\":\"slow\",\"request\":\"key:\\\"canary-key\\\"\",\"took\":\"1s\"}\n";
    std::fs::write(tool.path("log"), log).unwrap();
    let args = format!("support bundle --config etcd.yaml --log log --interval 10ms --out bundle {at}");
    assert_eq!(tool.json(&format!("{args} --dry-run"))["changed"], true);
    assert!(!tool.path("bundle").exists());
    let output = tool.json(&args);
    let errors: Vec<_> =
        output["pieces"].as_array().unwrap().iter().filter(|piece| !piece["error"].is_null()).collect();
    assert!(errors.iter().all(|piece| piece["file"] == "unit.txt"), "{output}");
    for file in [
        "index.json",
        "settings.yaml",
        "disk.json",
        "members.json",
        "log.jsonl",
        "node-metrics-1.txt",
        "node-metrics-3.txt",
    ] {
        assert!(tool.path("bundle").join(file).is_file(), "{file}: {output}");
    }
    for (path, content) in tool.everything().iter().filter(|(path, _)| path.starts_with(tool.path("bundle"))) {
        assert!(!String::from_utf8_lossy(content).contains("canary"), "{}", path.display());
    }
    let metrics = std::fs::read_to_string(tool.path("bundle/node-metrics-1.txt")).unwrap();
    assert!(metrics.contains("etcd_server_has_leader 1"), "no figures");
    tool.run(&args).ends(5, "is there already");
}

#[test]
fn errors_codes_alarms_and_findings_are_explained() {
    let tool = Tool::new();
    for (what, says) in [
        ("5", "A safety rule refused the command"),
        ("NOSPACE", "maintenance reclaim"),
        ("etcdserver: mvcc: database space exceeded", "the order is right"),
        ("Error: rpc error: code = Unavailable desc = etcdserver: leader changed", "Leadership moved"),
        ("disk-sync", "until it is on the disk"),
        ("cluster ID mismatch", "join it again"),
    ] {
        tool.run(&format!("explain {what}")).ends(0, says);
    }
    tool.run("explain frobnicate").ends(3, "nothing is known of \"frobnicate\"");
    let all = tool.json("explain");
    assert!(all.as_array().unwrap().len() > 60);
    assert_eq!(tool.json("explain 9")[0]["kind"], "exit code");
}
