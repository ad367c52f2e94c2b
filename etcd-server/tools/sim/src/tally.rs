//! The number of operations by kind and by end.

use crate::client::Ask;

/// Kinds of operations.
pub const KINDS: [&str; 10] = [
    "put",
    "range",
    "transaction",
    "deletion",
    "compaction",
    "lease grant",
    "lease revoke",
    "keep-alive",
    "alarm",
    "users and roles",
];

/// The end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Executed.
    Succeeded,
    /// Refused by the state, as the model demands.
    Refused,
    /// Not taken by the member.
    NotTaken,
    /// Without a response.
    Unknown,
}

/// Operations by kind and by end, in the order of [`KINDS`] and [`End`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally(pub [[u64; 4]; KINDS.len()]);

impl Tally {
    /// Adds the counts of another tally.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(sum, count)| *sum += count);
    }

    /// Returns all operations that ended so.
    pub fn of(&self, end: End) -> u64 {
        self.0.iter().map(|kind| kind[end as usize]).sum()
    }

    pub(crate) fn count(&mut self, ask: &Ask, end: End) {
        self.0[kind(ask)][end as usize] += 1;
    }
}

fn kind(ask: &Ask) -> usize {
    match ask {
        Ask::Read { .. } => 1,
        Ask::KeepAlive(_) => 7,
        Ask::Propose(request) if request.put.is_some() => 0,
        Ask::Propose(request) if request.txn.is_some() => 2,
        Ask::Propose(request) if request.delete_range.is_some() => 3,
        Ask::Propose(request) if request.compaction.is_some() => 4,
        Ask::Propose(request) if request.lease_grant.is_some() => 5,
        Ask::Propose(request) if request.lease_revoke.is_some() => 6,
        Ask::Propose(request) if request.alarm.is_some() => 8,
        Ask::Propose(_) => 9,
    }
}
