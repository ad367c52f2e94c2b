//! The program `etcd-admin`: parses its arguments and runs its commands.

use crate::cli::args;
use crate::cli::args::{Arguments, Command, GlobalArgs};
use crate::cli::context::Context;
use crate::cli::dispatch;
use crate::maintenance::{self, RescueArgs};
use admin_client::{CallError, Client, ConnectionArgs, Local, Settings};
use admin_ui::error::{self, CliError, FAILED};
use admin_ui::output::Format;
use clap::FromArgMatches as _;
use etcdctl::{self, Ctl, CtlError};
use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let parsed = args::command().try_get_matches_from(args).and_then(|matches| {
        if let Some(rescue) = args::rescue(&matches)? {
            return Ok((GlobalArgs::from_arg_matches(&matches)?, Parsed::Rescue(rescue)));
        }
        let connection = args::connection(&matches)?.map(Box::new);
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((arguments.global, Parsed::Command(Box::new(arguments.command), connection)))
    });
    let (global, asked) = match parsed {
        Ok(parsed) => parsed,
        // Help goes to the output and is no mistake; clap knows which is which.
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let context = Context::new(global.output, global.dry_run, global.ca_dir);
    let ended = match asked {
        Parsed::Rescue(args) => maintenance::rescue(&context, &args),
        Parsed::Command(command, None) => dispatch::run(&context, *command),
        Parsed::Command(command, Some(connection)) => online(&context, *command, &connection),
    };
    ended.unwrap_or_else(|failure| report_error(&failure))
}

/// The requested command.
enum Parsed {
    Rescue(RescueArgs),
    /// With the flags of the connection, where the command has them.
    Command(Box<Command>, Option<Box<ConnectionArgs>>),
}

/// Commands that ask members.
fn online(context: &Context, command: Command, connection: &ConnectionArgs) -> Result<ExitCode, CliError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let ask = || rpassword::prompt_password("Password: ").map_err(|error| error.to_string());
    let mut settings = Settings::of(connection, &variables, Local::Used, ask)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(FAILED, format!("start: {error}")))?;
    let Command::Shared(command) = command else {
        let client = Client::new(settings)?;
        return runtime.block_on(dispatch::run_online(context, &client, command));
    };
    settings.write_out = settings.write_out.or_else(|| written_as(context.format));
    runtime.block_on(async {
        let ctl = Ctl::new(settings).map_err(failed)?;
        match etcdctl::run(&ctl, command).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(ctl_error) => Err(explained(&ctl.client, ctl_error).await),
        }
    })
}

/// Returns etcdctl's name of our output format, if one was requested.
fn written_as(format: Format) -> Option<String> {
    match format {
        Format::Table => None,
        Format::Json => Some("json".to_owned()),
        Format::Yaml => Some("yaml".to_owned()),
    }
}

fn failed(error: CtlError) -> CliError {
    CliError::new(error.own_code(), error.text)
}

/// The same with the step that broke, where one did.
async fn explained(client: &Client, error: CtlError) -> CliError {
    let mut text = error.text.clone();
    if let Some(call) = &error.call {
        for line in client.explain(call).await {
            text += &format!("\n  {line}");
        }
        if matches!(call, CallError::Unreachable(_)) {
            text += &format!("\n  (the endpoints are from {})", client.settings.origin);
        }
    }
    CliError::new(error.own_code(), text)
}

#[expect(clippy::print_stderr, reason = "the one place that prints the error")]
fn report_error(error: &CliError) -> ExitCode {
    let text = error.to_string();
    if !text.is_empty() {
        eprintln!("etcd-admin: {text}");
    }
    ExitCode::from(error.code())
}
