//! The certificates that a CA has issued and revoked: one line of JSON each, appended and synced
//! before a certificate is returned.

use crate::{CertificateFacts, Error, Profile, Revocation, RevocationReason, hex};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Hexadecimal.
    pub serial: String,
    pub profile: Profile,
    pub common_name: String,
    pub names: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// SHA-256 of the CA's certificate.
    #[serde(rename = "CA")]
    pub ca: String,
}

impl Issued {
    /// Returns the entry of a new certificate.
    #[must_use]
    pub fn of(facts: &CertificateFacts, profile: Profile, ca: &CertificateFacts) -> Self {
        Self {
            serial: facts.serial_hex(),
            profile,
            common_name: facts.common_name.clone().unwrap_or_default(),
            names: facts.names.iter().map(ToString::to_string).collect(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint: facts.fingerprint_hex(),
            ca: ca.fingerprint_hex(),
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Entry {
    Issued(Issued),
    Revoked {
        serial: String,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        reason: RevocationReason,
        /// The CA of the certificate.
        #[serde(rename = "CA")]
        ca: String,
    },
    Published {
        number: u64,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
}

/// The file, locked against another process for as long as it lives.
#[derive(Debug)]
pub struct Register {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Register {
    /// Reads and locks the register, making it when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(super::PRIVATE_MODE).open(path);
        let file = opened.map_err(Error::file("open", path))?;
        file.lock().map_err(Error::file("lock", path))?;
        let text = super::read_text(path)?;
        Ok(Self { path: path.to_owned(), entries: parse(&text, path)?, file })
    }

    /// The lines of a register that others may be writing.
    ///
    /// # Errors
    /// As [`Register::open`].
    pub fn read(path: &Path) -> Result<Vec<Entry>, Error> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        parse(&super::read_text(path)?, path)
    }

    /// Appends a line and syncs it.
    ///
    /// # Errors
    /// When the disk does not take it; then nothing may be handed out.
    pub fn append(&mut self, entry: Entry) -> Result<(), Error> {
        let mut line = serde_json::to_vec(&entry).map_err(|error| Error::make("write the register", &error))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_all());
        written.map_err(Error::file("write", &self.path))?;
        self.entries.push(entry);
        Ok(())
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Certificates that were issued, oldest first.
pub(crate) fn issued(entries: &[Entry]) -> impl Iterator<Item = &Issued> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Issued(issued) => Some(issued),
        Entry::Revoked { .. } | Entry::Published { .. } => None,
    })
}

/// Returns the revoked certificates of a CA.
pub(crate) fn revoked(entries: &[Entry], ca: &str) -> Vec<Revocation> {
    let revocation = |entry: &Entry| match entry {
        Entry::Revoked { serial, at, reason, ca: of } if of == ca => {
            Some(Revocation { serial: bytes(serial)?, at: *at, reason: *reason })
        }
        Entry::Revoked { .. } | Entry::Issued(_) | Entry::Published { .. } => None,
    };
    entries.iter().filter_map(revocation).collect()
}

/// The number of the newest list.
pub(crate) fn newest_number(entries: &[Entry]) -> u64 {
    let numbers = entries.iter().filter_map(|entry| match entry {
        Entry::Published { number, .. } => Some(*number),
        Entry::Issued(_) | Entry::Revoked { .. } => None,
    });
    numbers.max().unwrap_or_default()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    digits.collect::<Option<Vec<u8>>>().filter(|bytes| hex(bytes) == text)
}

/// Reads the register. A last line without its end is the rest of a crash, and was never acted
/// upon.
fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, Error> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let entry = |(number, line): (usize, &str)| {
        let damaged = |error: serde_json::Error| Error::Content {
            path: path.to_owned(),
            reason: format!("line {}: {error}", number + 1),
        };
        serde_json::from_str(line).map_err(damaged)
    };
    whole.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(entry).collect()
}
