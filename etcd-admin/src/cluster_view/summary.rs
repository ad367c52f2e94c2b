//! The cluster and its members in a word or a line.

use super::links::Tolerance;
use super::view::{ClusterView, Seen};

/// Returns the state of the cluster in one line.
pub(crate) fn headline(view: &ClusterView) -> String {
    let (voters, quorum) = (view.voters().count(), view.quorum());
    let cluster = format!("Cluster {:x}", view.cluster_id);
    if view.leader().is_none() {
        let reachable = view.reachable_voters();
        return format!(
            "{cluster}: NO LEADER. {voters} voters, {quorum} needed, {reachable} reachable. Last revision {}.",
            view.revision
        );
    }
    let state = if view.is_healthy() { "healthy" } else { "NOT HEALTHY" };
    format!(
        "{cluster}: {state}. {voters} voters, {quorum} needed, {}. Revision {}.",
        may_fail(&view.tolerance()),
        view.revision
    )
}

/// Returns the number of failures that the cluster survives, and the unverified part of it.
pub(crate) fn may_fail(tolerance: &Tolerance) -> String {
    if tolerance.verified == tolerance.assumed {
        return format!("{} may fail", tolerance.verified);
    }
    format!(
        "{} may fail ({} if {} are connected to the others, which they do not report)",
        tolerance.verified,
        tolerance.assumed,
        tolerance.silent.join(", ")
    )
}

/// Returns the role of a member, as the member itself reports it.
pub(crate) fn role<'a>(view: &ClusterView, seen: &'a Seen) -> &'a str {
    let leads = view.leader().is_some_and(|leader| leader.member.id == seen.member.id);
    match (seen.has_started(), seen.status.is_ok(), seen.member.is_learner) {
        (false, _, _) => "unstarted",
        (true, false, _) => "unreachable",
        (true, true, true) => "learner",
        (true, true, false) if leads => "leader",
        (true, true, false) if seen.page().is_some_and(|page| page.role == "candidate") => "candidate",
        (true, true, false) => "follower",
    }
}
