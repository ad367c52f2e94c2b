//! The program under the name `etcdctl`: etcdctl's commands, flags, outputs and exit codes.

use crate::args::{Etcdctl, EtcdctlCommand, OwnCommand};
use crate::context::{Ctl, version};
use crate::dispatch::{self, options_text};
use crate::error::CtlError;
use admin_client::{ConnectionArgs, Local, SHADOWED, Settings, SettingsError};
use admin_ui::go_flags::{self, Line, as_in_go, show_help};
use clap::{CommandFactory as _, FromArgMatches as _};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

/// etcdctl's commands and flags. Unlike the operator's tool, it has a default for these two.
fn command() -> clap::Command {
    let command = as_in_go(Etcdctl::command());
    let command =
        command.mut_arg("endpoints", |flag| flag.help("gRPC endpoints, separated by commas [default: 127.0.0.1:2379]"));
    command.mut_arg("write_out", |flag| {
        flag.help("Output format: fields, json, protobuf, simple, table [default: simple]")
    })
}

pub fn run(args: &[OsString]) -> ExitCode {
    let command = command();
    let line = match go_flags::read(&command, args.get(1..).unwrap_or_default()) {
        Ok(Line::Run(line)) => line,
        Ok(Line::Help(path)) => return show_help(command, &path),
        Ok(Line::NoTopic(text)) => {
            print_error(&format!("{text}\nRun 'etcdctl --help' for usage."));
            return ExitCode::SUCCESS;
        }
        Err(refused) => {
            report_error(&refused.text, &[]);
            print_error(&format!("Run '{} --help' for usage.", refused.command));
            return ExitCode::FAILURE;
        }
    };
    let parsed = command.clone().try_get_matches_from(line).and_then(|matches| Etcdctl::from_arg_matches(&matches));
    let Etcdctl { connection, command: wanted } = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            report_error(error.to_string().trim_start_matches("error: ").trim_end(), &[]);
            return ExitCode::FAILURE;
        }
    };
    match wanted {
        EtcdctlCommand::Own(OwnCommand::Completion { shell }) => {
            let script = admin_ui::completion::completion_script(shell, command.clone(), "etcdctl");
            ended(admin_ui::output::say(&script).map_err(|failure| CtlError::error(failure.to_string())), &[])
        }
        EtcdctlCommand::Own(OwnCommand::Options) => {
            let shown = options_text(&command);
            ended(admin_ui::output::say(&shown).map_err(|failure| CtlError::error(failure.to_string())), &[])
        }
        EtcdctlCommand::Own(OwnCommand::Version) => ended(version(), &[]),
        wanted @ (EtcdctlCommand::Shared(_) | EtcdctlCommand::Own(_)) => serve(&connection, wanted),
    }
}

/// Returns the settings of the connection, after warnings about variables that belong to no flag.
fn settings(connection: &ConnectionArgs) -> Result<Settings, CtlError> {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    for name in Settings::unrecognized(&variables) {
        log("warn", "unrecognized environment variable", &name);
    }
    let ask = || rpassword::prompt_password("Password: ").map_err(|error| error.to_string());
    match Settings::of(connection, &variables, Local::Ignored, ask) {
        Ok(settings) => Ok(settings),
        Err(SettingsError::Shadowed { variable }) => {
            log("fatal", SHADOWED, &variable);
            Err(CtlError::error(""))
        }
        Err(error @ SettingsError::Variable { .. }) => Err(CtlError::error(error.to_string())),
        Err(error) => Err(CtlError::arguments(error.to_string())),
    }
}

fn serve(connection: &ConnectionArgs, wanted: EtcdctlCommand) -> ExitCode {
    let settings = match settings(connection) {
        Ok(settings) => settings,
        Err(ctl_error) => return ended(Err(ctl_error), &[]),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into()), &[]),
    };
    runtime.block_on(async {
        let ctl = match Ctl::new(settings) {
            Ok(ctl) => ctl,
            Err(ctl_error) => return ended(Err(ctl_error), &[]),
        };
        let run = match wanted {
            EtcdctlCommand::Shared(command) => dispatch::run(&ctl, command).await,
            EtcdctlCommand::Own(command) => dispatch::run_own(&ctl, command).await,
        };
        let explained = match &run {
            Err(CtlError { call: Some(call), .. }) => ctl.client.explain(call).await,
            Ok(()) | Err(_) => Vec::new(),
        };
        ended(run, &explained)
    })
}

/// Returns the exit code, after the line that says why it is not 0.
fn ended(run: Result<(), CtlError>, explained: &[String]) -> ExitCode {
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.text.is_empty() {
                report_error(&error.text, explained);
            }
            ExitCode::from(error.code())
        }
    }
}

fn report_error(text: &str, more: &[String]) {
    print_error(&format!("Error: {text}"));
    for line in more {
        print_error(&format!("  {line}"));
    }
}

/// Writes a line in the form of etcdctl's log. The value of a variable is left out: it may be a
/// password.
fn log(level: &str, message: &str, variable: &str) {
    let now =
        time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let text = |value: &str| serde_json::Value::from(value).to_string();
    print_error(&format!(
        "{{\"level\":{},\"ts\":{},\"msg\":{},\"environment-variable\":{}}}",
        text(level),
        text(&now),
        text(message),
        text(variable)
    ));
}

#[expect(clippy::print_stderr, reason = "the one place that prints the error")]
fn print_error(line: &str) {
    eprintln!("{line}");
}
