//! The watch thread: the only owner of the hub.
//!
//! Changes go before requests, and both before catching up, of which one bounded pass is made at a
//! time: watchers that are behind never delay the others.

use super::response_queue::ResponseQueue;
use super::watch_queue::{Arrived, Change, Command, Figures, Request, WatchQueue};
use crate::clock::Clock;
use crate::published::Published;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::Store;
use tokio::sync::OwnedSemaphorePermit;
use types::{Fault, MonotonicTime};
use watch::{Budget, Settings, StreamId, WatcherHub};

/// Share of the queue bound above which streams report sent bytes at once; else they are collected
/// with the next responses.
const CROWDED_SHARE: usize = 4;

/// A stream as this thread sees it.
#[derive(Debug)]
struct Open {
    response_queue: Arc<ResponseQueue>,
    /// Requests that were handled while its answers filled its queue.
    held: Vec<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) struct WatchTask {
    hub: WatcherHub,
    watch_queue: Arc<WatchQueue>,
    streams: BTreeMap<StreamId, Open>,
    published: Arc<Published>,
    clock: Clock,
    crowded_bytes: usize,
    /// Streams that hold requests back.
    holding: usize,
}

impl WatchTask {
    pub(crate) fn new(
        settings: Settings,
        watch_queue: Arc<WatchQueue>,
        published: Arc<Published>,
        clock: Clock,
    ) -> Self {
        let point = published.read_point();
        let hub = WatcherHub::new(settings, point.current, point.compacted);
        let crowded_bytes = settings.total_bytes_max / CROWDED_SHARE;
        Self { hub, watch_queue, streams: BTreeMap::new(), published, clock, crowded_bytes, holding: 0 }
    }

    /// Runs until the stop command.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let mut next_tick: Option<MonotonicTime> = None;
        loop {
            let wait =
                if self.hub.has_work() { Some(Duration::ZERO) } else { next_tick.map(|at| at.since(self.clock.now())) };
            let arrived = self.watch_queue.take(wait);
            if arrived.stop {
                return Ok(());
            }
            // One for the whole round: the state may be replaced meanwhile.
            let store = self.published.store();
            self.handle(arrived, &store)?;
            if self.hub.has_work() {
                self.hub.catch_up(&*store, Budget::default())?;
                self.hand_out();
            }
            next_tick = self.hub.tick(self.clock.now());
            self.hand_out();
            self.watch_drains();
            self.tell();
        }
    }

    fn tell(&self) {
        let Figures { streams, watchers, unsynced_watchers, pending_events: _ } = &self.watch_queue.figures;
        streams.store(self.hub.open_streams(), Ordering::Relaxed);
        watchers.store(self.hub.watchers(), Ordering::Relaxed);
        unsynced_watchers.store(self.hub.unsynced_watchers(), Ordering::Relaxed);
    }

    fn handle(&mut self, arrived: Arrived, store: &Store) -> Result<(), Fault> {
        let Arrived { changes, skipped_to, skipped_compaction, commands, stop: _ } = arrived;
        for change in changes {
            match change {
                Change::Events(events) => self.hub.publish(store, &events)?,
                Change::Compacted(revision) => self.hub.compacted(revision),
            }
            self.hand_out();
        }
        if let Some(revision) = skipped_to {
            self.hub.skipped_to(revision);
        }
        if let Some(revision) = skipped_compaction {
            self.hub.compacted(revision);
        }
        for command in commands {
            self.obey(command);
        }
        self.hand_out();
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { stream, response_queue, progress_interval } => {
                self.hub.open_stream(stream, progress_interval, self.clock.now());
                self.streams.insert(stream, Open { response_queue, held: Vec::new() });
            }
            Command::Request { stream, request, permit } => self.response(stream, request, permit),
            Command::Drained(stream) => self.collect(stream),
            Command::Close(stream) => {
                self.hub.close_stream(stream);
                if self.streams.remove(&stream).is_some_and(|open| !open.held.is_empty()) {
                    assert!(self.holding > 0, "{stream:?} holds requests, and no stream does");
                    self.holding -= 1;
                }
            }
        }
    }

    fn response(&mut self, stream: StreamId, request: Request, permit: OwnedSemaphorePermit) {
        let point = self.published.read_point();
        match request {
            Request::Create(request) => self.hub.create(stream, &request, point.current, point.compacted),
            Request::Refuse(reason) => self.hub.refuse(stream, point.current, reason),
            Request::Cancel(watch_id) => self.hub.cancel(stream, watch_id, point.current),
            Request::Progress => self.hub.progress_request(stream),
        }
        if self.hub.accepts_requests(stream) {
            return;
        }
        if let Some(open) = self.streams.get_mut(&stream) {
            self.holding += usize::from(open.held.is_empty());
            open.held.push(permit);
        }
    }

    /// Gives every stream its responses from the hub.
    fn hand_out(&mut self) {
        while let Some(stream) = self.hub.next_ready() {
            self.collect(stream);
            let Some(open) = self.streams.get(&stream) else { continue };
            open.response_queue.push(std::iter::from_fn(|| self.hub.take(stream)));
        }
    }

    /// Reports the sent bytes of a stream to the hub.
    fn collect(&mut self, stream: StreamId) {
        let Some(open) = self.streams.get_mut(&stream) else { return };
        let bytes = open.response_queue.collect();
        if bytes > 0 {
            self.hub.drained(stream, bytes);
        }
        if !open.held.is_empty() && self.hub.accepts_requests(stream) {
            open.held.clear();
            self.holding -= 1;
        }
    }

    /// Makes streams report sent bytes while a watcher waits for room.
    fn watch_drains(&mut self) {
        assert!(
            self.holding <= self.streams.len(),
            "{} streams hold requests, and {} are open",
            self.holding,
            self.streams.len()
        );
        let anybody_waits =
            self.holding > 0 || self.hub.unsynced_watchers() > 0 || self.hub.queued_bytes() > self.crowded_bytes;
        let told_before = self.watch_queue.tell_of_drains.swap(anybody_waits, Ordering::SeqCst);
        if anybody_waits && !told_before {
            // Bytes that were sent before that.
            let streams: Vec<StreamId> = self.streams.keys().copied().collect();
            streams.into_iter().for_each(|stream| self.collect(stream));
        }
    }
}

impl Drop for WatchTask {
    /// Streams learn that nothing follows, however this thread ends.
    fn drop(&mut self) {
        self.watch_queue.close();
        for open in self.streams.values() {
            open.response_queue.close();
        }
    }
}
