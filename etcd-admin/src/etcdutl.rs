//! What is called `etcdutl`: its commands, flags, outputs and exit codes, on our own data and on etcd's snapshots.

use crate::client::as_in_go;
use crate::ctl::{self, boxed, quoted, size};
use crate::failure::Failure;
use crate::offline;
use crate::snapshot::{Digested, NewCluster, SnapshotFile, must_be_free};
use backup::StatusStyle;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "etcdutl", about = "An administrative command line tool for etcd3.", disable_version_flag = true)]
struct Etcdutl {
    /// Format of the output: fields, json, protobuf, simple, table
    #[arg(short = 'w', long, global = true, default_value = "simple", value_name = "FORMAT")]
    write_out: String,
    /// Accepted: there is no lock to wait for
    #[arg(long, global = true, default_value = "10s", value_name = "DURATION")]
    timeout: String,
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
    /// Gives the disk back what a data directory that nobody uses does not need
    Defrag {
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
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
    Restore(RestoreWords),
    /// Gets the status of a given file
    Status { args: Vec<PathBuf> },
}

#[derive(Debug, Args)]
struct RestoreWords {
    args: Vec<PathBuf>,
    /// Output data directory; NAME.etcd if not said
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
    #[arg(long, default_value_t = 0)]
    initial_memory_map_size: u64,
    /// How far the revision is raised
    #[arg(long, default_value_t = 0)]
    bump_revision: u64,
    /// Marks what was before as compacted; goes with --bump-revision
    #[arg(long)]
    mark_compacted: bool,
}

const BAD_FEATURE: u8 = 4;
const BAD_ARGUMENTS: u8 = 128;

/// The line behind `Error: `, and the exit code.
struct Trouble(u8, String);

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self(1, failure.to_string())
    }
}

pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let command = as_in_go(Etcdutl::command());
    let parsed = command.clone().try_get_matches_from(words).and_then(|matches| Etcdutl::from_arg_matches(&matches));
    let tool = match parsed {
        Ok(tool) => tool,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) => {
            drop(crate::output::say(&error.render().to_string()));
            return ExitCode::SUCCESS;
        }
        Err(error) => return complain(&Trouble(1, ctl::flag_error(&error))),
    };
    let ended = match tool.command {
        Command::Snapshot(SnapshotCommand::Status { args }) => status(&args, &tool.write_out),
        Command::Snapshot(SnapshotCommand::Restore(words)) => restore(&words),
        Command::Hashkv { args, rev } => hash_kv(&args, rev, &tool.write_out),
        Command::Defrag { data_dir } => defragment(data_dir.as_deref()),
        Command::Version => say(&format!("etcdutl version: {}\nAPI version: 3.7\n", ctl::VERSION)),
        Command::Completion { shell } => say(&crate::commands::completion_script(shell, command.clone(), "etcdutl")),
    };
    ended.map_or_else(|trouble| complain(&trouble), |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "this is where etcdutl says why it failed")]
fn complain(Trouble(code, text): &Trouble) -> ExitCode {
    eprintln!("Error: {text}");
    ExitCode::from(*code)
}

fn say(text: &str) -> Result<(), Trouble> {
    Ok(crate::output::say(text)?)
}

/// Columns, and their cells; `fields` gives each a name of its own.
fn print(format: &str, json: &str, columns: &[&str], cells: Vec<String>, fields: &[(&str, String)]) -> Result<(), Trouble> {
    match format {
        "simple" => say(&format!("{}\n", cells.join(", "))),
        "json" => say(&format!("{json}\n")),
        "table" => say(&boxed(columns, &[cells])),
        "fields" => say(&fields.iter().map(|(name, value)| format!("\"{name}\" : {value}\n")).collect::<String>()),
        "protobuf" => Err(Trouble(BAD_FEATURE, "protobuf not supported as output format".to_owned())),
        _ => Err(Trouble(BAD_FEATURE, "unsupported output format".to_owned())),
    }
}

fn one<'a>(args: &'a [PathBuf], text: &str) -> Result<&'a Path, Trouble> {
    match args {
        [one] => Ok(one),
        _ => Err(Trouble(BAD_ARGUMENTS, text.to_owned())),
    }
}

