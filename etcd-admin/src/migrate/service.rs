//! Starting and stopping of the two daemons: by systemd, by commands, or by hand.

use super::args::ServiceArgs;
use admin_ui::error::{CliError, FAILED};
use admin_ui::progress::note;
use std::path::{Path, PathBuf};
use std::process::Command;

const OUR_UNIT: &str = "etcd-server";
/// The directory of units that were made by hand.
const UNITS: &str = "/etc/systemd/system";
const KEPT_ENDING: &str = ".before-migration";

/// A daemon on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    Etcd,
    Ours,
}

impl Daemon {
    fn title(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Ours => "etcd-server",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    unit: String,
    stop: Option<String>,
    start: Option<String>,
    by_hand: bool,
}

impl Service {
    pub(super) fn of(args: &ServiceArgs) -> Self {
        let ServiceArgs { unit, stop, start, by_hand } = args.clone();
        Self { unit, stop, start, by_hand }
    }

    fn unit_of(&self, daemon: Daemon) -> &str {
        match daemon {
            Daemon::Etcd => &self.unit,
            Daemon::Ours => OUR_UNIT,
        }
    }

    /// Refuses a host whose systemd does not know the unit to stop or to start: this must not be
    /// found when a member is removed already.
    pub(super) fn must_be_known(&self, stopped: Daemon, started: Daemon) -> Result<(), CliError> {
        for (daemon, command) in [(stopped, &self.stop), (started, &self.start)] {
            let is_kept = daemon == Daemon::Etcd && self.kept().is_file();
            if self.by_hand || command.is_some() || is_kept {
                continue;
            }
            let unit = self.unit_of(daemon);
            let shown = Command::new("systemctl").args(["cat", unit]).output();
            if !shown.is_ok_and(|shown| shown.status.success()) {
                let text = format!(
                    "systemd has no unit {unit}: install its package, or give --unit, --stop and --start, or --by-hand"
                );
                return Err(CliError::refused(text));
            }
        }
        Ok(())
    }

    /// Stops a daemon, and keeps it from starting again. The caller waits for its end.
    pub(super) fn stop(&self, daemon: Daemon) -> Result<(), CliError> {
        if self.by_hand {
            note(&format!("stop {} on this host, and disable its unit; waiting until it has ended", daemon.title()));
            return Ok(());
        }
        if let Some(command) = &self.stop {
            return shell(command);
        }
        systemctl(&["disable", "--now", self.unit_of(daemon)])?;
        if daemon == Daemon::Etcd {
            // Our unit uses the name as an alias, so a unit of that name must not stay in its place.
            move_unit(&self.hand_made(), &self.kept())?;
        }
        Ok(())
    }

    /// Enables and starts a daemon.
    pub(super) fn start(&self, daemon: Daemon) -> Result<(), CliError> {
        if self.by_hand {
            note(&format!("start {} on this host; waiting until it has joined", daemon.title()));
            return Ok(());
        }
        if let Some(command) = &self.start {
            return shell(command);
        }
        if daemon == Daemon::Etcd {
            move_unit(&self.kept(), &self.hand_made())?;
        }
        systemctl(&["enable", "--now", self.unit_of(daemon)])
    }

    fn hand_made(&self) -> PathBuf {
        Path::new(UNITS).join(format!("{}.service", self.unit))
    }

    fn kept(&self) -> PathBuf {
        Path::new(UNITS).join(format!("{}.service{KEPT_ENDING}", self.unit))
    }
}

/// Renames a unit that was made by hand; links, which `systemctl enable` makes, are left alone.
fn move_unit(from: &Path, to: &Path) -> Result<(), CliError> {
    if from.is_symlink() || !from.is_file() {
        return Ok(());
    }
    if to.exists() {
        let text = format!("{} and {} both exist: remove the one that is not in use", from.display(), to.display());
        return Err(CliError::refused(text));
    }
    std::fs::rename(from, to).map_err(|error| CliError::at(from, error))?;
    systemctl(&["daemon-reload"])
}

fn systemctl(args: &[&str]) -> Result<(), CliError> {
    let remedy = "run it by hand, or give --stop and --start; then give this command again";
    let what = format!("systemctl {}", args.join(" "));
    ended(&what, Command::new("systemctl").args(args), remedy)
}

fn shell(command: &str) -> Result<(), CliError> {
    ended(command, Command::new("sh").arg("-c").arg(command), "correct the command, and give this one again")
}

/// Runs a command. Its output goes to the error output: the output is this command's own result.
fn ended(what: &str, command: &mut Command, remedy: &str) -> Result<(), CliError> {
    note(what);
    command.stdin(std::process::Stdio::null()).stdout(std::io::stderr());
    let failed = |reason: String| CliError::new(FAILED, format!("{what}: {reason}; {remedy}"));
    let status = command.status().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_made_units_are_renamed_and_links_are_not() {
        let home = tempfile::tempdir().unwrap();
        let (unit, kept) = (home.path().join("etcd.service"), home.path().join("etcd.service.before-migration"));
        move_unit(&unit, &kept).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/system/etcd-server.service", &unit).unwrap();
        move_unit(&unit, &kept).unwrap();
        assert!(unit.is_symlink() && !kept.exists());
        std::fs::write(&kept, "kept").unwrap();
        std::fs::remove_file(&unit).unwrap();
        std::fs::write(&unit, "new").unwrap();
        assert!(move_unit(&unit, &kept).is_err());
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    }

    #[test]
    fn command_that_fails_is_named_with_its_status() {
        let service = Service { unit: "etcd".into(), stop: Some("exit 3".into()), start: None, by_hand: false };
        let error = service.stop(Daemon::Etcd).unwrap_err().to_string();
        assert!(error.contains("exit 3: exit status: 3; correct the command"), "{error}");
    }
}
