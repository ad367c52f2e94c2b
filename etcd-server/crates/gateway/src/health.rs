//! /health, /livez and /readyz: the checks, their order and their texts (etcd v3.7.1,
//! etcdhttp/health.go).

use std::time::Duration;

use http::{Method, Response, StatusCode};

use crate::member::{HealthRecord, Member};
use crate::response::{Body, PLAIN_TEXT, only_get, respond, text};

/// Responses GET /health.
pub(crate) async fn health(member: &dyn Member, timeout: Duration, method: &Method, query: &Query) -> Response<Body> {
    if method != Method::GET {
        return only_get();
    }
    let reason = unhealthy_because(member, timeout, query).await;
    member.record_health(HealthRecord::Health { success: reason.is_none() });
    match reason {
        None => respond(StatusCode::OK, PLAIN_TEXT, r#"{"health":"true","reason":""}"#),
        Some(reason) => {
            let reason = serde_json::Value::from(reason);
            text(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"health\":\"false\",\"reason\":{reason}}}\n"))
        }
    }
}

async fn unhealthy_because(member: &dyn Member, timeout: Duration, query: &Query) -> Option<String> {
    if let Some(alarm) = member.alarms().iter().find(|alarm| !query.excludes(alarm.name())) {
        return Some(format!("ALARM {}", alarm.name()));
    }
    let serializable = query.first("serializable") == Some("true");
    if !serializable && !member.has_leader() {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(member, timeout, serializable).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

async fn read(member: &dyn Member, timeout: Duration, serializable: bool) -> Result<(), String> {
    match tokio::time::timeout(timeout, member.read(serializable)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("context deadline exceeded".to_owned()),
    }
}

/// One thing that /livez or /readyz looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, member: &dyn Member, timeout: Duration) -> Result<(), String> {
        match self {
            Check::DataCorruption if member.alarms().iter().any(|alarm| alarm.name() == "CORRUPT") => {
                Err("alarm activated: CORRUPT".to_owned())
            }
            Check::NonLearner if member.is_learner() => Err("not supported for learner".to_owned()),
            Check::DataCorruption | Check::NonLearner => Ok(()),
            Check::SerializableRead => read(member, timeout, true).await,
            Check::LinearizableRead => read(member, timeout, false).await,
        }
    }
}

/// A path below /livez or /readyz that exists, by its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    endpoint: &'static str,
    checks: &'static [Check],
    /// A single check ignores `exclude`.
    single: bool,
}

impl Probe {
    pub(crate) fn at(path: &str) -> Option<Probe> {
        let path = path.strip_prefix('/')?;
        let (root, sub) = path.split_once('/').map_or((path, None), |(root, sub)| (root, Some(sub)));
        let (endpoint, checks) = match root {
            "livez" => ("livez", LIVEZ),
            "readyz" => ("readyz", READYZ),
            _ => return None,
        };
        let Some(sub) = sub else {
            return Some(Probe { endpoint, checks, single: false });
        };
        let at = checks.iter().position(|check| check.name() == sub)?;
        Some(Probe { endpoint, checks: &checks[at..=at], single: true })
    }

    pub(crate) async fn response(
        self,
        member: &dyn Member,
        timeout: Duration,
        method: &Method,
        query: &Query,
    ) -> Response<Body> {
        if method != Method::GET {
            return only_get();
        }
        let (mut lines, mut failed) = (String::new(), false);
        for check in self.checks {
            let name = check.name();
            if !self.single && query.excludes(name) {
                continue;
            }
            let outcome = check.run(member, timeout).await;
            member.record_health(HealthRecord::Check { endpoint: self.endpoint, name, success: outcome.is_ok() });
            failed |= outcome.is_err();
            lines += &match outcome {
                Ok(()) => format!("[+]{name} ok\n"),
                Err(error) => format!("[-]{name} failed: {error}\n"),
            };
        }
        match failed {
            true => text(StatusCode::SERVICE_UNAVAILABLE, lines + "\n"),
            false if query.first("verbose").is_some() => text(StatusCode::OK, lines + "ok\n"),
            false => text(StatusCode::OK, "ok\n"),
        }
    }
}

/// The pairs of a query string.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Pairs with a broken escape are left out, as Go does.
    pub(crate) fn parse(query: &str) -> Query {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((crate::path::decode(&name.replace('+', " "))?, crate::path::decode(&value.replace('+', " "))?))
        });
        Query(pairs.collect())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn excludes(&self, check: &str) -> bool {
        self.0.iter().any(|(name, value)| name == "exclude" && value == check)
    }
}
