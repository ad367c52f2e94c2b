//! `adopt`: the configuration of a real etcd on this host for our daemon, and the settings that do
//! not carry over.

use super::apply::kept_name;
use super::args::AdoptArgs;
use super::files::{Change, must_load};
use crate::cli::context::Context;
use crate::cluster_config::yaml_text;
use crate::snapshot::owner::give_to_owner_of_dir;
use admin_offline::data_dir::{has_member, is_real_etcds};
use admin_ui::error::CliError;
use admin_ui::output::{print_result, table};
use config::{Kind, Meaning, Row};
use serde::Serialize;
use serde_norway::{Mapping, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The paths that distributions and well-known tools use.
const PLACES: [&str; 4] = ["/etc/default/etcd", "/etc/etcd/etcd.conf", "/etc/etcd/etcd.conf.yml", "/etc/etcd.env"];
const HEAD: &str = "# Taken over from another etcd by etcd-admin adopt.\n";

#[derive(Clone, Debug, Serialize)]
struct Left {
    setting: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Adopted {
    changed: bool,
    dry_run: bool,
    from: PathBuf,
    to: PathBuf,
    /// Names of the settings that carry over, as the file has them.
    carried: Vec<String>,
    left: Vec<Left>,
    old_data_dir: Option<PathBuf>,
    diff: Vec<Change>,
    next: Vec<String>,
}

/// The content of the old file.
#[derive(Debug, Default)]
struct Found {
    settings: Mapping,
    carried: Vec<String>,
    left: Vec<Left>,
    /// Settings that did something there and have no counterpart here: the operator decides.
    open: Vec<Left>,
}

/// The configuration of an etcd on this host, converted.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    pub(crate) from: PathBuf,
    pub(crate) name: String,
    pub(crate) settings: Mapping,
    /// Names of the settings that carry over, as the file has them.
    carried: Vec<String>,
    left: Vec<Left>,
    pub(crate) old_data_dir: Option<PathBuf>,
    /// The log of the etcd, where it is not in its data directory.
    pub(crate) old_wal_dir: Option<PathBuf>,
    members: usize,
}

/// The place of the new daemon's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// In a directory of its own beside that of the etcd.
    Beside,
    /// In the directory of the etcd, whose data is moved aside before ours is started.
    InPlace,
}

impl Conversion {
    /// Reads the configuration, and converts it.
    ///
    /// # Errors
    /// A file that is missing or malformed, and settings without a counterpart that are not among
    /// those to leave out.
    pub(crate) fn read(
        from: Option<&Path>,
        data_dir: Option<&Path>,
        leave_out: &[String],
        placement: Placement,
    ) -> Result<Self, CliError> {
        let found = || PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
        let missing =
            || CliError::usage(format!("no configuration of an etcd is in {}: name it with --from", PLACES.join(", ")));
        let from = from.map(Path::to_owned).or_else(found).ok_or_else(missing)?;
        let text = std::fs::read_to_string(&from).map_err(|error| CliError::at(&from, error))?;
        let wrong = |reason: String| CliError::usage(format!("{}: {reason}", from.display()));
        let mut found = match variables(&text) {
            Some(variables) => of_variables(&variables).map_err(wrong)?,
            None => of_yaml(&text).map_err(wrong)?,
        };
        let path = |found: &Found, key: &str| found.settings.get(key).and_then(Value::as_str).map(PathBuf::from);
        let (old, old_wal_dir) = (path(&found, "data-dir"), path(&found, "wal-dir"));
        place_data(&mut found, data_dir, old.as_deref(), placement)?;
        found.decide(leave_out)?;
        let name = found.settings.get("name").and_then(Value::as_str).unwrap_or("default").to_owned();
        let members = found
            .settings
            .get("initial-cluster")
            .and_then(Value::as_str)
            .map_or(1, |entries| entries.split(',').count());
        if members > 1 {
            found.settings.insert("initial-cluster-state".into(), "existing".into());
        }
        Ok(Self {
            from,
            name,
            settings: found.settings,
            carried: found.carried,
            left: found.left,
            old_data_dir: old,
            old_wal_dir,
            members,
        })
    }

    /// Writes the configuration file, and keeps one that was there before. Returns the change, or
    /// `None` if the file has this content already.
    ///
    /// # Errors
    /// A configuration that the daemon would refuse, and a file that cannot be written.
    pub(crate) fn write(&self, context: &Context, to: &Path) -> Result<Option<Change>, CliError> {
        let content = yaml_text(HEAD, &self.settings)?;
        must_load(&content, &self.name)?;
        let change = Change::of_file(to, &content)?;
        if let (Some(_), false) = (&change, context.dry_run) {
            // The first one is the operator's; this command may write twice.
            let kept = kept_name(context, to);
            if to.exists() && !kept.exists() {
                std::fs::copy(to, &kept).map_err(|error| CliError::at(&kept, error))?;
            }
            certs::files::replace(to, content.as_bytes(), 0o640)?;
            give_to_owner_of_dir(to)?;
        }
        Ok(change)
    }
}

