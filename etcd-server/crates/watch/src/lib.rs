//! Watchers, synced and unsynced, and the events of each of them.
//!
//! A [`WatcherHub`] is owned by one thread and driven by calls. Changes that have become readable
//! are published to it; every synced watcher they match gets them at once, as bytes encoded once
//! and shared. A watcher whose stream has no room becomes unsynced: it keeps a cursor into history
//! and catches up from the store, so nothing is dropped, reordered or split within a revision.
//!
//! Call `publish` after every batch that has become readable, `compacted` behind the publications
//! that came before it, `create`, `cancel` and `progress_request` on requests of clients,
//! `catch_up` whenever nothing else waits and `has_work`, `tick` at the moment it returned. After
//! any of them call `next_ready`, take responses while the socket accepts them, and report sent
//! bytes to `drained`. The hub contains no clock, socket or user: the caller checks permission, and
//! sends the queued responses.
#![forbid(unsafe_code)]

mod catch_up;
mod create;
mod encode;
mod hub;
mod index;
mod interval_tree;
mod output;
mod progress;
mod publish;
mod settings;
mod stream;
mod unsynced;
mod watcher;

pub use catch_up::Budget;
pub use hub::WatcherHub;
pub use output::{Header, Output};
pub use settings::Settings;
pub use watcher::{StreamId, WatchId};
