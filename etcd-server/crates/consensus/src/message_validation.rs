//! The validation of messages from other members before raft steps them.
//!
//! raft-rs panics on dozens of malformed messages, and a member that lost its data panics on honest
//! ones. Nothing that is refused here changes the node in any way.

use crate::Role;
use crate::message::{self, Kind};
use prost::Message as _;
use proto::raftpb::{self, ConfChange, ConfState, Entry, EntryType, Message};
use raft::eraftpb::MessageType;
use std::collections::BTreeSet;

/// Terms, indexes and the like beyond this are refused: adding one to them must not overflow, and
/// no honest group ever gets there.
const NUMBER_MAX: u64 = 1 << 62;
/// Furthest that the term of a message may be ahead of this member's. Every election adds one, so
/// no honest member gets there within 30 years, and one message cannot use up all terms.
const TERM_AHEAD_MAX: u64 = 1 << 30;
/// Longest context of a read, in bytes.
const CONTEXT_BYTES_MAX: usize = 64;

/// The reason why a message was refused. The node is unchanged; only [`StepRefusal::LostLog`]
/// requires more than counting and logging it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepRefusal {
    /// It is addressed to another member.
    #[error("message is for member {to:x}")]
    NotForUs {
        /// The addressed member.
        to: u64,
    },
    /// It names no sender, or this member itself.
    #[error("message claims to come from member {from:x}")]
    Sender {
        /// The claimed sender.
        from: u64,
    },
    /// The sender is no member, as far as this one knows, and such a message makes sense from
    /// members only.
    #[error("member {from:x} is not in the cluster as this member knows it")]
    NotAMember {
        /// The sender.
        from: u64,
    },
    /// A kind that we do not know.
    #[error("kind {kind} is unknown")]
    UnknownKind {
        /// Its number on the wire.
        kind: i32,
    },
    /// A kind that a member sends only to itself.
    #[error("kind {kind} may not come from the network")]
    LocalKind {
        /// Its number on the wire.
        kind: i32,
    },
    /// Its content contradicts itself or its kind.
    #[error("malformed message of kind {kind}: {what}")]
    Malformed {
        /// Its number on the wire.
        kind: i32,
        /// The defect.
        what: &'static str,
    },
    /// Its term is so far ahead that it cannot come from an honest member: raft would adopt it and
    /// soon run out of terms.
    #[error("term {term} is too far ahead of this member's term {own}; the message is forged or damaged")]
    TermTooFarAhead {
        /// The term of the message.
        term: u64,
        /// The term of this member.
        own: u64,
    },
    /// It was meant for the leader, or should have come from it.
    #[error("message of kind {kind} to or from a member that does not lead")]
    NotTheLeader {
        /// Its number on the wire.
        kind: i32,
    },
    /// It came too late to matter.
    #[error("outdated message of kind {kind}")]
    Outdated {
        /// Its number on the wire.
        kind: i32,
    },
    /// This member is installing a snapshot, or has not persisted yet the entries that the message
    /// acknowledges.
    #[error("message of kind {kind} comes too early for this member")]
    TooEarly {
        /// Its number on the wire.
        kind: i32,
    },
    /// The proposal in it holds for another term than the present one, or this member does not lead
    /// in it; its sender proposes it again.
    #[error("forwarded proposal for the leader of term {term}")]
    OutOfTerm {
        /// The term that it holds for.
        term: u64,
    },
    /// The message with the proposal was taken before.
    #[error("forwarded proposal arrived twice")]
    Repeated,
    /// The proposal in it was not taken: no leader, leadership under way to another member, a
    /// leader that is being removed, too much uncommitted, or too many changes of the members
    /// waiting.
    #[error("forwarded proposal dropped")]
    Dropped,
    /// The sender, a leader, lacks an entry that this member knows to be committed: a majority of
    /// the members were replaced by older copies, and acknowledged writes are lost. This member
    /// must stop.
    #[error(
        "the leader {from:x} has another entry at index {index} (term {theirs}) than the one that is committed here (term {ours}): the \
         cluster has lost acknowledged writes, because most of its members lost their data or were replaced by older copies. This \
         member still has them: keep its data directory, and decide which data to keep before you rebuild the others"
    )]
    LostCommit {
        /// The leader.
        from: u64,
        /// The index of the first entry that differs.
        index: u64,
        /// The term of the committed entry here.
        ours: u64,
        /// The term of the leader's entry.
        theirs: u64,
    },
    /// The sender leads in the term that this member leads in. Every member votes once in a term,
    /// so members have lost their votes, and with them maybe acknowledged writes. This member must
    /// stop.
    #[error(
        "member {from:x} leads in term {term}, as this member does: votes were lost, because members lost their data or were replaced by \
         older copies, and acknowledged writes may be lost with them. Keep the data directories of both members, and decide which data to \
         keep before you rebuild the others"
    )]
    SecondLeader {
        /// The other leader.
        from: u64,
        /// The term of both.
        term: u64,
    },
    /// The sender rightly takes entries for granted that this member acknowledged once and does not
    /// have: it must stop.
    #[error(
        "the raft log of this member ends at entry {last}, but it has acknowledged entry {acknowledged} to member {from:x}: its data was \
         lost or replaced by an older copy. It must not continue with this data: remove the member from the cluster, empty its data \
         directory and add it again"
    )]
    LostLog {
        /// The reporting member.
        from: u64,
        /// The last entry that there is.
        last: u64,
        /// The entry that there should be.
        acknowledged: u64,
    },
}

