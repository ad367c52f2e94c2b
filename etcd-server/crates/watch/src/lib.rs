//! Watchers, synced and unsynced, and which events each of them gets.
