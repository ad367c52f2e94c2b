//! `cert request` and `cert install`: on a member, where keys are born and stay.

use super::issue::plan_of;
use crate::cli::context::Context;
use crate::host;
use crate::pki::{CertInstall, CertRequest};
use admin_ui::error::{CliError, INTEGRITY};
use admin_ui::output::{print_result, say};
use certs::files::{HostDir, HostFile};
use certs::{CaKind, CertificateFacts, PrivateKey, SigningRequest};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

pub(crate) fn request(context: &Context, args: &CertRequest) -> Result<ExitCode, CliError> {
    let plan = certs::LeafPlan { loopback_only: true, ..plan_of(&args.subject)? };
    plan.check()?;
    let directory = HostDir::at(&args.dir);
    let stem = host::stem(plan.profile, &plan.common_name);
    let names = [format!("{stem}.key"), format!("{stem}.csr")];
    let waiting = directory.pending(&names[0]).exists();
    if waiting && !args.replace {
        let text = format!(
            "a request is pending already: {}; replace it with --replace",
            directory.pending(&names[1]).display()
        );
        return Err(CliError::refused(text));
    }
    if context.dry_run {
        return say(&format!("would write {}\n", directory.pending(&names[1]).display())).map(|()| ExitCode::SUCCESS);
    }
    directory.forget_pending(&names)?;
    let key = PrivateKey::generate(args.key.into())?;
    let request = SigningRequest::create(&plan.common_name, &plan.names, &key)?;
    directory.keep_pending(&names[0], key.to_pem().as_bytes(), true)?;
    directory.keep_pending(&names[1], request.pem().as_bytes(), false)?;
    let made = Requested {
        profile: plan.profile.name(),
        common_name: plan.common_name.clone(),
        request: directory.pending(&names[1]),
    };
    print_result(context.format, &made, || {
        let sans: String = plan.names.iter().map(|name| format!(" --san {name}")).collect();
        format!(
            "{}\nThe key stays here. Sign the request where the CA is:\n  etcd-admin cert sign --profile {} --cn {}{sans} --out {stem}.crt {stem}.csr\n",
            made.request.display(),
            made.profile,
            made.common_name,
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Requested {
    profile: &'static str,
    common_name: String,
    request: PathBuf,
}

#[derive(Debug, Serialize)]
struct Installed {
    generation: u64,
    changed: Vec<String>,
    removed_generations: Vec<u64>,
    /// The daemon's settings for all that is there.
    flags: Vec<(String, PathBuf)>,
}

pub(crate) fn install(context: &Context, args: &CertInstall) -> Result<ExitCode, CliError> {
    let directory = HostDir::at(&args.dir);
    if !args.dir.is_dir() {
        return Err(CliError::usage(format!(
            "{} is not a directory: create it, owned by the user of the daemon",
            args.dir.display()
        )));
    }
    let mut files = Vec::new();
    let mut answered = Vec::new();
    for path in &args.cert {
        let (pair, names) = matched(&directory, path)?;
        files.extend(pair);
        answered.extend(names);
    }
    for (kind, bundle, list) in
        [(CaKind::Client, &args.client_ca, &args.client_crl), (CaKind::Peer, &args.peer_ca, &args.peer_crl)]
    {
        if let Some(path) = bundle {
            host::certificates(path)?;
            files.push(file(host::bundle_name(kind), path)?);
        }
        if let Some(path) = list {
            host::revocation_lists(path)?;
            files.push(file(host::list_name(kind), path)?);
        }
    }
    if files.is_empty() {
        return Err(CliError::usage(
            "nothing to install: give --cert, --client-ca, --peer-ca, --client-crl or --peer-crl",
        ));
    }
    let changed: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
    if context.dry_run {
        return say(&format!("would install {} in {}\n", changed.join(", "), args.dir.display()))
            .map(|()| ExitCode::SUCCESS);
    }
    let change = directory.change(&files)?;
    directory.forget_pending(&answered)?;
    let there = directory.files()?;
    let flags = host::FLAGS.into_iter().filter(|(name, _)| there.contains_key(*name));
    let flags = flags.map(|(name, flag)| (flag.to_owned(), directory.current(name))).collect();
    let report = Installed { generation: change.generation, changed, removed_generations: change.removed, flags };
    print_result(context.format, &report, || {
        let flags: String = report.flags.iter().map(|(flag, path)| format!("  {flag}: {}\n", path.display())).collect();
        let has_list = report.changed.iter().any(|name| name.ends_with("-crl.pem"));
        let enforced = if has_list {
            "A member refuses revoked certificates only if its configuration names the list: crl-file in client-transport-security and \
             peer-transport-security, or the flags above.\n"
        } else {
            ""
        };
        let removed: String =
            report.removed_generations.iter().map(|number| format!("Removed the old set {number}.\n")).collect();
        format!(
            "Set {} is current, with new {}. A running daemon takes it over by itself.\n{removed}{flags}{enforced}",
            report.generation,
            report.changed.join(", ")
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn file(name: String, path: &Path) -> Result<HostFile, CliError> {
    Ok(HostFile { name, content: certs::files::read(path)?, private: false })
}

/// Returns the certificate with the waiting key that it was made for, and the request that is done
/// then; or alone, where its key is in use already.
pub(crate) fn matched(directory: &HostDir, path: &Path) -> Result<(Vec<HostFile>, Vec<String>), CliError> {
    let facts = host::facts(path)?;
    let waiting = std::fs::read_dir(directory.pending(""))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    let certificate = |stem: &str| {
        Ok::<_, CliError>(HostFile { name: format!("{stem}.crt"), content: certs::files::read(path)?, private: false })
    };
    if let Some((stem, text)) = key_of(&facts, waiting.unwrap_or_default())? {
        let key = HostFile { name: format!("{stem}.key"), content: text.as_bytes().to_vec().into(), private: true };
        return Ok((vec![certificate(&stem)?, key], vec![format!("{stem}.key"), format!("{stem}.csr")]));
    }
    if let Some((stem, _)) = key_of(&facts, directory.files()?.into_values().collect())? {
        return Ok((vec![certificate(&stem)?], Vec::new()));
    }
    let text = format!(
        "{}: neither a request made in {} nor a key in use there is that of this certificate",
        path.display(),
        directory.path().display()
    );
    Err(CliError::new(INTEGRITY, text))
}

/// The key of a certificate among files, by its name without the ending, and its text.
fn key_of(facts: &CertificateFacts, files: Vec<PathBuf>) -> Result<Option<(String, Zeroizing<String>)>, CliError> {
    for path in files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "key")) {
        let text = certs::files::read_text(&path)?;
        let key = PrivateKey::from_pem(&text, None).map_err(|error| CliError::of_file(&path, &error))?;
        if key.public_key() == facts.public_key {
            return Ok(Some((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text)));
        }
    }
    Ok(None)
}
