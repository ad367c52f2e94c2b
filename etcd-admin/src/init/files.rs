//! The files of a host, and the changes of writing them.

use crate::cluster_config::{Host, yaml_text};
use admin_ui::error::CliError;
use serde::Serialize;
use serde_norway::Mapping;
use std::path::{Path, PathBuf};

const HEAD: &str = "# Made by etcd-admin init from cluster.yaml: change that, and apply it again.\n";
const UNITS: &str = "/etc/systemd/system";
/// The timer of snapshots, and the link that enables it.
pub(super) const TIMER: &str = "etcd-snapshot.timer";
pub(super) const TIMER_LINK: &str = "/etc/systemd/system/timers.target.wants/etcd-snapshot.timer";
/// Metrics of the last run, below the state directory of the packages' unit.
const METRICS: &str = "/var/lib/etcd-snapshot/etcd_snapshot.prom";
pub(super) const TIMER_UNIT: &str = "/usr/lib/systemd/system/etcd-snapshot.timer";

/// A file, complete.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) path: PathBuf,
    pub(crate) content: String,
    pub(crate) mode: u32,
    /// `true` if the daemon's group is to read it.
    pub(crate) shared: bool,
}

/// One thing that is not as it shall be. No secret is ever in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    /// The present content; `None` if the file does not exist.
    pub(crate) before: Option<String>,
    pub(crate) after: String,
}

impl Change {
    /// Of a file that shall have this content.
    pub(crate) fn of_file(path: &Path, content: &str) -> Result<Option<Self>, CliError> {
        let before = match std::fs::read_to_string(path) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(CliError::at(path, error)),
        };
        let after = content.to_owned();
        Ok((before.as_deref() != Some(content)).then(|| Self { path: path.to_owned(), before, after }))
    }

    /// Lines that go and lines that come.
    pub(crate) fn report(&self) -> String {
        let before: Vec<&str> = self.before.as_deref().unwrap_or_default().lines().collect();
        let after: Vec<&str> = self.after.lines().collect();
        let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("  - {line}\n"));
        let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("  + {line}\n"));
        format!("{}\n{}", self.path.display(), gone.chain(new).collect::<String>())
    }
}

/// Everything of one host but its certificates.
pub(crate) fn files_of(host: &Host<'_>, settings: &Mapping) -> Result<Vec<Rendered>, CliError> {
    let content = yaml_text(HEAD, settings)?;
    must_load(&content, &host.entry.name)?;
    let mut files = vec![Rendered { path: host.config_file(), content, mode: 0o640, shared: true }];
    if let (Some(backup), Some(directory)) = (&host.file.backup, host.backups()) {
        let directory = directory.display();
        let keep = backup.keep;
        let kinds = [
            ("last", keep.last),
            ("hourly", keep.hourly),
            ("daily", keep.daily),
            ("weekly", keep.weekly),
            ("monthly", keep.monthly),
        ];
        let keep: String = kinds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!(" --keep-{kind} {count}"))
            .collect();
        // An empty assignment clears the value of the packages' unit.
        let prune = |prefix: &str| {
            if keep.is_empty() {
                String::new()
            } else {
                format!("ExecStart={prefix}/usr/bin/etcd-admin snapshot prune{keep} {directory}\n")
            }
        };
        // Old snapshots go first, so that a full disk does not keep the new one out for ever; there
        // may be none yet.
        let (first, last) = (prune("-"), prune(""));
        // A file that has to be there fails visibly where it is missing.
        let credentials = backup
            .credentials
            .as_ref()
            .map_or_else(String::new, |file| format!("EnvironmentFile=\nEnvironmentFile={file}\n"));
        let service = format!(
            "{HEAD}[Service]\n{credentials}ExecStart=\n{first}ExecStart=/usr/bin/etcd-admin snapshot save --scheduled --dir {directory} --metrics-file {METRICS}\n{last}ReadWritePaths={directory}\n"
        );
        let timer = format!("{HEAD}[Timer]\nOnCalendar=\nOnCalendar={}\n", backup.calendar);
        for (unit, content) in [("etcd-snapshot.service", service), ("etcd-snapshot.timer", timer)] {
            let path = Path::new(UNITS).join(format!("{unit}.d/cluster.conf"));
            files.push(Rendered { path, content, mode: 0o644, shared: false });
        }
    }
    Ok(files)
}

/// A configuration that the daemon would refuse is refused here.
pub(crate) fn must_load(content: &str, name: &str) -> Result<(), CliError> {
    match admin_client::settings_of_text(content) {
        Ok(warnings) => match warnings.iter().find(|warning| warning.text.contains("unknown key")) {
            None => Ok(()),
            Some(warning) => Err(CliError::usage(format!("settings of {name}: {warning}"))),
        },
        Err(reason) => Err(CliError::usage(format!("the daemon would not start as {name}: {reason}"))),
    }
}
