//! `ca init` and `ca show`.

use crate::cli::context::Context;
use crate::pki::{CaInit, NewCaArgs};
use admin_ui::error::CliError;
use admin_ui::output::{print_result, table};
use admin_ui::passphrase::PassphraseSource;
use certs::files::{CaDir, Entry, NewCa};
use certs::{Ca, CaKind, CaPlan, Constraint, Passphrase};
use serde::Serialize;
use std::process::ExitCode;
use time::Duration;

/// For how long the first, empty list of revoked certificates can be relied upon.
const FIRST_LIST: Duration = Duration::days(certs::files::LIST_DAYS);

#[derive(Debug, Serialize)]
struct Made {
    kind: CaKind,
    subject: String,
    fingerprint: String,
    not_after: String,
    directory: String,
    encrypted: bool,
}

pub(crate) fn init(context: &Context, args: &CaInit) -> Result<ExitCode, CliError> {
    let root = context.new_ca_dir()?;
    let kinds = args.kind.map_or_else(|| CaKind::ALL.to_vec(), |kind| vec![kind.into()]);
    let dirs: Vec<_> = kinds.iter().map(|kind| CaDir::below(&root, *kind)).collect();
    if let Some(there) = dirs.iter().find(|dir| dir.exists()) {
        let text = format!(
            "there is a {} CA in {} already: exchange it with `etcd-admin ca rotate`",
            there.kind(),
            there.path().display()
        );
        return Err(CliError::refused(text));
    }
    if context.dry_run {
        let text = dirs.iter().map(|dir| format!("would make a {} CA in {}\n", dir.kind(), dir.path().display()));
        return admin_ui::output::say(&text.collect::<String>()).map(|()| ExitCode::SUCCESS);
    }
    let passphrase = chosen_passphrase(&args.new, "the new CAs")?;
    let mut made = Vec::new();
    for dir in dirs {
        let name = format!("{} {} CA", args.name, dir.kind());
        let ca = dir.create(&plan(&args.new, name, passphrase.as_ref())?, context.now)?;
        dir.publish(&ca, context.now, FIRST_LIST)?;
        made.push(Made {
            kind: dir.kind(),
            subject: ca.facts().subject.clone(),
            fingerprint: ca.facts().fingerprint_hex(),
            not_after: certs::rfc3339(ca.facts().not_after),
            directory: dir.path().display().to_string(),
            encrypted: passphrase.is_some(),
        });
    }
    print_result(context.format, &made, || {
        let row = |made: &Made| {
            vec![made.kind.to_string(), made.subject.clone(), made.not_after.clone(), made.directory.clone()]
        };
        let rows: Vec<_> = made.iter().map(row).collect();
        let keys = if passphrase.is_some() { "under the passphrase" } else { "UNPROTECTED, as requested" };
        format!(
            "{}\nThe keys are {keys}. Keep the directory on this machine, and a copy of it offline; no member needs it.\n",
            table(&["CA", "SUBJECT", "VALID UNTIL", "DIRECTORY"], &rows)
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The passphrase for a new key; none if the operator wants none.
pub(crate) fn chosen_passphrase(args: &NewCaArgs, what: &str) -> Result<Option<Passphrase>, CliError> {
    if args.no_passphrase { Ok(None) } else { args.passphrase.choose(what).map(Some) }
}

pub(crate) fn plan<'a>(
    args: &NewCaArgs,
    common_name: String,
    passphrase: Option<&'a Passphrase>,
) -> Result<NewCa<'a>, CliError> {
    let constraints = args.constrain.iter().map(|text| Constraint::parse(text)).collect::<Result<_, _>>()?;
    let plan = CaPlan { common_name, lifetime: Duration::days(args.days), constraints };
    Ok(NewCa { plan, algorithm: args.key.into(), passphrase })
}

/// Returns the CA of a directory, ready to sign.
pub(crate) fn unlock(dir: &CaDir, source: &PassphraseSource) -> Result<Ca, CliError> {
    let passphrase = if dir.is_encrypted()? { Some(source.ask(&format!("the {} CA", dir.kind()))?) } else { None };
    Ok(dir.unlock(passphrase.as_ref())?)
}

#[derive(Debug, Serialize)]
struct Shown {
    kind: CaKind,
    subject: String,
    fingerprint: String,
    key: String,
    encrypted: bool,
    not_after: String,
    time_left: String,
    issued: usize,
    revoked: usize,
    rotation: certs::files::RotationPhase,
    trusted: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<certs::files::Issued>,
}

pub(crate) fn show(context: &Context, with_issued: bool) -> Result<ExitCode, CliError> {
    let root = context.ca_dir()?;
    let dirs = CaKind::ALL.map(|kind| CaDir::below(&root, kind));
    let mut shown = Vec::new();
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        shown.push(one(context, dir, with_issued)?);
    }
    if shown.is_empty() {
        return Err(context.ca(CaKind::Client).err().unwrap_or_else(|| CliError::usage("there is no CA")));
    }
    print_result(context.format, &shown, || {
        let row = |shown: &Shown| {
            vec![
                shown.kind.to_string(),
                shown.subject.clone(),
                shown.key.clone() + if shown.encrypted { ", encrypted" } else { ", UNPROTECTED" },
                shown.time_left.clone(),
                shown.issued.to_string(),
                shown.revoked.to_string(),
                shown.fingerprint[..16].to_owned(),
            ]
        };
        let head = ["CA", "SUBJECT", "KEY", "TIME LEFT", "ISSUED", "REVOKED", "FINGERPRINT"];
        let mut text = table(&head, &shown.iter().map(row).collect::<Vec<_>>());
        let certificates: Vec<_> = shown.iter().flat_map(|shown| &shown.certificates).collect();
        if with_issued {
            let row = |issued: &&certs::files::Issued| {
                let profile = issued.profile.name().to_owned();
                vec![
                    issued.serial.clone(),
                    profile,
                    issued.common_name.clone(),
                    certs::rfc3339(issued.not_after),
                    issued.names.join(","),
                ]
            };
            let rows: Vec<_> = certificates.iter().map(row).collect();
            text += &format!("\n{}", table(&["SERIAL", "PROFILE", "COMMON NAME", "VALID UNTIL", "NAMES"], &rows));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn one(context: &Context, dir: &CaDir, with_issued: bool) -> Result<Shown, CliError> {
    let (facts, entries) = (dir.facts()?, dir.entries()?);
    let issued = entries.iter().filter_map(|entry| match entry {
        Entry::Issued(issued) => Some(issued.clone()),
        Entry::Revoked { .. } | Entry::Published { .. } => None,
    });
    let issued: Vec<_> = issued.collect();
    let trusted = dir.bundle()?;
    let trusted =
        trusted.iter().map(|certificate| certs::CertificateFacts::of(certificate).map(|facts| facts.fingerprint_hex()));
    Ok(Shown {
        kind: dir.kind(),
        subject: facts.subject.clone(),
        fingerprint: facts.fingerprint_hex(),
        key: facts.key.clone(),
        encrypted: dir.is_encrypted()?,
        not_after: certs::rfc3339(facts.not_after),
        time_left: certs::time_left(facts.not_after, context.now),
        issued: issued.len(),
        revoked: entries.iter().filter(|entry| matches!(entry, Entry::Revoked { .. })).count(),
        rotation: dir.rotation(),
        trusted: trusted.collect::<Result<_, _>>()?,
        certificates: if with_issued { issued } else { Vec::new() },
    })
}
