//! One server process on loopback, with a data directory of its own. Dropping it kills the process
//! and removes the directory.

use std::{
    fs,
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proto::etcdserverpb::{RangeRequest, StatusRequest, StatusResponse};
use rpc::etcdserverpb::{kv_client::KvClient, maintenance_client::MaintenanceClient};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::Usage;

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program and leading arguments, separated by blanks. Flags of etcd are appended to it.
    pub command: String,
    /// Further flags, after our own.
    pub flags: Vec<String>,
    /// The parent of the temporary directory; that of the system if absent.
    pub parent: Option<PathBuf>,
    /// Time limit for the first response of the server.
    pub start_limit: Duration,
}

impl Settings {
    /// Returns settings that start `command` with only the flags of a single member.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), flags: Vec::new(), parent: None, start_limit: Duration::from_secs(60) }
    }
}

/// The reason why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory, the log or the process could not be made.
    #[error("start {command}: {source}")]
    Spawn { command: String, source: io::Error },
    /// The process ended before it answered.
    #[error("{command} ended ({status}) before it answered; its last lines:\n{log}")]
    Ended { command: String, status: String, log: String },
    /// It runs and does not answer.
    #[error("{command} did not answer a linearizable read within {limit:?}; its last lines:\n{log}")]
    Silent { command: String, limit: Duration, log: String },
}

/// The name of a server in its cluster, and its loopback ports.
#[derive(Debug, Clone)]
pub struct Place {
    /// The member's name.
    pub name: String,
    /// Its port for clients.
    pub client_port: u16,
    /// Its port for other members.
    pub peer_port: u16,
}

impl Place {
    /// Returns a member on two free ports.
    ///
    /// # Errors
    /// When no port is free.
    pub fn free(name: impl Into<String>) -> io::Result<Self> {
        let [client_port, peer_port] = crate::free_ports()?;
        Ok(Self { name: name.into(), client_port, peer_port })
    }

    /// `http://127.0.0.1:PORT`, for other members.
    #[must_use]
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Its part of `--initial-cluster`.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }
}

/// A running server: a cluster of one member, or a member of a larger one.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    child: Child,
    dir: TempDir,
    place: Place,
    /// `--initial-cluster` and the flags that follow from it.
    cluster_flags: Vec<String>,
    extra_flags: Vec<String>,
    status: StatusResponse,
    start_time: Duration,
}

