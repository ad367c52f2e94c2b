//! `snapshot save --scheduled` as the timers of three hosts run it.

use crate::members::eventually;
use crate::servers::{cluster, one, our_daemon, runtime};
use crate::tool::{Ended, Tool};
use std::path::PathBuf;
use testbed::{Cluster, Server};

/// A member's host: its configuration and its directory for snapshots.
struct Host {
    name: String,
    config: String,
}

impl Host {
    fn of(tool: &Tool, server: &Server, name: &str) -> Self {
        let config = tool.path(&format!("{name}.yaml"));
        let text = format!("name: {name}\nlisten-client-urls: {0}\nadvertise-client-urls: {0}\n", server.endpoint());
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir(tool.path(name)).unwrap();
        Self { name: name.to_owned(), config: config.display().to_string() }
    }

    /// Runs the command of the timer, with more variables and words.
    fn run(&self, tool: &Tool, variables: &[(&str, &str)], args: &str) -> Ended {
        let mut all = vec![("ETCD_ADMIN_MEMBER_CONFIG", self.config.as_str())];
        all.extend(variables);
        let name = &self.name;
        tool.run_in(&all, &format!("snapshot save --scheduled --dir {name} --metrics-file {name}.prom {args}"), "")
    }

    fn snapshots(&self, tool: &Tool) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(tool.path(&self.name)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "db")).collect()
    }

    fn metric(&self, tool: &Tool, name: &str) -> Option<i64> {
        let page = std::fs::read_to_string(tool.path(&format!("{}.prom", self.name))).unwrap();
        let sample = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        sample.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }
}

fn hosts(tool: &Tool, cluster: &Cluster) -> Vec<Host> {
    cluster.members.iter().zip(["m1", "m2", "m3"]).map(|(server, name)| Host::of(tool, server, name)).collect()
}

/// Waits for a leader that `away` are not, and returns its place among the members.
fn leader(tool: &Tool, hosts: &[Host], away: &[usize]) -> usize {
    let asked = (0..hosts.len()).find(|host| !away.contains(host)).unwrap();
    let mut leader = None;
    eventually("a leader is there, and a quorum follows it", || {
        let output = tool.run_in(&[("ETCD_ADMIN_MEMBER_CONFIG", &hosts[asked].config)], "-o json status", "");
        let Ok(output) = serde_json::from_str::<serde_json::Value>(&output.out) else { return false };
        let follow = output["members"].as_array().unwrap().iter().filter(|member| member["in_sync"] == true).count();
        leader = hosts
            .iter()
            .position(|host| output["leader"] == host.name.as_str())
            .filter(|leader| !away.contains(leader));
        leader.is_some() && follow == hosts.len() - away.len()
    });
    leader.unwrap()
}