fn status(args: &[PathBuf], format: &str) -> Result<(), Trouble> {
    let path = one(args, "snapshot status requires exactly one argument")?;
    let status = SnapshotFile::open(path, Digested::Ignored)?.status(StatusStyle::V3_6)?;
    let json = serde_json::to_string(&status).map_err(|error| Trouble(1, error.to_string()))?;
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
        ("Version", quoted(version.as_bytes())),
    ];
    print(format, &json, &["hash", "revision", "total keys", "total size", "version"], cells, &fields)
}

fn hash_kv(args: &[PathBuf], revision: i64, format: &str) -> Result<(), Trouble> {
    let path = one(args, "hashkv command requires exactly one argument")?;
    let file = SnapshotFile::open(path, Digested::Ignored)?;
    let (newest, compacted) = (file.status(StatusStyle::V3_6)?.revision, file.content()?.compacted);
    let revision = if revision == 0 { newest } else { revision };
    if revision > newest {
        return Err(Trouble(1, "mvcc: required revision is a future revision".to_owned()));
    }
    if compacted.is_some_and(|compacted| revision < compacted) {
        return Err(Trouble(1, "mvcc: required revision has been compacted".to_owned()));
    }
    let (hash, compact) = (file.hash_kv(revision, compacted)?, compacted.unwrap_or(-1));
    let json = format!("{{\"hash\":{hash},\"hashRevision\":{revision},\"compactRevision\":{compact}}}");
    let cells = vec![hash.to_string(), revision.to_string(), compact.to_string()];
    let fields = [("Hash", hash.to_string()), ("Hash revision", revision.to_string()), ("Compact revision", compact.to_string())];
    print(format, &json, &["hash", "hash revision", "compact revision"], cells, &fields)
}

fn restore(words: &RestoreWords) -> Result<(), Trouble> {
    let path = one(&words.args, "snapshot restore requires exactly one argument")?;
    if (words.bump_revision > 0) != words.mark_compacted {
        return Err(Trouble(BAD_ARGUMENTS, "--mark-compacted required if --revision-bump > 0".to_owned()));
    }
    if words.wal_dir.as_ref().is_some_and(|dir| !dir.as_os_str().is_empty()) {
        return Err(Trouble(BAD_ARGUMENTS, "--wal-dir: log and state lie in one directory here: give --data-dir alone".to_owned()));
    }
    let cluster = NewCluster::parse(&words.initial_cluster, &words.initial_cluster_token)?;
    let own = cluster.member(&words.name)?;
    let advertised = NewCluster::parse(
        &words.initial_advertise_peer_urls.split(',').map(|url| format!("{}={url}", words.name)).collect::<Vec<_>>().join(","),
        &words.initial_cluster_token,
    )?;
    if advertised.member(&words.name)?.id_text() != own.id_text() {
        let text = format!("--initial-cluster has other peer URLs for {} than --initial-advertise-peer-urls", words.name);
        return Err(Trouble(1, text));
    }
    let data_dir = words.data_dir.clone().unwrap_or_else(|| PathBuf::from(format!("{}.etcd", words.name)));
    must_be_free(&data_dir)?;
    let file = SnapshotFile::open(path, if words.skip_hash_check { Digested::Ignored } else { Digested::Required })?;
    let raise = i64::try_from(words.bump_revision).map_err(|error| Trouble(BAD_ARGUMENTS, format!("--bump-revision: {error}")))?;
    let raise = words.mark_compacted.then_some(raise);
    offline::make_data_dir(&data_dir, own, &cluster.members, raise, &file.bolt, &mut |_| {})?;
    Ok(())
}

fn defragment(data_dir: Option<&Path>) -> Result<(), Trouble> {
    let dir = data_dir.ok_or_else(|| Trouble(BAD_ARGUMENTS, "required flag(s) \"data-dir\" not set".to_owned()))?;
    let text = |why: &str| Trouble(1, format!("Failed to defragment etcd data[{}] ({why})", dir.display()));
    Err(text(
        "our data needs no defragmentation while nobody uses it: the daemon gives space back by itself, and `etcdctl defrag` makes it do so at once",
    ))
}
