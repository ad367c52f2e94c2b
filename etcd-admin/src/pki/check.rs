//! `cert verify` and `cert needs-renewal`.

use crate::cli::context::Context;
use crate::host;
use crate::pki::{CertNeedsRenewal, CertVerify};
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::{print_result, table};
use certs::files::HostDir;
use certs::{Finding, HostCheck, Name, PrivateKey, Profile, Severity};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::{Duration, OffsetDateTime};

#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    #[serde(flatten)]
    finding: Finding,
}

/// The files of one certificate.
struct Files {
    profile: Profile,
    cert: PathBuf,
    key: Option<PathBuf>,
    ca: PathBuf,
    crl: Option<PathBuf>,
}

pub(crate) fn verify(context: &Context, args: &CertVerify) -> Result<ExitCode, CliError> {
    let wanted = args.san.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let mut checked = Vec::new();
    for files in files_of(args)? {
        checked.extend(check(context, &files, &wanted, Duration::days(args.warn_days.into()))?);
    }
    let worst = checked.iter().map(|checked| checked.finding.severity).max();
    print_result(context.format, &checked, || {
        let row = |checked: &Checked| {
            let Finding { check, severity, text, remedy } = &checked.finding;
            let mark = match severity {
                Severity::Good => "ok",
                Severity::Warning => "WARN",
                Severity::Bad => "BAD",
            };
            let text = if remedy.is_empty() { text.clone() } else { format!("{text}; {remedy}") };
            vec![mark.to_owned(), checked.file.display().to_string(), (*check).to_owned(), text]
        };
        table(&["", "FILE", "CHECK", "FINDING"], &checked.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(if worst == Some(Severity::Bad) { ExitCode::from(CHECK_FAILED) } else { ExitCode::SUCCESS })
}

fn files_of(args: &CertVerify) -> Result<Vec<Files>, CliError> {
    if let (Some(cert), Some(ca)) = (&args.cert, &args.ca) {
        let beside = cert.with_extension("key");
        let key = args.key_file.clone().or_else(|| beside.exists().then_some(beside));
        return Ok(vec![Files {
            profile: args.profile.into(),
            cert: cert.clone(),
            key,
            ca: ca.clone(),
            crl: args.crl.clone(),
        }]);
    }
    let dir = args.dir.as_deref().ok_or_else(|| CliError::usage("give --dir, or --cert and --ca"))?;
    let directory = HostDir::at(dir);
    let there = directory.files()?;
    let set = [Profile::Server, Profile::Peer]
        .into_iter()
        .filter(|profile| there.contains_key(&format!("{}.crt", profile.name())));
    let files = set.map(|profile| {
        let kind = profile.ca();
        let crl = host::list_name(kind);
        Files {
            profile,
            cert: directory.current(&format!("{}.crt", profile.name())),
            key: Some(directory.current(&format!("{}.key", profile.name()))),
            ca: directory.current(&host::bundle_name(kind)),
            crl: there.contains_key(&crl).then(|| directory.current(&crl)),
        }
    });
    let files: Vec<_> = files.collect();
    if files.is_empty() {
        return Err(CliError::new(
            admin_ui::error::FAILED,
            format!("{} holds neither a server's nor a peer's certificate", dir.display()),
        ));
    }
    Ok(files)
}

fn check(context: &Context, files: &Files, wanted: &[Name], warn: Duration) -> Result<Vec<Checked>, CliError> {
    let (shown, cas) = (host::certificates(&files.cert)?, host::certificates(&files.ca)?);
    let lists = files.crl.as_deref().map(host::revocation_lists).transpose()?.unwrap_or_default();
    let mut findings = Vec::new();
    let key = files.key.as_deref().map(|path| key(path, &mut findings)).transpose()?;
    let check = HostCheck {
        profile: files.profile,
        shown: &shown,
        cas: &cas,
        revocation_lists: &lists,
        key: key.as_ref(),
        wanted,
        warn,
    };
    findings.extend(check.run(context.now));
    Ok(findings.into_iter().map(|finding| Checked { file: files.cert.clone(), finding }).collect())
}

fn key(path: &Path, findings: &mut Vec<Finding>) -> Result<PrivateKey, CliError> {
    let (severity, text, remedy) = match certs::files::check_private(path) {
        Ok(()) => (Severity::Good, "others cannot read the key".to_owned(), String::new()),
        Err(error) => (Severity::Bad, error.to_string(), "a daemon refuses it".to_owned()),
    };
    findings.push(Finding { check: "mode", severity, text, remedy });
    let text = certs::files::read_text(path)?;
    PrivateKey::from_pem(&text, None).map_err(|error| CliError::of_file(path, &error))
}

/// The life of a certificate, or of the revocation list of a file that ends first.
struct Life {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

fn end_of(path: &Path) -> Result<Life, CliError> {
    let certificate = match host::facts(path) {
        Ok(facts) => return Ok(Life { not_before: facts.not_before, not_after: facts.not_after }),
        Err(failure) => failure,
    };
    let Ok(lists) = host::revocation_lists(path) else { return Err(certificate) };
    let mut lives = Vec::new();
    for list in lists {
        let facts = certs::RevocationListFacts::of(&list).map_err(|error| CliError::of_file(path, &error))?;
        lives.extend(facts.next_update.map(|end| Life { not_before: facts.this_update, not_after: end }));
    }
    lives.into_iter().min_by_key(|life| life.not_after).ok_or(certificate)
}

/// Unknown: systemd then counts the unit as failed, which an operator sees.
const UNKNOWN: u8 = 255;

#[expect(clippy::print_stderr, reason = "the answer is the exit code; the reason goes where systemd keeps it")]
pub(crate) fn needs_renewal(context: &Context, args: &CertNeedsRenewal) -> ExitCode {
    let end = match end_of(&args.cert) {
        Ok(end) => end,
        Err(error) => {
            eprintln!("etcd-admin: {error}");
            return ExitCode::from(UNKNOWN);
        }
    };
    let due = match args.days {
        Some(days) => end.not_after - context.now < Duration::days(days.into()),
        None => context.now - end.not_before >= (end.not_after - end.not_before) * 2 / 3,
    };
    eprintln!(
        "{}: {} left, {}",
        args.cert.display(),
        certs::time_left(end.not_after, context.now),
        if due { "due" } else { "not due" }
    );
    if due { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
