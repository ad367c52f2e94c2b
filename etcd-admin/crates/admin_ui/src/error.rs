//! The reason for which a command failed, and the exit status that says so. Every status has one
//! meaning: [`EXIT_STATUSES`].

use std::fmt;
use std::path::Path;

/// Every exit status of etcd-admin, its meaning, and the next step. The manual page, `explain` and the
/// tests read this table.
pub const EXIT_STATUSES: [(u8, &str, &str); 11] = [
    (0, "The command succeeded, or there was nothing to do.", "Nothing."),
    (FAILED, "The command failed.", "The line on standard error names what failed, where and why."),
    (USAGE, "The command line or a setting is invalid. Nothing was changed.", "Read --help of the command."),
    (CHECK_FAILED, "A check found a problem.", "The output lists the findings, each with its remedy."),
    (
        UNREACHABLE,
        "No endpoint could be reached.",
        "The lines name the step that failed: name, TCP, TLS, certificate or RPC.",
    ),
    (
        REFUSED,
        "A safety rule refused the command: it would have cost the quorum, data, or an existing file.",
        "Do what the line suggests first.",
    ),
    (
        DENIED,
        "The user may not do this, or the login failed.",
        "Give --user, or --cert and --key of a user with permission; etcd-admin auth rescue restores a lost password of root.",
    ),
    (INTEGRITY, "A file is damaged, or is of another kind.", "Do not use it; take another copy."),
    (
        TIMED_OUT,
        "There was no response, or no result, in time.",
        "Run the same command again: it resumes where it stopped.",
    ),
    (
        NEEDS_CONFIRMATION,
        "A confirmation is needed, and standard input is not a terminal.",
        "Give --yes, or the flag that the line names.",
    ),
    (INTERRUPTED, "The command was interrupted.", "Run the same command again: it resumes where it stopped."),
];

/// Returns the table for the manual page and the long help.
pub fn exit_statuses_text() -> String {
    let lines = EXIT_STATUSES.iter().map(|(status, meaning, _)| format!("  {status:<4} {meaning}\n"));
    format!("Exit status:\n{}", lines.collect::<String>())
}

pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const CHECK_FAILED: u8 = 3;
pub const UNREACHABLE: u8 = 4;
pub const REFUSED: u8 = 5;
pub const DENIED: u8 = 6;
pub const INTEGRITY: u8 = 7;
pub const TIMED_OUT: u8 = 8;
pub const NEEDS_CONFIRMATION: u8 = 9;
/// 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// One line with the reason, and the remedy where there is one.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    text: String,
}

impl CliError {
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Returns the failure of a file or directory, with the system's error.
    pub fn at(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(FAILED, format!("{}: {error}", path.display()))
    }

    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    pub fn refused(text: impl Into<String>) -> Self {
        Self::new(REFUSED, text)
    }

    /// Returns the failure of a file with unexpected content.
    pub fn of_file(path: &Path, error: &certs::Error) -> Self {
        use certs::Error;
        let named =
            matches!(error, Error::At { .. } | Error::File { .. } | Error::Content { .. } | Error::Exposed { .. });
        Self::new(code(error), if named { error.to_string() } else { format!("{}: {error}", path.display()) })
    }

    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<certs::Error> for CliError {
    fn from(error: certs::Error) -> Self {
        Self::new(code(&error), error.to_string())
    }
}

impl From<certs::NameError> for CliError {
    fn from(error: certs::NameError) -> Self {
        Self::usage(error.to_string())
    }
}

fn code(error: &certs::Error) -> u8 {
    use certs::Error;
    match error {
        Error::Refused(_) | Error::Exists { .. } | Error::PassphraseShort { .. } => REFUSED,
        Error::Missing { .. }
        | Error::Certificate(_)
        | Error::RevocationList(_)
        | Error::Request(_)
        | Error::Key(_)
        | Error::WrongPassphrase
        | Error::KeyMismatch
        | Error::Content { .. }
        | Error::Exposed { .. } => INTEGRITY,
        Error::PassphraseNeeded => NEEDS_CONFIRMATION,
        Error::Make { .. } | Error::File { .. } => FAILED,
        Error::At { source, .. } => code(source),
    }
}
