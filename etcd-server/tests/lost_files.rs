//! Files that are removed or replaced under a running member: it stops with the reason, and
//! acknowledges nothing into files that a restart cannot find.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test, figures are printed"
)]

#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod daemon;

use crate::daemon::{Client, PROGRAM, SOON, start};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use proto::etcdserverpb::RangeRequest;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::{Cluster, Server, Settings};
use tokio::task::JoinHandle;

/// A way to take files from a member, by its data directory, and the end of the path that it must
/// name.
struct Case {
    name: &'static str,
    take: fn(&Path),
    names: &'static str,
    loss: &'static str,
}

fn log(data: &Path) -> PathBuf {
    data.join("member/log")
}

fn state(data: &Path) -> PathBuf {
    data.join("member/state")
}

/// The files of a directory whose names begin or end so, in order.
fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_str().unwrap().contains(part));
    let mut found: Vec<_> = entries.filter(is_wanted).collect();
    found.sort();
    assert!(!found.is_empty(), "no {part} in {}", directory.display());
    found
}

/// Moves `path` away.
fn move_aside(path: &Path) {
    let aside = path.with_extension("aside");
    fs::rename(path, aside).unwrap();
}

/// Puts an equal copy in the place of `path`, as a restore or an editor does. The two are exchanged
/// in one step, as the member may look between two. It may also rename a file of its own while the
/// copy is made, so that is made again.
fn replace(path: &Path) {
    let new = path.with_extension("copy");
    let copy = || Command::new("cp").args(["-a", "--sparse=always"]).args([path, &new]).status().unwrap().success();
    let copied = (0..20).any(|_| {
        copy() || {
            Command::new("rm").arg("-rf").arg(&new).status().unwrap();
            false
        }
    });
    assert!(copied, "cannot copy {}", path.display());
    renameat2(AT_FDCWD, &new, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE).unwrap();
}

const CASES: &[Case] = &[
    Case {
        name: "data directory removed",
        take: |data| fs::remove_dir_all(data).unwrap(),
        names: "/data/member",
        loss: "removed",
    },
    Case { name: "data directory moved aside", take: move_aside, names: "/data/member", loss: "removed" },
    Case {
        name: "data directory replaced by an empty one",
        take: |data| {
            move_aside(data);
            fs::create_dir(data).unwrap();
        },
        names: "/data/member",
        loss: "removed",
    },
    Case { name: "data directory replaced by a copy", take: replace, names: "/data/member", loss: "replaced" },
    Case {
        name: "contents removed",
        take: |data| fs::remove_dir_all(data.join("member")).unwrap(),
        names: "/data/member",
        loss: "removed",
    },
    Case {
        name: "log removed",
        take: |data| fs::remove_dir_all(log(data)).unwrap(),
        names: "/member/log",
        loss: "removed",
    },
    Case { name: "log replaced", take: |data| replace(&log(data)), names: "/member/log", loss: "replaced" },
    Case {
        name: "first segment removed",
        take: |data| fs::remove_file(&files(&log(data), "segment-")[0]).unwrap(),
        names: "/log/segment-0000000000000001",
        loss: "removed",
    },
    Case {
        name: "last segment removed",
        take: |data| fs::remove_file(files(&log(data), "segment-").last().unwrap()).unwrap(),
        names: "/log/segment-0000000000000002",
        loss: "removed",
    },
    Case {
        name: "last segment replaced",
        take: |data| replace(files(&log(data), "segment-").last().unwrap()),
        names: "/log/segment-0000000000000002",
        loss: "replaced",
    },
    Case {
        name: "watermark removed",
        take: |data| fs::remove_file(log(data).join("watermark")).unwrap(),
        names: "/watermark",
        loss: "removed",
    },
    Case {
        name: "watermark replaced",
        take: |data| replace(&log(data).join("watermark")),
        names: "/watermark",
        loss: "replaced",
    },
    Case {
        name: "state removed",
        take: |data| fs::remove_dir_all(state(data)).unwrap(),
        names: "/member/state",
        loss: "removed",
    },
    Case { name: "state replaced", take: |data| replace(&state(data)), names: "/member/state", loss: "replaced" },
    Case {
        name: "table removed",
        take: |data| fs::remove_file(&files(&state(data), ".sst")[0]).unwrap(),
        names: ".sst",
        loss: "removed",
    },
    Case {
        name: "table replaced",
        take: |data| replace(&files(&state(data), ".sst")[0]),
        names: ".sst",
        loss: "replaced",
    },
    Case {
        name: "manifest removed",
        take: |data| fs::remove_file(&files(&state(data), "MANIFEST-")[0]).unwrap(),
        names: "/state/MANIFEST-",
        loss: "removed",
    },
    Case {
        name: "CURRENT removed",
        take: |data| fs::remove_file(state(data).join("CURRENT")).unwrap(),
        names: "/state/CURRENT",
        loss: "removed",
    },
    Case {
        name: "lock removed",
        take: |data| fs::remove_file(data.join("member/lock")).unwrap(),
        names: "/member/lock",
        loss: "removed",
    },
];

