//! A daemon of ours on loopback, for as long as a command needs it.

use admin_client::{Client, ConnectionArgs, Local, Repeat, Settings};
use admin_ui::error::{CliError, FAILED, INTEGRITY, TIMED_OUT};
use proto::etcdserverpb::RangeRequest;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time for the member to answer.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// Ends when it is dropped.
#[derive(Debug)]
pub struct TempMember {
    child: Child,
    pub client: Client,
    log: PathBuf,
}

impl TempMember {
    /// Returns two free ports: URLs for clients and for members.
    pub fn urls() -> Result<[String; 2], CliError> {
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .map_err(|error| CliError::new(FAILED, format!("find a free port: {error}")))
        };
        // Both are held until both are known, so that they differ.
        let (one, other) = (free()?, free()?);
        let url = |listener: &TcpListener| listener.local_addr().map(|address| format!("http://{address}"));
        let failed = |error: std::io::Error| CliError::new(FAILED, format!("find a free port: {error}"));
        Ok([url(&one).map_err(failed)?, url(&other).map_err(failed)?])
    }

    /// Starts it on a data directory; its log lies beside that.
    pub fn start(data_dir: &Path, [client, peer]: &[String; 2], flags: &[&str]) -> Result<Self, CliError> {
        let mut command = Command::new(daemon());
        command.arg("--data-dir").arg(data_dir);
        command.args(["--listen-client-urls", client, "--advertise-client-urls", client]);
        command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]).args(flags);
        let args = ConnectionArgs { endpoints: Some(vec![client.clone()]), ..ConnectionArgs::default() };
        let settings =
            Settings::of(&args, &BTreeMap::new(), Local::Ignored, || Err("no password is needed".to_owned()))?;
        Self::launch(command, Client::new(settings)?, data_dir.with_extension("log"))
    }

    /// Starts it with a configuration of its own, as another user where one is given; its log lies
    /// beside the configuration.
    pub fn with_config(config: &Path, client: Client, owner: Option<(u32, u32)>) -> Result<Self, CliError> {
        let mut command = Command::new(daemon());
        command.arg("--config-file").arg(config);
        if let Some((user, group)) = owner {
            command.uid(user).gid(group);
        }
        Self::launch(command, client, config.with_extension("log"))
    }

    fn launch(mut command: Command, client: Client, log: PathBuf) -> Result<Self, CliError> {
        let failed = |error: std::io::Error| CliError::at(&log, error);
        let out = std::fs::File::create(&log).map_err(failed)?;
        let errors = out.try_clone().map_err(failed)?;
        command.env_clear().stdin(Stdio::null()).stdout(out).stderr(errors);
        let program = command.get_program().to_owned();
        let child =
            command.spawn().map_err(|error| CliError::new(FAILED, format!("start {}: {error}", program.display())))?;
        Ok(Self { child, client, log })
    }

    /// An error with its last words, when it has ended.
    pub fn must_live(&mut self) -> Result<(), CliError> {
        match self.child.try_wait() {
            Ok(Some(_)) => {
                Err(CliError::new(INTEGRITY, format!("the member that was started ended: {}", self.last_line())))
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Waits until it serves reads that need a quorum.
    pub async fn serves(&mut self) -> Result<(), CliError> {
        let begun = Instant::now();
        loop {
            let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
            match self.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
                Ok(_) => return Ok(()),
                // With authentication, no read is permitted without a user; the quorum has
                // responded all the same.
                Err(error)
                    if matches!(
                        error.code(),
                        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated | tonic::Code::InvalidArgument
                    ) =>
                {
                    return Ok(());
                }
                Err(_) if matches!(self.child.try_wait(), Ok(Some(_))) => {
                    return Err(CliError::new(
                        INTEGRITY,
                        format!("a member that was started on the data ended: {}", self.last_line()),
                    ));
                }
                Err(error) if begun.elapsed() > LIMIT => {
                    let text = format!(
                        "a member started on the data did not respond within {LIMIT:?}: {error}: {}",
                        self.last_line()
                    );
                    return Err(CliError::new(TIMED_OUT, text));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Stops it in order, so that all is in its state; its end is waited for.
    pub fn stop(&mut self) -> Result<(), CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::new(FAILED, format!("stop a member: {error}"));
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).map_err(|error| failed(&error))?;
        let status = self.child.wait().map_err(|error| failed(&error))?;
        if status.success() { Ok(()) } else { Err(failed(&format!("it ended with {status}: {}", self.last_line()))) }
    }

    fn last_line(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for TempMember {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The daemon beside this tool, or the one that is installed.
fn daemon() -> PathBuf {
    let beside =
        std::env::current_exe().ok().map(|own| own.with_file_name("etcd-server")).filter(|path| path.is_file());
    beside.unwrap_or_else(|| Path::new("etcd-server").to_owned())
}
