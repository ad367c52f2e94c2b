//! `join`: this host becomes a member of a running cluster.
//!
//! The steps follow from the present state: the host's files, and the cluster's view of it. So an
//! interrupted run resumes where it stopped, and a complete one changes nothing. The member is
//! added as a learner, and promoted when it has caught up.

use super::apply::{Report, execute};
use super::args::{HostArgs, JoinArgs, placed};
use super::plan::Plan;
use crate::cli::context::Context;
use crate::cluster_config::{ClusterFile, Host};
use crate::cluster_view::ClusterView;
use crate::members::{add_learner, all_must_answer, new_member, promote_learner};
use admin_client::{Client, TlsFiles};
use admin_offline::data_dir::has_member;
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use admin_ui::progress::note;
use serde::{Serialize, Serializer};
use serde_norway::Mapping;
use std::process::ExitCode;

fn in_hex<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| format!("{id:x}")).serialize(serializer)
}

#[derive(Debug, Serialize)]
struct Joined {
    #[serde(flatten)]
    report: Report,
    /// The steps in the cluster, in order; the planned ones in a dry run.
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_hex")]
    id: Option<u64>,
    /// `true` if it is a member that votes.
    votes: bool,
}

pub(super) async fn join(context: &Context, client: &Client, args: &JoinArgs) -> Result<ExitCode, CliError> {
    let file = ClusterFile::read(args.host.document.cluster.as_deref())?;
    let host = file.host(args.host.member.as_deref())?;
    // Without certificates no member can be asked.
    let mut first = Plan::of(context, &host, &args.host, host.settings())?;
    first.changes.retain(|change| !first.files.iter().any(|file| file.path == change.path));
    first.files.clear();
    first.next = first.certificates.as_ref().map(|certificates| certificates.next.clone()).unwrap_or_default();
    let report = Report::of(&host, &first, context.dry_run);
    if !context.dry_run {
        execute(context, &host, &args.host, &first)?;
    }
    if !first.ready || (context.dry_run && report.changed && file.tls.enabled) {
        return tell(context, &Joined { report, steps: Vec::new(), id: None, votes: false });
    }
    let client = towards(client, &host, &args.host)?;
    let view = ClusterView::look(&client).await?;
    let urls = vec![host.peer_url()];
    let known = new_member(&view, &host.entry.name, &urls, None)?;
    let has_data = has_member(&placed(&args.host, &host.data_dir()));
    if let Some(seen) = known.filter(|seen| seen.is_started() && !has_data) {
        let text = format!(
            "{} has run before, and its data is not here: rebuild it with etcd-admin member rebuild {}",
            seen.name(),
            seen.name()
        );
        return Err(CliError::refused(text));
    }
    let mut joined = Joined { report, steps: Vec::new(), id: known.map(|seen| seen.member.id), votes: false };
    joined.votes = known.is_some_and(|seen| seen.is_started() && !seen.member.is_learner);
    if known.is_none() {
        all_must_answer(&view)?;
        joined.step(format!("add {} as a learner at {}", host.entry.name, host.peer_url()));
        if !context.dry_run {
            joined.id = Some(add_learner(&client, &urls).await?);
        }
    }
    let view = if context.dry_run { view } else { ClusterView::look(&client).await? };
    let plan = Plan::of(context, &host, &args.host, settings(&host, &view))?;
    let rest = Report::of(&host, &plan, context.dry_run);
    joined.report.diff.extend(rest.diff);
    joined.report.next.extend(rest.next);
    if !context.dry_run {
        execute(context, &host, &args.host, &plan)?;
    }
    if !joined.votes {
        joined.step(format!("promote {} as soon as it has caught up", host.entry.name));
        if let (Some(id), false) = (joined.id, context.dry_run || args.no_wait) {
            note(&format!(
                "{} is written: start the member now (systemctl enable --now etcd-server)",
                host.config_file().display()
            ));
            promote_learner(&client, id, args.wait).await?;
            joined.votes = true;
            // It runs.
            joined.report.next.clear();
        }
    }
    joined.report.changed = !joined.report.diff.is_empty() || !joined.steps.is_empty();
    tell(context, &joined)
}

impl Joined {
    fn step(&mut self, text: String) {
        if !self.report.dry_run {
            note(&text);
        }
        self.steps.push(text);
    }
}

fn tell(context: &Context, joined: &Joined) -> Result<ExitCode, CliError> {
    print_result(context.format, joined, || {
        let lead = if context.dry_run { "would " } else { "" };
        let steps: String = joined.steps.iter().map(|step| format!("{lead}{step}\n")).collect();
        let votes =
            if joined.votes { format!("{} is a member and votes\n", joined.report.member) } else { String::new() };
        format!("{steps}{}{votes}", joined.report.text())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Connects to the other members of `cluster.yaml`, by the certificate of this host, unless flags
/// name others.
fn towards(client: &Client, host: &Host<'_>, args: &HostArgs) -> Result<Client, CliError> {
    let mut settings = client.settings.clone();
    if settings.endpoints_given {
        return Ok(Client::new(settings)?);
    }
    settings.endpoints =
        host.file.hosts().filter(|other| other.entry.name != host.entry.name).map(|other| other.client_url()).collect();
    "cluster.yaml".clone_into(&mut settings.origin);
    settings.server_name = None;
    if host.file.tls.enabled && !settings.tls.any() {
        let file = |name: &str| Some(placed(args, &host.certificates()).join("current").join(name));
        settings.tls = TlsFiles {
            cacert: file("client-ca.crt"),
            cert: file("server.crt"),
            key: file("server.key"),
            ..settings.tls
        };
    }
    Ok(Client::new(settings)?)
}

/// Returns the configuration of a joining member: the members are the present ones.
fn settings(host: &Host<'_>, view: &ClusterView) -> Mapping {
    let own = host.peer_url();
    let mut entries: Vec<String> = view
        .members
        .iter()
        .flat_map(|seen| {
            let is_own = seen.member.peer_ur_ls.contains(&own);
            let name = if is_own { host.entry.name.clone() } else { seen.member.name.clone() };
            seen.member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    if !entries.iter().any(|entry| entry.ends_with(&format!("={own}"))) {
        entries.push(format!("{}={own}", host.entry.name));
    }
    let mut settings = host.settings();
    settings.insert("initial-cluster".into(), entries.join(",").into());
    settings.insert("initial-cluster-state".into(), "existing".into());
    settings
}
