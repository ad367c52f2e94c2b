//! `cert revoke`, `crl publish` and `crl show`.

use super::cas::unlock;
use crate::cli::context::Context;
use crate::host;
use crate::pki::CertRevoke;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, say, table};
use admin_ui::passphrase::PassphraseSource;
use certs::files::CaDir;
use certs::{CaKind, RevocationListFacts, RevocationReason};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::Duration;

#[derive(Debug, Serialize)]
struct Revoked {
    kind: CaKind,
    serial: String,
    common_name: String,
    reason: RevocationReason,
}

pub(crate) fn revoke(context: &Context, args: &CertRevoke) -> Result<ExitCode, CliError> {
    let path = Path::new(&args.certificate);
    let serial = if path.exists() { host::facts(path)?.serial_hex() } else { args.certificate.clone() };
    if !serial.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
        return Err(CliError::usage(format!("{serial} is neither a file nor a serial number")));
    }
    let dir = issuer_of(context, &serial, args.kind.map(Into::into))?;
    if context.dry_run {
        return say(&format!("would revoke {serial} of the {} CA\n", dir.kind())).map(|()| ExitCode::SUCCESS);
    }
    let issued = dir.revoke(&serial, args.reason.into(), context.now)?;
    let report = Revoked {
        kind: dir.kind(),
        serial: issued.serial,
        common_name: issued.common_name,
        reason: args.reason.into(),
    };
    print_result(context.format, &report, || {
        format!(
            "Revoked {} of {} ({}). Members learn of it by the next list:\n  etcd-admin crl publish --kind {}\n",
            report.serial,
            report.common_name,
            report.reason.name(),
            report.kind
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the CA that has issued a number.
fn issuer_of(context: &Context, serial: &str, kind: Option<CaKind>) -> Result<CaDir, CliError> {
    if let Some(kind) = kind {
        return context.ca(kind);
    }
    let serial = serial.to_ascii_lowercase().replace(':', "");
    let root = context.ca_dir()?;
    for dir in CaKind::ALL.map(|kind| CaDir::below(&root, kind)).into_iter().filter(CaDir::exists) {
        let entries = dir.entries()?;
        if entries.iter().any(|entry| matches!(entry, certs::files::Entry::Issued(issued) if issued.serial == serial)) {
            return Ok(dir);
        }
    }
    Err(CliError::refused(format!("no CA in {} has issued a certificate {serial}", root.display())))
}

#[derive(Debug, Serialize)]
struct Published {
    changed: bool,
    kind: CaKind,
    number: Option<u64>,
    revoked: usize,
    next_update: Option<String>,
    file: PathBuf,
}

/// Publishes a list where [`CaDir::is_list_due`] says so.
pub(crate) fn publish_if_due(
    context: &Context,
    kind: CaKind,
    lifetime: Duration,
    passphrase: &PassphraseSource,
) -> Result<ExitCode, CliError> {
    let dir = context.ca(kind)?;
    if dir.is_list_due(context.now)? {
        return publish(context, kind, lifetime, passphrase);
    }
    let file = dir.revocation_list_path();
    let unchanged = Published { changed: false, kind, number: None, revoked: 0, next_update: None, file };
    print_result(context.format, &unchanged, || format!("{}: the list is not due\n", unchanged.file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the PEM text of a CA's list, and publishes one first if none is current.
pub(crate) fn current_list(context: &Context, dir: &CaDir, ca: &certs::Ca) -> Result<Vec<u8>, CliError> {
    let path = dir.revocation_list_path();
    if dir.is_list_due(context.now)? {
        dir.publish(ca, context.now, Duration::days(certs::files::LIST_DAYS))?;
    }
    Ok(certs::files::read(&path)?.to_vec())
}

pub(crate) fn publish(
    context: &Context,
    kind: CaKind,
    lifetime: Duration,
    passphrase: &PassphraseSource,
) -> Result<ExitCode, CliError> {
    let dir = context.ca(kind)?;
    let file = dir.revocation_list_path();
    if context.dry_run {
        return say(&format!("would write {}\n", file.display())).map(|()| ExitCode::SUCCESS);
    }
    let ca = unlock(&dir, passphrase)?;
    let facts = RevocationListFacts::of(&dir.publish(&ca, context.now, lifetime)?)?;
    let report = Published {
        changed: true,
        kind,
        number: facts.number,
        revoked: facts.revoked.len(),
        next_update: facts.next_update.map(certs::rfc3339),
        file,
    };
    print_result(context.format, &report, || {
        format!(
            "{}\nList {} of the {kind} CA: {} revoked, to be replaced before {}. Bring it to every member:\n  etcd-admin cert install --dir DIR --{kind}-crl FILE\n",
            report.file.display(),
            report.number.unwrap_or_default(),
            report.revoked,
            report.next_update.as_deref().unwrap_or("-"),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Listed {
    issuer: String,
    number: Option<u64>,
    this_update: String,
    next_update: Option<String>,
    time_left: Option<String>,
    revoked: Vec<(String, String)>,
}

pub(crate) fn show(context: &Context, path: &Path) -> Result<ExitCode, CliError> {
    let mut lists = Vec::new();
    for list in host::revocation_lists(path)? {
        let facts = RevocationListFacts::of(&list).map_err(|error| CliError::of_file(path, &error))?;
        lists.push(Listed {
            issuer: facts.issuer,
            number: facts.number,
            this_update: certs::rfc3339(facts.this_update),
            next_update: facts.next_update.map(certs::rfc3339),
            time_left: facts.next_update.map(|until| certs::time_left(until, context.now)),
            revoked: facts.revoked.iter().map(|(serial, at)| (certs::hex(serial), certs::rfc3339(*at))).collect(),
        });
    }
    print_result(context.format, &lists, || {
        let text = lists.iter().map(|list| {
            let number = list.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let head = format!(
                "List {number} of {}, time left: {}\n",
                list.issuer,
                list.time_left.as_deref().unwrap_or("not said")
            );
            let rows: Vec<_> = list.revoked.iter().map(|(serial, at)| vec![serial.clone(), at.clone()]).collect();
            head + &table(&["SERIAL", "REVOKED"], &rows)
        });
        text.collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
