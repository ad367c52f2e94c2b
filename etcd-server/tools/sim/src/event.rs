//! The events of the simulated world.

use crate::client::Ask;
use crate::process::{Reply, Task, Ticket};
use proto::raftpb::Message;
use schema::MemoryStore;
use std::sync::Arc;

/// An event.
pub(crate) enum Event {
    Do {
        member: u64,
        life: u64,
        doing: Task,
    },
    Message {
        message: Message,
        epoch: u64,
        snapshot: Option<Arc<MemoryStore>>,
    },
    SnapshotEnd {
        member: u64,
        life: u64,
        to: u64,
        ok: bool,
    },
    Start {
        member: u64,
    },
    Ask {
        member: u64,
        ticket: Ticket,
        ask: Ask,
    },
    Reply {
        ticket: Ticket,
        told: Reply,
    },
    Invoke {
        client: usize,
    },
    GiveUp {
        ticket: Ticket,
    },
    Watcher {
        watcher: usize,
    },
    Fault,
    /// A member finds the address of another one closed.
    Gone {
        member: u64,
        gone: u64,
    },
    /// A member crashes and is back at once.
    Blink {
        member: u64,
    },
    Heal,
    Operator,
    Settle,
    Probe {
        member: u64,
    },
    End,
}

impl Event {
    pub(crate) fn member(&self) -> Option<u64> {
        match self {
            Self::Do { member, .. } | Self::SnapshotEnd { member, .. } | Self::Ask { member, .. } => Some(*member),
            Self::Message { message, .. } => Some(message.to),
            Self::Start { .. }
            | Self::Blink { .. }
            | Self::Gone { .. }
            | Self::Reply { .. }
            | Self::Invoke { .. }
            | Self::GiveUp { .. }
            | Self::Watcher { .. } => None,
            Self::Fault | Self::Heal | Self::Operator | Self::Settle | Self::Probe { .. } | Self::End => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Do { .. } => "do",
            Self::Message { .. } => "message",
            Self::SnapshotEnd { .. } => "snapshot ends",
            Self::Start { .. } => "start",
            Self::Ask { .. } => "ask",
            Self::Reply { .. } => "told",
            Self::Invoke { .. } => "invoke",
            Self::GiveUp { .. } => "give up",
            Self::Watcher { .. } => "watcher",
            Self::Fault => "fault",
            Self::Gone { .. } => "gone",
            Self::Blink { .. } => "blink",
            Self::Heal => "heal",
            Self::Operator => "operator",
            Self::Settle => "settle",
            Self::Probe { .. } => "probe",
            Self::End => "end",
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Do { member, life, doing } => format!("member {member} (life {life}): {doing:?}"),
            Self::Message { message, .. } => {
                let Message { r#type, to, from, term, log_term, index, entries, commit, reject, .. } = message;
                format!(
                    "{from} -> {to}: kind {type} term {term} behind {index}/{log_term} with {} entries, commit {commit}{}",
                    entries.len(),
                    if *reject { ", rejected" } else { "" }
                )
            }
            Self::Ask { member, ticket, ask } => format!("client {} asks {member}: {ask:?}", ticket.client),
            Self::Reply { ticket, told } => format!("client {} is told {told:?}", ticket.client),
            Self::Start { member } | Self::Probe { member } | Self::Blink { member } => {
                format!("{} {member}", self.name())
            }
            Self::Gone { member, gone } => format!("member {member} finds {gone} gone"),
            Self::SnapshotEnd { .. } | Self::Invoke { .. } | Self::GiveUp { .. } | Self::Watcher { .. } => {
                self.name().to_owned()
            }
            Self::Fault | Self::Heal | Self::Operator | Self::Settle | Self::End => self.name().to_owned(),
        }
    }
}
