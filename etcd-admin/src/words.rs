//! The command line.

use crate::bootstrap::{AdoptWords, InitCommand, JoinWords};
use crate::care::{ExplainWords, MaintenanceCommand, RescueWords, RollWords, SupportCommand, TopWords};
use crate::client::{ConnectionWords, as_in_go};
use crate::cluster::{LeaderCommand, MemberCommand, WaitForWords};
use crate::ctl::SharedCommand;
use crate::diagnosis::{BenchCommand, DoctorCommand, PreflightWords};
use crate::output::Format;
use crate::passphrase::PassphraseSource;
use crate::recover::RecoverCommand;
use crate::snapshot::SnapshotCommand;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Operate etcd clusters: members, certificates, snapshots, recovery
#[derive(Debug, Parser)]
#[command(name = "etcd-admin", version = env!("VERSION_WITH_SOURCE"), disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalWords,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalWords {
    // Hidden here; the commands that use it show it, with its help.
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    pub(crate) ca_dir: Option<PathBuf>,
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
    // Hidden here; the commands that use it show it, with its help.
    #[arg(long, global = true, hide = true)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up hosts from one cluster configuration, cluster.yaml
    #[command(subcommand)]
    Init(InitCommand),
    /// Add this host to a running cluster, first as a learner; resumable
    Join(JoinWords),
    /// Take over the configuration of an etcd on this host
    Adopt(AdoptWords),
    /// Manage the CAs: one for clients and one for members
    #[command(subcommand)]
    Ca(CaCommand),
    /// Issue, sign, renew, revoke and check certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Publish and show CRLs
    #[command(subcommand)]
    Crl(CrlCommand),
    /// Check ports, disk, clock, names, certificates and peers of this host before its member starts
    Preflight(PreflightWords),
    /// Wait until the cluster has a leader or a quorum, is healthy, or has caught up
    Wait(WaitForWords),
    /// Check the cluster, this host or a data directory, and print a remedy for each problem
    #[command(subcommand)]
    Doctor(DoctorCommand),
    /// Plan the order in which members are restarted, upgraded, or get new certificates
    Roll(RollWords),
    /// Compact, defragment and disarm, in the right order
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Show the cluster on one screen that refreshes
    Top(TopWords),
    /// Collect a support bundle
    #[command(subcommand)]
    Support(SupportCommand),
    /// Explain an error, exit status, alarm, finding or log message
    Explain(ExplainWords),
    /// Measure the disk of this host
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show the cluster on one page, with its problems; no leader is needed
    Status,
    /// List, add, remove, replace, rebuild and promote members
    #[command(subcommand)]
    Member(MemberCommand),
    /// Show the leader, or transfer leadership
    #[command(subcommand)]
    Leader(LeaderCommand),
    /// Save, verify, restore, copy and prune snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Recover a cluster when most members are lost for good
    #[command(subcommand)]
    Recover(RecoverCommand),
    #[command(flatten)]
    Shared(SharedCommand),
    /// Print the completion script of a shell
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands
    Man {
        /// Folder for the pages
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Commands with `--ca-dir`.
const WITH_CAS: [&str; 4] = ["ca", "cert", "crl", "init"];
/// Commands of this tool that connect to members: a group stands for all below it.
const CONNECTED: [&str; 13] = [
    "join",
    "wait",
    "roll",
    "maintenance",
    "top",
    "support",
    "status",
    "member",
    "leader",
    "doctor cluster",
    "snapshot save",
    "recover plan",
    "recover verify",
];
/// Commands that `--dry-run` keeps from changing anything.
const CHANGING: [&str; 28] = [
    "init render",
    "init local",
    "init apply",
    "init sign",
    "join",
    "adopt",
    "bench fsync",
    "ca init",
    "ca rotate",
    "ca rescue",
    "cert issue",
    "cert request",
    "cert sign",
    "cert install",
    "cert renew",
    "cert revoke",
    "crl publish",
    "maintenance reclaim",
    "member add",
    "member remove",
    "member replace",
    "member rebuild",
    "member promote",
    "member update",
    "leader move",
    "snapshot save",
    "snapshot prune",
    "recover apply",
];
/// The commands of the first help, in groups. Those of etcdctl are listed by their names alone.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Set up a cluster", &["init", "join", "adopt", "preflight", "bench"]),
    ("Certificates", &["ca", "cert", "crl"]),
    ("Operate", &["status", "doctor", "top", "wait", "member", "leader", "roll", "maintenance", "auth"]),
    ("Back up and recover", &["snapshot", "recover"]),
    ("Help", &["explain", "support", "completion", "man"]),
];

