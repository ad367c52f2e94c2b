//! Faults, and the operator that changes the cluster meanwhile.

use crate::check::Checked;
use crate::client::clear_alarm;
use crate::event::Event;
use crate::plan::{Fault, spread};
use crate::process::Ticket;
use crate::schedule::{MILLISECOND, SECOND, Time};
use crate::world::{World, record};
use consensus::{Role, successor};
use membership::ConfChange;
use pipeline::{NodeInput, Proposal, ProposalKind};
use prost::Message as _;
use types::MemberId;

/// Members of the group at most.
const MEMBERS_MAX: usize = 7;
/// Ids of members at most.
pub(crate) const MEMBERS_EVER_MAX: u64 = 64;

impl World {
    pub(crate) fn fault(&mut self) -> Checked {
        if self.faults_over {
            return Ok(());
        }
        let pause = MILLISECOND + spread(&mut self.random, self.plan.fault_pause);
        self.schedule.at(self.now + pause, Event::Fault);
        let Some(fault) = self.random.choice(&self.plan.faults).copied() else { return Ok(()) };
        let running: Vec<_> =
            self.members.iter().filter(|(_, member)| member.process.is_some()).map(|(id, _)| *id).collect();
        // Half of the faults hit the leader, where most can go wrong.
        let leader = self.leader().filter(|_| self.plan.at_leader || self.random.bool());
        let Some(victim) = leader.or_else(|| self.random.choice(&running).copied()) else { return Ok(()) };
        self.say(|| format!("fault: {fault:?} of {victim}"));
        match fault {
            Fault::Crash => self.crash(victim),
            Fault::CrashAll if self.random.u8(..4) == 0 => running.into_iter().for_each(|id| self.crash(id)),
            Fault::CrashAll | Fault::Membership => {}
            Fault::Pause => self.pause(victim),
            Fault::Partition => self.partition(victim),
            Fault::Reset => self.reset_connections(victim),
            Fault::SlowDisk | Fault::HungDisk => self.hinder_disk(victim, fault),
            Fault::FailedSync => {
                if let Some(member) = self.members.get_mut(&victim) {
                    member.fail_sync = true;
                }
            }
            Fault::Transfer => return self.transfer(victim),
            Fault::Wipe => self.wipe(victim),
        }
        Ok(())
    }

    /// When a fault of about this length ends: not after all faults do.
    fn for_a_while(&mut self, mean: Time) -> Time {
        (self.now + spread(&mut self.random, mean)).min(self.plan.faults_until)
    }

    fn pause(&mut self, id: u64) {
        let until = self.for_a_while(self.plan.sleep);
        if let Some(member) = self.members.get_mut(&id) {
            member.paused_until = until;
        }
    }

    /// All shapes: one alone, two halves, one way only, a pair that both see the rest, or anything.
    fn partition(&mut self, victim: u64) {
        let ids: Vec<_> = self.members.keys().copied().collect();
        let pairs: Vec<_> = ids
            .iter()
            .flat_map(|&from| ids.iter().map(move |&to| (from, to)))
            .filter(|(from, to)| from != to)
            .collect();
        let shape = self.random.u8(..5);
        let side: Vec<_> = ids.iter().copied().filter(|_| self.random.bool()).collect();
        let other = self.random.choice(&ids).copied().unwrap_or(victim);
        let random = &mut self.random;
        let cut = pairs.into_iter().filter(|&(from, to)| match shape {
            0 => from == victim || to == victim,
            1 => side.contains(&from) != side.contains(&to),
            2 => from == victim,
            3 => (from, to) == (victim, other) || (from, to) == (other, victim),
            _ => random.u8(..3) == 0,
        });
        self.network.blocked.extend(cut);
        let until = self.for_a_while(500 * MILLISECOND);
        self.schedule.at(until, Event::Heal);
    }

