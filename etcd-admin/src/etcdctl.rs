//! What is called `etcdctl`: the same words, the same answers, the same exit codes.

use crate::client::{Local, Settings, SettingsError, as_in_go};
use crate::ctl::{self, Ctl, Etcdctl, EtcdctlCommand, Exit, OwnCommand, Trouble};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let command = as_in_go(Etcdctl::command());
    let parsed = command.clone().try_get_matches_from(words).and_then(|matches| Etcdctl::from_arg_matches(&matches));
    let Etcdctl { connection, command: wanted } = match parsed {
        Ok(parsed) => parsed,
        Err(error) if is_help(&error) => {
            drop(print_help(&error));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&ctl::flag_error(&error), &["Run 'etcdctl --help' for usage."]);
            return ExitCode::FAILURE;
        }
    };
    match wanted {
        EtcdctlCommand::Own(OwnCommand::Completion { shell }) => {
            let script = crate::commands::completion_script(shell, command.clone(), "etcdctl");
            ended(crate::output::say(&script).map_err(|failure| Trouble::error(failure.to_string())), &[])
        }
        EtcdctlCommand::Own(OwnCommand::Options) => {
            let shown = ctl::options_text(&command);
            ended(crate::output::say(&shown).map_err(|failure| Trouble::error(failure.to_string())), &[])
        }
        wanted @ (EtcdctlCommand::Shared(_) | EtcdctlCommand::Own(_)) => serve(&connection, wanted),
    }
}

fn serve(connection: &crate::client::ConnectionWords, wanted: EtcdctlCommand) -> ExitCode {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let ask = || rpassword::prompt_password("Password: ").map_err(|error| error.to_string());
    let settings = match Settings::of(connection, &variables, Local::Ignored, ask) {
        Ok(settings) => settings,
        Err(error @ (SettingsError::Shadowed { .. } | SettingsError::Variable { .. })) => {
            return ended(Err(Trouble::error(error.to_string())), &[]);
        }
        Err(error) => return ended(Err(Trouble::arguments(error.to_string())), &[]),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into()), &[]),
    };
    runtime.block_on(async {
        let ctl = match Ctl::new(settings) {
            Ok(ctl) => ctl,
            Err(trouble) => return ended(Err(trouble), &[]),
        };
        let run = match wanted {
            EtcdctlCommand::Shared(command) => ctl::run(&ctl, command).await,
            EtcdctlCommand::Own(command) => ctl::run_own(&ctl, command).await,
        };
        let explained = match &run {
            Err(Trouble { call: Some(call), .. }) => ctl.client.explain(call).await,
            Ok(()) | Err(_) => Vec::new(),
        };
        ended(run, &explained)
    })
}

/// The exit code, after the line that says why it is not 0.
fn ended(run: Result<(), Trouble>, explained: &[String]) -> ExitCode {
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if !trouble.text.is_empty() && !matches!(trouble.exit, Exit::Child(_) if trouble.text.is_empty()) {
                complain(&trouble.text, &explained.iter().map(String::as_str).collect::<Vec<_>>());
            }
            ExitCode::from(trouble.code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where etcdctl says why it failed")]
fn complain(text: &str, more: &[&str]) {
    eprintln!("Error: {text}");
    for line in more {
        eprintln!("  {line}");
    }
}

/// Help is no mistake, nor is a group without a command.
fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::DisplayVersion)
}

fn print_help(error: &clap::Error) -> std::io::Result<()> {
    use std::io::Write as _;
    write!(std::io::stdout(), "{}", error.render())
}
