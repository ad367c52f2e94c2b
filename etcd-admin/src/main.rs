//! The operator's tool: certificates. It needs no running server and no network.
//!
//! What is made is told with its place; nothing is overwritten without a word. Exit codes: 0 done, 1 failed, 2 usage, 3 a check failed,
//! 5 refused by a safety rail, 7 a file is damaged or does not fit, 9 an answer is needed and nobody can be asked.

mod commands;
mod context;
mod failure;
mod host;
mod output;
mod passphrase;
mod words;

use clap::Parser as _;
use context::Context;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match words::Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help goes to the output and is no mistake; clap knows which is which.
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    let context = Context::new(&arguments);
    match commands::run(&context, arguments.command) {
        Ok(code) => code,
        Err(failure) => complain(&failure),
    }
}

#[expect(clippy::print_stderr, reason = "this is where a tool says why it failed")]
fn complain(failure: &Failure) -> ExitCode {
    eprintln!("etcd-admin: {failure}");
    ExitCode::from(failure.code())
}
