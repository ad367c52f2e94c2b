//! Streams: their queues of answers, bounded in bytes, and their watchers.

use crate::encode::{EventSlice, Run};
use crate::output::{Body, ENVELOPE_BYTES_MAX, NO_WATCHER, Output};
use crate::settings::Settings;
use crate::watcher::{State, StreamId, WatchId, WatchKey, Watcher};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use types::{MainRevision, MonotonicTime};

/// One client's stream.
#[derive(Debug)]
pub(crate) struct Stream {
    queue: VecDeque<Output>,
    /// Bytes of answers queued, and of those taken but not yet drained.
    queued_bytes: usize,
    pub(crate) watchers: BTreeMap<WatchId, Watcher>,
    next_id: WatchId,
    progress_interval: Duration,
    next_progress: MonotonicTime,
}

impl Stream {
    /// The next id that no watcher of this stream has.
    pub(crate) fn free_id(&mut self) -> WatchId {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Returns the bytes that were queued.
    fn push(&mut self, output: Output) -> usize {
        let bytes = output.queued_bytes();
        self.queued_bytes += bytes;
        self.queue.push_back(output);
        bytes
    }

    fn push_events(&mut self, watch_id: WatchId, events: EventSlice, fragment_bytes: Option<usize>) -> usize {
        let revision = events.last_revision();
        let Some(fragment_bytes) = fragment_bytes else {
            return self.push(Output { watch_id, revision, body: Body::Events { events, more_fragments: false } });
        };
        // etcd keeps messages below its bound. More than the widest envelope is reserved, so ours
        // may hold an event less.
        let pieces = events.pieces(fragment_bytes.saturating_sub(ENVELOPE_BYTES_MAX));
        let last = pieces.len() - 1;
        let outputs = pieces.into_iter().enumerate().map(|(position, events)| {
            let body = Body::Events { events, more_fragments: position < last };
            Output { watch_id, revision, body }
        });
        outputs.map(|output| self.push(output)).sum()
    }
}

/// All streams, and their queued bytes together.
#[derive(Debug)]
pub(crate) struct Streams {
    streams: BTreeMap<StreamId, Stream>,
    /// Streams with responses to be taken.
    ready: BTreeSet<StreamId>,
    /// When each stream's progress is looked at next.
    deadlines: BTreeSet<(MonotonicTime, StreamId)>,
    total_bytes: usize,
    settings: Settings,
}

impl Streams {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { streams: BTreeMap::new(), ready: BTreeSet::new(), deadlines: BTreeSet::new(), total_bytes: 0, settings }
    }

    pub(crate) fn open(&mut self, id: StreamId, progress_interval: Duration, now: MonotonicTime) {
        // An interval of nothing would be due for ever.
        let progress_interval = progress_interval.max(Duration::from_millis(1));
        let stream = Stream {
            queue: VecDeque::new(),
            queued_bytes: 0,
            watchers: BTreeMap::new(),
            next_id: 0,
            progress_interval,
            next_progress: now.after(progress_interval),
        };
        self.deadlines.insert((stream.next_progress, id));
        let before = self.streams.insert(id, stream);
        assert!(before.is_none(), "a stream's id is never used twice");
        self.check_sizes();
    }

    pub(crate) fn close(&mut self, id: StreamId) -> Option<Stream> {
        let stream = self.streams.remove(&id)?;
        assert!(
            stream.queued_bytes <= self.total_bytes,
            "{} bytes are queued for {id:?}, and {} for all",
            stream.queued_bytes,
            self.total_bytes
        );
        self.total_bytes -= stream.queued_bytes;
        self.ready.remove(&id);
        self.deadlines.remove(&(stream.next_progress, id));
        self.check_sizes();
        Some(stream)
    }

