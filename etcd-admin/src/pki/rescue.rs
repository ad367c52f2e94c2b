//! `ca rescue`: every certificate has expired, and perhaps the CAs with them. The hosts keep their
//! keys; they get new certificates for them, bundles and CRLs, and a running daemon loads these by
//! itself.

use crate::cli::context::Context;
use crate::host;
use crate::pki::CaRescue;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, say, table};
use certs::files::{CaDir, Issued, NewCa, PUBLIC_MODE, RotationPhase};
use certs::{Ca, CaKind, CaPlan, CertificateFacts, KeyAlgorithm, LeafPlan, Name, Passphrase};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::Duration;

const LIST_LIFETIME: Duration = Duration::days(certs::files::LIST_DAYS);

/// An old certificate, whose it was, and where the new one is to go.
struct Wanted {
    old: CertificateFacts,
    issued: Issued,
    kind: CaKind,
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Rescued {
    cas: Vec<RescuedCa>,
    certificates: Vec<RescuedCertificate>,
}

#[derive(Debug, Serialize)]
struct RescuedCa {
    kind: CaKind,
    /// `true` if it was made because the old one has expired.
    new: bool,
    not_after: String,
    bundle: PathBuf,
    list: PathBuf,
}

#[derive(Debug, Serialize)]
struct RescuedCertificate {
    profile: &'static str,
    common_name: String,
    ended: String,
    not_after: String,
    file: PathBuf,
}

pub(crate) fn rescue(context: &Context, args: &CaRescue) -> Result<ExitCode, CliError> {
    if args.out.exists() {
        return Err(CliError::refused(format!(
            "{} exists already, and nothing is overwritten: name a new directory",
            args.out.display()
        )));
    }
    let root = context.ca_dir()?;
    let dirs: Vec<_> = CaKind::ALL.map(|kind| CaDir::below(&root, kind)).into_iter().filter(CaDir::exists).collect();
    if dirs.is_empty() {
        return Err(context.ca(CaKind::Client).err().unwrap_or_else(|| CliError::usage("there is no CA")));
    }
    let wanted = args.certs.iter().map(|path| wanted(&dirs, path, &args.out)).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) =
        wanted.iter().enumerate().find(|(number, one)| wanted[..*number].iter().any(|other| other.file == one.file))
    {
        let text = format!(
            "two certificates would be written to {}: keep those of each host in a directory of their own",
            twice.1.file.display()
        );
        return Err(CliError::usage(text));
    }
    for dir in &dirs {
        if dir.rotation() != RotationPhase::None && has_ended(context, dir)? {
            let text = format!(
                "an exchange of the {} CA is under way: end it with `etcd-admin ca rotate finish --force` first",
                dir.kind()
            );
            return Err(CliError::refused(text));
        }
    }
    if context.dry_run {
        return say(&would(context, &dirs, &wanted)?).map(|()| ExitCode::SUCCESS);
    }
    // Every passphrase is asked for before anything is changed.
    let secrets = dirs.iter().map(|dir| passphrase(dir, args)).collect::<Result<Vec<_>, _>>()?;
    certs::files::private_dir(&args.out)?;
    let mut report = Rescued { cas: Vec::new(), certificates: Vec::new() };
    for (dir, passphrase) in dirs.iter().zip(&secrets) {
        let (ca, new) = standing_ca(context, dir, passphrase.as_ref(), args)?;
        report.cas.push(hand_out(context, dir, &ca, new, &args.out)?);
        for wanted in wanted.iter().filter(|wanted| wanted.kind == dir.kind()) {
            report.certificates.push(sign(context, dir, &ca, wanted, args.days)?);
        }
    }
    print_result(context.format, &report, || text(&report))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a certificate that one of the CAs has issued, by its own register.
fn wanted(dirs: &[CaDir], path: &Path, out: &Path) -> Result<Wanted, CliError> {
    let old = host::facts(path)?;
    let mut refusal = None;
    for dir in dirs {
        match dir.good_standing(&old) {
            Ok(issued) => {
                let name = path.file_name().unwrap_or_default();
                let of_host = path.parent().and_then(Path::file_name).map_or_else(PathBuf::new, PathBuf::from);
                return Ok(Wanted { old, issued, kind: dir.kind(), file: out.join(of_host).join(name) });
            }
            // A revocation is a better reason than the other CA's missing entry.
            Err(error) => refusal = refusal.filter(|_| !error.to_string().contains("revoked")).or(Some(error)),
        }
    }
    let error = refusal.expect("there is at least one CA");
    Err(CliError::of_file(path, &error))
}

fn has_ended(context: &Context, dir: &CaDir) -> Result<bool, CliError> {
    Ok(dir.facts()?.not_after <= context.now)
}

fn passphrase(dir: &CaDir, args: &CaRescue) -> Result<Option<Passphrase>, CliError> {
    let asked = || args.passphrase.ask(&format!("the {} CA", dir.kind()));
    let passphrase = if dir.is_encrypted()? { Some(asked()?) } else { None };
    // A wrong one is found out before anything is changed.
    dir.unlock(passphrase.as_ref())?;
    Ok(passphrase)
}

/// Returns the CA as it is, or, where it has expired, a new one in its place under the same
/// passphrase.
fn standing_ca(
    context: &Context,
    dir: &CaDir,
    passphrase: Option<&Passphrase>,
    args: &CaRescue,
) -> Result<(Ca, bool), CliError> {
    if !has_ended(context, dir)? {
        return Ok((dir.unlock(passphrase)?, false));
    }
    let common_name = format!("etcd {} CA {}", dir.kind(), context.now.date());
    // The new CA has the name constraints of the old one.
    let constraints = CertificateFacts::constraints_of(&dir.unlock(passphrase)?.certificate().der)?;
    let plan = CaPlan { common_name, lifetime: Duration::days(args.ca_days), constraints };
    let new = NewCa { plan, algorithm: KeyAlgorithm::P256, passphrase };
    dir.rotation_start(&new, context.now)?;
    dir.rotation_switch()?;
    dir.rotation_finish()?;
    Ok((dir.unlock(passphrase)?, true))
}

/// The bundle and a fresh list, beside the certificates.
fn hand_out(context: &Context, dir: &CaDir, ca: &Ca, new: bool, out: &Path) -> Result<RescuedCa, CliError> {
    dir.publish(ca, context.now, LIST_LIFETIME)?;
    let (bundle, list) = (out.join(host::bundle_name(dir.kind())), out.join(host::list_name(dir.kind())));
    certs::files::create(&bundle, &certs::files::read(&dir.bundle_path())?, PUBLIC_MODE)?;
    certs::files::create(&list, &certs::files::read(&dir.revocation_list_path())?, PUBLIC_MODE)?;
    Ok(RescuedCa { kind: dir.kind(), new, not_after: certs::rfc3339(ca.facts().not_after), bundle, list })
}

fn sign(context: &Context, dir: &CaDir, ca: &Ca, wanted: &Wanted, days: i64) -> Result<RescuedCertificate, CliError> {
    let Wanted { old, issued, file, .. } = wanted;
    let names = issued.names.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let lifetime = Duration::days(days);
    // It was good enough when it was made.
    let plan = LeafPlan {
        profile: issued.profile,
        common_name: issued.common_name.clone(),
        names,
        lifetime,
        loopback_only: true,
    };
    let made = dir.sign_again(ca, &plan, old, context.now)?;
    if let Some(parent) = file.parent() {
        certs::files::private_dir(parent)?;
    }
    certs::files::create(file, made.pem.as_bytes(), PUBLIC_MODE)?;
    Ok(RescuedCertificate {
        profile: issued.profile.name(),
        common_name: issued.common_name.clone(),
        ended: certs::rfc3339(old.not_after),
        not_after: certs::rfc3339(made.facts()?.not_after),
        file: file.clone(),
    })
}

fn would(context: &Context, dirs: &[CaDir], wanted: &[Wanted]) -> Result<String, CliError> {
    let mut text = String::new();
    for dir in dirs {
        let what = if has_ended(context, dir)? { "make a new one of" } else { "keep" };
        text += &format!("would {what} the {} CA, and publish its list\n", dir.kind());
    }
    for Wanted { issued, file, .. } in wanted {
        text += &format!("would sign {} {} again as {}\n", issued.profile.name(), issued.common_name, file.display());
    }
    Ok(text)
}

fn text(report: &Rescued) -> String {
    let row = |made: &RescuedCertificate| {
        vec![
            made.profile.to_owned(),
            made.common_name.clone(),
            made.ended.clone(),
            made.not_after.clone(),
            made.file.display().to_string(),
        ]
    };
    let rows: Vec<_> = report.certificates.iter().map(row).collect();
    let mut text = table(&["PROFILE", "COMMON NAME", "ENDED", "VALID UNTIL", "FILE"], &rows);
    let mut flags = String::new();
    for ca in &report.cas {
        let RescuedCa { kind, new, not_after, bundle, list } = ca;
        let how = if *new { "had expired and was created again" } else { "is still valid" };
        text += &format!("\nThe {kind} CA {how}, valid until {not_after}.");
        flags += &format!(" --{kind}-ca {} --{kind}-crl {}", bundle.display(), list.display());
    }
    text + &format!(
        "\nBring each host its certificates, and all of them bundles and lists; no daemon needs a restart:\n  etcd-admin cert install --dir DIR --cert FILE{flags}\n"
    )
}
