//! `cert issue`, `cert sign` and `cert renew`: signing by CAs.

use super::cas::unlock;
use crate::cli::context::Context;
use crate::host;
use crate::pki::{CertIssue, CertRenew, CertSign, Subject};
use admin_ui::error::{CHECK_FAILED, CliError};
use admin_ui::output::{print_result, say};
use certs::files::{CaDir, PRIVATE_MODE, PUBLIC_MODE};
use certs::{Certificate, CertificateFacts, LeafPlan, Name, PrivateKey, Profile, SigningRequest};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::Duration;

#[derive(Debug, Serialize)]
struct Made {
    profile: Profile,
    common_name: String,
    names: Vec<String>,
    serial: String,
    not_after: String,
    files: Vec<PathBuf>,
}

impl Made {
    fn of(profile: Profile, facts: &CertificateFacts, files: Vec<PathBuf>) -> Self {
        Self {
            profile,
            common_name: facts.common_name.clone().unwrap_or_default(),
            names: facts.names.iter().map(ToString::to_string).collect(),
            serial: facts.serial_hex(),
            not_after: certs::rfc3339(facts.not_after),
            files,
        }
    }

    fn report(&self) -> String {
        let names = if self.names.is_empty() { String::new() } else { format!(" for {}", self.names.join(", ")) };
        let files: String = self.files.iter().map(|path| format!("  {}\n", path.display())).collect();
        let profile = self.profile.name();
        format!(
            "{profile} certificate of {}{names}, valid until {}, serial {}\n{files}",
            self.common_name, self.not_after, self.serial
        )
    }
}

pub(crate) fn issue(context: &Context, args: &CertIssue) -> Result<ExitCode, CliError> {
    let plan =
        LeafPlan { lifetime: Duration::days(args.days), loopback_only: args.loopback_only, ..plan_of(&args.subject)? };
    plan.check()?;
    let dir = context.ca(plan.profile.ca())?;
    let stem = host::stem(plan.profile, &plan.common_name);
    let place = |name: String| args.out.join(name);
    let (certificate, key) = (place(format!("{stem}.crt")), place(format!("{stem}.key")));
    for path in [&certificate, &key] {
        if path.exists() {
            let text = format!(
                "{} exists already, and nothing is overwritten: `etcd-admin cert renew` makes a new one in its place",
                path.display()
            );
            return Err(CliError::refused(text));
        }
    }
    let bundle = place(host::bundle_name(dir.kind()));
    if context.dry_run {
        return say(&format!("would write {} and {}\n", certificate.display(), key.display()))
            .map(|()| ExitCode::SUCCESS);
    }
    let ca = unlock(&dir, &args.passphrase)?;
    let own = PrivateKey::generate(args.key.into())?;
    let made = dir.issue(&ca, &plan, &own, context.now)?;
    certs::files::private_dir(&args.out)?;
    certs::files::create(&key, own.to_pem().as_bytes(), PRIVATE_MODE)?;
    certs::files::create(&certificate, made.pem.as_bytes(), PUBLIC_MODE)?;
    let mut files = vec![certificate, key];
    if !bundle.exists() {
        certs::files::create(&bundle, &certs::files::read(&dir.bundle_path())?, PUBLIC_MODE)?;
        files.push(bundle);
    }
    let report = Made::of(plan.profile, &made.facts()?, files);
    print_result(context.format, &report, || report.report())?;
    Ok(ExitCode::SUCCESS)
}

/// A plan without a lifetime yet.
pub(crate) fn plan_of(subject: &Subject) -> Result<LeafPlan, CliError> {
    let profile: Profile = subject.profile.into();
    let names = subject.names.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let first = names.iter().find(|name| !name.is_loopback()).or(names.first()).map(ToString::to_string);
    let common_name = subject.cn.clone().or_else(|| profile.fixed_common_name().map(str::to_owned)).or(first);
    let missing = || CliError::usage(format!("whose {} certificate? give --cn NAME", profile.name()));
    let common_name = common_name.ok_or_else(missing)?;
    Ok(LeafPlan { profile, common_name, names, lifetime: Duration::days(365), loopback_only: false })
}

