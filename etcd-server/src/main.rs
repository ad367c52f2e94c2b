//! The daemon: reads settings, opens the data, starts the pipeline and the services, and ends them
//! in order.
//!
//! Exit codes: 0 after a clean stop, 1 when something failed, 2 when the command line could not be
//! read; 78 for bad settings, as a service.

mod background;
mod bootstrap;
mod exit_code;
mod host;
mod listen;
mod member;
mod metrics;
mod peers;
mod start_error;
mod startup;
mod tasks;
mod version;

use config::{Loaded, Start};
use std::process::ExitCode;
use telemetry::log::LogGuard;

/// RocksDB's memory comes from it too: the unprefixed names take the place of the C library's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The source that this program was built from, see the build script.
const SOURCE: config::BuildSource = config::BuildSource { commit: env!("SOURCE_COMMIT"), date: env!("SOURCE_DATE") };

fn main() -> ExitCode {
    let loaded = match config::read() {
        Ok(Start::Serve(loaded)) => *loaded,
        Ok(Start::Check(loaded)) => return check(&loaded),
        Ok(Start::Print(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Ok(Start::Version) => {
            say(&config::version_text(SOURCE));
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            complain(&problem.to_string());
            return ExitCode::from(exit_code::of_problem(&problem));
        }
    };
    let log = match telemetry::log::install(&loaded.settings.log, &loaded.settings.member.name) {
        Ok(log) => log,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    host::hardening::harden();
    for warning in &loaded.warnings {
        tracing::warn!(setting = %warning.setting, "{}", warning.text);
    }
    let outcome = startup::run(&loaded.settings);
    finish(outcome, log)
}

/// Prints the messages of a start, and whether it would be refused.
fn check(loaded: &Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        complain(&format!("warning: {}: {}", warning.setting, warning.text));
    }
    match startup::check(&loaded.settings) {
        Ok(()) => {
            say("The settings and the files that they name can be used.\n");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::from(exit_code::of_start_error(&failure))
        }
    }
}

fn finish(outcome: Result<(), start_error::StartError>, log: LogGuard) -> ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, start_error::StartError::Removed) {
                tracing::error!(fatal = true, error = %failure, "etcd-server stopped");
            }
            ExitCode::from(exit_code::of_start_error(&failure))
        }
    };
    // The last lines explain the end.
    drop(log);
    code
}

#[expect(clippy::print_stdout, reason = "what --help and --version print is their answer")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "there is no log before the settings are read")]
fn complain(text: &str) {
    eprintln!("{text}");
}
