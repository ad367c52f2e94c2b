//! Watching clients, and the guarantees of a watch: ordered, unique, reliable, whole revisions,
//! resumable, and progress that is true.

use crate::check::{Checked, check};
use crate::oracle::Oracle;
use bytes::Bytes;
use fastrand::Rng;
use model::Change;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use proto::mvccpb::{KeyValue, event::EventType};
use types::KeyRange;
use watch::StreamId;

/// The place of a watcher: at a life of a member, on a stream of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) member: u64,
    pub(crate) life: u64,
    pub(crate) stream: StreamId,
}

#[derive(Debug)]
pub(crate) struct Watcher {
    request: WatchCreateRequest,
    range: KeyRange,
    pub(crate) attached: Option<Attached>,
    /// The start of its present watch.
    start: i64,
    /// The first revision that it wants: earlier events it has or does not want.
    next_revision: i64,
    /// Events of the oracle before this one are done with.
    position: usize,
    pub(crate) received: u64,
    created: bool,
}

impl Watcher {
    pub(crate) fn new(random: &mut Rng) -> Self {
        let (key, range_end) = match random.u8(..3) {
            0 => (Bytes::from_static(b"k"), Bytes::from_static(b"l")),
            1 => (Bytes::from_static(b"k1"), Bytes::from_static(b"k5")),
            _ => (Bytes::from(format!("k{}", random.u8(..12))), Bytes::new()),
        };
        let filters = match random.u8(..5) {
            0 => vec![FilterType::Noput.into()],
            1 => vec![FilterType::Nodelete.into()],
            _ => Vec::new(),
        };
        let request = WatchCreateRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            progress_notify: random.bool(),
            prev_kv: random.u8(..3) == 0,
            fragment: random.u8(..3) == 0,
            filters,
            ..WatchCreateRequest::default()
        };
        let range = KeyRange::from_wire(key, range_end);
        Self { request, range, attached: None, start: 0, next_revision: 0, position: 0, received: 0, created: false }
    }

    /// Watches at a member from where it left off, or now and then from somewhere else. The
    /// oracle's revision is `current`.
    pub(crate) fn attach(
        &mut self,
        random: &mut Rng,
        at: Attached,
        current: i64,
        oracle: &Oracle,
    ) -> WatchCreateRequest {
        if self.next_revision == 0 || random.u8(..5) == 0 {
            self.next_revision = (current + random.i64(0..12) - 9).max(1);
        }
        self.attached = Some(at);
        self.start = self.next_revision;
        self.position = oracle.events.partition_point(|event| event.main < self.next_revision);
        self.created = false;
        WatchCreateRequest { start_revision: self.next_revision, ..self.request.clone() }
    }

    /// Returns whether the watch goes on.
    pub(crate) fn receive(&mut self, response: &WatchResponse, oracle: &Oracle) -> Checked<bool> {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.canceled {
            let compacted = response.compact_revision;
            check(compacted > self.next_revision, || {
                format!("a watch from {} is canceled: {response:?}", self.next_revision)
            })?;
            self.next_revision = compacted;
            return Ok(false);
        }
        check(response.created != self.created, || format!("created twice, or events before it: {response:?}"))?;
        if response.created {
            self.created = true;
            return Ok(true);
        }
        for event in &response.events {
            self.receive_event(event, oracle)?;
        }
        let Some(last) = response.events.last() else {
            // Progress: everything up to that revision was sent.
            let missing = self.expected(oracle).filter(|missing| missing.main <= revision);
            return check(missing.is_none(), || format!("progress at {revision} is told before {missing:?}"))
                .map(|()| true);
        };
        let last = last.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        if !response.fragment {
            let rest = self.expected(oracle).filter(|event| event.main == last);
            check(rest.is_none(), || format!("revision {last} is told in part: {rest:?} is missing"))?;
            self.next_revision = last + 1;
        }
        Ok(true)
    }

    /// Returns `true` if compaction may have removed an event: versions replaced within the very
    /// revision that it keeps, as in etcd.
    fn may_be_gone(event: &Change, position: usize, oracle: &Oracle) -> bool {
        let of_same_revision = oracle.events[position + 1..].iter().take_while(|later| later.main == event.main);
        event.main <= oracle.model.keys.compacted && of_same_revision.into_iter().any(|later| later.key == event.key)
    }

    fn wants(&self, event: &Change) -> bool {
        let filter: i32 = if event.kv.is_none() { FilterType::Nodelete.into() } else { FilterType::Noput.into() };
        event.main >= self.start && self.range.contains(&event.key) && !self.request.filters.contains(&filter)
    }

    /// Returns the next event that it must get.
    fn expected<'a>(&self, oracle: &'a Oracle) -> Option<&'a Change> {
        let mut rest = oracle.events.iter().enumerate().skip(self.position);
        rest.find(|(position, event)| self.wants(event) && !Self::may_be_gone(event, *position, oracle))
            .map(|(_, event)| event)
    }

    fn receive_event(&mut self, told: &proto::mvccpb::Event, oracle: &Oracle) -> Checked {
        let wanted = oracle.events.iter().enumerate().skip(self.position).filter(|(_, event)| self.wants(event));
        let mut possible = Vec::new();
        for (position, event) in wanted {
            possible.push((position, event));
            if !Self::may_be_gone(event, position, oracle) {
                break;
            }
        }
        let found = possible.iter().find(|(_, expected)| is_same(told, expected));
        let Some(&(position, expected)) = found else {
            return check(false, || format!("{told:?} is told where {possible:?} comes next"));
        };
        if let (true, Some(previous)) = (self.request.prev_kv, &told.prev_kv) {
            let earlier = oracle.events[..position]
                .iter()
                .rev()
                .find(|event| event.key == expected.key && event.main < expected.main);
            let known = earlier.is_some_and(|event| event.kv.as_ref() == Some(previous));
            check(known, || format!("{told:?} had before it {earlier:?}"))?;
        }
        self.position = position + 1;
        self.received += 1;
        Ok(())
    }

    /// Nothing that it wants is missing up to `revision`.
    pub(crate) fn check_complete(&self, oracle: &Oracle, revision: i64) -> Checked {
        let missing = self.expected(oracle).filter(|event| event.main <= revision);
        check(missing.is_none(), || format!("a watcher at {:?} was never told {missing:?}", self.attached))
    }

    /// Its stream is gone.
    pub(crate) fn detach(&mut self) {
        self.attached = None;
    }
}

fn is_same(told: &proto::mvccpb::Event, expected: &Change) -> bool {
    let is_delete = told.r#type == i32::from(EventType::Delete);
    let kv = told.kv.clone().unwrap_or_default();
    match &expected.kv {
        None => {
            is_delete
                && kv
                    == KeyValue { key: expected.key.clone().into(), mod_revision: expected.main, ..KeyValue::default() }
        }
        Some(expected) => !is_delete && kv == *expected,
    }
}
