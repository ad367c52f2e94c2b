//! Linearizability in the order of revisions: every revision has one author, every response matches
//! its revision, and later requests see more.
//!
//! Reads at a revision stand behind the write that made it, so the order is total but for reads
//! that see the same, whose order is that of their requests. If it explains all responses and never
//! contradicts real time, it is a witness; nothing has to be searched.

use super::{Violation, truth::Truth};
use crate::history::{History, Operation, Outcome, Request, Response};
use crate::model::{Changes, bare};
use bytes::Bytes;
use proto::etcdserverpb::{request_op, response_op};
use std::collections::{BTreeMap, BTreeSet};

/// The author of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// This request, by its position in the history.
    Operation(usize),
    /// The end of this lease.
    Lease(i64),
}

pub(crate) type Authors = BTreeMap<i64, Author>;

struct Order<'a> {
    history: &'a History,
    truth: &'a Truth,
    authors: Authors,
    violations: &'a mut Vec<Violation>,
}

/// Finds the author of every revision and judges all answers.
pub(crate) fn check(history: &History, truth: &Truth, violations: &mut Vec<Violation>) -> Authors {
    let mut order = Order { history, truth, authors: Authors::new(), violations };
    order.answers();
    order.find_missing_authors();
    order.real_time();
    order.revision_of_a_member_never_goes_back();
    order.refusals();
    order.authors
}

