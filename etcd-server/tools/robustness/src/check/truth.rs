//! The reference history, put together from the events of all watchers: they see every revision,
//! regardless of its author.

use super::Violation;
use crate::history::{History, Micros};
use crate::model::{Changes, Timeline};
use bytes::Bytes;
use proto::mvccpb::{Event, KeyValue, event::EventType};
use std::collections::BTreeMap;

/// The history of the key space, and when it was first seen.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) timeline: Timeline,
    /// The moments at which a higher revision was seen for the first time: the moment and the
    /// revision.
    seen: Vec<(Micros, i64)>,
}

impl Truth {
    pub(crate) fn of(history: &History, violations: &mut Vec<Violation>) -> Self {
        let mut deliveries: BTreeMap<i64, BTreeMap<Bytes, &Event>> = BTreeMap::new();
        for (number, stream) in history.streams.iter().enumerate() {
            for event in stream.deliveries.iter().flat_map(|deliveries| &deliveries.response.events) {
                let Some(record) = &event.kv else { continue };
                let known =
                    deliveries.entry(record.mod_revision).or_default().entry(record.key.clone()).or_insert(event);
                if (known.r#type, &known.kv) != (event.r#type, &event.kv) {
                    violations.push(Violation::new(
                        "events",
                        format!("stream {number} was told {event:?}, another one {known:?}"),
                    ));
                }
            }
        }
        let mut timeline = Timeline::default();
        for (revision, events) in deliveries {
            let changes = events.into_iter().map(|(key, event)| (key, change(event))).collect();
            check_records(&timeline, revision, &changes, violations);
            timeline.add(revision, changes);
        }
        for missing in (2..=history.last_revision).filter(|revision| timeline.changes(*revision).is_none()) {
            violations.push(Violation::new("reliable", format!("no watcher was told of revision {missing}")));
        }
        if timeline.last() > history.last_revision {
            let (deliveries, last) = (timeline.last(), history.last_revision);
            violations.push(Violation::new(
                "order",
                format!("watchers were told of revision {deliveries}, but the last write had {last}"),
            ));
        }
        Self { timeline, seen: sightings(history) }
    }

    /// Returns the highest revision that was seen before a moment.
    pub(crate) fn floor(&self, at: Micros) -> i64 {
        let known = self.seen.partition_point(|(seen, _)| *seen < at);
        self.seen[..known].last().map_or(1, |(_, revision)| *revision)
    }

    /// When a revision, or one behind it, was first seen.
    pub(crate) fn first_seen(&self, revision: i64) -> Option<Micros> {
        let index = self.seen.partition_point(|(_, seen)| *seen < revision);
        self.seen.get(index).map(|(at, _)| *at)
    }
}

fn change(event: &Event) -> Option<KeyValue> {
    match event.r#type() {
        EventType::Put => event.kv.clone(),
        EventType::Delete => None,
    }
}

/// Checks that versions count up, creations stay, and only existing keys are deleted.
fn check_records(timeline: &Timeline, revision: i64, changes: &Changes, violations: &mut Vec<Violation>) {
    for (key, record) in changes {
        let before = timeline.get(key, revision - 1);
        let fits = match (before, record) {
            (None, None) => false,
            (Some(_), None) => true,
            (None, Some(record)) => (record.version, record.create_revision) == (1, revision),
            (Some(before), Some(record)) => {
                (record.version, record.create_revision) == (before.version + 1, before.create_revision)
            }
        };
        if !fits {
            violations.push(Violation::new(
                "events",
                format!("revision {revision} made {record:?} of {before:?} at {key:?}"),
            ));
        }
    }
}

/// Returns the sightings that cannot be wrong: a header states an existing revision.
fn sightings(history: &History) -> Vec<(Micros, i64)> {
    let answers =
        history.operations.iter().filter_map(|operation| Some((operation.returned, operation.answer()?.revision())));
    let events = history.streams.iter().flat_map(|stream| &stream.deliveries).map(|deliveries| {
        let events = deliveries.response.events.iter().filter_map(|event| Some(event.kv.as_ref()?.mod_revision));
        (deliveries.at, events.max().unwrap_or_default())
    });
    let mut all: Vec<_> = answers.chain(events).collect();
    all.sort_unstable();
    let mut highest = 1;
    all.retain(|(_, revision)| {
        let higher = *revision > highest;
        highest = highest.max(*revision);
        higher
    });
    all
}
