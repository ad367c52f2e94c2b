//! `cert inspect` and `cert status`.

use crate::cli::context::Context;
use crate::host;
use crate::pki::CertStatus;
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::{print_result, table};
use certs::CertificateFacts;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::Duration;

#[derive(Debug, Serialize)]
struct Inspected {
    file: PathBuf,
    subject: String,
    common_name: Option<String>,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    time_left: String,
    names: Vec<String>,
    key: String,
    ca: bool,
    server: bool,
    client: bool,
    fingerprint_sha256: String,
}

impl Inspected {
    fn of(context: &Context, file: &Path, facts: CertificateFacts) -> Self {
        Self {
            file: file.to_owned(),
            serial: facts.serial_hex(),
            not_before: certs::rfc3339(facts.not_before),
            not_after: certs::rfc3339(facts.not_after),
            time_left: certs::time_left(facts.not_after, context.now),
            names: facts.names.iter().map(ToString::to_string).collect(),
            fingerprint_sha256: facts.fingerprint_hex(),
            subject: facts.subject,
            common_name: facts.common_name,
            issuer: facts.issuer,
            key: facts.key,
            ca: facts.is_ca,
            server: facts.server_usage,
            client: facts.client_usage,
        }
    }

    fn usages(&self) -> String {
        let said = [(self.ca, "CA"), (self.server, "server"), (self.client, "client")];
        said.into_iter().filter_map(|(is, name)| is.then_some(name)).collect::<Vec<_>>().join(", ")
    }

    fn report(&self) -> String {
        let lines = [
            ("File", self.file.display().to_string()),
            ("Subject", self.subject.clone()),
            ("Issuer", self.issuer.clone()),
            ("Serial", self.serial.clone()),
            ("Valid from", self.not_before.clone()),
            ("Valid until", format!("{} ({})", self.not_after, self.time_left)),
            ("Names", self.names.join(", ")),
            ("Key", self.key.clone()),
            ("Good for", self.usages()),
            ("SHA-256", self.fingerprint_sha256.clone()),
        ];
        lines.iter().map(|(name, value)| format!("{name:12} {value}").trim_end().to_owned() + "\n").collect()
    }
}

pub(crate) fn inspect(context: &Context, files: &[PathBuf]) -> Result<ExitCode, CliError> {
    let mut inspected = Vec::new();
    for path in files {
        for certificate in host::certificates(path)? {
            let facts = CertificateFacts::of(&certificate).map_err(|error| CliError::of_file(path, &error))?;
            inspected.push(Inspected::of(context, path, facts));
        }
    }
    print_result(context.format, &inspected, || {
        inspected.iter().map(Inspected::report).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Row {
    file: PathBuf,
    name: String,
    issuer: String,
    not_after: String,
    time_left: String,
    state: &'static str,
}

/// The time left of each; ends with 3 when one needs a hand.
pub(crate) fn status(context: &Context, args: &CertStatus) -> Result<ExitCode, CliError> {
    let mut rows = Vec::new();
    for path in &args.paths {
        for file in certificate_files(path)? {
            for certificate in host::certificates(&file)? {
                let facts = CertificateFacts::of(&certificate).map_err(|error| CliError::of_file(&file, &error))?;
                rows.push(row(context, &file, &facts, args.warn_days));
            }
        }
    }
    print_result(context.format, &rows, || {
        let cells = |row: &Row| {
            vec![
                row.file.display().to_string(),
                row.name.clone(),
                row.issuer.clone(),
                row.not_after.clone(),
                row.time_left.clone(),
                row.state.to_owned(),
            ]
        };
        table(
            &["FILE", "NAME", "ISSUER", "VALID UNTIL", "TIME LEFT", "STATE"],
            &rows.iter().map(cells).collect::<Vec<_>>(),
        )
    })?;
    Ok(if rows.iter().all(|row| row.state == "ok") { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
}

fn row(context: &Context, file: &Path, facts: &CertificateFacts, warn_days: u32) -> Row {
    let left = facts.not_after - context.now;
    let state = match () {
        () if left.is_negative() => "expired",
        () if facts.not_before > context.now => "not valid yet",
        () if left < Duration::days(warn_days.into()) => "expires soon",
        () => "ok",
    };
    Row {
        file: file.to_owned(),
        name: facts.common_name.clone().unwrap_or_else(|| facts.subject.clone()),
        issuer: facts.issuer.clone(),
        not_after: certs::rfc3339(facts.not_after),
        time_left: certs::time_left(facts.not_after, context.now),
        state,
    }
}

/// Returns the file itself, or the certificates of a directory; of a host's directory, those of the
/// current set.
fn certificate_files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let dir = if path.join("current").is_dir() { path.join("current") } else { path.to_owned() };
    let unreadable =
        |error: std::io::Error| CliError::new(admin_ui::error::FAILED, format!("read {}: {error}", dir.display()));
    let entries = std::fs::read_dir(&dir).map_err(unreadable)?;
    let is_certificate = |path: &PathBuf| path.extension().is_some_and(|end| end == "crt");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_certificate).collect();
    files.sort();
    if files.is_empty() {
        return Err(CliError::new(
            admin_ui::error::FAILED,
            format!("{} holds no file that ends in .crt", dir.display()),
        ));
    }
    Ok(files)
}
