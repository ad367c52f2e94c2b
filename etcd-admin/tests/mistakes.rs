//! A hundred mistakes at a keyboard of twenty kinds in a drawn order, while somebody writes: none
//! of them costs a write for longer than an election, and none changes who is a member.

use crate::servers::{cluster, our_daemon, runtime, settings};
use crate::tool::{Ended, Tool};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::{Cluster, Place, Server};

const MISTAKES: u64 = 100;
/// Those that are made with words alone, and those that need a process more, or one less.
const KINDS_OF_ARGS: u64 = 17;
const KINDS: u64 = 20;
const HOST_OFF: u64 = KINDS_OF_ARGS;
/// A put is given this long by its client. Reached only when the cluster is lost.
const PUT: &str = "60s";

/// The same mistakes for the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Stops the writer when the mistakes are over, by a failed assertion too.
pub(crate) struct StopsAtTheEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopsAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Puts one after another until it is stopped; tells how many were done, and how many failed.
fn write(tool: &Tool, at: &str, stop: &AtomicBool, done: &AtomicU64, failed: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let ended = tool.run(&format!("put load x {at} --command-timeout {PUT}"));
        let count = if ended.code == Some(0) { done } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn mistakes_are_refused_and_writes_go_on() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(3));
    let at = format!("--endpoints {}", cluster.members.iter().map(Server::endpoint).collect::<Vec<_>>().join(","));
    tool.run(&format!("wait --for healthy {at}")).good();
    let members = |tool: &Tool| {
        let output = tool.json(&format!("member list {at} --command-timeout {PUT}"));
        output.as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = members(&tool);
    let (writer, stop, done, failed) = (Tool::new(), AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut killed = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| write(&writer, &at, &stop, &done, &failed));
        let _stopped = StopsAtTheEnd(&stop);
        let mut draw = Draw(7);
        for number in 0..MISTAKES {
            // Each of them at least once.
            let kind = if number < KINDS { number } else { draw.below(KINDS) };
            let victim = usize::try_from(draw.below(3)).unwrap();
            killed += u64::from(kind == HOST_OFF);
            let ended = match kind {
                ..KINDS_OF_ARGS => mistake(&tool, kind, &cluster.members[victim], &at),
                HOST_OFF => runtime.block_on(with_a_host_off(&tool, &mut cluster, victim, &at)),
                18 => intruder(&cluster, "new"),
                _ => intruder(&cluster, "existing"),
            };
            assert_ne!(ended.code, Some(0), "mistake {kind} was done: {}{}", ended.out, ended.complaint);
            assert!(!ended.complaint.contains("panicked"), "{}", ended.complaint);
            assert!(
                !format!("{}{}", ended.out, ended.complaint).trim().is_empty(),
                "mistake {kind} was refused without a word"
            );
            // The writer gets on after each of them.
            let (reached, begun) = (done.load(Ordering::Relaxed) + 1, Instant::now());
            while done.load(Ordering::Relaxed) < reached {
                assert!(
                    begun.elapsed() < Duration::from_secs(120),
                    "writes have stopped after mistake {kind}: {}",
                    ended.complaint
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    // A put that is under way when its member is killed may fail, and nothing else.
    let (done, failed) = (done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    assert!(failed <= killed, "{failed} of {done} writes failed, and {killed} members were killed");
    assert_eq!(members(&tool), before);
}

fn mistake(tool: &Tool, kind: u64, victim: &Server, at: &str) -> Ended {
    let (name, url, data) = (&victim.place().name, victim.peer_url(), victim.data_dir());
    let data = data.display();
    let args = match kind {
        // A half-typed name.
        0 => format!("member rebuild {} --yes {at}", &name[..1]),
        // A URL that is no URL, and one that is of another scheme.
        1 => format!("member add new --peer-urls 127.0.0.1:1 {at}"),
        2 => format!("member add new --peer-urls https://127.0.0.1:1 {at}"),
        // Values of another member: its name, its URL.
        3 => format!("member add {name} --peer-urls http://127.0.0.1:1 {at}"),
        4 => format!("member add new --peer-urls {url} {at}"),
        // Nobody is there to confirm it.
        5 => format!("member remove {name} {at}"),
        // A data directory that is in use.
        6 => format!("recover inspect {data}"),
        7 => format!("snapshot save copy.db --data-dir {data}"),
        8 => format!("snapshot restore {data} --name m9 --initial-cluster m9=http://127.0.0.1:1 --data-dir new"),
        9 => format!("doctor offline {data}"),
        // Somebody who is no member.
        10 => format!("member replace m9 --with new --peer-urls http://127.0.0.1:1 --yes {at}"),
        11 => format!("leader move --to m9 {at}"),
        12 => format!("member promote m9 {at}"),
        13 => format!("member update m9 --peer-urls http://127.0.0.1:1 {at}"),
        // A name for a number, and a flag that there is not.
        14 => format!("etcdctl member remove {name} {at}"),
        15 => format!("member remove {name} --force-it {at}"),
        // A document for another cluster.
        _ => format!("join --cluster nowhere.yaml --member {name} {at}"),
    };
    tool.run(&args)
}

/// One host is off; taking another one out would leave one of two.
async fn with_a_host_off(tool: &Tool, cluster: &mut Cluster, off: usize, at: &str) -> Ended {
    let other = cluster.members[(off + 1) % 3].place().name.clone();
    cluster.members[off].kill();
    let ended = tool.run(&format!("member remove {other} --yes {at}"));
    cluster.members[off].restart().await.unwrap();
    ended
}

/// A daemon that takes itself for one of the members, on a fresh disk, with another token; it may
/// neither found a cluster with them nor vote.
fn intruder(cluster: &Cluster, state: &str) -> Ended {
    let first = cluster.members[0].place();
    let place = Place { name: first.name.clone(), ..Place::free("").unwrap() };
    let others = cluster.members[1..].iter().map(|member| member.place().entry());
    let entries = others.chain([place.entry()]).collect::<Vec<_>>().join(",");
    let mut args = settings(&our_daemon());
    args.flags.extend([format!("--initial-cluster-state={state}"), "--initial-cluster-token=another".to_owned()]);
    let mut server = Server::launch(args, place, vec!["--initial-cluster".to_owned(), entries]).unwrap();
    let begun = Instant::now();
    // One that joins asks the others and ends; one that founds is told by each of them that it is
    // of another cluster.
    while server.is_running() && !server.log_tail().contains("cluster ID mismatch") {
        assert!(begun.elapsed() < Duration::from_secs(120), "nobody objects: {}", server.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    let code = if server.is_running() {
        Some(1)
    } else {
        server.wait_for_end(Duration::ZERO).and_then(|status| status.code())
    };
    Ended { code, out: String::new(), complaint: server.log_tail() }
}
