//! Asks each member now and then, to know how long an answer takes.

use crate::connect::{ask, request};
use crate::outbox::Outbox;
use crate::transport::Shared;
use http::Method;
use http_body_util::Full;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two questions (etcd: ConnReadTimeout - 1 s).
const INTERVAL: Duration = Duration::from_secs(4);
/// For one question.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks for ever.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<Outbox>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let url = shared.pick(&peer);
        let begun = Instant::now();
        let probing = || request(Method::GET, &url, "/raft/probing").body(Full::default());
        match ask(&*shared.connect, &url, probing, 4096, TIMEOUT).await {
            Ok(_) => peer.observer.round_trip(begun.elapsed()),
            Err(error) => tracing::debug!(remote_peer_id = %types::MemberId(peer.id), %error, "prober detected unhealthy status"),
        }
    }
}
