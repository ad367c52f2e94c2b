//! Delivery of readable changes to synced watchers.

use crate::WatcherHub;
use crate::encode::Encoder;
use crate::watcher::{State, WatchKey};
use schema::View;
use types::{Event, Fault, MainRevision};

impl WatcherHub {
    /// Publishes the events of one or more whole main revisions, in order, all readable in `view`
    /// now; `view` may be newer.
    ///
    /// Events at or below the published revision are ignored. If revisions are missing before the
    /// first one, the watchers catch up over the gap from the store.
    pub fn publish<V: View>(&mut self, view: &V, events: &[Event]) -> Result<(), Fault> {
        let fresh = &events[events.partition_point(|event| event.revision.main <= self.published)..];
        let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else { return Ok(()) };
        let grows = fresh.windows(2).all(|pair| pair[0].revision < pair[1].revision);
        assert!(
            grows,
            "events of revisions {} to {} are published out of order",
            first.revision.main, last.revision.main
        );
        self.skipped_to(first.revision.main - 1);
        let mut encoder = Encoder::new(view, fresh, self.compacted, self.settings.response_bytes_max);
        for (class, positions) in self.synced.matches(fresh) {
            let Some(wanted) = self.synced.wanted(class) else { continue };
            let runs = encoder.runs(&positions, wanted.prev_kv)?;
            let streams = &mut self.streams;
            let without_room = |key| streams.offer(key, &runs).err().map(|cursor| (key, cursor));
            let left: Vec<(WatchKey, MainRevision)> = self.synced.members(class).filter_map(without_room).collect();
            for (key, cursor) in left {
                self.leave_synced(key);
                self.unsynced.park(key, cursor);
            }
        }
        assert!(self.published < last.revision.main, "revision {} is published twice", last.revision.main);
        self.published = last.revision.main;
        Ok(())
    }

    /// Records that the store has become readable at `revision`, but the events up to there are not
    /// going to be published (a snapshot was installed, or the caller's queue was full): every
    /// synced watcher catches up from the store. No effect at or below the published revision.
    pub fn skipped_to(&mut self, revision: MainRevision) {
        if revision <= self.published {
            return;
        }
        for key in self.streams.keys_in(State::Synced) {
            let Some(watcher) = self.streams.watcher_mut(key) else { continue };
            let cursor = watcher.min_revision.max(self.published + 1);
            watcher.min_revision = cursor;
            if cursor <= revision {
                self.leave_synced(key);
                self.unsynced.wait(key, cursor);
            }
        }
        self.published = revision;
    }

    fn leave_synced(&mut self, key: WatchKey) {
        if let Some(watcher) = self.streams.watcher_mut(key) {
            watcher.state = State::Unsynced;
            self.synced.remove(key, &watcher.range, watcher.wanted);
        }
    }
}