pub(super) fn adopt(context: &Context, args: &AdoptArgs) -> Result<ExitCode, CliError> {
    let found = Conversion::read(args.from.as_deref(), args.data_dir.as_deref(), &args.leave_out, Placement::Beside)?;
    let change = found.write(context, &args.to)?;
    let next = next(&found.name, found.members, found.old_data_dir.as_deref(), &found.settings);
    let report = Adopted {
        changed: change.is_some(),
        dry_run: context.dry_run,
        from: found.from,
        to: args.to.clone(),
        carried: found.carried,
        left: found.left,
        old_data_dir: found.old_data_dir,
        diff: change.into_iter().collect(),
        next,
    };
    print_result(context.format, &report, || {
        let rows: Vec<_> = report.left.iter().map(|left| vec![left.setting.clone(), left.reason.clone()]).collect();
        let left = if rows.is_empty() { String::new() } else { table(&["LEFT OUT", "WHY"], &rows) };
        let diff: String = report.diff.iter().map(Change::report).collect();
        let next: String = report.next.iter().map(|step| format!("next: {step}\n")).collect();
        format!("{}: {} settings carry over\n{left}{diff}{next}", report.from.display(), report.carried.len())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A member of ours needs a directory of its own: it cannot read etcd's data, and must not mix with
/// it.
fn place_data(
    found: &mut Found,
    data_dir: Option<&Path>,
    old: Option<&Path>,
    placement: Placement,
) -> Result<(), CliError> {
    let in_place = placement == Placement::InPlace;
    let data = match (data_dir, old) {
        (Some(data), _) => data.to_owned(),
        (None, Some(old)) if in_place || !has_member(old) => old.to_owned(),
        (None, Some(old)) => {
            let mut name = old.as_os_str().to_owned();
            name.push("-appliance");
            PathBuf::from(name)
        }
        (None, None) => PathBuf::from("/var/lib/etcd"),
    };
    if !in_place && is_real_etcds(&data) {
        return Err(CliError::refused(format!(
            "{} holds the data of a real etcd: name another --data-dir",
            data.display()
        )));
    }
    // A log of its own beside the data is part of etcd's data.
    if found.settings.remove("wal-dir").is_some() {
        found.carried.retain(|setting| setting != "wal-dir");
        found.left.push(Left {
            setting: "wal-dir".to_owned(),
            reason: "it holds etcd's log; ours has its place in the data directory".to_owned(),
        });
    }
    found.settings.insert("data-dir".into(), data.display().to_string().into());
    Ok(())
}

fn next(name: &str, members: usize, old: Option<&Path>, settings: &Mapping) -> Vec<String> {
    let text = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut next = vec!["take a snapshot first: etcd-admin snapshot save".to_owned()];
    if members > 1 {
        next.push(format!("take the member out and in again, as a learner: etcd-admin member rebuild {name}"));
        next.push("meanwhile, here: systemctl disable --now etcd, then systemctl enable --now etcd-server".to_owned());
        next.push("when it is a voter, go to the next host; check with etcd-admin status".to_owned());
    } else {
        next.push("stop it: systemctl disable --now etcd".to_owned());
        if let Some(old) = old {
            next.push(format!(
                "bring its data over: etcd-admin snapshot restore {} --name {name} --initial-cluster {} --data-dir {}",
                old.display(),
                text("initial-cluster"),
                text("data-dir")
            ));
        }
        next.push("start ours: systemctl enable --now etcd-server".to_owned());
    }
    next
}

/// The assignments of an environment file; None where it is something else.
fn variables(text: &str) -> Option<Vec<(String, String)>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = Vec::new();
    for line in lines {
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let plain = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        all.push((name.to_owned(), quoted.unwrap_or(value).to_owned()));
    }
    (!all.is_empty()).then_some(all)
}

fn of_variables(variables: &[(String, String)]) -> Result<Found, String> {
    let mut found = Found::default();
    for (variable, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
        match config::rows().map(|(_, row)| row).find(|row| row.variable() == *variable) {
            Some(row) => {
                let value = value(row, text).map_err(|reason| format!("{variable}: {reason}"))?;
                found.take(row, variable, value);
            }
            None => match variable.strip_prefix("ETCD_") {
                Some(name) => found.take_old(variable, &name.to_ascii_lowercase().replace('_', "-"), text)?,
                None => found.leave(variable, "it is not a setting of etcd".to_owned()),
            },
        }
    }
    Ok(found)
}

fn of_yaml(text: &str) -> Result<Found, String> {
    let root: Mapping = serde_norway::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Found::default();
    walk(&mut found, &[], &root)?;
    Ok(found)
}

fn walk(found: &mut Found, above: &[String], mapping: &Mapping) -> Result<(), String> {
    for (key, value) in mapping.iter().filter(|(_, value)| !value.is_null()) {
        let mut path = above.to_vec();
        path.push(key.as_str().unwrap_or_default().to_ascii_lowercase());
        let row = config::row_at(&path);
        match (row, value) {
            (Some(row), value) => found.take(row, &path.join("."), value.clone()),
            (None, Value::Mapping(below)) => walk(found, &path, below)?,
            (None, value) => {
                let text = match value.as_str() {
                    Some(text) => text.to_owned(),
                    None => serde_norway::to_string(value).map_err(|error| error.to_string())?.trim().to_owned(),
                };
                found.take_old(&path.join("."), &path.join("-"), &text)?;
            }
        }
    }
    Ok(())
}

impl Found {
    fn leave(&mut self, setting: &str, reason: String) {
        self.left.push(Left { setting: setting.to_owned(), reason });
    }

    /// Takes a setting of an older etcd under its present name, or asks about it.
    fn take_old(&mut self, given: &str, name: &str, text: &str) -> Result<(), String> {
        let is_off = matches!(text, "" | "0" | "0s" | "false" | "off");
        let Some(removed) = config::removed(name) else {
            // Settings that etcd 3.7 ignores too have had no effect for a long time.
            if config::ignored().contains(&name) || is_off {
                self.leave(given, "it has no effect in etcd 3.7 either".to_owned());
            } else {
                self.ask(given, "no setting of etcd 3.4 to 3.7 has this name".to_owned());
            }
            return Ok(());
        };
        let Some(instead) = removed.instead.strip_prefix("--").filter(|instead| !instead.contains(' ')) else {
            if is_off {
                self.leave(given, format!("etcd {} has removed it, and it was off", removed.since));
            } else if removed.instead.is_empty() {
                self.ask(given, format!("etcd {} has removed it without a successor", removed.since));
            } else {
                self.ask(given, format!("etcd {} has replaced it by {}", removed.since, removed.instead));
            }
            return Ok(());
        };
        let (flag, fixed) = instead.split_once('=').map_or((instead, None), |(flag, fixed)| (flag, Some(fixed)));
        let row = config::row(flag).ok_or_else(|| format!("{given}: --{flag} is unknown"))?;
        let text = match fixed {
            None => text.to_owned(),
            Some(_) if is_off => {
                self.leave(given, "it is off, as without it".to_owned());
                return Ok(());
            }
            Some(gates) if flag == "feature-gates" => {
                let before = self.settings.get("feature-gates").and_then(Value::as_str).unwrap_or_default();
                if before.is_empty() { gates.to_owned() } else { format!("{before},{gates}") }
            }
            Some(fixed) => fixed.to_owned(),
        };
        let value = value(row, &text).map_err(|reason| format!("{given}: {reason}"))?;
        self.take(row, given, value);
        Ok(())
    }

    fn ask(&mut self, setting: &str, reason: String) {
        self.open.push(Left { setting: setting.to_owned(), reason });
    }

    /// Leaves out the settings that the operator listed, and refuses the rest of the open
    /// questions.
    fn decide(&mut self, leave_out: &[String]) -> Result<(), CliError> {
        let (decided, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|left| leave_out.contains(&left.setting));
        self.left.extend(decided);
        if open.is_empty() {
            return Ok(());
        }
        let reasons: String = open.iter().map(|left| format!("\n  {}: {}", left.setting, left.reason)).collect();
        let flags: String = open.iter().map(|left| format!(" --leave-out {}", left.setting)).collect();
        let text = format!(
            "these settings have no counterpart:{reasons}\ncorrect them in the file, or continue without them:{flags}"
        );
        Err(CliError::new(admin_ui::error::NEEDS_CONFIRMATION, text))
    }

    fn take(&mut self, row: &Row, given: &str, value: Value) {
        let path = row.yaml_path();
        match (row.meaning, path.split_last()) {
            (Meaning::NoEffect(why) | Meaning::Deprecated(why), _) => self.leave(given, why.to_owned()),
            (Meaning::Used, None) => self.leave(given, "the configuration file cannot hold it".to_owned()),
            (Meaning::Used, Some((last, above))) => {
                let mut section = &mut self.settings;
                for key in above {
                    let entry = section.entry((*key).into()).or_insert_with(|| Value::Mapping(Mapping::new()));
                    // Only sections of the table are entered, and they hold nothing else.
                    let Value::Mapping(below) = entry else { return };
                    section = below;
                }
                section.insert((*last).into(), value);
                self.carried.push(path.join("."));
            }
        }
    }
}

/// A variable's text as the file spells it.
fn value(row: &Row, text: &str) -> Result<Value, String> {
    let number = |text: &str| text.parse::<i64>().map(Value::from).map_err(|error| error.to_string());
    match row.kind {
        Kind::Bool => admin_ui::go_flags::boolean(text).map(Value::Bool),
        Kind::Unsigned(_) | Kind::Signed => number(text),
        Kind::Duration => {
            let nanos = config::duration(text)?.as_nanos();
            u64::try_from(nanos).map(Value::from).map_err(|error| error.to_string())
        }
        Kind::List => Ok(Value::Sequence(text.split(',').map(|arg| Value::from(arg.trim())).collect())),
        Kind::Text | Kind::Urls | Kind::Origins | Kind::CommaList | Kind::Choice(_) | Kind::Gates => Ok(text.into()),
    }
}
