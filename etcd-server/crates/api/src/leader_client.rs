//! Requests of this member to the others: the leader alone knows deadlines of leases and the
//! progress of learners.

use crate::server::Server;
use crate::status::{self, ToStatus as _, leader_changed};
use consensus::Role;
use futures::{StreamExt as _, TryStreamExt as _};
use membership::{Connected, HEALTH_INTERVAL, Member};
use peer::ask::{self, PeerCallError, Target};
use peer::lease_batch;
use proto::etcdserverpb::LeaseTimeToLiveResponse;
use replica::RequestError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tonic::Status;
use types::{LeaseId, MemberId};

/// Between two rounds over the leader's addresses (etcd: 50 ms).
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Renewals of single leases at a time, to a leader that takes no batches.
const SINGLE_RENEWALS_MAX: usize = 16;
/// Time limit of one request for the active members.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(1);

impl Server {
    /// Returns `true` if this member leads.
    pub(crate) fn leads(&self) -> bool {
        self.leading_term().is_some()
    }

    /// The term that this member leads in; nothing when it does not. It led all the while between
    /// two looks that see the same term.
    pub(crate) fn leading_term(&self) -> Option<u64> {
        let raft_status = self.published().raft_status();
        (raft_status.role == Role::Leader).then_some(raft_status.term)
    }