    fn check_sizes(&self) {
        assert!(
            self.deadlines.len() == self.streams.len(),
            "{} streams are open, and {} have a deadline",
            self.streams.len(),
            self.deadlines.len()
        );
        assert!(
            self.ready.len() <= self.streams.len(),
            "{} streams are open, and {} are ready",
            self.streams.len(),
            self.ready.len()
        );
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id)
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// A stream whose progress is due; its next time is set.
    pub(crate) fn pop_due(&mut self, now: MonotonicTime) -> Option<StreamId> {
        let due = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&due);
        let id = due.1;
        if let Some(stream) = self.streams.get_mut(&id) {
            let next = now.after(stream.progress_interval);
            assert!(next >= due.0, "the progress of {id:?} moves back from {:?} to {next:?}", due.0);
            stream.next_progress = next;
            self.deadlines.insert((stream.next_progress, id));
        }
        Some(id)
    }

    /// When a stream's progress is due next.
    pub(crate) fn next_deadline(&self) -> Option<MonotonicTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(crate) fn watcher_mut(&mut self, key: WatchKey) -> Option<&mut Watcher> {
        self.streams.get_mut(&key.stream)?.watchers.get_mut(&key.id)
    }

    pub(crate) fn push(&mut self, id: StreamId, output: Output) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        self.total_bytes += stream.push(output);
        self.ready.insert(id);
    }

    /// Reports progress of a whole stream; replaces a report that was not taken yet.
    pub(crate) fn push_stream_progress(&mut self, id: StreamId, revision: MainRevision) {
        let last = self.streams.get_mut(&id).and_then(|stream| stream.queue.back_mut());
        match last {
            Some(Output { watch_id: NO_WATCHER, revision: reported, body: Body::Progress }) => {
                assert!(*reported <= revision, "progress of {id:?} goes back from {reported} to {revision}");
                *reported = revision;
            }
            Some(_) | None => self.push(id, Output { watch_id: NO_WATCHER, revision, body: Body::Progress }),
        }
    }

    /// Queues the part of `runs` that the watcher has not got. If there is no room for all, returns
    /// the first revision that is missing.
    pub(crate) fn offer(&mut self, key: WatchKey, runs: &[Arc<Run>]) -> Result<(), MainRevision> {
        let Some(stream) = self.streams.get_mut(&key.stream) else { return Ok(()) };
        for run in runs {
            let Some(watcher) = stream.watchers.get_mut(&key.id) else { return Ok(()) };
            let Some(events) = EventSlice::starting_at(run, watcher.min_revision) else { continue };
            if !self.settings.has_room(stream.queued_bytes, self.total_bytes, events.bytes()) {
                assert!(
                    events.first_revision() >= watcher.min_revision,
                    "{key:?} has events up to {}, and is offered {}",
                    watcher.min_revision,
                    events.first_revision()
                );
                watcher.min_revision = events.first_revision();
                return Err(watcher.min_revision);
            }
            watcher.queued_up_to(events.last_revision());
            let fragment_bytes = watcher.fragment.then_some(self.settings.fragment_bytes);
            self.total_bytes += stream.push_events(key.id, events, fragment_bytes);
            self.ready.insert(key.stream);
        }
        Ok(())
    }

    /// Returns `true` if it is worth reading for a stream's watchers: half of its queue is free.
    pub(crate) fn is_roomy(&self, id: StreamId) -> bool {
        let stream = self.streams.get(&id);
        stream.is_some_and(|stream| {
            self.settings.has_room(stream.queued_bytes, self.total_bytes, self.settings.stream_bytes_max / 2)
        })
    }

    /// Returns `true` if a stream has sent enough to be asked for more.
    pub(crate) fn is_below_bound(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.queued_bytes < self.settings.stream_bytes_max)
    }

    pub(crate) fn pop_ready(&mut self) -> Option<StreamId> {
        self.ready.pop_first()
    }

    pub(crate) fn take(&mut self, id: StreamId) -> Option<Output> {
        let stream = self.streams.get_mut(&id)?;
        let output = stream.queue.pop_front();
        let bytes = output.as_ref().map_or(0, Output::queued_bytes);
        assert!(bytes <= stream.queued_bytes, "{bytes} of {} queued bytes are taken", stream.queued_bytes);
        if stream.queue.is_empty() {
            self.ready.remove(&id);
        }
        output
    }

    pub(crate) fn drained(&mut self, id: StreamId, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        assert!(bytes <= stream.queued_bytes, "no more is sent than was queued");
        assert!(bytes <= self.total_bytes, "{bytes} of {} bytes of all streams are sent", self.total_bytes);
        stream.queued_bytes -= bytes;
        self.total_bytes -= bytes;
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Watchers of all streams in a state.
    pub(crate) fn keys_in(&self, state: State) -> Vec<WatchKey> {
        let watchers = self
            .streams
            .iter()
            .flat_map(|(stream, held)| held.watchers.iter().map(move |(id, watcher)| (*stream, *id, watcher)));
        watchers
            .filter(|(_, _, watcher)| watcher.state == state)
            .map(|(stream, id, _)| WatchKey { stream, id })
            .collect()
    }
}
