//! `ca rotate`: a CA is exchanged without a gap, step by step; each step can be repeated and none
//! is skipped.

use super::cas::{chosen_passphrase, plan};
use crate::cli::context::Context;
use crate::pki::{CaRotate, RotateStep};
use admin_ui::error::CliError;
use admin_ui::output::{print_result, say};
use certs::files::{CaDir, Issued, RotationPhase};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use time::Duration;

const LIST_LIFETIME: Duration = Duration::days(certs::files::LIST_DAYS);
/// The daemon's metric of live connections by CA.
const CONNECTIONS: &str = "etcd_tls_connections{";

#[derive(Debug, Serialize)]
struct Progress {
    kind: certs::CaKind,
    phase: RotationPhase,
    issuing: String,
    previous: Option<String>,
    left_of_previous: Vec<Issued>,
    next: String,
}

pub(crate) fn rotate(context: &Context, args: &CaRotate) -> Result<ExitCode, CliError> {
    let dir = context.ca(args.kind.into())?;
    match args.step {
        RotateStep::Status => {}
        step if context.dry_run => {
            let text =
                format!("would {step:?} the exchange of the {} CA, which is at {:?}\n", dir.kind(), dir.rotation());
            return say(&text).map(|()| ExitCode::SUCCESS);
        }
        RotateStep::Start => start(context, args, &dir)?,
        RotateStep::Switch => dir.rotation_switch()?,
        RotateStep::Finish => finish(context, args, &dir)?,
    }
    let previous = dir.previous()?.map(|facts| facts.fingerprint_hex());
    let progress = Progress {
        kind: dir.kind(),
        phase: dir.rotation(),
        issuing: dir.facts()?.fingerprint_hex(),
        previous,
        left_of_previous: dir.left_of_previous(context.now)?,
        next: next(&dir),
    };
    print_result(context.format, &progress, || report(&progress, &dir))?;
    Ok(ExitCode::SUCCESS)
}

fn start(context: &Context, args: &CaRotate, dir: &CaDir) -> Result<(), CliError> {
    let passphrase = chosen_passphrase(&args.new, "the next CA")?;
    let name = name(context, args, dir)?;
    let ca = dir.rotation_start(&plan(&args.new, name, passphrase.as_ref())?, context.now)?;
    // Without a list of its own, its certificates would be refused wherever lists are looked at.
    dir.publish(&ca, context.now, LIST_LIFETIME)?;
    Ok(())
}

/// Returns a name other than the old one's, even on the same day: clients that trust both find the
/// right one by its name.
fn name(context: &Context, args: &CaRotate, dir: &CaDir) -> Result<String, CliError> {
    let name = |when: String| format!("{} {} CA {when}", args.name, dir.kind());
    let today = name(context.now.date().to_string());
    let taken = dir.facts()?.common_name.as_deref() == Some(&today);
    Ok(if taken { name(certs::rfc3339(context.now)) } else { today })
}

/// Drops the old CA only when it is not needed: neither by the register nor by any reported
/// connection of a member.
fn finish(context: &Context, args: &CaRotate, dir: &CaDir) -> Result<(), CliError> {
    let Some(previous) = dir.previous()? else { return Ok(dir.rotation_finish()?) };
    if !args.force {
        let left = dir.left_of_previous(context.now)?;
        if !left.is_empty() {
            let names: Vec<_> =
                left.iter().map(|issued| format!("{} {}", issued.profile.name(), issued.common_name)).collect();
            let text = format!(
                "certificates of the old CA have no successor yet: {}; issue them again, revoke them, or use --force",
                names.join(", ")
            );
            return Err(CliError::refused(text));
        }
        for path in &args.metrics {
            let connections = connections_of(path, &previous.fingerprint_hex())?;
            if connections > 0 {
                let text = format!(
                    "{}: {connections} connections still use the old CA; install new certificates for their clients, or use --force",
                    path.display()
                );
                return Err(CliError::refused(text));
            }
        }
    }
    Ok(dir.rotation_finish()?)
}

fn connections_of(path: &Path, fingerprint: &str) -> Result<u64, CliError> {
    let page = certs::files::read_text(path)?;
    let lines = page.lines().filter(|line| line.starts_with(CONNECTIONS) && line.contains(fingerprint));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

fn next(dir: &CaDir) -> String {
    let step = |step: &str| format!("etcd-admin ca rotate {step} --kind {}", dir.kind());
    match dir.rotation() {
        RotationPhase::None => "No exchange is under way.".to_owned(),
        RotationPhase::TrustBoth => {
            format!("Copy the bundle and the CRL to every member and client, then: {}", step("switch"))
        }
        RotationPhase::Reissue => format!("Issue every certificate again and install it, then: {}", step("finish")),
    }
}

fn report(progress: &Progress, dir: &CaDir) -> String {
    let left: String = progress
        .left_of_previous
        .iter()
        .map(|issued| {
            format!("  to be issued again: {} {} ({})\n", issued.profile.name(), issued.common_name, issued.serial)
        })
        .collect();
    format!(
        "{} CA: {}\n  bundle: {}\n{left}{}\n",
        progress.kind,
        phase_name(progress.phase),
        dir.bundle_path().display(),
        progress.next
    )
}

fn phase_name(phase: RotationPhase) -> &'static str {
    match phase {
        RotationPhase::None => "no exchange under way",
        RotationPhase::TrustBoth => "both CAs are trusted, the old one issues",
        RotationPhase::Reissue => "both CAs are trusted, the new one issues",
    }
}
