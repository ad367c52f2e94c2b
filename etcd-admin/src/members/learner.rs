//! From a learner to a voter: wait until it runs, until it has caught up, and until it is let in.

use crate::cluster_view::ClusterView;
use admin_client::{CallError, Client, Repeat, explained};
use admin_ui::error::{CliError, TIMED_OUT};
use admin_ui::progress::{Progress, note};
use proto::etcdserverpb::{MemberPromoteRequest, StatusRequest};
use std::time::{Duration, Instant};

/// Between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(200);
/// A leader that does not take it in yet says so by these.
const NOT_YET: [&str; 2] =
    ["etcdserver: can only promote a learner member which is in sync with leader", "etcdserver: unhealthy cluster"];

/// Lets a learner vote as soon as the leader finds that it has caught up. Returns at once when it
/// votes already.
pub(crate) async fn promote_learner(client: &Client, id: u64, limit: Duration) -> Result<(), CliError> {
    let begun = Instant::now();
    let progress = Progress::of_steps(&format!("member {id:x} catches up"));
    let mut told_to_start = false;
    loop {
        let request = MemberPromoteRequest { id };
        match client.call(Repeat::Unsafe, async |session| session.cluster().member_promote(request).await).await {
            Ok(_) => return Ok(()),
            Err(CallError::Status { status, .. })
                if status.message() == "etcdserver: can only promote a learner member" =>
            {
                return Ok(());
            }
            Err(CallError::Status { status, .. }) if NOT_YET.contains(&status.message()) => {}
            // The leader may be on its way elsewhere, or busy, which is no reason to give up: a
            // promotion that was made is no error the next time.
            Err(error)
                if matches!(error.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded)
                    && begun.elapsed() < limit => {}
            Err(error) => return Err(explained(client, error).await),
        }
        let behind = look(client, id).await?;
        match behind {
            Behind::Entries { has, wanted } => progress.at(has, wanted),
            Behind::NotStarted if !told_to_start => {
                note("waiting for the new member to be started");
                told_to_start = true;
            }
            Behind::NotStarted => {}
        }
        if begun.elapsed() >= limit {
            let state = match behind {
                Behind::NotStarted => "it has not been started".to_owned(),
                Behind::Entries { has, wanted } => format!("it has {has} of {wanted} entries"),
            };
            let text = format!(
                "member {id:x} has not caught up within {limit:?}: {state}; it stays a learner; continue with `etcd-admin member promote {id:x}`"
            );
            return Err(CliError::new(TIMED_OUT, text));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The progress of a learner.
enum Behind {
    NotStarted,
    Entries { has: u64, wanted: u64 },
}

async fn look(client: &Client, id: u64) -> Result<Behind, CliError> {
    let view = ClusterView::look(client).await?;
    let Some(seen) = view.members.iter().find(|seen| seen.member.id == id) else {
        return Err(CliError::refused(format!("member {id:x} has been removed meanwhile")));
    };
    let status = client.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await;
    let wanted = status.map_or(0, |status| status.raft_index);
    match &seen.status {
        Ok(status) => {
            Ok(Behind::Entries { has: status.raft_applied_index, wanted: wanted.max(status.raft_applied_index) })
        }
        Err(_) => Ok(Behind::NotStarted),
    }
}