    /// Asks the leader at each of its addresses until one of them knows; each failure is looked at
    /// by `give_up`. A question that is `repeatable` is put to the next leader at once when the
    /// leader changes meanwhile: a host that is gone refuses nothing.
    async fn ask_leader<T, F>(
        &self,
        repeatable: bool,
        mut request: impl FnMut(Target) -> F,
        mut give_up: impl FnMut(&PeerCallError) -> Option<Status>,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, PeerCallError>>,
    {
        let deadline = Instant::now() + self.replica.request_timeout();
        while Instant::now() < deadline {
            let leader = MemberId(self.published().raft_status().leader);
            if leader == self.replica.member_id() {
                // The caller has to look again for itself.
                return Err(leader_changed());
            }
            for target in self.transport.targets(leader) {
                let responded = tokio::select! {
                    responded = request(target.clone()) => responded,
                    () = self.other_leader_than(leader), if repeatable => break,
                };
                match responded {
                    Ok(response) => return Ok(response),
                    Err(error) => {
                        target.report(&error);
                        if let Some(status) = give_up(&error) {
                            return Err(status);
                        }
                        tracing::debug!(%error, "the leader did not respond");
                    }
                }
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Err(if self.published().raft_status().leader == 0 {
            Status::unavailable("etcdserver: no leader")
        } else {
            Status::unavailable("etcdserver: request timed out")
        })
    }

    /// Returns once another member leads, as far as this one knows.
    async fn other_leader_than(&self, leader: MemberId) {
        loop {
            tokio::time::sleep(RETRY_INTERVAL).await;
            let present = self.published().raft_status().leader;
            if present != 0 && present != leader.0 {
                return;
            }
        }
    }

    /// Has the leader renew leases; the result is as that of [`Server::renew_round`]. A leader that
    /// does not know our endpoint for batches, which is an etcd member, is sent single requests.
    pub(crate) async fn renew_at_leader(&self, leases: &[LeaseId]) -> Result<Vec<Option<i64>>, Status> {
        let ids: Vec<i64> = leases.iter().map(|lease| lease.0).collect();
        let timeout = self.replica.request_timeout();
        let leader = self.published().raft_status().leader;
        if leader == 0 || self.leader_without_batches.load(Ordering::Relaxed) != leader {
            let renewed = self.ask_leader(
                true,
                |target| {
                    let ids = &ids;
                    async move { lease_batch::keep_alive(&target, ids, timeout).await }
                },
                |error| is_refused(error, 404).then(lease_not_found),
            );
            if let Some(ttls) = if_found(renewed.await)? {
                return Ok(ttls);
            }
            self.leader_without_batches.store(leader, Ordering::Relaxed);
        }
        let singly = futures::stream::iter(ids)
            .map(async |id| self.renew_one_at_leader(id).await.map(|ttl| Some(ttl.unwrap_or(0))));
        singly.buffered(SINGLE_RENEWALS_MAX).try_collect().await
    }

    async fn renew_one_at_leader(&self, lease: i64) -> Result<Option<i64>, Status> {
        let timeout = self.replica.request_timeout();
        let renewed = self.ask_leader(
            true,
            |target| async move { ask::keep_alive(&target, lease, timeout).await },
            |error| is_refused(error, 404).then(lease_not_found),
        );
        Ok(if_found(renewed.await)?.map(|response| response.ttl))
    }

    /// Requests the remaining time of a lease from the leader; `None` if there is no such lease.
    pub(crate) async fn time_to_live_at_leader(
        &self,
        lease: i64,
        keys: bool,
    ) -> Result<Option<LeaseTimeToLiveResponse>, Status> {
        let timeout = self.replica.request_timeout();
        let told = self.ask_leader(
            true,
            |target| async move { ask::time_to_live(&target, lease, keys, timeout).await },
            |error| is_refused(error, 404).then(lease_not_found),
        );
        if_found(told.await)
    }

    /// Has the leader promote a learner, and answers the members after it.
    pub(crate) async fn promote_at_leader(&self, id: MemberId, token: Option<&str>) -> Result<Vec<Member>, Status> {
        let timeout = self.replica.request_timeout();
        let refusal = |error: &PeerCallError| match error {
            PeerCallError::Refused { status, .. } if status.as_u16() == 404 => Some(member_not_found()),
            PeerCallError::Refused { status, text, .. } if status.as_u16() == 412 => {
                Some(Status::failed_precondition(text.clone()))
            }
            PeerCallError::Refused { status, .. } if status.as_u16() == 408 => {
                Some(Status::unavailable("etcdserver: request timed out"))
            }
            PeerCallError::Refused { .. }
            | PeerCallError::Request { .. }
            | PeerCallError::Identity { .. }
            | PeerCallError::Malformed { .. } => None,
        };
        self.ask_leader(false, |target| async move { ask::promote(&target, id.0, token, timeout).await }, refusal).await
    }

    /// Returns the status of a refused request: a timeout names a lost connection where there was
    /// one.
    pub(crate) fn refused(&self, refused: &RequestError) -> Status {
        if *refused == RequestError::TimedOut && self.lost_connection() {
            status::connection_lost()
        } else {
            refused.to_status()
        }
    }

    /// Returns `true` if the leader, or as leader a majority, was not reached all the while, as a
    /// request saw it that has just timed out.
    fn lost_connection(&self) -> bool {
        let Some(begun) = Instant::now().checked_sub(self.replica.request_timeout()) else { return false };
        let (own, leader) = (self.replica.member_id(), MemberId(self.published().raft_status().leader));
        let voters: Vec<MemberId> = self.published().members().voters().map(|member| member.id).collect();
        !reaches_since(begun, own, leader, &voters, &self.transport.active())
    }

    /// Returns the members that the cluster can count on: those that have acknowledged something to
    /// the leader lately. An open socket proves nothing. If the leader does not respond, those that
    /// this member is connected to.
    pub(crate) async fn connected(&self) -> Connected {
        let own = self.replica.member_id();
        let streams = self.transport.active();
        let steadily =
            |id: &MemberId| *id == own || streams.get(id).is_some_and(|since| since.elapsed() >= HEALTH_INTERVAL);
        let active: BTreeSet<MemberId> = match self.recently_active().await {
            Some(active) => active.into_iter().map(MemberId).chain([own]).collect(),
            None => streams.keys().copied().chain([own]).collect(),
        };
        // The leader is connected to us by having answered; others must have been there for a
        // while.
        Connected { steadily: active.iter().filter(|id| steadily(id)).copied().collect(), now: active }
    }

    async fn recently_active(&self) -> Option<Vec<u64>> {
        if self.leads() {
            return Some(self.active_members().await);
        }
        let leader = MemberId(self.published().raft_status().leader);
        let request = |target: Target| async move { ask::recently_active(&target, ACTIVE_TIMEOUT).await };
        self.transport.ask(leader, request, |_| {}).await
    }

    /// The members that have acknowledged something to this member, the leader, lately; itself
    /// among them.
    pub async fn active_members(&self) -> Vec<u64> {
        let progress = self.replica.progress().await;
        progress.into_iter().filter(|progress| progress.recently_active).map(|progress| progress.member).collect()
    }
}

/// Returns `true` if a member has reached its leader without a break, or a majority if it leads
/// itself.
fn reaches_since(
    since: Instant,
    own: MemberId,
    leader: MemberId,
    voters: &[MemberId],
    active: &BTreeMap<MemberId, Instant>,
) -> bool {
    let reached = |id: &MemberId| *id == own || active.get(id).is_some_and(|begun| *begun <= since);
    if leader == own { voters.iter().filter(|id| reached(id)).count() > voters.len() / 2 } else { reached(&leader) }
}

fn is_refused(error: &PeerCallError, code: u16) -> bool {
    matches!(error, PeerCallError::Refused { status, .. } if status.as_u16() == code)
}

fn lease_not_found() -> Status {
    Status::not_found("etcdserver: requested lease not found")
}

fn member_not_found() -> Status {
    Status::not_found("etcdserver: member not found")
}

/// Returns `None` in place of the not-found error.
fn if_found<T>(response: Result<T, Status>) -> Result<Option<T>, Status> {
    match response {
        Ok(response) => Ok(Some(response)),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_meanwhile_is_a_lost_one() {
        let ids = [1, 2, 3].map(MemberId);
        let [own, leader, other] = ids;
        let (before, begun) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let after = begun + Duration::from_secs(1);
        let active = |list: &[(MemberId, Instant)]| list.iter().copied().collect::<BTreeMap<_, _>>();
        for (leader, connections, reached) in [
            (leader, active(&[(leader, before)]), true),
            (leader, active(&[(leader, after), (other, before)]), false),
            (leader, active(&[(other, before)]), false),
            (own, active(&[(other, before)]), true),
            (own, active(&[(other, after), (leader, after)]), false),
            (own, active(&[]), false),
        ] {
            assert_eq!(reaches_since(begun, own, leader, &ids, &connections), reached, "{leader} {connections:?}");
        }
    }
}
