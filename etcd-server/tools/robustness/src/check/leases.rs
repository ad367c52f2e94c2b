//! Leases live as long as was promised, and no longer than they were wanted.

use super::Violation;
use super::order::{Author, Authors};
use super::truth::Truth;
use crate::history::{History, Micros, Operation, Outcome, Request, Response};
use std::collections::BTreeMap;

/// The observations of a lease.
#[derive(Debug, Default)]
struct Lease {
    /// When it was asked to live on, when that was answered, and for how long it was promised; the
    /// grant is the first.
    promises: Vec<(Micros, Micros, Micros)>,
    /// The requests that reported it as absent: sent and answered.
    absent: Vec<(Micros, Micros)>,
    /// Revocations, those of unknown outcome too: asked, and answered where they were.
    revoked: Vec<(Micros, Option<Micros>)>,
    /// The time when its keys were first seen to be deleted, for whatever reason.
    gone: Option<Micros>,
}

/// Judges every lease.
pub(crate) fn check(history: &History, truth: &Truth, authors: &Authors, violations: &mut Vec<Violation>) {
    let mut leases: BTreeMap<i64, Lease> = BTreeMap::new();
    for operation in &history.operations {
        record(&mut leases, operation);
    }
    for (revision, author) in authors {
        let Author::Lease(id) = author else { continue };
        leases.entry(*id).or_default().gone = truth.first_seen(*revision);
    }
    for (id, lease) in &leases {
        judge(*id, lease, violations);
    }
    let left = truth
        .timeline
        .from(2)
        .flat_map(|(_, changes)| changes.keys())
        .filter_map(|key| truth.timeline.get(key, history.last_revision));
    let mut left: Vec<_> = left.filter(|record| record.lease != 0).map(|record| (record.lease, &record.key)).collect();
    left.dedup();
    if let Some((lease, key)) = left.first() {
        violations
            .push(Violation::new("lease", format!("{key:?} outlived lease {lease}, which nobody renewed any more")));
    }
}

fn record(leases: &mut BTreeMap<i64, Lease>, operation: &Operation) {
    let (asked, answered) = (operation.invoked, operation.returned);
    match (&operation.request, &operation.outcome) {
        (Request::Grant(_), Outcome::Answered(Response::Grant(grant))) => {
            leases.entry(grant.id).or_default().promises.push((asked, answered, micros(grant.ttl)));
        }
        (Request::KeepAlive(id), Outcome::Answered(Response::KeepAlive(renewed))) if renewed.ttl > 0 => {
            leases.entry(*id).or_default().promises.push((asked, answered, micros(renewed.ttl)));
        }
        (Request::KeepAlive(id), Outcome::Answered(_)) => leases.entry(*id).or_default().absent.push((asked, answered)),
        (Request::Revoke(id), Outcome::Answered(_)) => {
            leases.entry(*id).or_default().revoked.push((asked, Some(answered)))
        }
        (Request::Revoke(id), Outcome::Unknown(_)) => leases.entry(*id).or_default().revoked.push((asked, None)),
        _ => {}
    }
}

fn micros(seconds: i64) -> Micros {
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000_000)
}

fn judge(id: i64, lease: &Lease, violations: &mut Vec<Violation>) {
    let mut violation = |what: String| violations.push(Violation::new("lease", format!("lease {id}: {what}")));
    let revoked_before = |moment: Micros| lease.revoked.iter().any(|(asked, _)| *asked < moment);
    // A response shows that it lives; an end before the promised time is seen from outside at this
    // moment at the latest.
    let too_early =
        |moment: Micros| lease.promises.iter().find(|(asked, _, promised)| moment < asked + promised).copied();
    if let Some(gone) = lease.gone.filter(|gone| !revoked_before(*gone))
        && let Some((asked, answered, promised)) = too_early(gone)
    {
        violation(format!(
            "its keys were gone at {gone}; asked at {asked}, answered at {answered}, it was promised {promised} µs"
        ));
    }
    for (asked, answered) in lease.absent.iter().filter(|(_, answered)| !revoked_before(*answered)) {
        let still = lease.promises.iter().find(|(begun, known, length)| known < asked && *answered < begun + length);
        if let Some((begun, _, length)) = still {
            violation(format!(
                "told at {answered} that it is not there; asked at {begun}, it was promised {length} µs"
            ));
        }
    }
    let ended = lease.revoked.iter().filter_map(|(_, answered)| *answered).chain(lease.gone).min();
    if let Some(ended) = ended
        && let Some((asked, _, _)) = lease.promises.iter().find(|(asked, _, _)| *asked > ended)
    {
        violation(format!("it had ended by {ended}, and was renewed when asked at {asked}"));
    }
}
