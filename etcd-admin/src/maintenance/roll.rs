//! `roll`: in which order members are restarted, upgraded, or given new certificates. A plan:
//! nothing is done by it.
//!
//! Followers go first and the leader last, so that leadership moves once. Each step is safe to be
//! given again.

use super::args::{Kind, RollArgs};
use crate::cli::context::Context;
use crate::cluster_view::{ClusterView, Seen};
use admin_client::Client;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, table};
use serde::Serialize;
use std::process::ExitCode;

#[derive(Debug, Serialize)]
struct Step {
    member: String,
    /// `anywhere`, or `host`: the member's own machine.
    at: &'static str,
    command: String,
}

#[derive(Debug, Serialize)]
struct Plan {
    /// A plan changes nothing.
    changed: bool,
    kind: Kind,
    /// Names in their order.
    order: Vec<String>,
    steps: Vec<Step>,
}

pub(super) async fn roll(context: &Context, client: &Client, args: &RollArgs) -> Result<ExitCode, CliError> {
    let view = ClusterView::look(client).await?;
    if let Some(away) = view.members.iter().find(|seen| !seen.proven && !seen.member.is_learner) {
        let text = format!(
            "{} does not follow the leader: bring it back before others are touched (etcd-admin doctor cluster)",
            away.name()
        );
        return Err(CliError::refused(text));
    }
    let leader = view.leader().map(|seen| seen.member.id);
    let mut order: Vec<&Seen> = view.members.iter().collect();
    order.sort_by_key(|seen| (Some(seen.member.id) == leader, !seen.member.is_learner, seen.name()));
    let mut steps = Vec::new();
    if args.kind == Kind::Upgrade {
        let command = "etcd-admin snapshot save --dir /var/backups/etcd".to_owned();
        steps.push(Step { member: order.first().map(|seen| seen.name()).unwrap_or_default(), at: "host", command });
    }
    for seen in &order {
        let leads = Some(seen.member.id) == leader;
        one(&mut steps, args.kind, seen, leads && order.len() > 1, order.len() > 1);
    }
    let plan = Plan { changed: false, kind: args.kind, order: order.iter().map(|seen| seen.name()).collect(), steps };
    print_result(context.format, &plan, || {
        let row = |(number, step): (usize, &Step)| {
            vec![number.to_string(), step.member.clone(), step.at.to_owned(), step.command.clone()]
        };
        table(&["", "MEMBER", "WHERE", "COMMAND"], &(1..).zip(&plan.steps).map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the command on the host of a real etcd in a mixed cluster: our packages and units are
/// not there.
fn of_etcd(kind: Kind, seen: &Seen) -> String {
    let version = seen.status.as_ref().map(|status| status.version.clone()).unwrap_or_default();
    match kind {
        Kind::Restart => "systemctl restart etcd".to_owned(),
        Kind::Upgrade => {
            format!(
                "(a real etcd {version}: upgrade it with its own package, or migrate it with etcd-admin migrate run)"
            )
        }
        Kind::Rotate => {
            format!("(a real etcd {version}: replace its certificate files; it reads them again by itself)")
        }
    }
}

fn one(steps: &mut Vec<Step>, kind: Kind, seen: &Seen, leads: bool, has_others: bool) {
    let name = seen.name();
    let mut say = |at: &'static str, command: String| steps.push(Step { member: name.clone(), at, command });
    if kind == Kind::Rotate {
        if seen.is_etcd() {
            say("host", of_etcd(kind, seen));
        } else {
            say("host", format!("etcd-admin init apply --member {name}"));
            say("host", "etcd-admin doctor host".to_owned());
        }
        return;
    }
    if leads {
        say("anywhere", "etcd-admin leader move".to_owned());
    }
    if has_others {
        say("anywhere", format!("etcd-admin member ok-to-stop {name}"));
    }
    if seen.is_etcd() {
        say("host", of_etcd(kind, seen));
    } else {
        if kind == Kind::Upgrade {
            say("host", "apt-get install --only-upgrade etcd-appliance etcd-admin".to_owned());
        }
        say("host", "systemctl restart etcd-server".to_owned());
    }
    say("anywhere", format!("etcd-admin wait --for caught-up --member {name}"));
}
