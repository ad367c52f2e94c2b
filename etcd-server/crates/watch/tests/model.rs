//! A foolish twin beside the hub: it keeps the whole history and every watcher, and checks each
//! answer by scanning.

use crate::script::decoded;
use crate::store::{Change, Store};
use proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use proto::mvccpb::{self, KeyValue};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use types::{Event, KeyRange, MainRevision, MonotonicTime};
use watch::{Budget, Settings, StreamId, WatchId, WatcherHub};

const SETTINGS: Settings = Settings {
    stream_bytes_max: 1500,
    total_bytes_max: 4000,
    response_bytes_max: 300,
    retries_at_once: 1,
    fragment_bytes: 250,
};
/// No answer of these runs is larger: six changes of one revision, with previous versions.
const LARGEST_ANSWER_BYTES: usize = 1500;
const STREAMS: u64 = 6;

struct TwinWatcher {
    range: KeyRange,
    request: WatchCreateRequest,
    /// Position in the history of the next event that may be for it.
    next: usize,
    from: MainRevision,
    created: bool,
    ended: bool,
    fragments_open: bool,
}

#[derive(Default)]
struct Twin {
    history: Vec<Event>,
    watchers: BTreeMap<(StreamId, WatchId), TwinWatcher>,
}

impl Twin {
    fn wants(watcher: &TwinWatcher, event: &Event) -> bool {
        let filtered = watcher.request.filters.contains(&i32::from(event.is_delete()));
        event.revision.main >= watcher.from && watcher.range.contains(&event.key) && !filtered
    }

    fn next_event(&mut self, key: (StreamId, WatchId)) -> Option<&Event> {
        let watcher = self.watchers.get_mut(&key).unwrap();
        while self.history.get(watcher.next).is_some_and(|event| !Self::wants(watcher, event)) {
            watcher.next += 1;
        }
        self.history.get(watcher.next)
    }

    /// The record of `key` as of `at`, by scanning.
    fn value_at(&self, key: &[u8], at: MainRevision) -> Option<KeyValue> {
        let last = self.history.iter().rev().find(|event| event.revision.main <= at && event.key == key)?;
        (!last.is_delete()).then(|| mvcc::record::decode(last.record.clone()).unwrap())
    }

