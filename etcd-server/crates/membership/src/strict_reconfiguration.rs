//! The checks of `--strict-reconfig-check`: no membership change is proposed that could cost the
//! cluster its quorum.
//!
//! Made before proposing, by the member that received the request, from its own view; so they are
//! advice and not part of the state's rules. The numbers are etcd's, its exceptions included.

use crate::member::Member;
use crate::membership::Membership;
use std::collections::BTreeSet;
use std::time::Duration;
use types::MemberId;

/// For how long a member must have been connected to count as healthy.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// The members that this member is connected to, itself included.
#[derive(Clone, Debug, Default)]
pub struct Connected {
    /// Connected at this moment.
    pub now: BTreeSet<MemberId>,
    /// Connected for at least [`HEALTH_INTERVAL`] without a break.
    pub steadily: BTreeSet<MemberId>,
}

/// The reason why a change is not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconfigurationRejection {
    /// After the change, the started voters would be no quorum.
    #[error("{started} started voters, {needed} needed")]
    NotEnoughStarted {
        /// Voters after the change that have started.
        started: usize,
        /// A quorum after the change.
        needed: usize,
    },
    /// The voters that are steadily connected are too few.
    #[error("{connected} voters steadily connected, {needed} needed")]
    Unhealthy {
        /// Voters that count as healthy after the change.
        connected: usize,
        /// The required number.
        needed: usize,
    },
}

/// Returns `true` if a learner has caught up well enough to be promoted: it has nine tenths of the
/// leader's entries (etcd: readyPercentThreshold).
pub fn is_ready(learner_matched: u64, leader_matched: u64) -> bool {
    u128::from(learner_matched) * 10 >= u128::from(leader_matched) * 9
}

/// Checks whether `added` may be proposed as a new member.
pub fn may_add(membership: &Membership, added: &Member, connected: &Connected) -> Result<(), ReconfigurationRejection> {
    let voters = membership.voters().count();
    if !added.is_learner {
        let started = started(membership.voters());
        // A single member that has started may always be joined by a second, though both are then
        // needed.
        let is_first_growth = voters == 1 && started == 1;
        if !is_first_growth {
            enough_started(started, voters + 1)?;
        }
    }
    if voters == 1 {
        return Ok(());
    }
    healthy(steady_voters(membership, connected), quorum(voters + 1))
}

/// Checks whether the removal of a member may be proposed. An unknown member passes: the state will
/// refuse it.
pub fn may_remove(
    membership: &Membership,
    id: MemberId,
    connected: &Connected,
) -> Result<(), ReconfigurationRejection> {
    if membership.member(id).is_some_and(|member| member.is_learner) {
        return Ok(());
    }
    let rest = || membership.voters().filter(|member| member.id != id);
    enough_started(started(rest()), rest().count())?;
    // One that is down takes nothing from the active quorum.
    if !connected.now.contains(&id) {
        return Ok(());
    }
    // etcd subtracts one for the target without asking whether it is among the healthy.
    let healthy_after = steady_voters(membership, connected).saturating_sub(1);
    healthy(healthy_after, quorum(membership.voters().count().saturating_sub(1)))
}

/// Checks whether the promotion of a learner may be proposed. The learner counts as started.
pub fn may_promote(membership: &Membership) -> Result<(), ReconfigurationRejection> {
    enough_started(started(membership.voters()) + 1, membership.voters().count() + 1)
}

/// Half and one more; of no voters, one, so that the last is never removed.
fn quorum(voters: usize) -> usize {
    let quorum = voters / 2 + 1;
    assert!(2 * quorum > voters, "two quorums of {voters} voters share a member, and {quorum} is none");
    quorum
}

fn started<'a>(members: impl Iterator<Item = &'a Member>) -> usize {
    members.filter(|member| member.is_started()).count()
}

fn steady_voters(membership: &Membership, connected: &Connected) -> usize {
    membership.voters().filter(|member| connected.steadily.contains(&member.id)).count()
}

fn enough_started(started: usize, voters: usize) -> Result<(), ReconfigurationRejection> {
    let needed = quorum(voters);
    if started < needed { Err(ReconfigurationRejection::NotEnoughStarted { started, needed }) } else { Ok(()) }
}

fn healthy(connected: usize, needed: usize) -> Result<(), ReconfigurationRejection> {
    if connected < needed { Err(ReconfigurationRejection::Unhealthy { connected, needed }) } else { Ok(()) }
}