/// Returns the names of etcdctl's commands.
fn shared_names() -> Vec<String> {
    SharedCommand::augment_subcommands(clap::Command::new("")).get_subcommands().map(|one| one.get_name().to_owned()).collect()
}

/// Returns the whole command line. Commands that connect to members have the flags of the connection.
pub(crate) fn command() -> clap::Command {
    let command = Arguments::command();
    let shared = shared_names();
    let mut command = command.mut_subcommand("auth", |auth| {
        let rescue = clap::Command::new("rescue").about("Restore access when the password of root is lost, on a member that is stopped");
        auth.subcommand(hidden_connection(RescueWords::augment_args(rescue)))
    });
    for name in &shared {
        command = command.mut_subcommand(name, |one| short(ConnectionWords::augment_args(as_in_go(one))));
    }
    for path in CONNECTED {
        command = at(command, path, &|one| own_connection(ConnectionWords::augment_args(one)));
    }
    for name in WITH_CAS {
        let ca_dir = clap::Arg::new("ca_dir").long("ca-dir").global(true).value_name("DIR").value_parser(clap::value_parser!(PathBuf));
        let ca_dir =
            ca_dir.help("Directory of the CAs [default: $ETCD_ADMIN_CA_DIR, else ~/.etcd-admin/CLUSTER/pki]").hide_short_help(true);
        command = command.mut_subcommand(name, |one| one.arg(ca_dir));
    }
    for path in CHANGING {
        let dry_run = clap::Arg::new("dry_run").long("dry-run").action(clap::ArgAction::SetTrue);
        let dry_run = dry_run.help("Print what would be done, and change nothing");
        command = at(command, path, &|one| one.arg(dry_run.clone()));
    }
    let template = first_help(&command, &shared);
    command.help_template(template).after_long_help(crate::failure::exit_statuses_text())
}

/// Changes the command at a path of names.
fn at(command: clap::Command, path: &str, change: &dyn Fn(clap::Command) -> clap::Command) -> clap::Command {
    match path.split_once(' ') {
        None => command.mut_subcommand(path, change),
        Some((first, rest)) => command.mut_subcommand(first, |one| at(one, rest, change)),
    }
}

/// Keeps the flags that are rarely needed out of the short help.
fn short(command: clap::Command) -> clap::Command {
    const SHOWN: [&str; 5] = ["endpoints", "cacert", "cert", "key", "user"];
    let connection: Vec<clap::Id> = connection_ids();
    command.mut_args(|arg| {
        let rare = connection.contains(arg.get_id()) && !SHOWN.contains(&arg.get_id().as_str());
        if rare { arg.hide_short_help(true) } else { arg }
    })
}

/// The flags of the connection for a command of this tool, whose output is set by `--output` alone.
fn own_connection(command: clap::Command) -> clap::Command {
    const OF_ETCDCTL: [&str; 5] = ["write_out", "hex", "debug", "discovery_srv", "discovery_srv_name"];
    short(command).mut_args(|arg| if OF_ETCDCTL.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg })
}

/// The flags of the connection of a group, hidden for a command that does not connect.
fn hidden_connection(command: clap::Command) -> clap::Command {
    let connection = connection_ids();
    ConnectionWords::augment_args(command).mut_args(|arg| if connection.contains(arg.get_id()) { arg.hide(true) } else { arg })
}

fn connection_ids() -> Vec<clap::Id> {
    ConnectionWords::augment_args(clap::Command::new("")).get_arguments().map(|arg| arg.get_id().clone()).collect()
}

/// Returns the template of the first help, with the commands in groups.
fn first_help(command: &clap::Command, shared: &[String]) -> String {
    let about = |name: &str| {
        let one = command.find_subcommand(name).and_then(clap::Command::get_about).map(ToString::to_string);
        format!("  {name:<12} {}\n", one.unwrap_or_default().replace('{', "(").replace('}', ")"))
    };
    let groups: String =
        GROUPS.iter().map(|(title, names)| format!("{title}:\n{}\n", names.iter().map(|name| about(name)).collect::<String>())).collect();
    let shared: Vec<&str> = shared.iter().map(String::as_str).filter(|name| *name != "auth").collect();
    let lines: String = shared.chunks(9).map(|names| format!("  {}\n", names.join(", "))).collect();
    format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}As in etcdctl:\n{lines}\nOptions:\n{{options}}{{after-help}}")
}

