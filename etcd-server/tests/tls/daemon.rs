//! A daemon with listeners of every kind, on ports of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time limit of every wait; reached only when a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// gRPC and HTTP on one port.
    Shared,
    /// HTTP on a port of its own.
    Split,
}

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    dir: TempDir,
    pub(crate) client: u16,
    pub(crate) http: u16,
    pub(crate) metrics: u16,
    /// Clients without encryption.
    pub(crate) plain: u16,
}

impl Daemon {
    pub(crate) fn start(flags: &[String], ports: Ports) -> Self {
        Self::start_by(env!("CARGO_BIN_EXE_etcd-server"), flags, ports)
    }

    /// Starts and waits until the port without encryption answers.
    pub(crate) fn start_by(command: &str, flags: &[String], ports: Ports) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut daemon = Self::spawn(command, flags, ports, dir);
        let begun = Instant::now();
        while !is_ready(daemon.plain) {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < SOON, "{ended:?}: {}", daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    fn spawn(command: &str, flags: &[String], ports: Ports, dir: TempDir) -> Self {
        let [client, http, metrics, plain, peer] = testbed::free_ports().unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut words = command.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        let (secure, open) = (format!("https://127.0.0.1:{client}"), format!("http://127.0.0.1:{plain}"));
        let peer = format!("http://127.0.0.1:{peer}");
        command.args(words).args(["--name", "node", "--data-dir"]).arg(dir.path().join("data"));
        command.args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &format!("node={peer}"),
        ]);
        command.args(["--advertise-client-urls", &secure]);
        match ports {
            Ports::Shared => {
                command.args(["--listen-client-urls", &format!("{secure},{open}")]);
            }
            Ports::Split => {
                command.args(["--listen-client-urls", &secure]);
                command.args(["--listen-client-http-urls", &format!("https://127.0.0.1:{http},{open}")]);
            }
        }
        command.args(["--listen-metrics-urls", &format!("https://127.0.0.1:{metrics}")]).args(flags);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, dir, client, http, metrics, plain }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Returns the directory of its data and its log.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the log says so.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, says: &str) {
        let begun = Instant::now();
        while !self.log().contains(says) {
            assert!(begun.elapsed() < SOON, "never said {says:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_ready(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut response = String::new();
    asked.is_ok() && stream.read_to_string(&mut response).is_ok() && response.starts_with("HTTP/1.1 200")
}
