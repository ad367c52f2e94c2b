//! The program under the name `etcdutl`: its commands, flags, outputs and exit codes, on our own
//! data and on etcd's snapshots.

use crate::data_dir::{self, must_be_free};
use crate::new_cluster::{NewCluster, NewMember};
use crate::snapshot_file::{Digested, SnapshotFile};
use admin_ui::completion::completion_script;
use admin_ui::error::CliError;
use admin_ui::go_flags::{self, Line, as_in_go, duration, show_help, signed};
use admin_ui::output::{boxed, size};
use backend_file::StatusStyle;
use backend_file::bolt::{Digest, verify_trailer};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use config::ETCD_VERSION;
use go_text::quoted;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(name = "etcdutl", about = "An administrative command line tool for etcd3.", disable_version_flag = true)]
struct Etcdutl {
    /// Format of the output: fields, json, protobuf, simple, table
    #[arg(short = 'w', long, global = true, default_value = "simple", value_name = "FORMAT")]
    write_out: String,
    /// Accepted: there is no lock to wait for
    #[arg(long, global = true, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Manages etcd node snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Prints the hash of the history of a snapshot
    Hashkv {
        args: Vec<PathBuf>,
        /// Maximum revision to hash; all if it is 0
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        rev: i64,
    },
    /// Defragments the storage of a data directory that no etcd uses
    Defrag {
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Migrates a data directory to the storage version of another etcd
    Migrate(MigrateArgs),
    /// Prints the version of etcdutl
    Version,
    /// Generates the completion script for a shell
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Restores a snapshot to a data directory
    Restore(RestoreArgs),
    /// Gets the status of a given file
    Status { args: Vec<PathBuf> },
}

#[derive(Debug, Args)]
struct RestoreArgs {
    args: Vec<PathBuf>,
    /// Output data directory; NAME.etcd unless it is given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Accepted for the empty value only: log and state lie in one directory here
    #[arg(long, value_name = "DIR")]
    wal_dir: Option<PathBuf>,
    #[arg(long, default_value = "default")]
    name: String,
    #[arg(long, default_value = "default=http://localhost:2380")]
    initial_cluster: String,
    #[arg(long, default_value = "etcd-cluster")]
    initial_cluster_token: String,
    #[arg(long, default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,
    /// Ignores the digest; needed for a file copied out of a data directory
    #[arg(long)]
    skip_hash_check: bool,
    /// Accepted: nothing is mapped here
    #[arg(long, default_value_t = 10 << 30)]
    initial_memory_map_size: u64,
    /// Number of revisions to skip
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    bump_revision: u64,
    /// Mark the earlier revisions as compacted; used with --bump-revision
    #[arg(long)]
    mark_compacted: bool,
}

#[derive(Debug, Args)]
struct MigrateArgs {
    /// Data directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Version to migrate to, X.Y; at least 3.5
    #[arg(long, value_name = "VERSION")]
    target_version: Option<String>,
    /// Accepted: no version is forced here
    #[arg(long)]
    force: bool,
}

/// The storage version that this server's data corresponds to.
const STORAGE_VERSION: (i64, i64) = (3, 7);
const OLDEST_STORAGE_VERSION: (i64, i64) = (3, 5);
const BAD_FEATURE: u8 = 4;
const BAD_ARGUMENTS: u8 = 128;

/// The line behind `Error: `, and the exit code.
struct UtlError(u8, String);

impl From<CliError> for UtlError {
    fn from(error: CliError) -> Self {
        Self(1, error.to_string())
    }
}

pub fn run(args: &[OsString]) -> ExitCode {
    let command = as_in_go(Etcdutl::command());
    let line = match go_flags::read(&command, args.get(1..).unwrap_or_default()) {
        Ok(Line::Run(line)) => line,
        Ok(Line::Help(path)) => return show_help(command, &path),
        Ok(Line::NoTopic(text)) => {
            print_error(&format!("{text}\nRun 'etcdutl --help' for usage."));
            return ExitCode::SUCCESS;
        }
        Err(refused) => {
            return report_error(&UtlError(
                1,
                format!("{}\nRun '{} --help' for usage.", refused.text, refused.command),
            ));
        }
    };
    let parsed = command.clone().try_get_matches_from(line).and_then(|matches| Etcdutl::from_arg_matches(&matches));
    let tool = match parsed {
        Ok(tool) => tool,
        Err(error) => {
            return report_error(&UtlError(1, error.to_string().trim_start_matches("error: ").trim_end().to_owned()));
        }
    };
    let ended = match tool.command {
        Command::Snapshot(SnapshotCommand::Status { args }) => status(&args, &tool.write_out),
        Command::Snapshot(SnapshotCommand::Restore(args)) => restore(&args),
        Command::Hashkv { args, rev } => hash_kv(&args, rev, &tool.write_out),
        Command::Defrag { data_dir } => defragment(data_dir.as_deref()),
        Command::Migrate(args) => migrate(&args),
        Command::Version => say(&format!("etcdutl version: {ETCD_VERSION}\nAPI version: 3.7\n")),
        Command::Completion { shell } => say(&completion_script(shell, command.clone(), "etcdutl")),
    };
    ended.map_or_else(|ctl_error| report_error(&ctl_error), |()| ExitCode::SUCCESS)
}

fn report_error(UtlError(code, text): &UtlError) -> ExitCode {
    print_error(&format!("Error: {text}"));
    ExitCode::from(*code)
}

/// Writes a line in the form of etcdutl's log: time, level, message, and fields as JSON.
fn log(message: &str, fields: &[(&str, serde_json::Value)]) {
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let now = now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    print_error(&format!("{now}\tinfo\t{message}\t{{{}}}", fields.join(", ")));
}

#[expect(clippy::print_stderr, reason = "the one place that logs and prints the error")]
fn print_error(line: &str) {
    eprintln!("{line}");
}

fn say(text: &str) -> Result<(), UtlError> {
    Ok(admin_ui::output::say(text)?)
}

/// Refuses a file that cannot be reached, in Go's words.
fn must_exist(call: &str, path: &Path) -> Result<(), UtlError> {
    std::fs::metadata(path).map(drop).map_err(|error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        UtlError(1, format!("{call} {}: {text}", path.display()))
    })
}

