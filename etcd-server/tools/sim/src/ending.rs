//! The end of a run: faults are over, everything must work again, and all members must hold the
//! same.

use crate::check::{Checked, Violation, check};
use crate::client::{Ask, Client, Operation, by_root, clear_alarm, probes};
use crate::event::Event;
use crate::plan::{ELECTION_TICKS, TICK};
use crate::process::{Reply, Ticket};
use crate::schedule::{SECOND, Time};
use crate::watching::Watcher;
use crate::world::World;
use model::Refusal;
use std::collections::{BTreeMap, VecDeque};

/// The shortest time in which a follower misses its leader.
const ELECTION: Time = TICK * ELECTION_TICKS as u64;

/// Time after the last fault within which everything must work again.
pub(crate) const GRACE: Time = 20 * ELECTION;

/// Number of times that a member may fail to respond, an election's time apart: without pre-votes,
/// a member that lacks entries and has the faster clock keeps the other one from being elected
/// again and again.
const PROBES_MAX: u64 = 40;

/// The requests that must succeed at a member at the end.
pub(crate) struct Prober {
    member: u64,
    waiting: VecDeque<Ask>,
    /// The outcome of an earlier attempt at the present request is unknown: it may have been executed.
    repeated: bool,
}

impl World {
    /// All faults end; the cluster gets time to become well.
    pub(crate) fn settle(&mut self) -> Checked {
        self.faults_over = true;
        self.network.healed = true;
        self.network.blocked.clear();
        self.oracle.enlarge_quota();
        self.plan.publishes = false;
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.paused_until = self.now;
                member.fail_sync = false;
                if let Some(process) = &mut member.process {
                    (process.hung_until, process.slow_until) = (0, 0);
                }
            }
            self.schedule.at(self.now + 1, Event::Start { member: id });
            self.schedule.at(self.now + GRACE, Event::Probe { member: id });
        }
        self.schedule.at(self.now + GRACE + 6 * SECOND, Event::End);
        Ok(())
    }

    /// Checks that a member of the cluster orders and reads now, and is as far as all others.
    pub(crate) fn probe(&mut self, id: u64) -> Checked {
        let in_group = self.oracle.has_member(id);
        let Some(member) = self.members.get(&id).filter(|member| !member.gone && in_group) else { return Ok(()) };
        check(member.process.is_some(), || format!("member {id} does not run after all faults are over"))?;
        let client = self.clients.len();
        self.clients.push(Client::new("root"));
        self.probed.insert(client, Prober { member: id, waiting: probes(self.now, id).into(), repeated: false });
        self.probe_next(client, 1);
        Ok(())
    }

    /// Makes the next request of a prober, after those that clear alarms. A lease is renewed at the
    /// leader, where other members forward such requests.
    fn probe_next(&mut self, client: usize, number: u64) {
        let alarm = self.oracle.model.alarms.first().copied();
        let Some(prober) = self.probed.get_mut(&client) else { return };
        if let Some((member_id, kind)) = alarm {
            prober.waiting.push_front(by_root(clear_alarm(member_id, kind)));
        }
        let Some(ask) = prober.waiting.pop_front() else { return };
        prober.repeated = false;
        let member = prober.member;
        let member = if matches!(ask, Ask::KeepAlive(_)) { self.leader().unwrap_or(member) } else { member };
        let floor = self.known;
        if let Some(client) = self.clients.get_mut(client) {
            client.current = Some(Operation { number, ask: ask.clone(), floor });
        }
        self.submit(client, number, member, ask);
    }

    /// A prober got a response: with nothing in its way, its request must have been executed.
    pub(crate) fn probed(&mut self, ticket: Ticket, operation: Operation, told: &Reply) -> Checked {
        let done = match told {
            Reply::Applied(index) => {
                let response = &self.oracle.verdict(*index)?.response;
                let alarms = !self.oracle.model.alarms.is_empty();
                let repeated = self.probed.get(&ticket.client).is_some_and(|prober| prober.repeated);
                let executed_before = matches!(response, Err(Refusal::LeaseExists | Refusal::LeaseNotFound));
                let succeeded = response.is_ok() || (repeated && executed_before);
                check(succeeded || alarms, || {
                    format!("with nothing in its way, {:?} came to {response:?}", operation.ask)
                })?;
                succeeded
            }
            Reply::Read { found, .. } => found.is_ok(),
            Reply::Renewed { .. } => true,
            Reply::NoLease | Reply::Refused | Reply::Unknown => false,
        };
        if !done {
            return self.probe_again(ticket, operation, told);
        }
        self.probe_next(ticket.client, operation.number + 1);
        Ok(())
    }

    /// Checks that every request of every prober was executed.
    fn check_probes(&self) -> Checked {
        for (client, prober) in &self.probed {
            let current = self.clients.get(*client).and_then(|client| client.current.as_ref());
            let unfinished = current.map(|operation| &operation.ask).or(prober.waiting.front());
            check(unfinished.is_none(), || {
                format!("after all faults are over, member {} never executed {unfinished:?}", prober.member)
            })?;
        }
        Ok(())
    }

    /// Repeats a probe. A slow message makes a leader doubt its cluster, or a member its leader,
    /// and forwarded requests get lost silently: a client would retry when there has been time for
    /// an election.
    pub(crate) fn probe_again(&mut self, ticket: Ticket, operation: Operation, told: &Reply) -> Checked {
        check(operation.number < PROBES_MAX, || {
            format!("after all faults are over, {:?} is answered {told:?}", operation.ask)
        })?;
        let number = operation.number + 1;
        let Some(prober) = self.probed.get_mut(&ticket.client) else { return Ok(()) };
        prober.repeated |= matches!(told, Reply::Unknown);
        let member = prober.member;
        let ask = operation.ask.clone();
        let member = if matches!(ask, Ask::KeepAlive(_)) { self.leader().unwrap_or(member) } else { member };
        if let Some(client) = self.clients.get_mut(ticket.client) {
            client.current = Some(Operation { number, ..operation });
        }
        self.submit_after(ELECTION, Ticket { operation: number, ..ticket }, member, ask);
        Ok(())
    }

    /// Gives the members more time, once, if one of them is behind: at the last moment a leader may
    /// have been elected. Returns `true` if the end was postponed.
    pub(crate) fn postpone_end(&mut self) -> bool {
        let committed = self.oracle.committed();
        let in_group = self.members.iter().filter(|(id, _)| self.oracle.has_member(**id));
        let mut processes = in_group.filter_map(|(_, member)| member.process.as_ref());
        let is_behind = processes.any(|process| process.apply.applied().0 < committed);
        let postpones = is_behind && !self.postponed;
        if postpones {
            self.postponed = true;
            self.schedule.at(self.now + GRACE, Event::End);
        }
        postpones
    }

    /// Checks at the end that all members have the same, nothing is missing, nothing is left over.
    pub(crate) fn check_end(&self) -> Checked {
        self.check_probes()?;
        let committed = self.oracle.committed();
        let mut hashes = BTreeMap::new();
        for (id, member) in self.members.iter().filter(|(id, _)| self.oracle.has_member(**id)) {
            let Some(process) = &member.process else { continue };
            check(process.apply.applied().0 == committed, || {
                format!("member {id} ends at entry {}, and {committed} are committed", process.apply.applied().0)
            })?;
            self.oracle.check_state(committed, process.state(), &process.store)?;
            let point = process.state().keys.read_point();
            let hash =
                mvcc::hash_kv(&point, &process.store, 0)?.map_err(|refusal| Violation(format!("hash: {refusal}")))?;
            hashes.insert(*id, hash.hash);
        }
        check(hashes.values().all(|hash| Some(hash) == hashes.values().next()), || {
            format!("hashes of the key space differ: {hashes:?}")
        })?;
        let overdue = self.oracle.overdue(self.now, SECOND * 2);
        check(overdue.is_empty(), || format!("leases are over and still there: {overdue:?}"))?;
        let in_group = |watcher: &&Watcher| watcher.attached.is_some_and(|at| self.oracle.has_member(at.member));
        for watcher in self.watchers.iter().filter(in_group) {
            watcher.check_complete(&self.oracle, self.oracle.model.keys.current)?;
        }
        Ok(())
    }
}
