//! Probes of each member: the round-trip time, and the difference between its clock and this one's.

use crate::connect::{ask, request};
use crate::log_limit::LogLimit;
use crate::peer_sender::PeerSender;
use crate::shared::Shared;
use http::Method;
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Time between two probes (etcd: ConnReadTimeout - 1 s).
const INTERVAL: Duration = Duration::from_secs(4);
/// Time limit of a probe.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest difference of clocks that is not reported (etcd: rafthttp/probing_status.go). Leases and
/// certificates suffer from more.
const CLOCK_DRIFT_MAX: time::Duration = time::Duration::seconds(1);

/// The response to a probe, as etcd's.
#[derive(Debug, Serialize, Deserialize)]
struct Health {
    #[serde(rename = "OK")]
    ok: bool,
    /// The time of the member that responds, as RFC 3339.
    #[serde(rename = "Now")]
    now: String,
}

/// Returns the body of the response to a probe at `now`.
pub(crate) fn health(now: OffsetDateTime) -> String {
    let now = now.format(&Rfc3339).unwrap_or_default();
    serde_json::to_string(&Health { ok: true, now }).unwrap_or_default() + "\n"
}

/// Returns by how much the clock that `body` was made by is ahead of this one, `sent` and
/// `round_trip` later being this clock's times of the request and of the response. `None` if the
/// body holds no time.
fn clock_drift(body: &[u8], sent: OffsetDateTime, round_trip: Duration) -> Option<time::Duration> {
    let health: Health = serde_json::from_slice(body).ok()?;
    let theirs = OffsetDateTime::parse(&health.now, &Rfc3339).ok()?;
    Some(theirs - (sent + round_trip / 2))
}

/// Probes a member for as long as it is a member.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<PeerSender>) {
    let logs = LogLimit::default();
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let url = shared.pick(&peer);
        let (begun, sent) = (Instant::now(), OffsetDateTime::now_utc());
        let probing = || request(Method::GET, &url, "/raft/probing").body(Full::default());
        match ask(&*shared.connect, &url, probing, 4096, TIMEOUT).await {
            Ok(answered) => {
                let round_trip = begun.elapsed();
                peer.observer.round_trip(round_trip);
                let drift = clock_drift(&answered.body, sent, round_trip);
                peer.set_probe(round_trip, drift);
                if let Some(drift) = drift.filter(|drift| drift.abs() > CLOCK_DRIFT_MAX)
                    && logs.allows("clock drift", begun)
                {
                    tracing::warn!(remote_peer_id = %types::MemberId(peer.id), clock_drift = %drift, rtt = ?round_trip, "prober found high clock drift");
                }
            }
            Err(error) => {
                tracing::debug!(remote_peer_id = %types::MemberId(peer.id), %error, "prober detected unhealthy status")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_clock_drift_between_request_and_response() {
        let sent = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let round_trip = Duration::from_secs(2);
        for (ahead, drift) in [(1, 0), (0, -1), (2, 1), (3601, 3600), (-3599, -3600)] {
            let body = health(sent + Duration::from_secs(0) + time::Duration::seconds(ahead));
            assert_eq!(clock_drift(body.as_bytes(), sent, round_trip), Some(time::Duration::seconds(drift)), "{body}");
        }
    }

    #[test]
    fn reads_probes_of_etcd() {
        let sent = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (now, drift) in
            [("2027-01-15T08:00:00Z", 0), ("2027-01-15T10:00:00.5+02:00", 0), ("2027-01-15T07:59:00.25-00:00", -59)]
        {
            let body = format!("{{\"OK\":true,\"Now\":\"{now}\"}}");
            assert_eq!(
                clock_drift(body.as_bytes(), sent, Duration::ZERO).map(time::Duration::whole_seconds),
                Some(drift),
                "{now}"
            );
        }
        for body in ["", "{}", "{\"OK\":true}", "{\"OK\":true,\"Now\":\"yesterday\"}", "404 page not found"] {
            assert_eq!(clock_drift(body.as_bytes(), sent, Duration::ZERO), None, "{body}");
        }
    }
}