/// Columns, and their cells; `fields` gives each a name of its own.
fn print(
    format: &str,
    json: &str,
    columns: &[&str],
    cells: Vec<String>,
    fields: &[(&str, String)],
) -> Result<(), UtlError> {
    match format {
        "simple" => say(&format!("{}\n", cells.join(", "))),
        "json" => say(&format!("{json}\n")),
        "table" => say(&boxed(columns, &[cells])),
        "fields" => say(&fields.iter().map(|(name, value)| format!("\"{name}\" : {value}\n")).collect::<String>()),
        "protobuf" => Err(UtlError(BAD_FEATURE, "protobuf not supported as output format".to_owned())),
        _ => Err(UtlError(BAD_FEATURE, "unsupported output format".to_owned())),
    }
}

fn one<'a>(args: &'a [PathBuf], text: &str) -> Result<&'a Path, UtlError> {
    match args {
        [one] => Ok(one),
        _ => Err(UtlError(BAD_ARGUMENTS, text.to_owned())),
    }
}

fn status(args: &[PathBuf], format: &str) -> Result<(), UtlError> {
    let path = one(args, "snapshot status requires exactly one argument")?;
    must_exist("stat", path)?;
    let status = SnapshotFile::open(path, Digested::Ignored)?.status(StatusStyle::V3_6)?;
    let json = serde_json::to_string(&status).map_err(|error| UtlError(1, error.to_string()))?;
    let version = status.version.clone().unwrap_or_default();
    let cells = vec![
        format!("{:x}", status.hash),
        status.revision.to_string(),
        status.total_keys.to_string(),
        size(status.size_bytes),
        version.clone(),
    ];
    let fields = [
        ("Hash", status.hash.to_string()),
        ("Revision", status.revision.to_string()),
        ("Keys", status.total_keys.to_string()),
        ("Size", status.size_bytes.to_string()),
        ("Version", version),
    ];
    print(format, &json, &["hash", "revision", "total keys", "total size", "version"], cells, &fields)
}

fn hash_kv(args: &[PathBuf], revision: i64, format: &str) -> Result<(), UtlError> {
    let [path] = args else { return Err(UtlError(1, format!("accepts 1 arg(s), received {}", args.len()))) };
    must_exist("stat", path)?;
    let file = SnapshotFile::open(path, Digested::Ignored)?;
    let (newest, compacted) = (file.status(StatusStyle::V3_6)?.revision, file.content()?.compacted);
    let revision = if revision == 0 { newest } else { revision };
    if revision > newest {
        return Err(UtlError(1, "mvcc: required revision is a future revision".to_owned()));
    }
    if compacted.is_some_and(|compacted| revision < compacted) {
        return Err(UtlError(1, "mvcc: required revision has been compacted".to_owned()));
    }
    let (hash, compact) = (file.hash_kv(revision, compacted)?, compacted.unwrap_or(-1));
    let json = format!("{{\"hash\":{hash},\"hashRevision\":{revision},\"compactRevision\":{compact}}}");
    let cells = vec![hash.to_string(), revision.to_string(), compact.to_string()];
    let fields = [
        ("Hash", hash.to_string()),
        ("Hash revision", revision.to_string()),
        ("Compact revision", compact.to_string()),
    ];
    print(format, &json, &["hash", "hash revision", "compact revision"], cells, &fields)
}

