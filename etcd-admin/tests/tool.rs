//! The tool, run in a directory of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "canary-passphrase";

pub(crate) struct Tool {
    home: TempDir,
}

pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) complaint: String,
}

impl Ended {
    /// The answer of a command that must have worked.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.complaint);
        self.out
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32, says: &str) -> String {
        let all = format!("{}{}", self.out, self.complaint);
        assert_eq!(self.code, Some(code), "{all}");
        assert!(all.contains(says), "says {says:?}: {all}");
        assert!(!all.contains("panicked") && !all.contains(PASSPHRASE), "{all}");
        all
    }
}

impl Tool {
    pub(crate) fn new() -> Self {
        let tool = Self { home: tempfile::tempdir().unwrap() };
        certs::files::create(&tool.path("passphrase"), PASSPHRASE.as_bytes(), 0o600).unwrap();
        tool
    }

    /// With both CAs made.
    pub(crate) fn with_cas() -> Self {
        let tool = Self::new();
        tool.run("ca init --passphrase-file passphrase").good();
        tool
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn run(&self, args: &str) -> Ended {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &str, input: &str) -> Ended {
        self.run_in(&[], args, input)
    }

    /// Starts the tool and does not wait for its end. A no-break space is a blank within one argument.
    pub(crate) fn start(&self, args: &str) -> std::process::Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
        let args = args.split([' ', '\n']).filter(|arg| !arg.is_empty()).map(|arg| arg.replace('\u{a0}', " "));
        command.args(args).current_dir(self.home.path()).env_clear().env("ETCD_ADMIN_CA_DIR", self.path("pki"));
        command
    }

    /// With variables of the environment.
    pub(crate) fn run_in(&self, variables: &[(&str, &str)], args: &str, input: &str) -> Ended {
        let mut command = self.command(args);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that wants no input may have ended already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let ended = child.wait_with_output().unwrap();
        Ended {
            code: ended.status.code(),
            out: String::from_utf8(ended.stdout).unwrap(),
            complaint: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self, args: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(&format!("-o json {args}")).good()).unwrap()
    }

    /// Every file below the directory with its content, to see that nothing has changed.
    pub(crate) fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        walk(self.home.path(), &mut found);
        found.sort();
        found
    }
}

fn walk(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_symlink() && !path.exists() {
            // A link that leads nowhere, such as one to a unit of a package.
            found.push((path.clone(), std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            walk(&path, found)
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()))
        }
    }
}
