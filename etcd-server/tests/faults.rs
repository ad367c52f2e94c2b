//! Disks and limits that fail while the member runs: it stops with the reason, sends no response
//! afterwards, and has lost nothing.

use crate::daemon::{Client, PROGRAM, SOON, number, seeded, start};
use crate::history::Model;
use crate::kill::check;
use crate::load::Load;
use crate::power_cut::disk;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use testbed::{Server, Settings};

const DISK_BYTES: u64 = 512 << 20;

/// Checks that the member has ended by itself and that its log has the reason.
fn assert_stopped(server: &mut Server, words: &str, told: &str) {
    let status = server.wait_for_end(SOON);
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{told}: {status:?}\n{}", server.log_tail());
    let log = server.log_tail();
    let reasons: Vec<_> = log.lines().filter(|line| line.contains(words)).collect();
    assert!(!reasons.is_empty(), "{told}: the log does not say {words:?}:\n{log}");
    assert!(!log.contains("panicked"), "{told}: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_stops_the_member_and_loses_nothing() {
    let Some(mut disk) = disk(DISK_BYTES) else { return };
    let mut random = seeded("read-only");
    // The log is elsewhere, so that it can hold the reason.
    let data = format!("--data-dir={}", disk.path().join("data").display());
    let mut server = start(None, &[&data]).await;
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let (mut model, mut acknowledged) = (Model::default(), 0);
    let cycles = number("FAULT_CYCLES", 3);
    for cycle in 0..cycles {
        let mut load = Load::start(&server.endpoint(), 6, random.u64(..) >> 8, lease, 2000).await;
        load.wait_for(random.u64(1..600)).await;
        assert!(disk.turn_read_only());
        assert_stopped(&mut server, "Read-only file system", &format!("cycle {cycle}"));
        let seen = load.finish().await;
        assert!(disk.unmount() && disk.mount(), "cycle {cycle}: mount again");
        server.restart().await.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        acknowledged += check(&mut server, &mut model, seen, lease).await.acknowledged;
    }
    println!("{cycles} times read-only: {acknowledged} acknowledged operations, all there");
    server.kill();
}

/// Ways for the kernel to refuse, each from some call on.
const REFUSALS: [&str; 3] = ["fdatasync:error=EIO", "fdatasync:error=ENOSPC", "pwrite64:error=EIO"];

/// Returns a directory with `etcd-server` in it: strace around the program, which stays the child
/// of the caller.
fn refusing(dir: &std::path::Path, refusal: &str, calls: u64) -> PathBuf {
    let path = dir.join("refusing-etcd-server");
    let call = refusal.split(':').next().unwrap();
    let script = format!(
        "#!/bin/sh\nexec strace -D -f -qq -o /dev/null -e trace={call} -e signal=none -e inject={refusal}:when={calls}+ {PROGRAM} \"$@\"\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    path
}

fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    let traced = strace.status().is_ok_and(|status| status.success());
    if !traced {
        skip::report("no strace here that may trace");
    }
    traced
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_or_sync_that_fails_stops_the_member_and_loses_nothing() {
    if !can_trace() {
        return;
    }
    let mut random = seeded("refused calls");
    let dir = tempfile::tempdir().unwrap();
    let cycles = number("FAULT_CYCLES", 3);
    let (mut acknowledged, mut stopped_at_start) = (0, 0);
    for cycle in 0..cycles {
        let refusal = REFUSALS[usize::try_from(cycle).unwrap() % REFUSALS.len()];
        let calls = random.u64(20..400);
        let told = format!("cycle {cycle}: {refusal} from call {calls} of a thread on");
        let program = refusing(dir.path(), refusal, calls);
        let Ok(mut server) = Server::start(Settings::new(program.to_str().unwrap())).await else {
            stopped_at_start += 1;
            continue;
        };
        let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
        let load = Load::start(&server.endpoint(), 6, random.u64(..) >> 8, lease, 2000).await;
        let words = if refusal.ends_with("ENOSPC") { "No space left on device" } else { "Input/output error" };
        assert_stopped(&mut server, words, &told);
        let seen = load.finish().await;
        // The same data under the program itself.
        std::fs::write(&program, format!("#!/bin/sh\nexec {PROGRAM} \"$@\"\n")).unwrap();
        server.restart().await.unwrap_or_else(|error| panic!("{told}: {error}"));
        acknowledged += check(&mut server, &mut Model::default(), seen, lease).await.acknowledged;
        server.kill();
    }
    println!(
        "{cycles} times a failing call ({stopped_at_start} at the start): {acknowledged} acknowledged operations, all there"
    );
}

/// Open files that a member may have in this test: few, and less than clients ask for.
const FILES: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_cannot_take_the_files_that_the_member_needs() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("few-files-etcd-server");
    std::fs::write(&program, format!("#!/bin/sh\nulimit -n {FILES}\nexec {PROGRAM} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut server = Server::start(Settings::new(program.to_str().unwrap())).await.unwrap();
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let mut load = Load::start(&server.endpoint(), 4, 1, lease, 2000).await;
    load.wait_for(50).await;
    let address = server.endpoint().replace("http://", "");
    let mut idle = Vec::new();
    for _ in 0..2 * FILES {
        idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    load.wait_for(3000).await;
    let seen = load.stop().await;
    assert!(server.is_running() && seen.unanswered.is_empty(), "{}", server.log_tail());
    drop(idle);
    println!("{} operations while clients held {} connections, none refused", seen.acknowledged.len(), 2 * FILES);
    // Clients that waited for a place are served now.
    check(&mut server, &mut Model::default(), seen, lease).await;
    server.kill();
}
