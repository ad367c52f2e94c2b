//! Progress: promises that everything up to a revision has been sent.
//!
//! The revision promised is always the published one, and the promise is queued behind the events
//! it speaks of.

use crate::WatcherHub;
use crate::output::{Body, Output};
use crate::watcher::{ProgressNotify, StreamId, WatchId, WatchKey};
use types::{MainRevision, MonotonicTime};

impl WatcherHub {
    /// The client asks for progress of its whole stream. Without watchers, or while any of them is
    /// not synced, there is no answer, as in etcd.
    pub fn progress_request(&mut self, stream: StreamId) {
        let published = self.published;
        let Some(held) = self.streams.get(stream) else { return };
        if !held.watchers.is_empty() && held.watchers.values().all(|watcher| watcher.is_synced_at(published)) {
            self.streams.push_stream_progress(stream, published);
        }
    }

    /// Notifies idle synced watchers that asked for it, each stream at its own interval. Returns
    /// when to call again; nothing without streams.
    pub fn tick(&mut self, now: MonotonicTime) -> Option<MonotonicTime> {
        while let Some(stream) = self.streams.pop_due(now) {
            self.notify_progress(stream);
        }
        self.streams.next_deadline()
    }

    fn notify_progress(&mut self, id: StreamId) {
        let published = self.published;
        let Some(stream) = self.streams.get_mut(id) else { return };
        let mut idle: Vec<WatchId> = Vec::new();
        for (watch_id, watcher) in &mut stream.watchers {
            match watcher.progress {
                ProgressNotify::Off => {}
                ProgressNotify::NotDue => watcher.progress = ProgressNotify::Due,
                ProgressNotify::Due if watcher.is_synced_at(published) => idle.push(*watch_id),
                ProgressNotify::Due => {}
            }
        }
        for watch_id in idle {
            // A client that does not read gets no further promises queued.
            if self.streams.is_roomy(id) {
                self.report(WatchKey { stream: id, id: watch_id }, published);
            }
        }
    }

    fn report(&mut self, key: WatchKey, revision: MainRevision) {
        self.streams.push(key.stream, Output { watch_id: key.id, revision, body: Body::Progress });
    }
}