    fn check_event(&mut self, key: (StreamId, WatchId), got: &mvccpb::Event, compacted: MainRevision) -> MainRevision {
        let expected = self.next_event(key).cloned().expect("no event is made up");
        let kv = match expected.is_delete() {
            true => KeyValue { key: expected.key.clone(), mod_revision: expected.revision.main, ..KeyValue::default() },
            false => mvcc::record::decode(expected.record.clone()).unwrap(),
        };
        assert_eq!(got.kv.as_ref(), Some(&kv), "events come in order and without gaps");
        assert_eq!(got.r#type, i32::from(expected.is_delete()));
        let before = expected.revision.main - 1;
        let is_create = !expected.is_delete() && kv.create_revision == kv.mod_revision;
        let prev = self.value_at(&expected.key, before).filter(|_| self.watchers[&key].request.prev_kv && !is_create);
        assert!(
            got.prev_kv == prev || (got.prev_kv.is_none() && before < compacted),
            "{:?} is not {prev:?}",
            got.prev_kv
        );
        self.watchers.get_mut(&key).unwrap().next += 1;
        expected.revision.main
    }

    fn check_progress(&mut self, key: (StreamId, WatchId), revision: MainRevision) {
        let open = self.next_event(key).is_some_and(|event| event.revision.main <= revision);
        assert!(!open && !self.watchers[&key].ended, "progress is never promised ahead of events");
    }

    fn check(&mut self, stream: StreamId, response: &WatchResponse, compacted: MainRevision) {
        let key = (stream, response.watch_id);
        let revision = response.header.as_ref().unwrap().revision;
        if response.created && !response.canceled {
            let watcher = self.watchers.get_mut(&key).expect("only what was asked for is created");
            assert!(!std::mem::replace(&mut watcher.created, true));
        } else if response.canceled && response.compact_revision != 0 {
            assert!(revision == 0 && response.compact_revision <= compacted);
            let watcher = self.watchers.get_mut(&key).unwrap();
            assert!(watcher.created && !std::mem::replace(&mut watcher.ended, true));
            assert!(watcher.from < response.compact_revision || watcher.next > 0);
        } else if response.canceled {
            self.watchers.remove(&key).expect("only what was created is cancelled");
        } else if !response.events.is_empty() {
            self.check_events(key, response, revision, compacted);
        } else if response.watch_id == -1 {
            let created = self.watchers.iter().filter(|((of, _), watcher)| *of == stream && watcher.created);
            let keys: Vec<_> = created.map(|(key, _)| *key).collect();
            keys.into_iter().for_each(|key| self.check_progress(key, revision));
        } else {
            assert!(self.watchers[&key].request.progress_notify);
            self.check_progress(key, revision);
        }
    }

    fn check_events(
        &mut self,
        key: (StreamId, WatchId),
        response: &WatchResponse,
        revision: MainRevision,
        compacted: MainRevision,
    ) {
        assert!(
            self.watchers[&key].created && !self.watchers[&key].ended,
            "events come after creation and not after the end"
        );
        let mut last = 0;
        for event in &response.events {
            last = self.check_event(key, event, compacted);
        }
        let watcher = self.watchers.get_mut(&key).unwrap();
        watcher.fragments_open = response.fragment;
        assert!(watcher.request.fragment || !response.fragment);
        if !response.fragment {
            assert_eq!(revision, last, "the header carries the revision of the last event");
            assert!(self.next_event(key).is_none_or(|event| event.revision.main > last), "no revision is split");
        }
    }
}

struct Run {
    random: fastrand::Rng,
    store: Store,
    hub: WatcherHub,
    twin: Twin,
    unpublished: VecDeque<Vec<Event>>,
    /// Streams that are open, and bytes taken from each but not yet drained.
    in_flight: BTreeMap<StreamId, usize>,
    next_stream: u64,
    /// Cancelled by the client, answer not yet seen.
    cancelled: BTreeSet<(StreamId, WatchId)>,
    now: MonotonicTime,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            random: fastrand::Rng::with_seed(seed),
            store: Store::new(),
            hub: WatcherHub::new(SETTINGS, 1, -1),
            twin: Twin::default(),
            unpublished: VecDeque::new(),
            in_flight: BTreeMap::new(),
            next_stream: 0,
            cancelled: BTreeSet::new(),
            now: MonotonicTime(0),
        };
        (0..STREAMS).for_each(|_| run.open());
        run
    }

    fn open(&mut self) {
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        self.hub.open_stream(stream, Duration::from_millis(self.random.u64(50..200)), self.now);
        self.in_flight.insert(stream, 0);
    }

    fn stream(&mut self) -> StreamId {
        let position = self.random.usize(..self.in_flight.len());
        *self.in_flight.keys().nth(position).unwrap()
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.u8(..12))
    }

    fn range(&mut self) -> KeyRange {
        let (from, to) = (self.key(), self.key());
        match self.random.u8(..4) {
            0 => KeyRange::from_wire("k".into(), "l".into()),
            1 if from < to => KeyRange::from_wire(from.into(), to.into()),
            _ => KeyRange::single(from.into()),
        }
    }

    fn write(&mut self) {
        let mut written = BTreeSet::new();
        let mut changes = Vec::new();
        if self.random.u8(..4) == 0 {
            changes.push(Change::Delete(self.range()));
        } else {
            for _ in 0..self.random.u8(1..6) {
                let key = self.key();
                if written.insert(key.clone()) {
                    changes.push(Change::Put(key, "v".repeat(self.random.usize(..120))));
                }
            }
        }
        let events = self.store.execute(&changes);
        self.twin.history.extend(events.iter().cloned());
        if !events.is_empty() {
            self.unpublished.push_back(events);
        }
    }

    fn publish(&mut self) {
        let count = self.random.usize(..=self.unpublished.len());
        let events: Vec<Event> = self.unpublished.drain(..count).flatten().collect();
        match (self.random.u8(..20), events.last()) {
            (0, Some(last)) => self.hub.skipped_to(last.revision.main),
            // Lost without a word: the next publication shows the gap.
            (1, _) => {}
            _ => self.hub.publish(&self.store.view, &events).unwrap(),
        }
    }

    fn create(&mut self) {
        let stream = self.stream();
        if self.twin.watchers.keys().filter(|(of, _)| *of == stream).count() > 5 || !self.hub.accepts_requests(stream) {
            return;
        }
        let (key, end) = (self.key(), self.key());
        let current = self.store.current();
        let request = WatchCreateRequest {
            key: if self.random.bool() { "k".into() } else { key.clone().into() },
            range_end: if self.random.bool() && key < end { end.into() } else { "".into() },
            start_revision: if self.random.bool() { 0 } else { self.random.i64(1..current + 4) },
            progress_notify: self.random.bool(),
            filters: if self.random.u8(..4) == 0 { vec![self.random.i32(..2)] } else { vec![] },
            prev_kv: self.random.bool(),
            watch_id: i64::try_from(1000 + self.next_id()).unwrap(),
            fragment: self.random.u8(..4) == 0,
        };
        self.hub.create(stream, &request, current, self.store.compacted());
        let from = if request.start_revision == 0 { current + 1 } else { request.start_revision };
        let range = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
        let id = request.watch_id;
        let watcher =
            TwinWatcher { range, request, next: 0, from, created: false, ended: false, fragments_open: false };
        self.twin.watchers.insert((stream, id), watcher);
    }

    fn next_id(&mut self) -> u64 {
        self.random.u64(..1 << 40)
    }

    fn cancel(&mut self) {
        let keys: Vec<_> = self.twin.watchers.keys().filter(|key| !self.cancelled.contains(key)).copied().collect();
        let Some((stream, id)) = self.random.choice(keys) else { return };
        self.cancelled.insert((stream, id));
        self.hub.cancel(stream, id, self.store.current());
    }

    fn compact(&mut self) {
        let revision = self.random.i64(1..=self.store.current());
        let remove = self.random.bool();
        self.store.compact(revision, remove);
        if self.random.bool() {
            self.hub.compacted(self.store.compacted());
        }
    }

    fn close(&mut self) {
        let stream = self.stream();
        self.hub.close_stream(stream);
        self.in_flight.remove(&stream);
        self.twin.watchers.retain(|(of, _), _| *of != stream);
        self.open();
    }

    fn take(&mut self, stream: StreamId, count: usize) {
        for _ in 0..count {
            let Some(output) = self.hub.take(stream) else { return };
            *self.in_flight.get_mut(&stream).unwrap() += output.queued_bytes();
            self.twin.check(stream, &decoded(&output), self.store.compacted());
        }
    }

    fn drain(&mut self, stream: StreamId) {
        let bytes = std::mem::take(self.in_flight.get_mut(&stream).unwrap());
        // Without sent bytes there is no report: the hub must make progress without being called
        // again.
        if bytes > 0 {
            self.hub.drained(stream, bytes);
        }
    }

    fn catch_up(&mut self) -> bool {
        let budget = Budget {
            changes: self.random.usize(..40),
            bytes: self.random.usize(1..3000),
            watchers: self.random.usize(..5),
        };
        self.hub.catch_up(&self.store.view, budget).unwrap()
    }

    fn step(&mut self) {
        let stream = self.stream();
        match self.random.u8(..100) {
            0..30 => self.write(),
            30..50 => self.publish(),
            50..60 => drop(self.catch_up()),
            60..66 => self.create(),
            66..68 => self.cancel(),
            68 => self.compact(),
            69 if self.random.u8(..8) == 0 => self.close(),
            69..73 if self.hub.accepts_requests(stream) => self.hub.progress_request(stream),
            69..73 => {}
            73..78 => {
                self.now = self.now.after(Duration::from_millis(self.random.u64(..100)));
                self.hub.tick(self.now);
            }
            78..92 => {
                let count = self.random.usize(..8);
                self.take(stream, count);
            }
            _ => self.drain(stream),
        }
        let bound = SETTINGS.total_bytes_max + usize::try_from(STREAMS).unwrap() * LARGEST_ANSWER_BYTES;
        assert!(self.hub.queued_bytes() <= bound, "{} bytes are queued", self.hub.queued_bytes());
    }

    /// Everything is published, read and caught up: no watcher may miss an event.
    fn settle(&mut self) {
        while !self.unpublished.is_empty() {
            self.publish();
        }
        self.hub.skipped_to(self.store.current());
        loop {
            while self.catch_up() {}
            while let Some(stream) = self.hub.next_ready() {
                self.take(stream, usize::MAX);
            }
            let streams: Vec<_> = self.in_flight.keys().copied().collect();
            streams.into_iter().for_each(|stream| self.drain(stream));
            if !self.hub.has_work() {
                break;
            }
        }
        assert_eq!((self.hub.queued_bytes(), self.hub.unsynced_watchers()), (0, 0));
        let keys: Vec<_> = self.twin.watchers.keys().copied().collect();
        for key in keys {
            assert!(!self.cancelled.contains(&key), "every cancellation is answered");
            let ended = self.twin.watchers[&key].ended;
            assert!(ended || self.twin.next_event(key).is_none(), "every watcher has got everything");
            assert!(!self.twin.watchers[&key].fragments_open);
        }
    }
}

#[test]
fn hub_gives_every_watcher_what_a_scan_of_history_gives() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for step in 0..1500 {
            run.step();
            if step % 300 == 299 {
                run.settle();
            }
        }
    }
}
