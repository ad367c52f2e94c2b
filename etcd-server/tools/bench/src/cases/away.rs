//! A member comes back after many writes: the effect on the others' clients, and the time it takes.

use std::time::{Duration, Instant};

use proto::etcdserverpb::{RangeRequest, StatusRequest};
use rpc::etcdserverpb::{kv_client::KvClient, maintenance_client::MaintenanceClient};

use super::{Plan, history};
use crate::{
    load::Sample,
    report::Figure,
    target::{BenchError, Target},
};

/// Between two looks at whether the member has caught up.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The last member is the one that goes away: connections made meanwhile are to the others.
pub(super) async fn measure(target: &mut Target, plan: &Plan) -> Result<Vec<Figure>, BenchError> {
    let quiet = history::puts_during(target, plan, std::future::pending()).await?;
    let mut away = target.take_last();
    away.kill();
    history::write_history(target, plan.history).await?;
    let term_before = term(target).await?;
    let begun = Instant::now();
    away.relaunch()?;
    let (during, caught_up) =
        tokio::try_join!(history::puts_during(target, plan, std::future::pending()), caught_up(target, &away))?;
    let term_after = term(target).await?;
    let p99 = |sample: &Sample| sample.p99_micros;
    Ok(vec![
        Figure::lower("put p99, all members there", "us", p99(&quiet)),
        Figure::lower("put p99, one comes back", "us", p99(&during)),
        Figure::lower("  against all there", "x", p99(&during) / p99(&quiet)),
        Figure::lower("until it has caught up", "ms", caught_up.duration_since(begun).as_secs_f64() * 1000.0),
        Figure::lower("elections meanwhile", "", (term_after - term_before) as f64),
    ])
}

async fn term(target: &Target) -> Result<u64, BenchError> {
    let status =
        MaintenanceClient::new(target.connection().await?).status(StatusRequest {}).await.map_err(target.failed())?;
    Ok(status.into_inner().raft_term)
}

/// Waits until a serializable read at the member returns the revision that the others have now.
async fn caught_up(target: &Target, away: &testbed::Server) -> Result<Instant, BenchError> {
    let newest = history::revision(target).await?;
    let read = RangeRequest { key: "key".into(), serializable: true, ..RangeRequest::default() };
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Ok(connection) = target.connection_to(away).await else { continue };
        let Ok(response) = KvClient::new(connection).range(read.clone()).await else { continue };
        if response.into_inner().header.is_some_and(|header| header.revision >= newest) {
            return Ok(Instant::now());
        }
    }
}
