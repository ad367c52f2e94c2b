//! The completion script and the manual pages, both from the command line's own table.

use crate::cli::args;
use admin_ui::completion::completion_script;
use admin_ui::error::CliError;
use admin_ui::output::say;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn completion(shell: clap_complete::Shell) -> Result<ExitCode, CliError> {
    say(&completion_script(shell, args::command(), "etcd-admin"))?;
    Ok(ExitCode::SUCCESS)
}

/// A page for the tool and one for each of its commands.
pub(crate) fn pages(dir: &Path) -> Result<ExitCode, CliError> {
    let failed = |error: std::io::Error| CliError::at(dir, error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(args::command(), dir).map_err(failed)?;
    let count = std::fs::read_dir(dir).map_err(failed)?.count();
    say(&format!("{}: {count} pages\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
