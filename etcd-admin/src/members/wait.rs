//! `wait`: until the cluster has reached a state. Unreachable members are retried.

use super::args::{Goal, WaitForArgs};
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::{Client, Repeat, explained};
use admin_ui::error::{CliError, TIMED_OUT};
use admin_ui::output::print_result;
use admin_ui::progress::note;
use proto::etcdserverpb::RangeRequest;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(250);
/// Between two lines about the same obstacle.
const REMIND: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Waited {
    /// Never: waiting changes nothing.
    changed: bool,
    goal: Goal,
    reached: bool,
    seconds: u64,
    /// The present state.
    state: String,
}

pub(crate) async fn wait(context: &Context, client: &Client, args: &WaitForArgs) -> Result<ExitCode, CliError> {
    let begun = Instant::now();
    let mut report: Option<(String, Instant)> = None;
    // The position of the others at the beginning: no member can catch up with later writes.
    let mut target = None;
    loop {
        let obstacle = match look(client, args, &mut target).await {
            Ok(state) => {
                let waited = Waited {
                    changed: false,
                    goal: args.goal,
                    reached: true,
                    seconds: begun.elapsed().as_secs(),
                    state,
                };
                print_result(context.format, &waited, || format!("{}\n", waited.state))?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(obstacle) => obstacle,
        };
        if begun.elapsed() >= args.timeout {
            let text = format!("not {} within {:?}: {obstacle}", args.goal.name(), args.timeout);
            return Err(CliError::new(TIMED_OUT, text));
        }
        if report.as_ref().is_none_or(|(before, at)| *before != obstacle || at.elapsed() > REMIND) {
            note(&format!("waiting, {} s: {obstacle}", begun.elapsed().as_secs()));
            report = Some((obstacle, Instant::now()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the state when the goal is reached, or the obstacle: with endpoint, cause and remedy
/// where there is one.
async fn look(client: &Client, args: &WaitForArgs, target: &mut Option<u64>) -> Result<String, String> {
    match args.goal {
        Goal::Leader => {
            let view = view(client).await?;
            let leader = view.leader().ok_or_else(|| obstacle_to_leader(&view))?;
            Ok(format!("{} leads", leader.name()))
        }
        Goal::Quorum => {
            let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
            match client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
                Ok(_) => Ok("a quorum responds".to_owned()),
                // A user without permission was judged by a quorum, too.
                Err(error) if error.code() == tonic::Code::PermissionDenied => Ok("a quorum responds".to_owned()),
                Err(error) => {
                    client.leave();
                    Err(explained(client, error).await.to_string())
                }
            }
        }
        Goal::Healthy => healthy(client).await,
        Goal::CaughtUp => caught_up(client, args, target).await,
    }
}

async fn healthy(client: &Client) -> Result<String, String> {
    let view = view(client).await?;
    if view.leader().is_none() {
        return Err(obstacle_to_leader(&view));
    }
    if let Some(away) = view.voters().find(|seen| !seen.proven) {
        let cause = away
            .status
            .as_ref()
            .err()
            .map_or_else(|| "it responds, but does not follow the leader".to_owned(), Clone::clone);
        return Err(format!("{}: {cause}", of_member(away)));
    }
    if let Some((id, alarm)) = view.alarms.first() {
        return Err(format!("{alarm} of {} (etcd-admin explain {alarm})", view.name_of(*id)));
    }
    if let Some(link) = view.broken_links().first() {
        let remedy = if link.remedy.is_empty() { String::new() } else { format!(" ({})", link.remedy) };
        return Err(format!(
            "{} has no connection to {}: {} {}{remedy}",
            link.from.name(),
            link.to.name(),
            link.reason,
            link.error
        ));
    }
    Ok(format!("all {} voters follow {}", view.voters().count(), view.leader().map(Seen::name).unwrap_or_default()))
}

/// Describes a cluster without a leader: the members that do not answer, or the
/// connections that are missing.
fn obstacle_to_leader(view: &ClusterView) -> String {
    let (reachable, quorum) = (view.reachable_voters(), view.quorum());
    let mut text = format!("no leader: {reachable} of {} voters respond, {quorum} are needed", view.voters().count());
    for seen in view.voters() {
        if let Err(cause) = &seen.status {
            text += &format!("\n  {}: {cause}", of_member(seen));
        }
    }
    if reachable >= quorum {
        for link in view.broken_links() {
            text += &format!(
                "\n  {} has no connection to {}: {} {}",
                link.from.name(),
                link.to.name(),
                link.reason,
                link.error
            );
        }
    }
    text
}

fn of_member(seen: &Seen) -> String {
    seen.endpoint.as_ref().map_or_else(|| seen.name(), |endpoint| format!("{} at {endpoint}", seen.name()))
}

async fn caught_up(client: &Client, args: &WaitForArgs, target: &mut Option<u64>) -> Result<String, String> {
    let view = view(client).await?;
    if view.leader().is_none() {
        return Err(obstacle_to_leader(&view));
    }
    let target = *target.get_or_insert_with(|| view.members.iter().map(Seen::applied).max().unwrap_or(0));
    let meant = match &args.member {
        Some(arg) => {
            vec![view.find(arg).ok_or_else(|| format!("no member is called {arg}; there are {}", view.names()))?]
        }
        None => view.members.iter().collect(),
    };
    for seen in meant {
        match &seen.status {
            Err(error) => return Err(format!("{}: {error}", of_member(seen))),
            Ok(status) if status.raft_applied_index < target => {
                return Err(format!("{} has {} of {target} entries", seen.name(), status.raft_applied_index));
            }
            Ok(_) if !seen.member.is_learner && !seen.proven => {
                return Err(format!("{} does not follow the leader", seen.name()));
            }
            Ok(_) => {}
        }
    }
    Ok(format!("entry {target} is applied"))
}

async fn view(client: &Client) -> Result<ClusterView, String> {
    ClusterView::survey(client).await.map_err(|error| error.to_string())
}
