//! Catching up: reading history from the cursor of the watcher whose turn it is, for all watchers
//! near it at once.
//!
//! One call is one pass: a bounded number of revisions, bytes and watchers. The header of a
//! catch-up answer carries the revision of its last event, not the store's revision as in etcd:
//! clients that resume from header revisions then lose nothing.

use crate::WatcherHub;
use crate::encode::{Encoder, Run};
use crate::index::Index;
use crate::watcher::{State, StreamId, WatchKey};
use bytes::Bytes;
use schema::revision_record::{self, RevisionRecord};
use schema::{Cursor as _, Table, View, current_record, meta};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Event, Fault, MainRevision, Revision};

/// The bounds of one pass. A main revision is never split, so the last one may exceed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Changes looked at.
    pub changes: usize,
    /// Bytes of records read.
    pub bytes: usize,
    /// Watchers served together.
    pub watchers: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { changes: 1000, bytes: 1 << 20, watchers: 1000 }
    }
}

/// A stretch of history as it was read.
struct Stretch {
    /// The events that concern any of the participating watchers.
    events: Vec<Event>,
    /// Read completely up to here.
    read_to: MainRevision,
    /// A change whose record was missing: right only if compaction has passed it.
    hole: Option<Revision>,
}

impl WatcherHub {
    /// Makes one pass for watchers that are behind. Returns `true` if there is more to do; then
    /// call again, with a newer view.
    ///
    /// `view` need not be a snapshot, only never older than in an earlier call.
    ///
    /// # Panics
    /// If a watcher would get ahead of what is published, or behind what it has.
    pub fn catch_up<V: View>(&mut self, view: &V, budget: Budget) -> Result<bool, Fault> {
        let Some((from, lead)) = self.unsynced.first() else { return Ok(false) };
        // A compaction may be seen in the state before the events below it have come: a watcher
        // behind it only then finds the remainder.
        if from < self.compacted {
            self.end_overtaken();
            return Ok(self.has_work());
        }
        if !self.streams.is_roomy(lead.stream) {
            self.unsynced.park(lead, from);
            return Ok(self.has_work());
        }
        let readable = meta::read_u64(view, meta::CURRENT_REVISION)?.map_or(1, u64::cast_signed).min(self.published);
        let (taking_part, index) = self.gather(from, lead, budget);
        let stretch = read(view, &index, from, readable, budget)?;
        assert!(
            stretch.read_to <= readable.max(from - 1),
            "history is read up to {}, beyond the published {readable}",
            stretch.read_to
        );
        // Watchers that compaction overtook during the read are cancelled here, before anything of
        // it is used.
        self.compacted(compacted_of(view)?);
        if let Some(hole) = stretch.hole.filter(|hole| hole.main >= self.compacted) {
            return Err(Fault::corrupt(
                format_args!("history of revision {}/{}", hole.main, hole.sub),
                "the record is missing",
            ));
        }
        self.deliver(view, &index, taking_part, &stretch)?;
        Ok(self.has_work())
    }

    /// The lead, and watchers waiting near it whose streams have room, indexed.
    fn gather(&self, from: MainRevision, lead: WatchKey, budget: Budget) -> (BTreeSet<WatchKey>, Index) {
        let window = MainRevision::try_from(budget.changes).unwrap_or(MainRevision::MAX);
        let near = self.unsynced.near(from, from.saturating_add(window)).take(budget.watchers);
        let mut taking_part: BTreeSet<WatchKey> = near.filter(|key| self.streams.is_roomy(key.stream)).collect();
        taking_part.insert(lead);
        let mut index = Index::default();
        for key in &taking_part {
            if let Some(watcher) = self.streams.get(key.stream).and_then(|stream| stream.watchers.get(&key.id)) {
                index.insert(*key, &watcher.range, watcher.wanted);
            }
        }
        (taking_part, index)
    }

