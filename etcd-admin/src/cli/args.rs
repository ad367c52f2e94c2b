//! The command line.

use crate::doctor::{BenchCommand, DoctorCommand, PreflightArgs};
use crate::explain::ExplainArgs;
use crate::init::{AdoptArgs, InitCommand, JoinArgs};
use crate::maintenance::{MaintenanceCommand, RescueArgs, RollArgs};
use crate::members::{LeaderCommand, MemberCommand, WaitForArgs};
use crate::migrate::MigrateCommand;
use crate::pki::{CaCommand, CertCommand, CrlCommand};
use crate::recover::RecoverCommand;
use crate::snapshot::SnapshotCommand;
use crate::support::SupportCommand;
use crate::top::TopArgs;
use admin_client::ConnectionArgs;
use admin_ui::go_flags::as_in_go;
use admin_ui::output::Format;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use etcdctl::SharedCommand;
use std::path::PathBuf;

/// Operate etcd clusters: members, certificates, snapshots, recovery
#[derive(Debug, Parser)]
#[command(name = "etcd-admin", version = env!("VERSION_WITH_SOURCE"), disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
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
    Join(JoinArgs),
    /// Take over the configuration of an etcd on this host
    Adopt(AdoptArgs),
    /// Manage the CAs: one for clients and one for members
    #[command(subcommand)]
    Ca(CaCommand),
    /// Issue, sign, renew, revoke and check certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Publish and show CRLs
    #[command(subcommand)]
    Crl(CrlCommand),
    /// Check ports, disk, clock, names, certificates and peers of this host before its member
    /// starts
    Preflight(PreflightArgs),
    /// Wait until the cluster has a leader or a quorum, is healthy, or has caught up
    Wait(WaitForArgs),
    /// Check the cluster, this host or a data directory, and print a remedy for each problem
    #[command(subcommand)]
    Doctor(DoctorCommand),
    /// Plan the order in which members are restarted, upgraded, or get new certificates
    Roll(RollArgs),
    /// Compact, defragment and disarm, in the right order
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Show the cluster on one screen that refreshes
    Top(TopArgs),
    /// Collect a support bundle
    #[command(subcommand)]
    Support(SupportCommand),
    /// Explain an error, exit status, alarm, finding or log message
    Explain(ExplainArgs),
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
    /// Replace the members of a running cluster of etcd, and return to etcd
    #[command(subcommand)]
    Migrate(MigrateCommand),
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
        /// Directory for the pages
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Commands with `--ca-dir`.
const WITH_CAS: [&str; 4] = ["ca", "cert", "crl", "init"];
/// Commands of this tool that connect to members: a group stands for all below it.
const CONNECTED: [&str; 14] = [
    "join",
    "wait",
    "roll",
    "maintenance",
    "top",
    "support",
    "status",
    "member",
    "leader",
    "migrate",
    "doctor cluster",
    "snapshot save",
    "recover plan",
    "recover verify",
];
/// Commands that `--dry-run` keeps from changing anything.
const CHANGING: [&str; 31] = [
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
    "migrate run",
    "migrate rollback",
    "migrate commit",
    "snapshot save",
    "snapshot prune",
    "recover apply",
];
/// The commands of the first help, in groups. Those of etcdctl are listed by their names alone.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Set up a cluster", &["init", "join", "adopt", "migrate", "preflight", "bench"]),
    ("Certificates", &["ca", "cert", "crl"]),
    ("Operate", &["status", "doctor", "top", "wait", "member", "leader", "roll", "maintenance", "auth"]),
    ("Back up and recover", &["snapshot", "recover"]),
    ("Help", &["explain", "support", "completion", "man"]),
];

/// Returns the names of etcdctl's commands.
fn shared_names() -> Vec<String> {
    SharedCommand::augment_subcommands(clap::Command::new(""))
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect()
}

