//! The daemon: reads settings, opens the data, starts the pipeline and the services, and ends them in order.
//!
//! Exit codes: 0 after a clean stop, 1 when something failed, 2 when the command line could not be read; 78 for bad settings, as a service.

mod bootstrap;
mod connections;
mod data_folder;
mod discovery;
mod duties;
mod encryption;
mod exit_code;
mod file_limit;
mod first_election;
mod hardening;
mod listeners;
mod member;
mod member_page;
mod notices;
mod own_page;
mod ownership;
mod passed_sockets;
mod peer_listener;
mod peers;
mod pipeline_observer;
mod service_manager;
mod signals;
mod startup;
mod state_sample;
mod tasks;
mod tls_page;
mod token_files;
mod transfers;

use config::{Loaded, Start};
use std::process::ExitCode;
use telemetry::log::LogGuard;

/// RocksDB's memory comes from it too: the unprefixed names take the place of the C library's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The version of etcd whose behaviour this program has; tools choose features by it.
const ETCD_VERSION: &str = "3.7.1";

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
    hardening::harden();
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
            ExitCode::from(exit_code::of_failure(&failure))
        }
    }
}

fn finish(outcome: Result<(), startup::Failure>, log: LogGuard) -> ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, startup::Failure::Removed) {
                tracing::error!(fatal = true, error = %failure, "etcd-server stopped");
            }
            ExitCode::from(exit_code::of_failure(&failure))
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
