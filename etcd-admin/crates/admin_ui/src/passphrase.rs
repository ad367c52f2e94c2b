//! Passphrases: from a file, from the input, or from the terminal. Never from the command line or
//! the environment, which others can read.

use crate::error::{CliError, NEEDS_CONFIRMATION};
use certs::Passphrase;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

const VARIABLE: &str = "ETCD_ADMIN_PASSPHRASE";
/// Longest passphrase in bytes.
const BYTES_MAX: u64 = 4096;

/// The source of a passphrase.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PassphraseSource {
    /// File with the passphrase of the CA key on its first line; - for standard input
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseSource {
    /// Returns the passphrase of an existing key.
    pub fn ask(&self, what: &str) -> Result<Passphrase, CliError> {
        if let Some(path) = &self.passphrase_file {
            return read(path);
        }
        if !std::io::stdin().is_terminal() {
            let text = format!(
                "the key of {what} is encrypted, and standard input is not a terminal: use --passphrase-file FILE, or - for standard input"
            );
            return Err(CliError::new(NEEDS_CONFIRMATION, hinted(text)));
        }
        prompt(&format!("Passphrase of {what}: "))
    }

    /// Returns the passphrase of a new key, entered twice.
    pub fn choose(&self, what: &str) -> Result<Passphrase, CliError> {
        if self.passphrase_file.is_some() || !std::io::stdin().is_terminal() {
            let chosen = self.ask(what)?;
            chosen.check()?;
            return Ok(chosen);
        }
        let first =
            rpassword::prompt_password(format!("New passphrase of {what}: ")).map_err(|error| unreadable(&error))?;
        let again = rpassword::prompt_password("The same again: ").map_err(|error| unreadable(&error))?;
        if first != again {
            return Err(CliError::usage("the two passphrases are not the same"));
        }
        let chosen = Passphrase::new(first);
        chosen.check()?;
        Ok(chosen)
    }
}

fn prompt(text: &str) -> Result<Passphrase, CliError> {
    rpassword::prompt_password(text).map(Passphrase::new).map_err(|error| unreadable(&error))
}

fn unreadable(error: &std::io::Error) -> CliError {
    CliError::new(NEEDS_CONFIRMATION, format!("read the passphrase: {error}"))
}

fn read(path: &Path) -> Result<Passphrase, CliError> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    } else {
        certs::files::check_private(path)?;
        text = certs::files::read_text(path)?.to_string();
    }
    let line = text.lines().next().unwrap_or_default().to_owned();
    Ok(Passphrase::new(line))
}

/// Some try the environment first.
fn hinted(text: String) -> String {
    if std::env::var_os(VARIABLE).is_some() {
        format!("{text} ({VARIABLE} is not read: other processes can see it)")
    } else {
        text
    }
}