/// The state of the node that the checks need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageContext {
    pub(crate) id: u64,
    pub(crate) term: u64,
    pub(crate) role: Role,
    pub(crate) leader: u64,
    pub(crate) last_index: u64,
    /// The committed index and the term of its entry.
    pub(crate) committed: (u64, u64),
    /// A snapshot is being installed.
    pub(crate) installing: bool,
    /// Everything in the log is known to be durable.
    pub(crate) all_persisted: bool,
    /// This leader's own removal is in the log and not applied.
    pub(crate) leaving: bool,
    /// Up to where the sender is known to have the log, when it is a member.
    pub(crate) matched: Option<u64>,
}

/// Looks a message over before raft sees it.
pub(crate) fn check(message: &Message, at: &MessageContext) -> Result<MessageType, StepRefusal> {
    let kind = match message::kind(message.r#type) {
        Kind::Network(kind) => kind,
        Kind::Local => return Err(StepRefusal::LocalKind { kind: message.r#type }),
        Kind::Unknown => return Err(StepRefusal::UnknownKind { kind: message.r#type }),
    };
    if message.to != at.id {
        return Err(StepRefusal::NotForUs { to: message.to });
    }
    // A transfer names the member that is to lead as its sender, and that may be this one.
    let from_self = message.from == at.id && kind != MessageType::MsgTransferLeader;
    if message.from == 0 || from_self {
        return Err(StepRefusal::Sender { from: message.from });
    }
    let malformed = |what| StepRefusal::Malformed { kind: message.r#type, what };
    let numbers = [message.term, message.log_term, message.index, message.commit, message.reject_hint];
    if numbers.iter().any(|&number| number > NUMBER_MAX) {
        return Err(malformed("a number is too large"));
    }
    if message.term > at.term.saturating_add(TERM_AHEAD_MAX) {
        return Err(StepRefusal::TermTooFarAhead { term: message.term, own: at.term });
    }
    let forwarded = matches!(kind, MessageType::MsgPropose | MessageType::MsgReadIndex);
    if forwarded != (message.term == 0) {
        return Err(malformed("its term is set where it must not be, or not set where it must be"));
    }
    by_kind(kind, message, at)?;
    Ok(kind)
}

fn by_kind(kind: MessageType, message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    let number = message.r#type;
    let malformed = |what| StepRefusal::Malformed { kind: number, what };
    match kind {
        MessageType::MsgPropose => proposal(message, at),
        MessageType::MsgAppend => entries(message).map_err(malformed),
        MessageType::MsgAppendResponse => acknowledgement(message, at),
        MessageType::MsgHeartbeat => heartbeat(message, at),
        MessageType::MsgHeartbeatResponse => member(message, at),
        MessageType::MsgRequestPreVoteResponse => answer_to_candidate(message, at),
        MessageType::MsgRequestVoteResponse => {
            answer_to_candidate(message, at)?;
            // raft-rs takes for granted that a candidate's log is durable, and panics when it wins
            // before.
            if at.role == Role::Candidate && !at.all_persisted {
                Err(StepRefusal::TooEarly { kind: number })
            } else {
                Ok(())
            }
        }
        MessageType::MsgSnapshot => snapshot(message, at),
        MessageType::MsgTransferLeader => {
            let leads_there = at.role == Role::Leader && message.term <= at.term;
            if leads_there { Ok(()) } else { Err(StepRefusal::NotTheLeader { kind: number }) }
        }
        MessageType::MsgTimeoutNow if at.installing => Err(StepRefusal::TooEarly { kind: number }),
        MessageType::MsgTimeoutNow => from_leader(message, at),
        MessageType::MsgReadIndex => {
            member(message, at)?;
            read_context(&message.entries).map_err(malformed)
        }
        MessageType::MsgReadIndexResp => {
            from_leader(message, at)?;
            read_context(&message.entries).map_err(malformed)
        }
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Ok(()),
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum => Err(StepRefusal::LocalKind { kind: number }),
    }
}

fn member(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    at.matched.map(drop).ok_or(StepRefusal::NotAMember { from: message.from })
}

/// The term of the log is that of the committed entry here.
fn answer_to_candidate(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    member(message, at)?;
    let (committed, committed_term) = at.committed;
    let contradicts = message.commit == committed && message.log_term != 0 && message.log_term != committed_term;
    if message.log_term > message.term || contradicts {
        return Err(StepRefusal::Malformed { kind: message.r#type, what: "its commit index is impossible" });
    }
    Ok(())
}

/// In the current term only its leader says such things; a newer term makes itself known by them.
fn from_leader(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    let another_leads = message.term == at.term && message.from != at.leader;
    if another_leads { Err(StepRefusal::NotTheLeader { kind: message.r#type }) } else { Ok(()) }
}

fn proposal(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    let malformed = |what| StepRefusal::Malformed { kind: message.r#type, what };
    member(message, at)?;
    if message.entries.is_empty() {
        return Err(malformed("it proposes nothing"));
    }
    if at.leaving {
        return Err(StepRefusal::Dropped);
    }
    for entry in &message.entries {
        if entry.data.is_empty() {
            return Err(malformed("it proposes an empty entry"));
        }
        match entry.r#type() {
            EntryType::EntryNormal if entry.r#type == 0 => {}
            EntryType::EntryConfChange => {
                ConfChange::decode(entry.data.clone())
                    .map_err(|_| malformed("it proposes a change of the group that cannot be read"))?;
            }
            EntryType::EntryNormal | EntryType::EntryConfChangeV2 => {
                return Err(malformed("it proposes an entry of unknown kind"));
            }
        }
    }
    Ok(())
}

fn entries(message: &Message) -> Result<(), &'static str> {
    let mut before = (message.index, message.log_term);
    if message.log_term > message.term {
        return Err("its log is newer than its term");
    }
    // raft-rs takes every entry behind its log to have the term 0.
    if (message.index == 0) != (message.log_term == 0) {
        return Err("the entry that it follows cannot be");
    }
    for entry in &message.entries {
        let known = raftpb::EntryType::try_from(entry.r#type).is_ok_and(|kind| kind != EntryType::EntryConfChangeV2);
        if !known {
            return Err("an entry is of unknown kind");
        }
        if entry.index != before.0 + 1 {
            return Err("its entries have a gap");
        }
        if entry.term == 0 || entry.term < before.1 || entry.term > message.term {
            return Err("the terms of its entries go back or are newer than its own");
        }
        before = (entry.index, entry.term);
    }
    Ok(())
}

fn acknowledgement(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    member(message, at)?;
    if at.role != Role::Leader || message.term != at.term {
        return Ok(());
    }
    if message.index > at.last_index {
        return Err(StepRefusal::Malformed { kind: message.r#type, what: "it is about entries that were never sent" });
    }
    // raft-rs would send again from before the entries that the follower has acknowledged since.
    let overtaken = message.reject && message.index <= at.matched.unwrap_or(0);
    if overtaken { Err(StepRefusal::Outdated { kind: message.r#type }) } else { Ok(()) }
}

fn heartbeat(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    let heeded = message.term > at.term || (message.term == at.term && at.role != Role::Leader);
    if heeded && message.commit > at.last_index {
        return Err(StepRefusal::LostLog { from: message.from, last: at.last_index, acknowledged: message.commit });
    }
    Ok(())
}

fn snapshot(message: &Message, at: &MessageContext) -> Result<(), StepRefusal> {
    let malformed = |what| StepRefusal::Malformed { kind: message.r#type, what };
    let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
    let metadata = metadata.ok_or_else(|| malformed("it holds no snapshot"))?;
    if metadata.index == 0 || metadata.index > NUMBER_MAX || metadata.term == 0 || metadata.term > message.term {
        return Err(malformed("the place of its snapshot cannot be"));
    }
    let conf_state = metadata.conf_state.as_ref().ok_or_else(|| malformed("its snapshot names no members"))?;
    group(conf_state, at.id).map_err(malformed)?;
    let (committed, committed_term) = at.committed;
    if metadata.index == committed && metadata.term != committed_term {
        return Err(malformed("its snapshot contradicts a committed entry"));
    }
    Ok(())
}

fn group(conf_state: &ConfState, own: u64) -> Result<(), &'static str> {
    if !conf_state.voters_outgoing.is_empty() || !conf_state.learners_next.is_empty() || conf_state.auto_leave {
        return Err("its snapshot is of a group in transition");
    }
    if conf_state.voters.is_empty() {
        return Err("its snapshot has no voters");
    }
    let mut seen = BTreeSet::new();
    let distinct = conf_state.voters.iter().chain(&conf_state.learners).all(|&id| id != 0 && seen.insert(id));
    if !distinct {
        return Err("its snapshot names a member twice, or none");
    }
    if seen.contains(&own) { Ok(()) } else { Err("its snapshot does not name this member") }
}

fn read_context(entries: &[Entry]) -> Result<(), &'static str> {
    match entries {
        [entry] if (1..=CONTEXT_BYTES_MAX).contains(&entry.data.len()) => Ok(()),
        _ => Err("it holds no context, more than one, or too long a one"),
    }
}

#[cfg(test)]
mod tests;