    fn deliver<V: View>(
        &mut self,
        view: &V,
        index: &Index,
        mut taking_part: BTreeSet<WatchKey>,
        stretch: &Stretch,
    ) -> Result<(), Fault> {
        let mut encoder = Encoder::new(view, &stretch.events, self.compacted, self.settings.response_bytes_max);
        for (class, positions) in index.matches(&stretch.events) {
            let Some(wanted) = index.wanted(class) else { continue };
            let runs = encoder.runs(&positions, wanted.prev_kv)?;
            for key in index.members(class) {
                if !self.offer_to_unsynced(key, &runs) {
                    taking_part.remove(&key);
                }
            }
        }
        let streams: BTreeSet<StreamId> = taking_part.iter().map(|key| key.stream).collect();
        for key in taking_part {
            self.advance(key, stretch.read_to + 1);
        }
        streams.into_iter().for_each(|stream| self.retry(stream));
        Ok(())
    }

    /// Returns `true` if the watcher got everything; else it waits for room.
    fn offer_to_unsynced(&mut self, key: WatchKey, runs: &[Arc<Run>]) -> bool {
        if self.unsynced.cursor(key).is_none() {
            return true;
        }
        match self.streams.offer(key, runs) {
            Ok(()) => true,
            Err(cursor) => {
                self.unsynced.park(key, cursor);
                false
            }
        }
    }

    /// The watcher has got everything below `cursor`: it is synced again, or goes to the end of the
    /// row.
    fn advance(&mut self, key: WatchKey, cursor: MainRevision) {
        // One that compaction has ended is no unsynced watcher any more.
        let Some(before) = self.unsynced.cursor(key) else { return };
        let cursor = cursor.max(before);
        let Some(watcher) = self.streams.watcher_mut(key) else { return };
        assert!(
            watcher.min_revision <= cursor,
            "{key:?} has events up to {}, and its cursor becomes {cursor}",
            watcher.min_revision
        );
        watcher.min_revision = cursor;
        if cursor <= self.published {
            self.unsynced.wait(key, cursor);
            return;
        }
        assert!(
            cursor <= self.published + 1 || cursor == before,
            "a watcher at {cursor} is ahead of the published {}",
            self.published
        );
        watcher.state = State::Synced;
        self.synced.insert(key, &watcher.range, watcher.wanted);
        self.unsynced.remove(key);
    }
}

fn compacted_of(view: &impl View) -> Result<MainRevision, Fault> {
    Ok(meta::read_u64(view, meta::COMPACT_REVISION)?.map_or(mvcc::NEVER_COMPACTED, u64::cast_signed))
}

/// Reads whole main revisions from `from` up to `to`, until the budget is spent.
fn read<V: View>(
    view: &V,
    index: &Index,
    from: MainRevision,
    to: MainRevision,
    budget: Budget,
) -> Result<Stretch, Fault> {
    let mut stretch = Stretch { events: Vec::new(), read_to: to.max(from - 1), hole: None };
    let end = revision_record::encode_key(Revision::new(to.saturating_add(1), 0));
    let mut cursor = view.cursor(Table::Revisions, Some(&end))?;
    cursor.seek(&revision_record::encode_key(Revision::new(from, 0)))?;
    let (mut changes, mut bytes, mut last_main) = (0, 0, from - 1);
    while let Some((stored_key, stored)) = cursor.item() {
        let revision = revision_record::decode_key(stored_key)?;
        let budget_is_spent = changes >= budget.changes || bytes >= budget.bytes;
        // At least one revision is read, even beyond the budget.
        if budget_is_spent && last_main >= from && revision.main != last_main {
            stretch.read_to = revision.main - 1;
            return Ok(stretch);
        }
        let change = RevisionRecord::decode(stored)?;
        if index.concerns(change.user_key) {
            bytes += read_change(view, revision, change, &mut stretch)?;
        }
        changes += 1;
        last_main = revision.main;
        cursor.next()?;
    }
    Ok(stretch)
}

/// Adds one change to the stretch; returns its weight in bytes.
fn read_change<V: View>(
    view: &V,
    revision: Revision,
    change: RevisionRecord<'_>,
    stretch: &mut Stretch,
) -> Result<usize, Fault> {
    let record = if change.is_tombstone() {
        Some(Bytes::new())
    } else {
        current_record::record_of(view, change.user_key, revision)?.filter(|record| !record.is_empty())
    };
    let Some(record) = record else {
        stretch.hole = Some(revision);
        return Ok(0);
    };
    let weight = change.user_key.len() + record.len();
    stretch.events.push(Event { revision, key: Bytes::copy_from_slice(change.user_key), record });
    Ok(weight)
}
