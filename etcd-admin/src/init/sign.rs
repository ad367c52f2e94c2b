//! `init sign`, on the machine of the CAs. A request gets the content that `cluster.yaml` gives its
//! host, and nothing else.

use super::args::SignArgs;
use super::certificates::{PROFILES, leaf_plan};
use crate::cli::context::Context;
use crate::cluster_config::ClusterFile;
use crate::host::{bundle_name, list_name};
use crate::pki::{current_list, unlock};
use admin_ui::error::{CliError, INTEGRITY};
use admin_ui::output::print_result;
use certs::SigningRequest;
use certs::files::PUBLIC_MODE;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Signed {
    changed: bool,
    dry_run: bool,
    member: String,
    files: Vec<PathBuf>,
}

pub(super) fn sign(context: &Context, args: &SignArgs) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(args.document.cluster.as_deref())?;
    let host = file.host(Some(&args.member))?;
    let mut files = Vec::new();
    for profile in PROFILES {
        let path = args.requests.join(format!("{}.csr", profile.name()));
        let plan = leaf_plan(&host, profile)?;
        let request =
            SigningRequest::read(&certs::files::read(&path)?).map_err(|error| CliError::of_file(&path, &error))?;
        if request.common_name != plan.common_name || request.names.iter().any(|name| !plan.names.contains(name)) {
            let text = format!(
                "{}: the request is for {} as {}, but cluster.yaml has {} as {}",
                path.display(),
                request.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                request.common_name,
                host.certificate_names().join(", "),
                plan.common_name
            );
            return Err(CliError::new(INTEGRITY, text));
        }
        let dir = context.ca(profile.ca())?;
        let (certificate, bundle) =
            (args.out.join(format!("{}.crt", profile.name())), args.out.join(bundle_name(dir.kind())));
        let list = args.out.join(list_name(dir.kind()));
        if !context.dry_run {
            let ca = unlock(&dir, &args.passphrase)?;
            let made = dir.sign(&ca, &plan, &request, context.now)?;
            certs::files::private_dir(&args.out)?;
            certs::files::replace(&certificate, made.pem.as_bytes(), PUBLIC_MODE)?;
            certs::files::replace(&bundle, &certs::files::read(&dir.bundle_path())?, PUBLIC_MODE)?;
            certs::files::replace(&list, &current_list(context, &dir, &ca)?, PUBLIC_MODE)?;
        }
        files.extend([certificate, bundle, list]);
    }
    let report = Signed { changed: true, dry_run: context.dry_run, member: args.member.clone(), files };
    print_result(context.format, &report, || {
        let lead = if context.dry_run { "would write " } else { "" };
        let files: String = report.files.iter().map(|path| format!("{lead}{}\n", path.display())).collect();
        format!(
            "{files}Bring the directory to {}, and there: etcd-admin init apply --member {} --signed DIR\n",
            report.member, report.member
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
