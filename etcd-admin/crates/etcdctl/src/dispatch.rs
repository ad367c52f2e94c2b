//! Runs a parsed command.

use crate::args::{OwnCommand, SharedCommand, SnapshotCommand};
use crate::context::{Ctl, version};
use crate::error::CtlError;
use crate::{auth, check, endpoint, kv, lease, lock, maintenance, member, mirror, snapshot, txn, user, watch};

/// Runs a command that both tools have.
pub async fn run(ctl: &Ctl, command: SharedCommand) -> Result<(), CtlError> {
    use SharedCommand as Command;
    match command {
        Command::Get(args) => kv::get(ctl, &args).await,
        Command::Put(args) => kv::put(ctl, &args).await,
        Command::Del(args) => kv::delete(ctl, &args).await,
        Command::Txn(args) => txn::txn(ctl, &args).await,
        Command::Compaction(args) => kv::compact(ctl, &args).await,
        Command::Watch(args) => watch::watch(ctl, &args).await,
        Command::Lease(command) => lease::run(ctl, command).await,
        Command::Endpoint(args) => endpoint::run(ctl, args).await,
        Command::Alarm(command) => maintenance::alarm(ctl, &command).await,
        Command::Defrag(args) => maintenance::defragment(ctl, &args).await,
        Command::MoveLeader(args) => maintenance::move_leader(ctl, &args.args).await,
        Command::Downgrade(command) => maintenance::downgrade(ctl, &command).await,
        Command::Auth(command) => auth::run(ctl, &command).await,
        Command::User(command) => user::run(ctl, command).await,
        Command::Role(command) => auth::role(ctl, &command).await,
        Command::Lock(args) => lock::lock(ctl, &args).await,
        Command::Elect(args) => lock::elect(ctl, &args).await,
        Command::Check(command) => check::run(ctl, command).await,
        Command::MakeMirror(args) => mirror::mirror(ctl, &args).await,
    }
}

/// Runs a command that only etcdctl has in this form.
pub(crate) async fn run_own(ctl: &Ctl, command: OwnCommand) -> Result<(), CtlError> {
    match command {
        OwnCommand::Member(command) => member::run(ctl, command).await,
        OwnCommand::Snapshot(SnapshotCommand::Save(args)) => snapshot::save(ctl, &args.args).await,
        OwnCommand::Version => version(),
        // Both are answered before there is a connection.
        OwnCommand::Options | OwnCommand::Completion { .. } => Ok(()),
    }
}

/// The global flags of etcdctl, a line each.
pub(crate) fn options_text(command: &clap::Command) -> String {
    let flags = command.get_arguments().filter(|flag| flag.is_global_set());
    let lines = flags.map(|flag| {
        let short = flag.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        format!("  {short}--{:<28} {help}\n", flag.get_long().unwrap_or_default())
    });
    "The following options can be passed to any command:\n\n".to_owned() + &lines.collect::<String>()
}
