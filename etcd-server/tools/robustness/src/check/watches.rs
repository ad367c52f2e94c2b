//! The promises of a watch: filter, start, ordered, unique, atomic, reliable, resumable,
//! bookmarkable, and true records before each change.
//!
//! Each stream is judged alone against the reference history. A watcher that resumes elsewhere does
//! so by a start revision, and is owed every event from there on, so that resuming is judged by the
//! same rule. The records themselves (versions, creations, equal for all) are judged where the
//! reference history is made.

use super::{Violation, order::compactions, truth::Truth};
use crate::history::{Delivery, History, Micros, Stream};
use crate::model::{Changes, holds};
use bytes::Bytes;
use proto::etcdserverpb::{WatchResponse, watch_create_request::FilterType};
use proto::mvccpb::{Event, event::EventType};
use std::collections::BTreeSet;

struct Judge<'a> {
    number: usize,
    stream: &'a Stream,
    truth: &'a Truth,
    compactions: &'a [(Micros, i64)],
    violations: &'a mut Vec<Violation>,
    /// The first revision that is owed.
    start: i64,
    /// Parts of a response that is not whole yet.
    pieces: Vec<Event>,
    delivered: BTreeSet<(i64, Bytes)>,
    /// The last revision of a whole response.
    last: i64,
    /// The highest revision up to which everything was said to be delivered.
    promised: i64,
}

/// Judges every stream.
pub(crate) fn check(history: &History, truth: &Truth, violations: &mut Vec<Violation>) {
    let compactions = compactions(history);
    for (number, stream) in history.streams.iter().enumerate() {
        let Some(start) = start(stream) else { continue };
        let mut judge = Judge {
            number,
            stream,
            truth,
            compactions: &compactions,
            violations,
            start,
            pieces: Vec::new(),
            delivered: BTreeSet::new(),
            last: 0,
            promised: 0,
        };
        stream.deliveries.iter().for_each(|deliveries| judge.take(deliveries));
        let owed_to = if stream.to_the_end { history.last_revision } else { judge.last };
        judge.nothing_missing("reliable", owed_to);
    }
}

/// Returns the revision from which events are owed, once the watch is created: a watch of the
/// present begins behind the revision of its creation.
fn start(stream: &Stream) -> Option<i64> {
    let created = stream.deliveries.iter().find(|deliveries| deliveries.response.created)?;
    let present = created.response.header.as_ref().map_or(0, |header| header.revision);
    Some(if stream.request.start_revision > 0 { stream.request.start_revision } else { present + 1 })
}

impl Judge<'_> {
    fn violation(&mut self, promise: &'static str, what: &str) {
        let (number, member) = (self.number, self.stream.member);
        self.violations.push(Violation::new(promise, format!("stream {number} at member {member}: {what}")));
    }

    fn take(&mut self, deliveries: &Delivery) {
        let response = &deliveries.response;
        if response.canceled {
            self.cancelled(deliveries);
        } else if response.created && response.events.is_empty() {
        } else if response.events.is_empty() && self.pieces.is_empty() {
            self.progress(response);
        } else {
            self.pieces.extend(response.events.iter().cloned());
            if !response.fragment {
                let events = std::mem::take(&mut self.pieces);
                self.events(&events, response, deliveries.at);
            }
        }
    }

    fn events(&mut self, events: &[Event], response: &WatchResponse, at: Micros) {
        let before = self.last;
        for event in events {
            let Some(record) = &event.kv else {
                self.violation("events", "an event without a record");
                continue;
            };
            let revision = record.mod_revision;
            if !self.wants(&record.key, event.r#type()) {
                self.violation("filter", &format!("nobody asked for {event:?}"));
            }
            if revision < self.start {
                self.violation("start", &format!("asked from {} on, got {event:?}", self.start));
            }
            if !self.delivered.insert((revision, record.key.clone())) {
                self.violation("unique", &format!("told twice: {event:?}"));
            } else if revision < self.last {
                self.violation("ordered", &format!("behind revision {}: {event:?}", self.last));
            } else if revision == before {
                self.violation("atomic", &format!("revision {revision} came in two responses: {event:?}"));
            }
            if revision <= self.promised {
                self.violation("bookmarkable", &format!("all up to {} had been promised: {event:?}", self.promised));
            }
            self.previous_record(event, at);
            self.last = self.last.max(revision);
        }
        let deliveries = response.header.as_ref().map_or(0, |header| header.revision);
        if deliveries < self.last {
            self.violation("ordered", &format!("the header tells {deliveries} with an event of {}", self.last));
        }
    }

    /// The record before the change, where it was asked for; compaction may have taken it.
    fn previous_record(&mut self, event: &Event, at: Micros) {
        let Some(record) = &event.kv else { return };
        let revision = record.mod_revision;
        let expected = self.truth.timeline.get(&record.key, revision - 1).filter(|_| self.stream.request.prev_kv);
        let may_be_gone =
            || self.compactions.iter().any(|(invoked, compacted)| *invoked < at && *compacted >= revision);
        if event.prev_kv.as_ref() != expected && !(event.prev_kv.is_none() && may_be_gone()) {
            self.violation("prev_kv", &format!("should have been {expected:?}: {event:?}"));
        }
    }

    /// Takes a progress notification: no event comes any more up to this revision.
    fn progress(&mut self, response: &WatchResponse) {
        let promised = response.header.as_ref().map_or(0, |header| header.revision);
        if promised < self.last.max(self.promised) {
            self.violation("bookmarkable", &format!("progress to {promised} after {}", self.last.max(self.promised)));
        }
        self.nothing_missing("bookmarkable", promised);
        self.promised = self.promised.max(promised);
    }

    fn nothing_missing(&mut self, promise: &'static str, to: i64) {
        let truth = self.truth;
        let from = self.start.max(self.promised + 1);
        let missing: Vec<_> = truth
            .timeline
            .from(from)
            .take_while(|(revision, _)| *revision <= to)
            .flat_map(|(revision, changes)| self.wanted(changes).map(move |key| (revision, key)))
            .filter(|owed| !self.delivered.contains(owed))
            .collect();
        if let Some((revision, key)) = missing.first() {
            let count = missing.len();
            self.violation(
                promise,
                &format!("{count} events missing up to revision {to}, the first of {key:?} at {revision}"),
            );
        }
    }

    fn cancelled(&mut self, deliveries: &Delivery) {
        let compacted = deliveries.response.compact_revision;
        if compacted == 0 {
            return;
        }
        let asked =
            self.compactions.iter().any(|(invoked, revision)| *invoked < deliveries.at && *revision >= compacted);
        if !asked || compacted <= self.start {
            self.violation(
                "resumable",
                &format!("asked from {} on and cancelled as compacted: {:?}", self.start, deliveries.response),
            );
        }
    }

    fn wants(&self, key: &[u8], kind: EventType) -> bool {
        let request = &self.stream.request;
        let filter = match kind {
            EventType::Put => FilterType::Noput,
            EventType::Delete => FilterType::Nodelete,
        };
        holds(&request.key, &request.range_end, key) && !request.filters.contains(&filter.into())
    }

    fn wanted<'a>(&'a self, changes: &'a Changes) -> impl Iterator<Item = Bytes> + 'a {
        let kind = |written: bool| if written { EventType::Put } else { EventType::Delete };
        changes.iter().filter(move |(key, record)| self.wants(key, kind(record.is_some()))).map(|(key, _)| key.clone())
    }
}