impl Server {
    /// Starts a server with an empty data directory and returns when it answers a linearizable
    /// read.
    ///
    /// # Errors
    /// When the process cannot be made, ends, or stays silent for `settings.start_limit`.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let place =
            Place::free("node").map_err(|source| StartError::Spawn { command: settings.command.clone(), source })?;
        let flags = vec!["--initial-cluster".to_owned(), place.entry()];
        let mut server = Self::launch(settings, place, flags)?;
        server.wait_until_healthy(Instant::now()).await?;
        Ok(server)
    }

    /// Starts a member with an empty data directory and does not wait for it: [`Server::healthy`].
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn launch(settings: Settings, place: Place, cluster_flags: Vec<String>) -> Result<Self, StartError> {
        let failed = |source| StartError::Spawn { command: settings.command.clone(), source };
        let mut builder = tempfile::Builder::new();
        builder.prefix("testbed-");
        let dir = match &settings.parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        }
        .map_err(failed)?;
        let child = spawn(&settings, dir.path(), &place, &cluster_flags).map_err(failed)?;
        Ok(Self {
            settings,
            child,
            dir,
            place,
            cluster_flags,
            extra_flags: Vec::new(),
            status: StatusResponse::default(),
            start_time: Duration::ZERO,
        })
    }

    /// Returns when it answers a linearizable read.
    ///
    /// # Errors
    /// When the process ends, or stays silent for `settings.start_limit`.
    pub async fn healthy(&mut self) -> Result<(), StartError> {
        self.wait_until_healthy(Instant::now()).await
    }

    /// Starts the process again on the same data and ports without waiting for it.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn relaunch(&mut self) -> Result<(), StartError> {
        self.kill();
        let flags = [&self.cluster_flags[..], &self.extra_flags].concat();
        self.child = spawn(&self.settings, self.dir.path(), &self.place, &flags)
            .map_err(|source| StartError::Spawn { command: self.settings.command.clone(), source })?;
        Ok(())
    }

    /// Stops the process where it stands (SIGSTOP), or lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    /// The command of the next start.
    pub fn set_command(&mut self, command: String) {
        self.settings.command = command;
    }

    /// Flags of the next start beside those of its settings.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.extra_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Returns its identity.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Starts the process again on the same data and ports, after [`Server::stop`] or when it died.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop();
        let begun = Instant::now();
        self.relaunch()?;
        self.wait_until_healthy(begun).await
    }

    /// Asks the process to end (SIGTERM), waits up to 20 seconds, then kills it.
    pub fn stop(&mut self) {
        if self.is_running() {
            let pid = Pid::from_raw(self.child.id().cast_signed());
            let asked = Instant::now();
            if kill(pid, Signal::SIGTERM).is_ok() {
                while self.is_running() && asked.elapsed() < Duration::from_secs(20) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        self.kill();
    }

    /// Stops the process by SIGTERM and returns its exit status; `None` if it still runs after
    /// `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Option<ExitStatus> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        // Fails only when the process has ended already; then its status is returned.
        kill(pid, Signal::SIGTERM).ok();
        self.wait_for_end(limit)
    }

    /// Waits for the process to end by itself, and returns its exit status; `None` if it still runs
    /// after `limit`.
    pub fn wait_for_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // Both fail only when the process has ended and been waited for already, which is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Returns `true` if the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `http://127.0.0.1:PORT`, for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.place.client_port)
    }

    /// The peer URL that it advertises.
    #[must_use]
    pub fn peer_url(&self) -> String {
        self.place.peer_url()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the cost of the process so far.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.pid())
    }

    /// Its answer to Status when it became healthy.
    #[must_use]
    pub fn status(&self) -> &StatusResponse {
        &self.status
    }

    /// From the start of the process to its first answer to a linearizable read, in steps of 5 ms.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start_time
    }

    /// The data directory, as given to the server.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns the file with the process's output, all its starts together.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Returns the last 16 KiB of the process's output.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log_file()).unwrap_or_default()
    }

    /// Bytes of all files below the data directory.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        dir_bytes(&self.data_dir())
    }

    async fn wait_until_healthy(&mut self, begun: Instant) -> Result<(), StartError> {
        loop {
            let command = self.settings.command.clone();
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(StartError::Ended { command, status: status.to_string(), log: self.log_tail() });
            }
            if let Some(status) = probe(&self.endpoint()).await {
                self.status = status;
                self.start_time = begun.elapsed();
                return Ok(());
            }
            if begun.elapsed() > self.settings.start_limit {
                return Err(StartError::Silent { command, limit: self.settings.start_limit, log: self.log_tail() });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One linearizable read and one Status; none while the server cannot answer both.
async fn probe(endpoint: &str) -> Option<StatusResponse> {
    let channel: Channel =
        Endpoint::from_shared(endpoint.to_owned()).ok()?.timeout(Duration::from_secs(10)).connect().await.ok()?;
    let read = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    KvClient::new(channel.clone()).range(read).await.ok()?;
    Some(MaintenanceClient::new(channel).status(StatusRequest {}).await.ok()?.into_inner())
}

fn spawn(settings: &Settings, dir: &Path, place: &Place, cluster_flags: &[String]) -> io::Result<Child> {
    let log = fs::File::options().create(true).append(true).open(dir.join("log"))?;
    let mut words = settings.command.split_whitespace();
    let program = words.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty command"))?;
    let client_url = format!("http://127.0.0.1:{}", place.client_port);
    let peer_url = place.peer_url();
    Command::new(program)
        .args(words)
        .args(["--name", &place.name, "--data-dir"])
        .arg(dir.join("data"))
        .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
        .args(cluster_flags)
        .args(&settings.flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn log_tail(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(16 << 10)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Files that vanish while we look count as nothing: a running server removes files at any time.
fn dir_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => dir_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_ends_is_reported_with_its_last_words() {
        let error = Server::start(Settings::new("/bin/ls")).await.unwrap_err();
        assert!(matches!(&error, StartError::Ended { log, .. } if !log.is_empty()), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_reported_by_name() {
        let error = Server::start(Settings::new("/no/such/program")).await.unwrap_err();
        assert!(error.to_string().starts_with("start /no/such/program:"), "{error}");
    }
}
