//! `init local`: a cluster with TLS on this machine, from one command to the commands that start
//! it.

use super::apply::execute;
use super::args::{HostArgs, LocalArgs};
use super::document::{entry, place_below, random, text_of};
use super::plan::Plan;
use crate::cli::context::Context;
use crate::cluster_config::{ClusterFile, DocumentArgs};
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use certs::files::{CaDir, NewCa};
use certs::{CaKind, CaPlan, KeyAlgorithm};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use time::Duration;

/// Days that the CAs and their first CRLs are valid.
const CA_DAYS: i64 = 3650;
const CRL_DAYS: i64 = 365;

/// The cluster that was made.
#[derive(Debug, Serialize)]
struct Local {
    changed: bool,
    dry_run: bool,
    directory: PathBuf,
    endpoints: Vec<String>,
    /// Commands, one for each member.
    start: Vec<String>,
    /// A command for the shell, after which etcd-admin and etcdctl reach the cluster.
    environment: String,
}

pub(super) fn local(context: &Context, args: &LocalArgs) -> Result<ExitCode, CliError> {
    let directory = std::path::absolute(&args.dir).map_err(|error| CliError::at(&args.dir, error))?;
    if std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::refused(format!(
            "{} is not empty: name a new directory, or remove it",
            directory.display()
        )));
    }
    let port = |number: u16| args.first_port.saturating_add(number);
    let members = (0..args.members)
        .map(|number| entry(&format!("etcd{}=127.0.0.1:{}:{}", number + 1, port(2 * number), port(2 * number + 1))));
    let mut file =
        ClusterFile::new(&args.name, members.collect::<Result<_, _>>()?, format!("{}-{}", args.name, random()?));
    place_below(&mut file, &directory)?;
    let text = text_of(&file)?;
    if !context.dry_run {
        make(context, &directory, &file, &text)?;
    }
    let report = Local {
        changed: true,
        dry_run: context.dry_run,
        endpoints: file.hosts().map(|host| host.client_url()).collect(),
        start: file
            .hosts()
            .map(|host| format!("etcd-server --config-file {} &", host.config_file().display()))
            .collect(),
        environment: format!(". {}", directory.join(ENVIRONMENT).display()),
        directory,
    };
    print_result(context.format, &report, || {
        let made = if report.dry_run { "would make" } else { "made" };
        let start: String = report.start.iter().map(|command| format!("    {command}\n")).collect();
        format!(
            "{made} {}: {} members with TLS\n\nStart it:\n{start}\nUse it:\n    {}\n    etcd-admin wait --for healthy\n    etcd-admin status\n",
            report.directory.display(),
            report.start.len(),
            report.environment
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

const ENVIRONMENT: &str = "environment";

fn make(context: &Context, directory: &Path, file: &ClusterFile, text: &str) -> Result<(), CliError> {
    certs::files::private_dir(directory)?;
    let document = directory.join("cluster.yaml");
    certs::files::create(&document, text.as_bytes(), 0o600)?;
    let context =
        Context { ca_dir: Some(directory.join("ca")), format: context.format, dry_run: false, now: context.now };
    cas(&context, file)?;
    for host in file.hosts() {
        let args = HostArgs {
            document: DocumentArgs { cluster: Some(document.clone()) },
            member: Some(host.entry.name.clone()),
            ..HostArgs::default()
        };
        let plan = Plan::of(&context, &host, &args, host.settings())?;
        execute(&context, &host, &args, &plan)?;
    }
    certs::files::create(&directory.join(ENVIRONMENT), environment(file).as_bytes(), 0o600).map_err(CliError::from)
}

/// The keys of these CAs are as open as the members' keys beside them: everything is in one
/// directory of one user.
fn cas(context: &Context, file: &ClusterFile) -> Result<(), CliError> {
    for kind in CaKind::ALL {
        let dir = CaDir::below(&context.ca_dir()?, kind);
        let plan = CaPlan {
            common_name: format!("{} {kind} CA", file.name),
            lifetime: Duration::days(CA_DAYS),
            constraints: Vec::new(),
        };
        let ca = dir.create(&NewCa { plan, algorithm: KeyAlgorithm::P256, passphrase: None }, context.now)?;
        dir.publish(&ca, context.now, Duration::days(CRL_DAYS))?;
    }
    Ok(())
}

/// Returns the variables by which etcd-admin and etcdctl reach the cluster.
fn environment(file: &ClusterFile) -> String {
    let endpoints = file.hosts().map(|host| host.client_url()).collect::<Vec<_>>().join(",");
    let files = file.hosts().next().map(|host| host.certificates().join("current")).unwrap_or_default();
    let path = |name: &str| files.join(name).display().to_string();
    format!(
        "export ETCDCTL_ENDPOINTS={endpoints}\nexport ETCDCTL_CACERT={}\nexport ETCDCTL_CERT={}\nexport ETCDCTL_KEY={}\n",
        path("client-ca.crt"),
        path("server.crt"),
        path("server.key")
    )
}
