//! Why a command failed, and the exit code that says so. Every code has one meaning:
//!
//! 0 done, 1 failed, 2 usage, 3 a check failed, 4 nobody reached, 5 refused by a safety rail, 6 the user may not, 7 a file is damaged or does
//! not fit, 8 no answer in time, 9 an answer is needed and nobody can be asked, 130 interrupted.

use std::fmt;
use std::path::Path;

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const CHECK_FAILED: u8 = 3;
pub(crate) const UNREACHABLE: u8 = 4;
pub(crate) const REFUSED: u8 = 5;
pub(crate) const DENIED: u8 = 6;
pub(crate) const INTEGRITY: u8 = 7;
pub(crate) const TIMED_OUT: u8 = 8;
pub(crate) const NEEDS_ANSWER: u8 = 9;

/// One line with the reason, and the cure where there is one.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// What the system said of a file or folder.
    pub(crate) fn at(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(FAILED, format!("{}: {error}", path.display()))
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(REFUSED, text)
    }

    /// A file that is not what it should be.
    pub(crate) fn of_file(path: &Path, error: &certs::Error) -> Self {
        use certs::Error;
        let named = matches!(error, Error::At { .. } | Error::File { .. } | Error::Content { .. } | Error::Exposed { .. });
        Self::new(code(error), if named { error.to_string() } else { format!("{}: {error}", path.display()) })
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<certs::Error> for Failure {
    fn from(error: certs::Error) -> Self {
        Self::new(code(&error), error.to_string())
    }
}

impl From<certs::NameError> for Failure {
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
        Error::PassphraseNeeded => NEEDS_ANSWER,
        Error::Make { .. } | Error::File { .. } => FAILED,
        Error::At { source, .. } => code(source),
    }
}