/// Writes one key after another until the member does not answer.
struct Writer {
    begun: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Writer {
    fn begin(client: Client) -> Self {
        let (begun, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (of_begun, of_acknowledged) = (Arc::clone(&begun), Arc::clone(&acknowledged));
        let task = tokio::spawn(async move {
            for number in 1.. {
                of_begun.store(number, Ordering::SeqCst);
                if client.put(format!("number-{number}"), "x").await.is_err() {
                    return;
                }
                of_acknowledged.store(number, Ordering::SeqCst);
            }
        });
        Self { begun, acknowledged, task }
    }

    async fn wait_for(&self, number: u64) {
        while self.acknowledged.load(Ordering::SeqCst) < number {
            assert!(!self.task.is_finished(), "the writer ended after {}", self.acknowledged.load(Ordering::SeqCst));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A member with tables and two log segments.
async fn filled() -> Server {
    let mut server = start(None, &[]).await;
    let client = Client::connect(&server.endpoint()).await;
    while files(&log(&server.data_dir()), "segment-").len() < 2 {
        client.put("large", "x".repeat(1 << 20)).await.unwrap();
    }
    server.restart().await.unwrap();
    server
}

/// The reason stands in the log, with the path; the process ends with 1 when it was started by
/// hand.
fn assert_stopped(name: &str, server: &mut Server, names: &str, loss: &str) {
    let ended = server.wait_for_end(SOON);
    let log = server.log_tail();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{name}: {log}");
    let reason = log
        .lines()
        .rev()
        .find(|line| line.contains("nothing is acknowledged any more"))
        .unwrap_or_else(|| panic!("{name}: {log}"));
    assert!(
        reason.contains(names) && reason.contains(&format!("was {loss} while this member uses it")),
        "{name}: {reason}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_file_stops_member_before_next_acknowledgement() {
    for case in CASES {
        let mut server = filled().await;
        let writer = Writer::begin(Client::connect(&server.endpoint()).await);
        writer.wait_for(20).await;
        (case.take)(&server.data_dir());
        // Puts that were begun later cannot have been synced before.
        let last = writer.begun.load(Ordering::SeqCst);
        writer.task.await.unwrap();
        let acknowledged = writer.acknowledged.load(Ordering::SeqCst);
        assert!(acknowledged <= last, "{}: {} puts were acknowledged afterwards", case.name, acknowledged - last);
        assert_stopped(case.name, &mut server, case.names, case.loss);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_member_stops_soon_after_file_is_lost() {
    for case in CASES {
        let mut server = filled().await;
        (case.take)(&server.data_dir());
        let begun = Instant::now();
        assert_stopped(case.name, &mut server, case.names, case.loss);
        println!("{}: stopped after {:?}", case.name, begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cluster_keeps_every_acknowledged_write_when_a_member_loses_files() {
    for case in CASES.iter().filter(|case| !case.name.contains("segment") || case.name.starts_with("last segment")) {
        let mut cluster = Cluster::start(Settings::new(PROGRAM), 3).await.unwrap();
        for member in &mut cluster.members {
            // Leaves tables behind.
            member.restart().await.unwrap();
        }
        let hit = cluster.leader(SOON).await.unwrap();
        let other = (hit + 1) % 3;
        let writers = [hit, other].map(|member| cluster.members[member].endpoint());
        let (of_hit, of_other) = (Client::connect(&writers[0]).await, Client::connect(&writers[1]).await);
        let writer = Writer::begin(of_hit);
        writer.wait_for(20).await;
        (case.take)(&cluster.members[hit].data_dir());
        writer.task.await.unwrap();
        let names = case.names.replace("0000000000000002", "0000000000000001");
        assert_stopped(case.name, &mut cluster.members[hit], &names, case.loss);
        cluster.leader(SOON).await.unwrap();
        let begun = Instant::now();
        while of_other.put("after", "the loss").await.is_err() {
            assert!(begun.elapsed() < SOON, "{}: the others do not go on", case.name);
        }
        for number in 1..=writer.acknowledged.load(Ordering::SeqCst) {
            let found = of_other
                .range(RangeRequest { key: format!("number-{number}").into(), ..RangeRequest::default() })
                .await;
            assert_eq!(found.kvs.len(), 1, "{}: number-{number} was acknowledged", case.name);
        }
    }
}

/// systemd restarts a member that ends with 1, and on an empty directory that would be another,
/// empty cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_that_lost_files_is_not_restarted() {
    let settings = Settings::new(format!("env NOTIFY_SOCKET=/nonexistent/notify {PROGRAM}"));
    let mut server = Server::start(settings).await.unwrap();
    fs::remove_dir_all(server.data_dir()).unwrap();
    assert_eq!(server.wait_for_end(SOON).and_then(|status| status.code()), Some(78), "{}", server.log_tail());
}
