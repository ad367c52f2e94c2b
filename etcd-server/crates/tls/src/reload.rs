//! Reload of the files, twice a second and on request; warnings about certificates that expire.

use crate::endpoint::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A few calls of stat each time. A revoked certificate is good for so long after its list has been
/// written.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of the lines about the ends of certificates.
const TELL_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// From when on an end is worth a warning.
const WARN_DAYS: i64 = 30;
/// The same for a revocation list, which lives for a month.
const LIST_WARN_DAYS: i64 = 7;

/// The task that keeps endpoints up to date. Dropping it ends the task.
#[derive(Debug)]
pub struct Reloader {
    task: JoinHandle<()>,
    asked: Arc<Notify>,
}

impl Reloader {
    /// Starts looking after these endpoints.
    #[must_use]
    pub fn start(endpoints: Vec<Arc<Endpoint>>) -> Self {
        let asked = Arc::new(Notify::new());
        Self { task: tokio::spawn(look(endpoints, Arc::clone(&asked))), asked }
    }

    /// Has everything read again, whether it has changed or not (SIGHUP).
    pub fn reload(&self) {
        self.asked.notify_one();
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(endpoints: Vec<Arc<Endpoint>>, asked: Arc<Notify>) {
    let mut tell = tokio::time::interval(TELL_INTERVAL);
    loop {
        let forced = tokio::select! {
            () = asked.notified() => true,
            () = tokio::time::sleep(LOOK_INTERVAL) => false,
            _ = tell.tick() => {
                endpoints.iter().for_each(|endpoint| warn_of_ends(endpoint));
                continue;
            }
        };
        let endpoints = endpoints.clone();
        // Reading files and checking signatures would hold up connections.
        let read = tokio::task::spawn_blocking(move || endpoints.iter().for_each(|endpoint| endpoint.reload(forced)));
        if let Err(error) = read.await {
            tracing::error!(%error, "failed to check the TLS files");
        }
    }
}

fn warn_of_ends(endpoint: &Endpoint) {
    let (now, role) = (OffsetDateTime::now_utc(), endpoint.settings().role.label());
    for certificate in endpoint.status().certificates {
        let (days_left, is_list) = (certificate.days_left(now), certificate.is_list());
        let (setting, subject, not_after) =
            (certificate.setting, certificate.subject, certs::rfc3339(certificate.not_after));
        if days_left < 0 && is_list {
            tracing::error!(
                endpoint = role,
                setting,
                subject,
                not_after,
                days_left,
                remedy = "etcd-admin crl publish, then copy the list to this host",
                "revocation list has expired: connections with certificates of its CA are refused"
            );
        } else if days_left < 0 {
            tracing::error!(endpoint = role, setting, subject, not_after, days_left, "certificate has expired");
        } else if is_list && days_left < LIST_WARN_DAYS {
            tracing::warn!(
                endpoint = role,
                setting,
                subject,
                not_after,
                days_left,
                remedy = "etcd-admin crl publish, then copy the list to this host",
                "revocation list expires soon"
            );
        } else if !is_list && days_left < WARN_DAYS {
            tracing::warn!(
                endpoint = role,
                setting,
                subject,
                not_after,
                days_left,
                remedy = "etcd-admin cert renew, or etcd-admin init apply",
                "certificate expires soon"
            );
        }
    }
}
