//! The notifications of a member to systemd.

use crate::daemon::{PROGRAM, SOON};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;
use tempfile::TempDir;
use testbed::{Place, Server, Settings};

/// Stands in for systemd's socket.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, heard: Vec::new(), dir }
    }

    fn settings(&self) -> Settings {
        Settings::new(format!("env NOTIFY_SOCKET={}/notify WATCHDOG_USEC=2000000 {PROGRAM}", self.dir.path().display()))
    }

    /// Waits for a line that begins so.
    fn wait_for(&mut self, line: &str) {
        let begun = Instant::now();
        while !self.heard.iter().any(|heard| heard.starts_with(line)) {
            assert!(begun.elapsed() < SOON, "no {line} in {:?}", self.heard);
            let mut buffer = [0; 4096];
            let length =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {line} in {:?}: {error}", self.heard));
            self.heard.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
    }
}

#[test]
fn the_first_of_three_is_ready_and_says_what_it_waits_for() {
    let mut manager = Manager::new();
    let place = Place::free("m1").unwrap();
    let (second, third) = (Place::free("m2").unwrap(), Place::free("m3").unwrap());
    let entries = [place.entry(), second.entry(), third.entry()].join(",");
    let _alone = Server::launch(manager.settings(), place, vec!["--initial-cluster".to_owned(), entries]).unwrap();
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=waiting for quorum 1/3");
    manager.wait_for("WATCHDOG=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_tells_its_role_that_it_lives_and_that_it_stops() {
    let mut manager = Manager::new();
    let mut server = Server::start(manager.settings()).await.unwrap();
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=leader, term 2, revision 1, voters 1");
    manager.wait_for("WATCHDOG=1");
    assert!(server.terminate(SOON).unwrap().success());
    manager.wait_for("STOPPING=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_are_passed_are_used() {
    let manager = Manager::new();
    // Held here all the time: an attempt to bind the port would fail.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let command = manager.dir.path().join("start");
    let pass = format!("exec 3<&{}; export LISTEN_FDS=1 LISTEN_PID=$$; exec {PROGRAM} \"$@\"", socket.as_raw_fd());
    std::fs::write(&command, format!("#!/bin/bash\n{pass}\n")).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = Place { client_port: socket.local_addr().unwrap().port(), ..Place::free("m1").unwrap() };
    let flags = vec!["--initial-cluster".to_owned(), place.entry()];
    let mut server = Server::launch(Settings::new(command.display().to_string()), place, flags).unwrap();
    server.healthy().await.unwrap();
}