/// `auth rescue`, which is no command of etcdctl, and asks nobody who runs.
pub(crate) fn rescue(matches: &ArgMatches) -> Result<Option<RescueWords>, clap::Error> {
    let below = matches.subcommand_matches("auth").and_then(|auth| auth.subcommand_matches("rescue"));
    below.map(RescueWords::from_arg_matches).transpose()
}

/// Returns the flags of the connection, if the command has them.
pub(crate) fn connection(matches: &ArgMatches) -> Result<Option<ConnectionWords>, clap::Error> {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name);
        leaf = below;
    }
    let is_shared = path.first().is_some_and(|first| shared_names().iter().any(|name| name == first));
    let is_connected = (1..=path.len()).any(|length| CONNECTED.contains(&path[..length].join(" ").as_str()));
    if is_shared || is_connected { ConnectionWords::from_arg_matches(leaf).map(Some) } else { Ok(None) }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Makes the authorities
    Init(CaInit),
    /// Shows the authorities, and what they have issued
    Show {
        /// Every certificate that was issued
        #[arg(long)]
        issued: bool,
    },
    /// Exchanges an authority without a gap: start, switch, finish
    Rotate(CaRotate),
    /// Brings back a cluster whose certificates have all run out: new ones for the keys that the hosts have
    Rescue(CaRescue),
}

#[derive(Debug, Args)]
pub(crate) struct CaRescue {
    /// The certificates that have run out, as the hosts have them
    #[arg(required = true, value_name = "FILE")]
    pub(crate) certs: Vec<PathBuf>,
    /// New folder for everything that is to be brought to the hosts
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Days that the new certificates live
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Days that an authority lives that has to be made anew
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) ca_days: i64,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaInit {
    /// Which of the two; both if not said
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Common name, to which the kind is appended
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewAuthorityWords,
}