pub(crate) fn sign(context: &Context, args: &CertSign) -> Result<ExitCode, CliError> {
    let request = SigningRequest::read(&certs::files::read(&args.request)?)
        .map_err(|error| CliError::of_file(&args.request, &error))?;
    let profile: Profile = args.profile.into();
    check_request(&request, args, profile)?;
    let plan = LeafPlan {
        profile,
        common_name: request.common_name.clone(),
        names: request.names.clone(),
        lifetime: Duration::days(args.days),
        loopback_only: args.loopback_only,
    };
    plan.check()?;
    let dir = context.ca(profile.ca())?;
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(CliError::refused(format!("{} exists already, and nothing is overwritten", out.display())));
    }
    if context.dry_run {
        let names: Vec<_> = plan.names.iter().map(ToString::to_string).collect();
        let text =
            format!("would sign a {} certificate of {} for {}\n", profile.name(), plan.common_name, names.join(", "));
        return say(&text).map(|()| ExitCode::SUCCESS);
    }
    let ca = unlock(&dir, &args.passphrase)?;
    let made = dir.sign(&ca, &plan, &request, context.now)?;
    match &args.out {
        None => say(&made.pem)?,
        Some(out) => {
            certs::files::create(out, made.pem.as_bytes(), PUBLIC_MODE)?;
            let report = Made::of(profile, &made.facts()?, vec![out.clone()]);
            print_result(context.format, &report, || report.report())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks a request: its names are not signed unless the operator permits them.
fn check_request(request: &SigningRequest, args: &CertSign, profile: Profile) -> Result<(), CliError> {
    if let Some(wanted) = &args.cn
        && *wanted != request.common_name
    {
        return Err(CliError::refused(format!("the request is of {:?}, not of {wanted:?}", request.common_name)));
    }
    // A common name is a user: that of a client is never taken from the request alone.
    if !profile.is_dialled() && args.cn.is_none() && profile.fixed_common_name().is_none() {
        return Err(CliError::refused(format!(
            "the request is for {:?}: give --cn {:?} to sign for that user",
            request.common_name, request.common_name
        )));
    }
    let allowed = args.san.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let foreign: Vec<_> = request
        .names
        .iter()
        .filter(|name| !args.any_names && !allowed.contains(name))
        .map(ToString::to_string)
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let flags: String = foreign.iter().map(|name| format!(" --san {name}")).collect();
    Err(CliError::refused(format!(
        "the request has names that were not given: add{flags} if they belong to this host, or use --any-names"
    )))
}

pub(crate) fn renew(context: &Context, args: &CertRenew) -> Result<ExitCode, CliError> {
    let old = host::facts(&args.cert)?;
    let key_path = args.key_file.clone().unwrap_or_else(|| args.cert.with_extension("key"));
    if !old.is_due(context.now) && !args.now {
        let text = format!(
            "{}: {} left, it is not time yet; --now renews all the same\n",
            args.cert.display(),
            certs::time_left(old.not_after, context.now)
        );
        return say(&text).map(|()| ExitCode::from(CHECK_FAILED));
    }
    let profile = host::profile_of(&old, &args.cert);
    let plan = LeafPlan {
        profile,
        common_name: old.common_name.clone().unwrap_or_default(),
        names: old.names.clone(),
        lifetime: Duration::days(args.days),
        // It was good enough when it was made.
        loopback_only: true,
    };
    let dir = context.ca(profile.ca())?;
    if context.dry_run {
        return say(&format!("would renew {} and {}\n", args.cert.display(), key_path.display()))
            .map(|()| ExitCode::SUCCESS);
    }
    let made = renewed(context, &dir, &plan, args)?;
    write_renewed(args, &key_path, &made)?;
    let report = Made::of(profile, &made.0.facts()?, vec![args.cert.clone(), key_path]);
    print_result(context.format, &report, || report.report())?;
    Ok(ExitCode::SUCCESS)
}

fn renewed(
    context: &Context,
    dir: &CaDir,
    plan: &LeafPlan,
    args: &CertRenew,
) -> Result<(Certificate, PrivateKey), CliError> {
    let ca = unlock(dir, &args.passphrase)?;
    let key = PrivateKey::generate(args.key.into())?;
    Ok((dir.issue(&ca, plan, &key, context.now)?, key))
}

/// Writes a renewed certificate. In a host's directory the whole set changes at once. Elsewhere the
/// key comes first: a daemon that looks in between finds a pair that does not belong together,
/// keeps the loaded one, and looks again.
fn write_renewed(args: &CertRenew, key_path: &Path, made: &(Certificate, PrivateKey)) -> Result<(), CliError> {
    let (certificate, key) = made;
    if let Some(dir) = host_dir_of(&args.cert) {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file =
            |name, content: &[u8], private| certs::files::HostFile { name, content: content.to_vec().into(), private };
        dir.change(&[
            file(name(&args.cert), certificate.pem.as_bytes(), false),
            file(name(key_path), key.to_pem().as_bytes(), true),
        ])?;
        return Ok(());
    }
    certs::files::replace(key_path, key.to_pem().as_bytes(), PRIVATE_MODE)?;
    certs::files::replace(&args.cert, certificate.pem.as_bytes(), PUBLIC_MODE)?;
    Ok(())
}

/// Returns the host's directory of a file, when it is named by the link `current`.
fn host_dir_of(path: &Path) -> Option<certs::files::HostDir> {
    let current = path.parent()?;
    let is_link = current.ends_with("current") && current.symlink_metadata().ok()?.is_symlink();
    is_link.then(|| certs::files::HostDir::at(current.parent().unwrap_or(Path::new("."))))
}