/// One snapshot for each slot: by the leader, by the next leader, and by what is left without one.
#[test]
fn one_member_saves_the_snapshot_of_a_slot() {
    let tool = Tool::new();
    let mut cluster = runtime().block_on(cluster(3));
    let hosts = hosts(&tool, &cluster);
    let first = leader(&tool, &hosts, &[]);
    tool.run(&format!("put key value --endpoints {}", cluster.members[first].endpoint())).good();
    hosts.iter().enumerate().filter(|(place, _)| *place != first).for_each(|(_, host)| {
        let skipped = host.run(&tool, &[], "").ends(0, &format!("skipped: {} leads and saves it", hosts[first].name));
        assert!(host.snapshots(&tool).is_empty(), "{skipped}");
        assert_eq!(
            (host.metric(&tool, "etcd_snapshot_last_run_skipped"), host.metric(&tool, "etcd_snapshot_revision")),
            (Some(1), None)
        );
    });
    hosts[first].run(&tool, &[], "").ends(0, "checked");
    assert_eq!(hosts[first].snapshots(&tool).len(), 1);
    assert_eq!(hosts[first].metric(&tool, "etcd_snapshot_last_run_failed"), Some(0));
    assert_eq!(hosts[first].metric(&tool, "etcd_snapshot_revision"), Some(2));
    // The timer of a host that was off runs again at boot; another host may save to the same
    // directory.
    hosts[first].run(&tool, &[], "").ends(0, " s ago");
    assert_eq!(hosts[first].snapshots(&tool).len(), 1);
    tool.run(&format!(
        "snapshot save --scheduled --dir {} --endpoints {}",
        hosts[first].name,
        cluster.members[first].endpoint()
    ))
    .ends(0, " s ago");

    cluster.members[first].kill();
    let second = leader(&tool, &hosts, &[first]);
    let third = (0..3).find(|place| ![first, second].contains(place)).unwrap();
    hosts[third].run(&tool, &[], "").ends(0, &format!("skipped: {} leads and saves it", hosts[second].name));
    hosts[second].run(&tool, &[], "").ends(0, "checked");
    assert_eq!((hosts[second].snapshots(&tool).len(), hosts[third].snapshots(&tool).len()), (1, 0));

    // No leader: what the last one has applied is the best that there is.
    cluster.members[second].kill();
    eventually("the last member has given its leader up", || {
        tool.run_in(&[("ETCD_ADMIN_MEMBER_CONFIG", &hosts[third].config)], "status", "").out.contains("NO LEADER")
    });
    let saved = hosts[third].run(&tool, &[], "").ends(0, "no leader answers");
    let [snapshot] = &hosts[third].snapshots(&tool)[..] else { panic!("{saved}") };
    tool.run(&format!("snapshot verify {}", snapshot.display())).ends(0, "manifest agrees");
    // By hand, the member has to be named.
    let at = format!("--endpoints {}", cluster.members[third].endpoint());
    tool.run(&format!("snapshot save by-hand.db {at}")).ends(5, "choose a member with --from");
    tool.run(&format!("snapshot save by-hand.db --from {} {at}", hosts[third].name)).ends(0, "checked");
}

/// A failed run is in the metrics with its snapshot before, and the next one that works is too.
#[test]
fn failed_run_shows_in_the_metrics_until_one_succeeds() {
    let tool = Tool::new();
    let server = runtime().block_on(one(&our_daemon()));
    let name = server.place().name.clone();
    let host = Host::of(&tool, &server, &name);
    let at = format!("--endpoints {}", server.endpoint());
    tool.run(&format!("put key value {at}")).good();
    host.run(&tool, &[], "").ends(0, "leads");
    for args in ["user add root:secret", "user grant-role root root", "auth enable"] {
        tool.run(&format!("{args} {at}")).good();
    }
    let again = |variables: &[(&str, &str)]| host.run(&tool, variables, "--min-age 0s");
    again(&[]).ends(1, "/etc/etcd/snapshot.env");
    let of_run = || (host.metric(&tool, "etcd_snapshot_last_run_failed"), host.metric(&tool, "etcd_snapshot_revision"));
    assert_eq!((of_run(), host.snapshots(&tool).len()), ((Some(1), Some(2)), 1));
    again(&[("ETCDCTL_USER", "root:secret")]).ends(0, "checked");
    assert_eq!((of_run(), host.snapshots(&tool).len()), ((Some(0), Some(2)), 2));
    // A member that does not answer is a failure, too, and so is a directory that is missing.
    tool.run(&format!("snapshot save --scheduled --dir {name} --metrics-file {name}.prom --endpoints 127.0.0.1:1"))
        .ends(4, "");
    assert_eq!(of_run().0, Some(1));
    again(&[("ETCDCTL_USER", "root:secret")]).ends(0, "checked");
    std::fs::rename(tool.path(&name), tool.path("moved")).unwrap();
    again(&[("ETCDCTL_USER", "root:secret")]).ends(1, "make the directory");
    assert_eq!(of_run().0, Some(1));
}