impl Order<'_> {
    fn violation(&mut self, promise: &'static str, what: String) {
        self.violations.push(Violation::new(promise, what));
    }

    /// Checks that every response matches the state at its revision; a write is the author of its
    /// revision.
    fn answers(&mut self) {
        for (index, operation) in self.history.operations.iter().enumerate() {
            let Some(answer) = operation.answer() else { continue };
            let (revision, writes) = (answer.revision(), wrote(answer));
            let base = if writes { revision - 1 } else { revision };
            let Some((expected, changes)) = self.truth.timeline.evaluate(&operation.request, base) else { continue };
            if revision < 1 || revision > self.history.last_revision {
                self.violation("linearizable", format!("answered at a revision that never was: {operation:?}"));
                continue;
            }
            let deliveries = bare(&operation.request, answer);
            if deliveries != expected {
                self.violation(
                    "linearizable",
                    format!("told {deliveries:?} where {expected:?} was right: {operation:?}"),
                );
            }
            if !writes {
                continue;
            }
            if self.truth.timeline.changes(revision).is_some_and(|deliveries| *deliveries != changes) {
                let deliveries = self.truth.timeline.changes(revision);
                self.violation(
                    "linearizable",
                    format!("watchers were told {deliveries:?}, which is not what this does: {operation:?}"),
                );
            }
            if let Some(other) = self.authors.insert(revision, Author::Operation(index)) {
                self.violation("linearizable", format!("revision {revision} was made by {other:?} too: {operation:?}"));
            }
        }
    }

    /// Revisions that no answer claims were made by requests of unknown outcome, each at most once,
    /// or by leases that ended.
    fn find_missing_authors(&mut self) {
        let history = self.history;
        let by_value = authors_by_value(&history.operations);
        let mut used: BTreeSet<usize> = BTreeSet::new();
        let mut by_lease = Vec::new();
        let open: Vec<(i64, &Changes)> =
            self.truth.timeline.from(2).filter(|(revision, _)| !self.authors.contains_key(revision)).collect();
        for (revision, changes) in open {
            let lease = self.ended_lease(revision, changes);
            let written = changes.values().flatten().next();
            if let (None, Some(lease)) = (written, lease) {
                by_lease.push((revision, changes, lease));
                continue;
            }
            let author = match written {
                Some(record) => {
                    by_value.get(&record.value).copied().filter(|author| self.fits(*author, revision, changes, &used))
                }
                None => self.deleter(revision, changes, &used),
            };
            match author {
                Some(author) => {
                    used.insert(author);
                    self.authors.insert(revision, Author::Operation(author));
                }
                None => {
                    let suspect = written
                        .and_then(|record| by_value.get(&record.value))
                        .map(|author| &history.operations[*author]);
                    self.violation(
                        "linearizable",
                        format!("revision {revision} has no author: {changes:?}; suspected: {suspect:?}"),
                    );
                }
            }
        }
        // A deletion that may also be one of a client is taken for it, so that no lease is blamed
        // without proof.
        for (revision, changes, lease) in by_lease {
            let author = self.deleter(revision, changes, &used);
            used.extend(author);
            self.authors.insert(revision, author.map_or(Author::Lease(lease), Author::Operation));
        }
    }

    /// The lease whose keys these changes delete, all of them and nothing else.
    fn ended_lease(&self, revision: i64, changes: &Changes) -> Option<i64> {
        let timeline = &self.truth.timeline;
        let lease = timeline.get(changes.keys().next()?, revision - 1)?.lease;
        let deleted: Vec<_> = changes.iter().filter(|(_, record)| record.is_none()).map(|(key, _)| key).collect();
        (lease != 0 && deleted.len() == changes.len() && deleted == timeline.leased(lease, revision - 1))
            .then_some(lease)
    }

    fn deleter(&self, revision: i64, changes: &Changes, used: &BTreeSet<usize>) -> Option<usize> {
        let deletes = |operation: &Operation| matches!(operation.request, Request::Delete(_) | Request::Txn(_));
        let mut candidates = self
            .history
            .operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| operation.is_unknown() && deletes(operation));
        candidates.find(|(index, _)| self.fits(*index, revision, changes, used)).map(|(index, _)| index)
    }

    fn fits(&self, author: usize, revision: i64, changes: &Changes, used: &BTreeSet<usize>) -> bool {
        let operation = &self.history.operations[author];
        let asked_before = self.truth.first_seen(revision).is_none_or(|seen| operation.invoked < seen);
        let does = || {
            self.truth.timeline.evaluate(&operation.request, revision - 1).is_some_and(|(_, would)| would == *changes)
        };
        operation.is_unknown() && !used.contains(&author) && asked_before && does()
    }

    /// Checks that a request sent after a revision has been seen gets at least that one, and writes
    /// behind it.
    fn real_time(&mut self) {
        let made: BTreeMap<usize, i64> = self
            .authors
            .iter()
            .filter_map(|(revision, author)| match author {
                Author::Operation(index) => Some((*index, *revision)),
                Author::Lease(_) => None,
            })
            .collect();
        for (index, operation) in self.history.operations.iter().enumerate() {
            let floor = self.truth.floor(operation.invoked);
            if let Some(revision) = made.get(&index) {
                if *revision <= floor {
                    self.violation(
                        "linearizable",
                        format!(
                            "revision {floor} was seen before this was asked, which made {revision}: {operation:?}"
                        ),
                    );
                }
            } else if let Some(answer) = operation.answer()
                && is_linearizable(&operation.request)
                && answer.revision() < floor
            {
                self.violation(
                    "linearizable",
                    format!("revision {floor} was seen before this was asked, a stale answer: {operation:?}"),
                );
            }
        }
    }

    /// Checks that serializable responses, which may be old, are never older than earlier ones of
    /// the same process.
    fn revision_of_a_member_never_goes_back(&mut self) {
        let mut lives: BTreeMap<(usize, u64), Vec<&Operation>> = BTreeMap::new();
        for operation in self
            .history
            .operations
            .iter()
            .filter(|operation| operation.answer().is_some_and(|answer| answer.revision() > 0))
        {
            lives.entry((operation.member, operation.life)).or_default().push(operation);
        }
        for operations in lives.into_values() {
            let revision = |operation: &Operation| operation.answer().map_or(0, Response::revision);
            let mut returned = operations.clone();
            returned.sort_by_key(|operation| operation.returned);
            let mut invoked = operations;
            invoked.sort_by_key(|operation| operation.invoked);
            let (mut earlier, mut highest) = (returned.into_iter().peekable(), 0);
            for operation in invoked {
                while let Some(done) = earlier.next_if(|done| done.returned < operation.invoked) {
                    highest = highest.max(revision(done));
                }
                if revision(operation) < highest {
                    self.violation(
                        "order",
                        format!("the member had answered at revision {highest} before: {operation:?}"),
                    );
                }
            }
        }
    }

    /// Checks that nothing is refused as compacted or as future without a reason.
    fn refusals(&mut self) {
        let compactions = compactions(self.history);
        for operation in &self.history.operations {
            let (Request::Range(range), Outcome::Refused(why)) = (&operation.request, &operation.outcome) else {
                continue;
            };
            let unjustified = if why.contains("has been compacted") {
                !compactions
                    .iter()
                    .any(|(invoked, revision)| *invoked < operation.returned && *revision > range.revision)
            } else {
                why.contains("future revision")
                    && !range.serializable
                    && self.truth.floor(operation.invoked) >= range.revision
            };
            if unjustified {
                self.violation("linearizable", format!("refused without a reason: {operation:?}"));
            }
        }
    }
}

