//! `maintenance reclaim`: forget history, give the space back, and lift the alarm, in the one order
//! in which that works.
//!
//! Members give space back one after another, the leader last; the first one that fails ends it. An
//! alarm of corruption is never lifted.

use super::args::ReclaimArgs;
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::{CallError, Client, Repeat, explained};
use admin_ui::confirm::confirm;
use admin_ui::error::CliError;
use admin_ui::output::print_result;
use admin_ui::output::size;
use admin_ui::progress::note;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, StatusRequest, alarm_request::AlarmAction,
};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

#[derive(Debug, Default, Serialize)]
struct Reclaimed {
    changed: bool,
    dry_run: bool,
    /// The steps done, in order; the planned ones in a dry run.
    steps: Vec<String>,
    members: Vec<Space>,
    /// Members whose alarm was lifted.
    disarmed: Vec<String>,
}

/// Bytes of one member, before and after.
#[derive(Debug, Serialize)]
struct Space {
    name: String,
    before_bytes: i64,
    after_bytes: i64,
}

impl Reclaimed {
    fn step(&mut self, text: String) -> bool {
        if self.dry_run {
            self.changed = true;
        } else {
            note(&text);
        }
        self.steps.push(text);
        !self.dry_run
    }
}

pub(super) async fn reclaim(context: &Context, client: &Client, args: &ReclaimArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    if let Some((id, _)) = view.alarms.iter().find(|(_, alarm)| alarm == "CORRUPT") {
        let text = format!(
            "member {id:x} has a CORRUPT alarm, which more space does not clear: run etcd-admin doctor cluster, then member rebuild"
        );
        return Err(CliError::refused(text));
    }
    if let Some(away) = view.members.iter().find(|seen| seen.status.is_err()) {
        return Err(CliError::refused(format!(
            "{} cannot be reached, and would keep its space: bring it back, or remove it",
            away.name()
        )));
    }
    let mut report = Reclaimed { dry_run: context.dry_run, ..Reclaimed::default() };
    let target = view.revision - i64::from(args.keep_revisions);
    if !context.dry_run {
        let what = format!(
            "This compacts all history up to revision {target} of cluster {:x}: watchers and readers of older revisions will be refused.",
            view.cluster_id
        );
        confirm(&what, &format!("{:x}", view.cluster_id), args.yes)?;
    }
    if target > 0 && report.step(format!("compact up to revision {target}")) {
        compact(client, &mut report, target).await?;
    }
    let leader = view.leader().map(|seen| seen.member.id);
    let mut order: Vec<&Seen> = view.members.iter().collect();
    order.sort_by_key(|seen| Some(seen.member.id) == leader);
    for seen in order {
        let before_bytes = bytes(seen);
        let mut space = Space { name: seen.name(), before_bytes, after_bytes: before_bytes };
        if report.step(format!("defragment {}", seen.name())) {
            space.after_bytes = defragment(client, seen).await?;
            report.changed |= space.after_bytes < before_bytes;
        }
        report.members.push(space);
    }
    for (id, alarm) in view.alarms.iter().filter(|(_, alarm)| alarm == "NOSPACE") {
        let name = view.name_of(*id);
        if report.step(format!("disarm {alarm} of {name}")) {
            disarm(client, *id).await?;
            report.changed = true;
            report.disarmed.push(name);
        }
    }
    print_result(context.format, &report, || {
        let lead = if report.dry_run { "would " } else { "" };
        let steps: String = report.steps.iter().map(|step| format!("{lead}{step}\n")).collect();
        let shown = |bytes: i64| size(u64::try_from(bytes).unwrap_or(0));
        let row = |space: &Space| {
            format!("{}: {} before, {} now\n", space.name, shown(space.before_bytes), shown(space.after_bytes))
        };
        let spaces: String = if report.dry_run { String::new() } else { report.members.iter().map(row).collect() };
        format!("{steps}{spaces}")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn bytes(seen: &Seen) -> i64 {
    seen.status.as_ref().map_or(0, |status| status.db_size)
}

async fn compact(client: &Client, report: &mut Reclaimed, revision: i64) -> Result<(), CliError> {
    let request = CompactionRequest { revision, physical: true };
    match client
        .call_within(patience(client), Repeat::Unsafe, async |session| session.kv().compact(request).await)
        .await
    {
        Ok(_) => report.changed = true,
        // Already compacted by another client.
        Err(CallError::Status { status, .. }) if status.message() == COMPACTED => {}
        Err(error) => return Err(explained(client, error).await),
    }
    Ok(())
}

/// Returns the time limit: these take as long as a disk needs, unless a flag sets a limit.
fn patience(client: &Client) -> Option<Duration> {
    client.settings.command_timeout_given.then_some(client.settings.command_timeout)
}

/// Answers the member's size afterwards.
async fn defragment(client: &Client, seen: &Seen) -> Result<i64, CliError> {
    let own = client.at(seen.endpoint.as_deref().unwrap_or_default())?;
    let asked = own
        .call_within(patience(&own), Repeat::Unsafe, async |session| {
            session.maintenance().defragment(DefragmentRequest {}).await
        })
        .await;
    if let Err(error) = asked {
        return Err(explained(&own, error).await);
    }
    let status = own.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
    Ok(status.map_or_else(|_| bytes(seen), |status| status.db_size))
}

async fn disarm(client: &Client, member_id: u64) -> Result<(), CliError> {
    let request = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id, alarm: AlarmType::Nospace.into() };
    match client.call(Repeat::Unsafe, async |session| session.maintenance().alarm(request).await).await {
        Ok(_) => Ok(()),
        Err(error) => Err(explained(client, error).await),
    }
}