#[derive(Debug, Args)]
pub(crate) struct NewAuthorityWords {
    /// Days that the authority lives
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of its key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Domain or network that it may issue for, such as example.org or 10.0.0.0/8; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) constrain: Vec<String>,
    /// Leaves the key unprotected
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) no_passphrase: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaRotate {
    #[arg(value_enum)]
    pub(crate) step: RotateStep,
    /// Which authority
    #[arg(long, value_enum)]
    pub(crate) kind: Kind,
    /// Common name of the next authority, at the start
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewAuthorityWords,
    /// Address of a member's /metrics saved to a file, at the end: live connections of the old authority are a reason not to go on
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Vec<PathBuf>,
    /// Drops the old authority although certificates of it are still good
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotateStep {
    /// Makes the next authority; both are to be trusted
    Start,
    /// Lets the next authority issue
    Switch,
    /// Drops the old authority
    Finish,
    /// Says how far it has come
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Makes a key and a certificate on this machine
    Issue(CertIssue),
    /// Makes a key that stays here, and a request to be signed elsewhere
    Request(CertRequest),
    /// Signs a request
    Sign(CertSign),
    /// Puts a signed certificate, bundles and lists in place, all at once
    Install(CertInstall),
    /// Makes a new key and certificate in the place of one that runs out
    Renew(CertRenew),
    /// Notes that a certificate is not to be trusted any more
    Revoke(CertRevoke),
    /// Shows what is in certificate files
    Inspect {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Checks the files of a host: chain, usages, names, key, dates, modes
    Verify(CertVerify),
    /// Shows the time left of certificates
    Status(CertStatus),
    /// Ends with 0 when it is time to renew, 1 when not, 255 when nobody can tell: fits ExecCondition of systemd
    NeedsRenewal(CertNeedsRenewal),
}

#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// What the certificate is for
    #[arg(value_enum)]
    pub(crate) profile: ProfileWord,
    /// Hosts, addresses or URLs by which its bearer is reached
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Common name: a client's user; else the first host
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CertIssue {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Days that the certificate lives
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of its key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Folder for the files
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// For a server that only its own machine shall reach
    #[arg(long)]
    pub(crate) loopback_only: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertRequest {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Folder of this host's certificates
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Kind of the key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Forgets a request that has not been answered
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CertSign {
    /// The request
    pub(crate) request: PathBuf,
    /// What the certificate is for
    #[arg(long, value_enum)]
    pub(crate) profile: ProfileWord,
    /// A name that the request may ask for; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Signs whatever names the request asks for
    #[arg(long, conflicts_with = "san")]
    pub(crate) any_names: bool,
    /// The common name that the request has to have
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// File for the certificate; the answer goes there if not said
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[arg(long)]
    pub(crate) loopback_only: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertInstall {
    /// Folder of this host's certificates
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// A signed certificate for a request made here; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<PathBuf>,
    /// Bundle of the authority of clients
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Bundle of the authority of members
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_ca: Option<PathBuf>,
    /// List of revoked certificates of clients
    #[arg(long, value_name = "FILE")]
    pub(crate) client_crl: Option<PathBuf>,
    /// List of revoked certificates of members
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_crl: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CertRenew {
    /// Certificate, beside which its key lies
    pub(crate) cert: PathBuf,
    /// Its key; default the certificate's file with the ending .key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of the new key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Renews although it is not time yet
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertRevoke {
    /// Serial number, or a file with the certificate
    pub(crate) certificate: String,
    /// Whose it is, when it is given by its number
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
pub(crate) struct CertVerify {
    /// Folder of this host's certificates: all of them are checked
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key_file", "ca", "crl", "profile"])]
    pub(crate) dir: Option<PathBuf>,
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Bundle of those who are trusted
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) ca: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "server")]
    pub(crate) profile: ProfileWord,
    /// A name or URL that server and peer have to stand for; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Days before the end from which on to warn
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertStatus {
    /// Certificate files, or folders with them
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Days before the end from which on to warn, and to end with 3
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertNeedsRenewal {
    /// Certificate
    pub(crate) cert: PathBuf,
    /// Days before the end at which it is time; two thirds of its life if not said
    #[arg(long)]
    pub(crate) days: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrlCommand {
    /// Signs the list of what has been revoked
    Publish {
        #[arg(long, value_enum)]
        kind: Kind,
        /// Days for which the list can be relied upon; members refuse everybody when they are over
        #[arg(long, default_value_t = certs::files::LIST_DAYS, value_parser = clap::value_parser!(i64).range(1..=3_650))]
        days: i64,
        /// Publish only if a list is missing, two thirds through its life, or lacks a revoked certificate
        #[arg(long)]
        if_due: bool,
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Shows what is in a list
    Show { file: PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Client,
    Peer,
}

impl From<Kind> for certs::AuthorityKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Client => Self::Client,
            Kind::Peer => Self::Peer,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa2048,
    Rsa4096,
}

impl From<KeyKind> for certs::KeyAlgorithm {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::P256,
            KeyKind::P384 => Self::P384,
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::Rsa2048 => Self::Rsa2048,
            KeyKind::Rsa4096 => Self::Rsa4096,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileWord {
    /// Serves clients
    Server,
    /// Shown to other members
    Peer,
    /// A user, by its common name
    Client,
    /// The user root
    Admin,
    /// Reads metrics
    Metrics,
}

impl From<ProfileWord> for certs::Profile {
    fn from(word: ProfileWord) -> Self {
        match word {
            ProfileWord::Server => Self::Server,
            ProfileWord::Peer => Self::Peer,
            ProfileWord::Client => Self::Client,
            ProfileWord::Admin => Self::Admin,
            ProfileWord::Metrics => Self::Metrics,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

impl From<Reason> for certs::RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_sound_and_every_command_is_in_one_group() {
        let command = command();
        command.clone().debug_assert();
        let shared = shared_names();
        for one in command.get_subcommands().map(clap::Command::get_name) {
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&one)).count();
            let is_listed = shared.iter().any(|name| name == one);
            assert!(groups == 1 || is_listed && groups == 0, "{one} is in {groups} groups");
        }
    }

    #[test]
    fn only_commands_that_connect_show_connection_flags() {
        let mut command = command();
        command.build();
        let visible = |path: &str| {
            let leaf = path.split(' ').fold(&command, |one, name| one.find_subcommand(name).unwrap());
            leaf.get_arguments().any(|arg| arg.get_id() == "endpoints" && !arg.is_hide_set())
        };
        for path in ["status", "member list", "doctor cluster", "snapshot save", "recover plan", "get", "auth enable", "join"] {
            assert!(visible(path), "{path}");
        }
        for path in [
            "doctor host",
            "doctor offline",
            "snapshot list",
            "snapshot verify",
            "snapshot restore",
            "snapshot prune",
            "recover inspect",
            "auth rescue",
            "init apply",
            "ca init",
            "cert issue",
            "explain",
        ] {
            assert!(!visible(path), "{path}");
        }
    }

    #[test]
    fn help_fits_a_screen() {
        let mut command = command();
        command.build();
        let mut all = vec![command.clone()];
        while let Some(mut one) = all.pop() {
            let help = one.render_help().to_string();
            let lines = help.lines().count();
            assert!(lines <= 60, "{}: {lines} lines\n{help}", one.get_name());
            all.extend(one.get_subcommands().cloned());
        }
    }
}