/// Returns the whole command line. Commands that connect to members have the flags of the
/// connection.
pub(crate) fn command() -> clap::Command {
    let command = Arguments::command();
    let shared = shared_names();
    let mut command = command.mut_subcommand("auth", |auth| {
        let rescue = clap::Command::new("rescue")
            .about("Restore access when the password of root is lost, on a member that is stopped");
        auth.subcommand(hidden_connection(RescueArgs::augment_args(rescue)))
    });
    for name in &shared {
        command = command.mut_subcommand(name, |one| short(ConnectionArgs::augment_args(as_in_go(one))));
    }
    for path in CONNECTED {
        command = at(command, path, &|one| own_connection(ConnectionArgs::augment_args(one)));
    }
    for name in WITH_CAS {
        let ca_dir = clap::Arg::new("ca_dir")
            .long("ca-dir")
            .global(true)
            .value_name("DIR")
            .value_parser(clap::value_parser!(PathBuf));
        let ca_dir = ca_dir
            .help("Directory of the CAs [default: $ETCD_ADMIN_CA_DIR, else ~/.etcd-admin/CLUSTER/pki]")
            .hide_short_help(true);
        command = command.mut_subcommand(name, |one| one.arg(ca_dir));
    }
    for path in CHANGING {
        let dry_run = clap::Arg::new("dry_run").long("dry-run").action(clap::ArgAction::SetTrue);
        let dry_run = dry_run.help("Print what would be done, and change nothing");
        command = at(command, path, &|one| one.arg(dry_run.clone()));
    }
    let template = first_help(&command, &shared);
    command.help_template(template).after_long_help(admin_ui::error::exit_statuses_text())
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
    ConnectionArgs::augment_args(command)
        .mut_args(|arg| if connection.contains(arg.get_id()) { arg.hide(true) } else { arg })
}

fn connection_ids() -> Vec<clap::Id> {
    ConnectionArgs::augment_args(clap::Command::new("")).get_arguments().map(|arg| arg.get_id().clone()).collect()
}

/// Returns the template of the first help, with the commands in groups.
fn first_help(command: &clap::Command, shared: &[String]) -> String {
    let about = |name: &str| {
        let one = command.find_subcommand(name).and_then(clap::Command::get_about).map(ToString::to_string);
        format!("  {name:<12} {}\n", one.unwrap_or_default().replace('{', "(").replace('}', ")"))
    };
    let groups: String = GROUPS
        .iter()
        .map(|(title, names)| format!("{title}:\n{}\n", names.iter().map(|name| about(name)).collect::<String>()))
        .collect();
    let shared: Vec<&str> = shared.iter().map(String::as_str).filter(|name| *name != "auth").collect();
    let lines: String = shared.chunks(9).map(|names| format!("  {}\n", names.join(", "))).collect();
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}As in etcdctl:\n{lines}\nOptions:\n{{options}}{{after-help}}"
    )
}

/// Returns the arguments of `auth rescue`, which etcdctl does not have and which connects to no
/// member.
pub(crate) fn rescue(matches: &ArgMatches) -> Result<Option<RescueArgs>, clap::Error> {
    let below = matches.subcommand_matches("auth").and_then(|auth| auth.subcommand_matches("rescue"));
    below.map(RescueArgs::from_arg_matches).transpose()
}

/// Returns the flags of the connection, if the command has them.
pub(crate) fn connection(matches: &ArgMatches) -> Result<Option<ConnectionArgs>, clap::Error> {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name);
        leaf = below;
    }
    let is_shared = path.first().is_some_and(|first| shared_names().iter().any(|name| name == first));
    let is_connected = (1..=path.len()).any(|length| CONNECTED.contains(&path[..length].join(" ").as_str()));
    if is_shared || is_connected { ConnectionArgs::from_arg_matches(leaf).map(Some) } else { Ok(None) }
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
        for path in
            ["status", "member list", "doctor cluster", "snapshot save", "recover plan", "get", "auth enable", "join"]
        {
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