    fn reset_connections(&mut self, victim: u64) {
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            self.network.reset(victim, id);
            self.network.reset(id, victim);
            // A firewall that rejects connections makes a member seem to have ended.
            if self.random.u8(..4) == 0 {
                self.schedule
                    .at(self.now + self.random.u64(..5 * MILLISECOND), Event::Gone { member: id, gone: victim });
            }
        }
    }

    fn hinder_disk(&mut self, victim: u64, fault: Fault) {
        let until = self.for_a_while(500 * MILLISECOND);
        let Some(process) = self.members.get_mut(&victim).and_then(|member| member.process.as_mut()) else { return };
        if fault == Fault::SlowDisk {
            process.slow_until = until;
        } else {
            process.hung_until = until;
        }
    }

    fn transfer(&mut self, to: u64) -> Checked {
        let Some(leader) = self.leader() else { return Ok(()) };
        let Some(life) = self.life(leader) else { return Ok(()) };
        self.with(leader, life, |process, cx| {
            process.input(NodeInput::Transfer(to), cx)?;
            process.work(cx)
        })
    }

    /// A disk is lost, if the group can do without it until the operator has taken the member out.
    fn wipe(&mut self, id: u64) {
        let voters = self.oracle.model.members.voters();
        let lost = voters.iter().filter(|id| self.members.get(id).is_none_or(|member| member.gone)).count();
        // A removal may be under way besides.
        let needed = if self.plan.faults.contains(&Fault::Membership) { 5 } else { 3 };
        if voters.len() < needed
            || lost > 0
            || self.random.u8(..3) > 0
            || self.oracle.model.members.removed.contains(&id)
        {
            return;
        }
        self.say(|| format!("the disk of {id} is lost"));
        self.stop(id, true);
    }

    /// Returns the leader with the newest term.
    pub(crate) fn leader(&self) -> Option<u64> {
        let processes = self
            .members
            .iter()
            .filter_map(|(id, member)| Some((*id, member.process.as_ref()?.pipeline.node().status())));
        processes
            .filter(|(_, status)| status.role == Role::Leader)
            .max_by_key(|(_, status)| status.term)
            .map(|(id, _)| id)
    }

    pub(crate) fn life(&self, id: u64) -> Option<u64> {
        self.members.get(&id)?.process.as_ref().map(|process| process.life)
    }

    /// The operator adds, promotes, removes and replaces, one step at a time, and sees to it that
    /// lost members are taken out.
    pub(crate) fn operate(&mut self) -> Checked {
        let pause: Time =
            if self.faults_over { 50 * MILLISECOND } else { 100 * MILLISECOND + spread(&mut self.random, SECOND) };
        self.schedule.at(self.now + pause, Event::Operator);
        let Some(leader) = self.leader() else { return Ok(()) };
        self.clear_alarms(leader)?;
        let Some(change) = self.next_change(leader) else { return Ok(()) };
        let at = if self.random.u8(..4) == 0 {
            self.members.keys().copied().find(|id| self.life(*id).is_some())
        } else {
            Some(leader)
        };
        let Some((at, life)) = at.and_then(|at| Some((at, self.life(at)?))) else { return Ok(()) };
        let removes_leader = change == ConfChange::Remove(MemberId(leader));
        self.say(|| format!("the operator asks {at}: {change:?}"));
        if let ConfChange::Add(added) = &change {
            let member = self.make_member();
            self.members.insert(added.id.0, member);
            let delay = spread(&mut self.random, 300 * MILLISECOND);
            self.schedule.at(self.now + delay, Event::Start { member: added.id.0 });
        }
        let transfer_leadership = removes_leader && self.random.u8(..4) > 0;
        self.with(at, life, |process, cx| {
            if transfer_leadership && process.leads() {
                let to = successor(&process.pipeline.node().progress(), process.id);
                to.map_or(Ok(()), |to| process.input(NodeInput::Transfer(to), cx))?;
            } else {
                let id = process.next_request();
                let data = change.to_raft(id).encode_to_vec().into();
                process.propose(ProposalKind::ConfChange, Proposal { id, data }, Ticket::own(cx.now), cx)?;
            }
            process.work(cx)
        })
    }

    /// Clears all alarms: nothing can be written before.
    fn clear_alarms(&mut self, leader: u64) -> Checked {
        let Some(life) = self.life(leader) else { return Ok(()) };
        let alarms: Vec<_> = self.oracle.model.alarms.iter().copied().collect();
        self.with(leader, life, |process, cx| {
            for (member_id, kind) in alarms {
                process.propose_own(clear_alarm(member_id, kind), cx)?;
            }
            process.work(cx)
        })
    }

    fn next_change(&mut self, leader: u64) -> Option<ConfChange> {
        let members = &self.oracle.model.members;
        let all: Vec<_> = members.members.keys().map(|id| MemberId(*id)).collect();
        let lost = all.iter().find(|id| self.members.get(&id.0).is_none_or(|known| known.gone));
        if let Some(lost) = lost {
            return Some(ConfChange::Remove(*lost));
        }
        if self.faults_over || !self.plan.faults.contains(&Fault::Membership) {
            return None;
        }
        let learners: Vec<_> =
            members.members.iter().filter(|(_, member)| member.is_learner).map(|(id, _)| MemberId(*id)).collect();
        let voters = members.voters().len();
        let fresh = self.next_member;
        match self.random.u8(..4) {
            0 if all.len() < MEMBERS_MAX => {
                self.next_member += 1;
                // A voter that has yet to come counts at once, so a small group is not left to wait
                // for it.
                Some(ConfChange::Add(record(fresh, self.random.bool() || voters < 3)))
            }
            1 => {
                let process = self.members.get(&leader)?.process.as_ref()?;
                let caught_up = |id: &&MemberId| {
                    let progress = process.pipeline.node().progress();
                    progress.iter().any(|progress| {
                        progress.member == id.0
                            && progress.recently_active
                            && progress.matched + 20 > process.apply.applied().0
                    })
                };
                learners.iter().find(caught_up).map(|id| ConfChange::Promote(*id))
            }
            2 if voters > 1 => self.random.choice(&all).map(|id| ConfChange::Remove(*id)),
            _ => None,
        }
    }
}