/// When compactions were asked for, and up to where, those of unknown outcome too.
pub(crate) fn compactions(history: &History) -> Vec<(u64, i64)> {
    let asked = history.operations.iter().filter(|operation| !matches!(operation.outcome, Outcome::Refused(_)));
    asked
        .filter_map(|operation| match &operation.request {
            Request::Compact(request) => Some((operation.invoked, request.revision)),
            Request::Range(_) | Request::Put(_) | Request::Delete(_) | Request::Txn(_) => None,
            Request::Grant(_) | Request::KeepAlive(_) | Request::Revoke(_) | Request::Defragment => None,
        })
        .collect()
}

/// Returns the author of each value. Values are never written twice.
fn authors_by_value(operations: &[Operation]) -> BTreeMap<Bytes, usize> {
    let mut authors = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        match &operation.request {
            Request::Put(put) => {
                authors.insert(put.value.clone(), index);
            }
            Request::Txn(txn) => {
                for operation in txn.success.iter().chain(&txn.failure) {
                    if let Some(request_op::Request::RequestPut(put)) = &operation.request {
                        authors.insert(put.value.clone(), index);
                    }
                }
            }
            Request::Range(_) | Request::Delete(_) | Request::Grant(_) | Request::KeepAlive(_) => {}
            Request::Revoke(_) | Request::Compact(_) | Request::Defragment => {}
        }
    }
    authors
}

/// Returns `true` if an answer says that the key space was changed.
fn wrote(answer: &Response) -> bool {
    match answer {
        Response::Put(_) => true,
        Response::Delete(delete) => delete.deleted > 0,
        Response::Txn(txn) => txn.responses.iter().any(|operation| match &operation.response {
            Some(response_op::Response::ResponsePut(_)) => true,
            Some(response_op::Response::ResponseDeleteRange(delete)) => delete.deleted > 0,
            Some(response_op::Response::ResponseTxn(txn)) => wrote(&Response::Txn(txn.clone())),
            Some(response_op::Response::ResponseRange(_)) | None => false,
        }),
        Response::Range(_) | Response::Grant(_) | Response::KeepAlive(_) | Response::Revoke(_) => false,
        Response::Compact(_) | Response::Defragment => false,
    }
}

/// Keep-alives and defragmentation are not ordered by the group's log; serializable reads do not
/// ask for it.
fn is_linearizable(request: &Request) -> bool {
    match request {
        Request::Range(range) => !range.serializable,
        Request::Put(_)
        | Request::Delete(_)
        | Request::Txn(_)
        | Request::Grant(_)
        | Request::Revoke(_)
        | Request::Compact(_) => true,
        Request::KeepAlive(_) | Request::Defragment => false,
    }
}
