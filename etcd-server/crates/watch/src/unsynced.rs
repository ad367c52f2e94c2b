//! Unsynced watchers and their cursors: those waiting for their turn to catch up, and those parked
//! until their stream has room.

use crate::watcher::{StreamId, WatchId, WatchKey};
use std::collections::{BTreeMap, BTreeSet};
use types::MainRevision;

#[derive(Clone, Copy, Debug)]
struct UnsyncedWatcher {
    /// The first main revision that the watcher has not got.
    cursor: MainRevision,
    /// Its place in the row; parked without one.
    turn: Option<u64>,
}

/// All unsynced watchers. Turns go round, so that one far behind does not keep the others waiting.
#[derive(Debug, Default)]
pub(crate) struct UnsyncedWatchers {
    lags: BTreeMap<WatchKey, UnsyncedWatcher>,
    turns: BTreeMap<u64, WatchKey>,
    next_turn: u64,
    /// Watchers with a turn, by cursor.
    waiting: BTreeSet<(MainRevision, WatchKey)>,
    /// Watchers without a turn: by stream, then by cursor, so that the furthest behind comes first.
    parked: BTreeSet<(StreamId, MainRevision, WatchId)>,
}

impl UnsyncedWatchers {
    /// Puts a watcher at the end of the row, with a new cursor.
    pub(crate) fn wait(&mut self, key: WatchKey, cursor: MainRevision) {
        self.leave(key, cursor);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.lags.insert(key, UnsyncedWatcher { cursor, turn: Some(turn) });
        self.turns.insert(turn, key);
        self.waiting.insert((cursor, key));
        self.check_sizes();
    }

    /// Takes a watcher out of the row until its stream has room.
    pub(crate) fn park(&mut self, key: WatchKey, cursor: MainRevision) {
        self.leave(key, cursor);
        self.lags.insert(key, UnsyncedWatcher { cursor, turn: None });
        self.parked.insert((key.stream, cursor, key.id));
        self.check_sizes();
    }

    /// Takes a watcher out of its place, for one with this cursor: it does not go back.
    fn leave(&mut self, key: WatchKey, cursor: MainRevision) {
        if let Some(before) = self.remove(key) {
            assert!(before <= cursor, "the cursor of {key:?} goes back from {before} to {cursor}");
        }
    }

    fn check_sizes(&self) {
        assert!(
            self.turns.len() == self.waiting.len(),
            "{} watchers have a turn, and {} wait",
            self.turns.len(),
            self.waiting.len()
        );
        assert!(
            self.lags.len() == self.waiting.len() + self.parked.len(),
            "{} watchers are unsynced, {} wait and {} are parked",
            self.lags.len(),
            self.waiting.len(),
            self.parked.len()
        );
    }

    /// Forgets a watcher. Returns its cursor, if it was there.
    pub(crate) fn remove(&mut self, key: WatchKey) -> Option<MainRevision> {
        let lag = self.lags.remove(&key)?;
        match lag.turn {
            Some(turn) => {
                let holder = self.turns.remove(&turn);
                assert!(holder == Some(key), "turn {turn} of {key:?} is that of {holder:?}");
                self.waiting.remove(&(lag.cursor, key));
            }
            None => {
                let was_parked = self.parked.remove(&(key.stream, lag.cursor, key.id));
                assert!(was_parked, "{key:?} is not parked at its cursor {}", lag.cursor);
            }
        }
        Some(lag.cursor)
    }

    /// The first main revision that an unsynced watcher has not got.
    pub(crate) fn cursor(&self, key: WatchKey) -> Option<MainRevision> {
        self.lags.get(&key).map(|lag| lag.cursor)
    }

    /// The watcher whose turn it is.
    pub(crate) fn first(&self) -> Option<(MainRevision, WatchKey)> {
        let key = *self.turns.values().next()?;
        Some((self.cursor(key)?, key))
    }

    /// Waiting watchers with cursors from `from` to `to`, lowest first.
    pub(crate) fn near(&self, from: MainRevision, to: MainRevision) -> impl Iterator<Item = WatchKey> {
        let lowest = WatchKey { stream: StreamId(0), id: WatchId::MIN };
        self.waiting.range((from, lowest)..).take_while(move |(cursor, _)| *cursor <= to).map(|(_, key)| *key)
    }

    /// Watchers that have not got `revision - 1`.
    pub(crate) fn below(&self, revision: MainRevision) -> Vec<WatchKey> {
        let waiting = self.waiting.iter().take_while(|(cursor, _)| *cursor < revision).map(|(_, key)| *key);
        let parked = self.parked.iter().filter(|(_, cursor, _)| *cursor < revision);
        waiting.chain(parked.map(|(stream, _, id)| WatchKey { stream: *stream, id: *id })).collect()
    }

    /// At most `watchers_max` parked watchers of a stream go back into the row.
    pub(crate) fn unpark(&mut self, stream: StreamId, watchers_max: usize) {
        let all = (stream, MainRevision::MIN, WatchId::MIN)..=(stream, MainRevision::MAX, WatchId::MAX);
        let parked: Vec<_> = self.parked.range(all).take(watchers_max).copied().collect();
        for (stream, cursor, id) in parked {
            self.wait(WatchKey { stream, id }, cursor);
        }
    }

    /// Returns the number of unsynced watchers.
    pub(crate) fn len(&self) -> usize {
        self.lags.len()
    }
}