fn restore(args: &RestoreArgs) -> Result<(), UtlError> {
    let path = one(&args.args, "snapshot restore requires exactly one argument")?;
    if (args.bump_revision > 0) != args.mark_compacted {
        return Err(UtlError(BAD_ARGUMENTS, "--mark-compacted required if --revision-bump > 0".to_owned()));
    }
    if let Some(dir) = args.wal_dir.as_ref().filter(|dir| !dir.as_os_str().is_empty()) {
        if dir.exists() {
            return Err(UtlError(1, format!("wal-dir {} exists", quoted(dir.as_os_str().as_encoded_bytes()))));
        }
        return Err(UtlError(
            BAD_ARGUMENTS,
            "--wal-dir: log and state lie in one directory here: give --data-dir alone".to_owned(),
        ));
    }
    let cluster = NewCluster::parse(&args.initial_cluster, &args.initial_cluster_token)?;
    let own = own_member(args, &cluster)?;
    let data_dir = args.data_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
    let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(format!("{}.etcd", args.name)));
    must_be_free(&data_dir)?;
    let places = [("path", path.display().to_string().into()), ("data-dir", data_dir.display().to_string().into())];
    log("restoring snapshot", &places);
    must_exist("open", path)?;
    if !args.skip_hash_check {
        check_digest(path)?;
    }
    let file = SnapshotFile::open(path, Digested::Ignored)?;
    let bump = i64::try_from(args.bump_revision)
        .map_err(|error| UtlError(BAD_ARGUMENTS, format!("--bump-revision: {error}")))?;
    let raise = args.mark_compacted.then_some(bump);
    let revision = data_dir::make_data_dir(&data_dir, own, &cluster.members, raise, &file.bolt, &mut |_| {})?;
    if raise.is_some() {
        let fields = [
            ("latest-revision", (revision - bump).into()),
            ("bump-amount", bump.into()),
            ("new-latest-revision", revision.into()),
        ];
        log("bumping latest revision", &fields);
        log("marking revision compacted", &[("revision", revision.into())]);
    }
    let mut members: Vec<&NewMember> = cluster.members.iter().collect();
    members.sort_by_key(|member| format!("{:0>16}", member.id_text()));
    for member in members {
        let fields = [
            ("cluster-id", format!("{:x}", cluster.cluster_id).into()),
            ("local-member-id", "0".into()),
            ("added-peer-id", member.id_text().into()),
            ("added-peer-peer-urls", member.peer_urls().into()),
            ("added-peer-is-learner", false.into()),
        ];
        log("added member", &fields);
    }
    log("restored snapshot", &places);
    Ok(())
}

/// Returns the member of `--name`, whose URLs in both flags have to be the same.
fn own_member<'a>(args: &RestoreArgs, cluster: &'a NewCluster) -> Result<&'a NewMember, UtlError> {
    let name = &args.name;
    let missing = || {
        UtlError(
            1,
            format!("couldn't find local name {} in the initial cluster configuration", quoted(name.as_bytes())),
        )
    };
    let own = cluster.members.iter().find(|member| member.name == *name).ok_or_else(missing)?;
    let advertised = &args.initial_advertise_peer_urls;
    let as_cluster: Vec<String> = advertised.split(',').map(|url| format!("{name}={url}")).collect();
    let parsed = NewCluster::parse(&as_cluster.join(","), &args.initial_cluster_token)?;
    let Some(parsed) = parsed.members.first().filter(|parsed| parsed.peer_urls() != own.peer_urls()) else {
        return Ok(own);
    };
    let beyond = |all: &[String], known: &[String]| {
        all.iter().filter(|url| !known.contains(url)).map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
    };
    let missing = beyond(own.peer_urls(), parsed.peer_urls());
    if missing.is_empty() {
        let more = beyond(parsed.peer_urls(), own.peer_urls()).replace(&format!("{name}="), "");
        let given = as_cluster.join(",");
        return Err(UtlError(
            1,
            format!("--initial-advertise-peer-urls has {more} but missing from --initial-cluster={given}"),
        ));
    }
    Err(UtlError(
        1,
        format!("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised}"),
    ))
}

