//! The requests of a member's own clients that are proposed and not applied: what becomes of them
//! when the leader changes.
//!
//! A proposal that was fenced and is not applied when an entry of a later term is will never be an
//! entry: it is proposed again. One that went to a leader without fences may still come, through the
//! next leader; its caller is told after a while that the outcome is unknown.

use crate::node_input::{Proposal, ProposalKind};
use bytes::Bytes;
use consensus::Route;
use std::collections::HashMap;

/// Time that an unfenced proposal has to be applied after the leader has changed, in ticks of the
/// owner.
const UNFENCED_TICKS: u64 = 10;

/// The requests of a member's own clients that wait for their outcome. `C` is the caller.
#[derive(Debug)]
pub struct PendingTable<C> {
    requests: HashMap<u64, Pending<C>>,
    ticks: u64,
}

#[derive(Debug)]
struct Pending<C> {
    caller: C,
    kind: ProposalKind,
    data: Bytes,
    way: Way,
}

/// The way that a proposal has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Taken(Route),
    /// Its leader has changed, and it was not fenced: its outcome will not be known after this
    /// tick.
    Doubtful(u64),
}

/// The proposals that were lost with a leader.
#[derive(Debug)]
pub struct Lost<C> {
    /// They became no entries, and never will: to be proposed again, in the order of their ids.
    pub again: Vec<(ProposalKind, Proposal)>,
    /// They became no entries, and never will; the new leader must not inherit them.
    pub of_the_leader: Vec<C>,
}

impl<C> Default for PendingTable<C> {
    fn default() -> Self {
        Self { requests: HashMap::new(), ticks: 0 }
    }
}

impl<C> PendingTable<C> {
    /// Adds a request and its caller before it is handed to the node, which has this way for it.
    pub fn insert(&mut self, kind: ProposalKind, proposal: &Proposal, route: Route, caller: C) {
        let pending = Pending { caller, kind, data: proposal.data.clone(), way: Way::Taken(route) };
        let replaced = self.requests.insert(proposal.id, pending);
        assert!(replaced.is_none(), "request id {:x} is used twice", proposal.id);
    }

    /// Records the way of requests that the node has held until now.
    pub fn sent(&mut self, ids: &[u64], route: Route) {
        for id in ids {
            if let Some(pending) = self.requests.get_mut(id) {
                pending.way = Way::Taken(route);
            }
        }
    }

    /// Removes a request that is decided; returns its caller.
    pub fn remove(&mut self, id: u64) -> Option<C> {
        self.requests.remove(&id).map(|pending| pending.caller)
    }

    /// Removes and returns all callers, in the order of their ids.
    pub fn drain(&mut self) -> Vec<C> {
        self.take(|_| true).into_iter().map(|(_, pending)| pending.caller).collect()
    }

    /// An entry of `term` is applied, and no request of an earlier term that is still here.
    /// Requests whose callers `waits` returns `false` for are dropped.
    ///
    /// # Panics
    /// If two requests have the same id.
    pub fn term_begun(&mut self, term: u64, waits: impl Fn(&C) -> bool) -> Lost<C> {
        let mut lost = Lost { again: Vec::new(), of_the_leader: Vec::new() };
        let until = self.ticks + UNFENCED_TICKS;
        for pending in self.requests.values_mut() {
            if matches!(pending.way, Way::Taken(Route::Unfenced(taken)) if taken < term) {
                pending.way = Way::Doubtful(until);
            }
        }
        let fenced = self.take(|pending| matches!(pending.way, Way::Taken(Route::Fenced(taken)) if taken < term));
        for (id, pending) in fenced {
            if !waits(&pending.caller) {
                continue;
            }
            if pending.kind == ProposalKind::OfTheLeader {
                lost.of_the_leader.push(pending.caller);
            } else {
                lost.again.push((pending.kind, Proposal { id, data: pending.data.clone() }));
                let replaced = self.requests.insert(id, Pending { way: Way::Taken(Route::Closed), ..pending });
                assert!(replaced.is_none(), "request id {id:x} is lost and waits");
            }
        }
        lost
    }

    /// Removes and returns the callers of all requests that may be in a snapshot that was
    /// installed: their outcome is unknown.
    pub fn replaced(&mut self) -> Vec<C> {
        let sent = self.take(|pending| pending.way != Way::Taken(Route::Closed));
        sent.into_iter().map(|(_, pending)| pending.caller).collect()
    }

    /// A tick of time has passed: drops requests whose callers have gone, and returns those whose
    /// outcome will not be known.
    pub fn tick(&mut self, waits: impl Fn(&C) -> bool) -> Vec<C> {
        self.ticks += 1;
        let now = self.ticks;
        self.requests.retain(|_, pending| waits(&pending.caller));
        let doubtful = self.take(|pending| matches!(pending.way, Way::Doubtful(until) if until <= now));
        doubtful.into_iter().map(|(_, pending)| pending.caller).collect()
    }

    /// Returns `true` if the request waits for its outcome.
    pub fn contains(&self, id: u64) -> bool {
        self.requests.contains_key(&id)
    }

    /// Returns the ids of the requests and the ways that they have gone, in order.
    pub fn routes(&self) -> Vec<(u64, Option<Route>)> {
        let route = |way| if let Way::Taken(route) = way { Some(route) } else { None };
        let mut routes: Vec<_> = self.requests.iter().map(|(id, pending)| (*id, route(pending.way))).collect();
        routes.sort_unstable_by_key(|(id, _)| *id);
        routes
    }

    /// Returns the number of requests.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns `true` if no request waits.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Removes requests, in the order of their ids: that of their arrival.
    fn take(&mut self, wanted: impl Fn(&Pending<C>) -> bool) -> Vec<(u64, Pending<C>)> {
        let mut taken: Vec<_> = self.requests.extract_if(|_, pending| wanted(pending)).collect();
        taken.sort_unstable_by_key(|(id, _)| *id);
        taken
    }
}
