//! The hub: streams, the synced watchers' index, and the unsynced watchers' cursors.
//!
//! Invariants: a synced watcher has everything up to `published` queued; an unsynced one everything
//! below its cursor; a response is queued whole or not at all. Publishing is in `publish`, catching
//! up in `catch_up`, creation in `create`, progress in `progress`.

use crate::index::Index;
use crate::output::{Body, Output};
use crate::settings::Settings;
use crate::stream::Streams;
use crate::unsynced::UnsyncedWatchers;
use crate::watcher::{State, StreamId, WatchId, WatchKey, Watcher};
use std::time::Duration;
use types::{MainRevision, MonotonicTime};

/// All watchers of this member.
#[derive(Debug)]
pub struct WatcherHub {
    pub(crate) settings: Settings,
    pub(crate) streams: Streams,
    /// Synced watchers only.
    pub(crate) synced: Index,
    pub(crate) unsynced: UnsyncedWatchers,
    pub(crate) published: MainRevision,
    pub(crate) compacted: MainRevision,
}

impl WatcherHub {
    /// A hub over a store that is readable at `published` and compacted at `compacted`.
    ///
    /// # Panics
    /// If `compacted` is above `published`.
    pub fn new(settings: Settings, published: MainRevision, compacted: MainRevision) -> Self {
        assert!(compacted <= published, "revision {compacted} is compacted, and {published} is published");
        let streams = Streams::new(settings);
        Self {
            settings,
            streams,
            synced: Index::default(),
            unsynced: UnsyncedWatchers::default(),
            published,
            compacted,
        }
    }

    /// A client has opened a stream. `progress_interval` is the server's interval with this
    /// stream's jitter added; `stream` was never used before.
    pub fn open_stream(&mut self, stream: StreamId, progress_interval: Duration, now: MonotonicTime) {
        self.streams.open(stream, progress_interval, now);
    }

    /// A stream has ended; its watchers and everything queued for it are forgotten. Closing twice
    /// is no error.
    ///
    /// # Panics
    /// If a watcher of the stream is not where its state says.
    pub fn close_stream(&mut self, stream: StreamId) {
        let Some(closed) = self.streams.close(stream) else { return };
        for (id, watcher) in closed.watchers {
            self.leave_groups(WatchKey { stream, id }, &watcher);
        }
    }

    /// Takes a watcher that has ended out of the group of its state.
    fn leave_groups(&mut self, key: WatchKey, watcher: &Watcher) {
        let was_synced = self.synced.remove(key, &watcher.range, watcher.wanted);
        let was_unsynced = self.unsynced.remove(key).is_some();
        assert!(
            (was_synced, was_unsynced) == (watcher.state == State::Synced, watcher.state == State::Unsynced),
            "{key:?} is {:?}, but among the synced: {was_synced}, among the unsynced: {was_unsynced}",
            watcher.state
        );
    }

    /// The client cancels a watcher; `current` is the store's revision. An unknown id is not
    /// answered, as in etcd.
    ///
    /// # Panics
    /// If the watcher is not where its state says.
    pub fn cancel(&mut self, stream: StreamId, watch_id: WatchId, current: MainRevision) {
        let Some(watcher) = self.streams.get_mut(stream).and_then(|stream| stream.watchers.remove(&watch_id)) else {
            return;
        };
        self.leave_groups(WatchKey { stream, id: watch_id }, &watcher);
        self.streams.push(stream, Output { watch_id, revision: current, body: Body::Canceled });
    }

    /// Ends reads below `revision`: a watcher that still needs them is cancelled as compacted, and
    /// gets nothing more.
    pub fn compacted(&mut self, revision: MainRevision) {
        if revision <= self.compacted {
            return;
        }
        self.compacted = revision;
        self.end_overtaken();
    }

    /// Cancels all watchers behind the last compaction.
    pub(crate) fn end_overtaken(&mut self) {
        for key in self.unsynced.below(self.compacted) {
            self.unsynced.remove(key);
            self.end_compacted(key);
        }
    }

    /// Ends a watcher that is in neither group. Its id stays taken, and keeps stream progress from
    /// being reported, as in etcd.
    pub(crate) fn end_compacted(&mut self, key: WatchKey) {
        if let Some(watcher) = self.streams.watcher_mut(key) {
            watcher.state = State::Compacted;
        }
        // etcd leaves this answer's header revision zero and gives no reason.
        self.streams.push(key.stream, Output { watch_id: key.id, revision: 0, body: Body::Compacted(self.compacted) });
    }

    /// The next answer of a stream. It counts as queued until [`WatcherHub::drained`].
    pub fn take(&mut self, stream: StreamId) -> Option<Output> {
        self.streams.take(stream)
    }

    /// A stream that has answers waiting; each is named once until more are queued for it.
    pub fn next_ready(&mut self) -> Option<StreamId> {
        self.streams.pop_ready()
    }

    /// Answers with this sum of [`Output::queued_bytes`] have left the process.
    pub fn drained(&mut self, stream: StreamId, bytes: usize) {
        self.streams.drained(stream, bytes);
        self.retry(stream);
    }

    /// Lets parked watchers of a stream try again if it has room. They are few at a time: each
    /// either queues something, so that the stream will be drained, or needs no room, and then the
    /// next ones are let go at the end of its pass.
    pub(crate) fn retry(&mut self, stream: StreamId) {
        if self.streams.is_roomy(stream) {
            self.unsynced.unpark(stream, self.settings.retries_at_once);
        }
    }

    /// Returns `true` if further requests of a stream should be read: not while its answers fill
    /// its queue.
    pub fn accepts_requests(&self, stream: StreamId) -> bool {
        self.streams.is_below_bound(stream)
    }

    /// Returns `true` if [`WatcherHub::catch_up`] has something to do.
    pub fn has_work(&self) -> bool {
        self.unsynced.first().is_some()
    }

    /// Watchers that are not synced, compacted ones excepted
    /// (`etcd_debugging_mvcc_slow_watcher_total`).
    pub fn unsynced_watchers(&self) -> usize {
        self.unsynced.len()
    }

    /// Returns the number of watchers that receive published events, including the unsynced ones.
    pub fn watchers(&self) -> usize {
        self.synced.len() + self.unsynced.len()
    }

    /// Streams that are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Bytes queued and not yet drained, over all streams.
    pub fn queued_bytes(&self) -> usize {
        self.streams.total_bytes()
    }

    /// The newest main revision that has been published.
    pub fn published(&self) -> MainRevision {
        self.published
    }
}