/// Checks the digest at the end of a snapshot.
fn check_digest(path: &Path) -> Result<(), UtlError> {
    let failed = |error: &dyn std::fmt::Display| UtlError(1, format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    // As Go prints an array of bytes.
    let shown = |digest: [u8; 32]| digest.map(|byte| byte.to_string()).join(" ");
    match verify_trailer(&file).map_err(|error| failed(&error))? {
        Digest::Right => Ok(()),
        Digest::Absent => Err(UtlError(1, "snapshot missing hash but --skip-hash-check=false".to_owned())),
        Digest::Wrong { expected, got } => {
            Err(UtlError(1, format!("expected sha256 [{}], got [{}]", shown(expected), shown(got))))
        }
    }
}

/// Refuses to go on without the flags that a command needs.
fn required(flags: &[(&str, bool)]) -> Result<(), UtlError> {
    let missing: Vec<String> =
        flags.iter().filter(|(_, given)| !given).map(|(name, _)| format!("\"{name}\"")).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(UtlError(1, format!("required flag(s) {} not set", missing.join(", "))))
    }
}

/// The contents of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Ours,
    RealEtcds,
    Missing,
}

fn data_in(data_dir: &Path) -> Data {
    if data_dir::is_real_etcds(data_dir) {
        Data::RealEtcds
    } else if data_dir::has_member(data_dir) {
        Data::Ours
    } else {
        Data::Missing
    }
}

/// etcdutl's text of a directory without data.
fn no_data(data_dir: &Path) -> String {
    format!("stat {}/member/snap/db: no such file or directory", data_dir.display())
}

fn defragment(data_dir: Option<&Path>) -> Result<(), UtlError> {
    required(&[("data-dir", data_dir.is_some())])?;
    let dir = data_dir.unwrap_or(Path::new(""));
    let text = |why: &str| UtlError(1, format!("Failed to defragment etcd data[{}] ({why})", dir.display()));
    match data_in(dir) {
        Data::Missing => Err(text(&no_data(dir))),
        Data::RealEtcds => {
            Err(text("this is the data of an etcd of the etcd project: use the etcdutl that came with it"))
        }
        Data::Ours => Err(text(
            "data of this server needs no offline defragmentation: it gives space back while it runs, and `etcdctl defrag` does so at once",
        )),
    }
}

/// Answers for the versions of etcd's data files, of which this server's own format has one.
fn migrate(args: &MigrateArgs) -> Result<(), UtlError> {
    required(&[("data-dir", args.data_dir.is_some()), ("target-version", args.target_version.is_some())])?;
    let dir = args.data_dir.as_deref().unwrap_or(Path::new(""));
    let target = target_version(args.target_version.as_deref().unwrap_or_default())?;
    let shown = format!("{}.{}", target.0, target.1);
    match data_in(dir) {
        Data::Missing => Err(UtlError(1, no_data(dir))),
        Data::RealEtcds => Err(UtlError(
            1,
            format!(
                "cannot migrate {}: this is the data of an etcd of the etcd project: use the etcdutl that came with it",
                dir.display()
            ),
        )),
        Data::Ours if target == STORAGE_VERSION => {
            log("storage version up-to-date", &[("storage-version", shown.into())]);
            Ok(())
        }
        Data::Ours => Err(UtlError(
            1,
            format!(
                "cannot migrate {} to {shown}: data of this server is of version 3.7 only: to use etcd {shown}, take a snapshot and restore it with the etcdutl of etcd {shown}",
                dir.display()
            ),
        )),
    }
}

fn target_version(text: &str) -> Result<(i64, i64), UtlError> {
    let wrong = |text: String| UtlError(BAD_ARGUMENTS, text);
    let parts: Vec<&str> = text.split('.').collect();
    let [major, minor] = parts[..] else {
        return Err(wrong(format!("wrong target version format, expected \"X.Y\", got {}", quoted(text.as_bytes()))));
    };
    let number = |part| signed(part, 10).map_err(|error| wrong(format!("failed to parse target version: {error}")));
    let version = (number(major)?, number(minor)?);
    if version < OLDEST_STORAGE_VERSION {
        return Err(wrong(format!("target version \"{}.{}\" not supported. Minimal \"3.5\"", version.0, version.1)));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_target_versions_as_etcdutl_does() {
        assert_eq!(target_version("3.7").ok(), Some((3, 7)));
        assert_eq!(target_version("4.0").ok(), Some((4, 0)));
        for (text, expected) in [
            ("3", "wrong target version format, expected \"X.Y\", got \"3\""),
            ("3.7.1", "wrong target version format, expected \"X.Y\", got \"3.7.1\""),
            ("3.4", "target version \"3.4\" not supported. Minimal \"3.5\""),
            ("3.x", "failed to parse target version: strconv.ParseInt: parsing \"x\": invalid syntax"),
        ] {
            let Err(UtlError(code, text)) = target_version(text) else { panic!("{text} is taken") };
            assert_eq!((code, text.as_str()), (BAD_ARGUMENTS, expected));
        }
    }
}
