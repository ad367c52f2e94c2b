//! Watchers, synced and unsynced, and which events each of them gets.
//!
//! A [`Hub`] is owned by one thread and driven by calls. Changes that have become readable are published to it; every synced watcher
//! they match gets them at once, as bytes encoded once and shared. A watcher whose stream has no room leaves the synced group with a
//! cursor into history and catches up from the store, so nothing is dropped, reordered or split within a revision.
//!
//! How it is driven: `publish` after every batch that has become readable, `compacted` behind the publications that came before it,
//! `create`, `cancel` and `progress_request` as clients ask, `catch_up` whenever nothing else waits and `has_work`, `tick` at the moment it
//! returned. After any of them the caller asks `next_ready`, takes answers while the socket accepts them, and tells `drained` what has left.
//! Knows no clock, no socket and no user: permission is checked by the caller, which also sends what the hub queues.
#![forbid(unsafe_code)]

mod catch_up;
mod create;
mod encode;
mod hub;
mod index;
mod interval_tree;
mod laggards;
mod output;
mod progress;
mod publish;
mod settings;
mod stream;
mod watcher;

pub use catch_up::Budget;
pub use hub::Hub;
pub use output::{Header, Output};
pub use settings::Settings;
pub use watcher::{StreamId, WatchId};
