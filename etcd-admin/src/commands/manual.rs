//! Completion scripts and manual pages, both from the command line's own table.

use crate::failure::Failure;
use crate::output::say;
use crate::words;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn completion(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut words::command(), "etcd-admin", &mut script);
    say(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// A page for the tool and one for each of its commands.
pub(super) fn pages(dir: &Path) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::at(dir, error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(words::command(), dir).map_err(failed)?;
    let count = std::fs::read_dir(dir).map_err(failed)?.count();
    say(&format!("{}: {count} pages\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
