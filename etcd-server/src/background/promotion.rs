//! Promoting learners that have caught up, where `--auto-promote-learners` asks for it.

use api::Server;
use std::collections::BTreeSet;
use std::time::Duration;
use types::MemberId;

/// Between two looks at the learners.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs for as long as the process lives, and acts while this member is leader. A learner is
/// promoted by the rule of `member promote`; a refusal for another reason than lagging is logged
/// once.
pub(crate) async fn run(server: Server) {
    let mut told = BTreeSet::new();
    let mut look = tokio::time::interval(INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let learners = server.learners_in_sync().await;
        told.retain(|id| learners.contains(id));
        for id in learners {
            promote(&server, id, &mut told).await;
        }
    }
}

async fn promote(server: &Server, id: MemberId, told: &mut BTreeSet<MemberId>) {
    match server.promote_member(id, None).await {
        Ok(_) => tracing::info!(promoted_member_id = %id, "promoted a learner that has caught up"),
        Err(status) if told.insert(id) => {
            tracing::warn!(learner_member_id = %id, error = status.message(), "a learner has caught up but cannot be promoted");
        }
        Err(_) => {}
    }
}
