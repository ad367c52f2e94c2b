//! Keep-alives at a member.

use crate::check::Checked;
use crate::planted::Bug;
use crate::process::{Behind, Context, Process, Reply, Ticket, Waiting};
use crate::schedule::Time;
use pipeline::{KeepAliveRound, ProposalKind, Renewed};
use types::LeaseId;

/// A renewal under way.
#[derive(Clone, Debug)]
pub(crate) struct PendingRenewal {
    round: KeepAliveRound,
    lease: LeaseId,
    /// The time of the renewal.
    at: Time,
    /// The term that the leader led in.
    term: u64,
}

impl Process {
    /// Renews a lease, if this member leads; a client of another member is refused here, where the
    /// daemon forwards its request.
    pub(crate) fn renew(&mut self, ticket: Ticket, lease: LeaseId, cx: &mut Context<'_>) -> Checked {
        let leading = self.leading_term().filter(|_| !cx.planted.has(Bug::RenewalsRefused));
        let Some(term) = leading else {
            cx.out.told.push((ticket, Reply::Refused));
            return Ok(());
        };
        let now = self.moment(cx.now);
        let round = KeepAliveRound::begin(term, &mut self.expiry, &[lease], now);
        let pending = PendingRenewal { round, lease, at: cx.now, term };
        if cx.planted.has(Bug::RenewalUnconfirmed) && pending.round.renewed() > 0 {
            cx.out.told.push((ticket, Reply::Renewed { lease, at: pending.at }));
            return Ok(());
        }
        if pending.round.needs_barrier() {
            return self.read_index(Waiting { ticket, what: Behind::Renewal(pending) }, cx);
        }
        self.finish_renewal(ticket, &pending, cx);
        Ok(())
    }

    /// Goes on with a renewal behind the barrier.
    pub(crate) fn continue_renewal(
        &mut self,
        ticket: Ticket,
        mut pending: PendingRenewal,
        cx: &mut Context<'_>,
    ) -> Checked {
        let checkpointed = pending.round.behind_barrier(&self.expiry);
        if checkpointed.is_empty() {
            self.finish_renewal(ticket, &pending, cx);
            return Ok(());
        }
        let id = self.next_request();
        self.renewals.insert(id, pending);
        let proposal = self.own_proposal(id, pipeline::reset_checkpoints(&checkpointed));
        self.propose(ProposalKind::Request, proposal, ticket, cx)
    }

    /// Responds to a client's renewal.
    pub(crate) fn finish_renewal(&self, ticket: Ticket, pending: &PendingRenewal, cx: &mut Context<'_>) {
        let PendingRenewal { round, lease, at, term } = pending;
        let former = cx.planted.has(Bug::RenewalByFormerLeader).then_some(*term);
        let reply = match round.finish(former.or(self.leading_term()))[..] {
            [Renewed::Lives { .. }] => Reply::Renewed { lease: *lease, at: *at },
            [Renewed::NotFound] => Reply::NoLease,
            _ => Reply::Refused,
        };
        cx.out.told.push((ticket, reply));
    }
}
