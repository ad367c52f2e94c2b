//! Three members of our own server on certificates of the tool's making.

use crate::tool::Tool;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For whatever must happen soon and is waited for; reached only when a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(90);
pub(crate) const NAMES: [&str; 3] = ["m1", "m2", "m3"];

/// Our server, which is built beside the tool; says in one line when it is not.
pub(crate) fn server() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_etcd-admin")).with_file_name("etcd-server");
    if !path.is_file() {
        skip::report("build the server first: cargo build --release -p etcd-server");
    }
    path.is_file().then_some(path)
}

pub(crate) fn etcdctl() -> Option<PathBuf> {
    let path =
        std::env::var_os("ETCD_BIN_DIR").map(|dir| PathBuf::from(dir).join("etcdctl")).filter(|path| path.is_file());
    if path.is_none() {
        skip::report("set ETCD_BIN_DIR to a directory with etcdctl");
    }
    path
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct Member {
    child: Child,
    pub(crate) client_port: u16,
    log: PathBuf,
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Member {
    /// The member of that directory, which has its configuration.
    pub(crate) fn with_config(server: &Path, tool: &Tool, name: &str, client_port: u16) -> Self {
        let log = tool.path(&format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(server);
        command.arg("--config-file").arg(tool.path(name).join("etcd.yaml"));
        Self::spawn(command, tool, log, output, client_port)
    }

    /// The member of that configuration file.
    pub(crate) fn with_config_at(server: &Path, tool: &Tool, config: &Path, name: &str) -> Self {
        let log = tool.path(&format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(server);
        command.arg("--config-file").arg(config);
        Self::spawn(command, tool, log, output, 0)
    }

    /// Runs the command in the tool's directory, with `output` as its log.
    fn spawn(mut command: Command, tool: &Tool, log: PathBuf, output: File, client_port: u16) -> Self {
        command.current_dir(tool.home()).env_clear();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), client_port, log }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, says: &str) {
        let begun = Instant::now();
        while !self.log().contains(says) {
            assert!(self.is_running() && begun.elapsed() < SOON, "never said {says:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Starts all three on the directories `m1` to `m3`; with revocation lists where there are some.
pub(crate) fn start(server: &Path, tool: &Tool) -> [Member; 3] {
    let ports: [u16; 6] = testbed::free_ports().unwrap();
    let initial: Vec<_> =
        NAMES.iter().zip(ports).map(|(name, port)| format!("{name}=https://127.0.0.1:{port}")).collect();
    std::array::from_fn(|number| {
        let (name, client_port) = (NAMES[number], ports[number + 3]);
        let (peer, client) =
            (format!("https://127.0.0.1:{}", ports[number]), format!("https://127.0.0.1:{client_port}"));
        let file = |file: &str| format!("{name}/current/{file}");
        let log = tool.path(&format!("{name}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(server);
        command.args(["--name", name, "--data-dir", &format!("{name}.etcd"), "--initial-cluster", &initial.join(",")]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--cert-file", &file("server.crt"), "--key-file", &file("server.key")]);
        command.args(["--client-cert-auth", "--trusted-ca-file", &file("client-ca.crt")]);
        command.args(["--peer-cert-file", &file("peer.crt"), "--peer-key-file", &file("peer.key")]);
        command.args(["--peer-client-cert-auth", "--peer-trusted-ca-file", &file("peer-ca.crt")]);
        for (flag, list) in [("--client-crl-file", "client-crl.pem"), ("--peer-crl-file", "peer-crl.pem")] {
            if tool.path(&file(list)).exists() {
                command.args([flag, &file(list)]);
            }
        }
        Member::spawn(command, tool, log, output, client_port)
    })
}

/// etcdctl with a user's certificate, or with none; whether it worked, and its words.
pub(crate) fn ask(etcdctl: &Path, tool: &Tool, port: u16, user: &str, args: &str) -> (bool, String) {
    let mut command = Command::new(etcdctl);
    command.args([
        "--endpoints",
        &format!("https://127.0.0.1:{port}"),
        "--command-timeout",
        "10s",
        "--dial-timeout",
        "5s",
    ]);
    command.args(["--cacert", "pki/client/bundle.crt"]);
    if !user.is_empty() {
        command.args(["--cert", &format!("{user}.crt"), "--key", &format!("{user}.key")]);
    }
    let ended = command.args(args.split_whitespace()).current_dir(tool.home()).env_clear().output().unwrap();
    (
        ended.status.success(),
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)),
    )
}
