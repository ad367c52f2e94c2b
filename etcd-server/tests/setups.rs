//! Set-ups that people have: signals, sockets, directories and addresses that etcd takes as they
//! are.

use crate::daemon::{Client, PROGRAM, SOON, Start, start};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use testbed::{Place, Server, Settings};

/// Waits for a condition, with a bound.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_the_signals_that_etcd_ignores() {
    let mut server = start(None, &[]).await;
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let client = Client::connect(&server.endpoint()).await;
    for signal in [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGPIPE,
        Signal::SIGCHLD,
        Signal::SIGURG,
        Signal::SIGWINCH,
    ] {
        kill(pid, signal).unwrap();
        // A signal that ends a process does so before the process answers a later request.
        client.put("key", signal.as_str()).await.unwrap_or_else(|error| panic!("{signal}: {error}"));
    }
    for number in [34, 35, 50, 64] {
        let sent = std::process::Command::new("kill").args([format!("-{number}"), pid.to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{number}");
        client.put("key", "value").await.unwrap_or_else(|error| panic!("signal {number}: {error}"));
    }
    assert!(server.is_running());
    assert!(server.terminate(SOON).is_some(), "TERM still ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn removes_its_socket_files_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.sock");
    let url = format!("--listen-metrics-urls=unix://{}", path.display());
    let mut server = start(None, &[&url]).await;
    assert!(path.exists());
    server.terminate(SOON).unwrap();
    assert!(!path.exists(), "{}", server.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_the_lock_of_a_process_that_ends() {
    let mut server = start(None, &[]).await;
    server.kill();
    let path = server.data_dir().join("member/lock");
    let held = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
    server.relaunch().unwrap();
    let files = format!("/proc/{}/fd", server.pid());
    let has_opened = |files: &str| {
        let entries = std::fs::read_dir(files).into_iter().flatten().flatten();
        entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| target == path)
    };
    wait_for("a member that tries to lock its directory", || has_opened(&files));
    drop(held);
    server.healthy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_data_directory_is_a_warning_unless_strict() {
    let mut server = start(None, &[]).await;
    server.terminate(SOON).unwrap();
    let data_dir = server.data_dir();
    set_permissions(&data_dir, Permissions::from_mode(0o755)).unwrap();
    server.relaunch().unwrap();
    server.healthy().await.unwrap();
    assert!(server.log_tail().contains("can be entered by others (mode 755): run chmod 700"), "{}", server.log_tail());
    server.terminate(SOON).unwrap();
    let ended = Start::on(&data_dir).flags(&["--strict-file-checks"]).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("can be entered by others"), "{ended:?}");
    // One rule for a directory with data and for one without.
    let fresh = tempfile::tempdir().unwrap();
    set_permissions(fresh.path(), Permissions::from_mode(0o755)).unwrap();
    let ended = Start::on(fresh.path()).flags(&["--strict-file-checks"]).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("can be entered by others"), "{ended:?}");
    assert!(std::fs::read_dir(fresh.path()).unwrap().next().is_none(), "nothing was made");
}

/// The value of `key`.
async fn stored(server: &Server) -> bytes::Bytes {
    let request = proto::etcdserverpb::RangeRequest { key: "key".into(), ..Default::default() };
    Client::connect(&server.endpoint()).await.range(request).await.kvs[0].value.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_raft_log_in_a_directory_of_its_own() {
    let disk = tempfile::tempdir().unwrap();
    let log = disk.path().join("wal");
    let flag = format!("--wal-dir={}", log.display());
    let mut server = start(None, &[&flag]).await;
    Client::connect(&server.endpoint()).await.put("key", "value").await.unwrap();
    assert!(std::fs::read_dir(&log).unwrap().next().is_some(), "the log is there");
    let link = server.data_dir().join("member/log");
    assert_eq!(std::fs::read_link(&link).unwrap(), log.canonicalize().unwrap());
    server.kill();
    server.relaunch().unwrap();
    server.healthy().await.unwrap();
    assert_eq!(stored(&server).await, "value");
    server.terminate(SOON).unwrap();
    let elsewhere = format!("--wal-dir={}", disk.path().join("other").display());
    let ended = Start::on(&server.data_dir()).flags(&[&elsewhere]).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("the raft log of this member is in"), "{ended:?}");
    assert!(!disk.path().join("other").exists(), "nothing was made");
    // Another member may not begin in a log that is there.
    let fresh = tempfile::tempdir().unwrap();
    let ended = Start::on(&fresh.path().join("data")).flags(&[&flag]).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("it holds the log of another one"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raft_log_moves_to_another_disk_as_the_error_says() {
    let disk = tempfile::tempdir().unwrap();
    let log = disk.path().join("wal");
    let mut server = start(None, &[]).await;
    Client::connect(&server.endpoint()).await.put("key", "value").await.unwrap();
    server.terminate(SOON).unwrap();
    let flag = format!("--wal-dir={}", log.display());
    let ended = Start::on(&server.data_dir()).flags(&[&flag]).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("move the log there with `mv "), "{ended:?}");
    std::fs::rename(server.data_dir().join("member/log"), &log).unwrap();
    server.set_flags(&[&flag]);
    server.relaunch().unwrap();
    server.healthy().await.unwrap();
    assert_eq!(stored(&server).await, "value");
}

#[test]
fn a_real_etcds_directory_is_named_before_other_members_are_asked() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("member/snap")).unwrap();
    std::fs::write(home.path().join("member/snap/db"), b"").unwrap();
    let flags = [
        "--initial-cluster-state=existing",
        "--initial-cluster=node=http://127.0.0.1:1,other=http://127.0.0.1:2",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
    ];
    let ended = Start::on(home.path()).flags(&flags).until_it_ends();
    assert!(ended.code == Some(1) && ended.output.contains("is an etcd v3 data directory"), "{ended:?}");
}

/// Starts two members that reach each other by unix sockets.
async fn pair(dir: &Path, scheme: &str, more: &[String]) -> Vec<Server> {
    let url = |name: &str| format!("{scheme}://{}", dir.join(name).display());
    let cluster = format!("a={},b={}", url("a"), url("b"));
    let mut servers: Vec<_> = ["a", "b"]
        .map(|name| {
            let (listen, advertise) =
                (format!("--listen-peer-urls={}", url(name)), format!("--initial-advertise-peer-urls={}", url(name)));
            let flags = [listen, advertise, format!("--initial-cluster={cluster}")]
                .into_iter()
                .chain(more.iter().cloned())
                .collect();
            let settings = Settings { flags, ..Settings::new(PROGRAM) };
            Server::launch(settings, Place::free(name).unwrap(), Vec::new()).unwrap()
        })
        .into();
    for server in &mut servers {
        server.healthy().await.unwrap();
    }
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn members_elect_a_leader_over_unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let servers = pair(dir.path(), "unix", &[]).await;
    Client::connect(&servers[0].endpoint()).await.put("key", "value").await.unwrap();
    assert_eq!(stored(&servers[1]).await, "value");
}
