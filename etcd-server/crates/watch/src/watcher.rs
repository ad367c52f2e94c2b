//! One watcher: its options and its position.

use proto::etcdserverpb::WatchCreateRequest;
use proto::etcdserverpb::watch_create_request::FilterType;
use types::{Event, KeyRange, MainRevision};

/// One watch stream of one client; numbers are the caller's and never come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Names a watcher within its stream.
pub type WatchId = i64;

/// Names a watcher in the hub; ordered by stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchKey {
    pub(crate) stream: StreamId,
    pub(crate) id: WatchId,
}

/// The options that decide, beside the range, which bytes a watcher gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) puts: bool,
    pub(crate) deletes: bool,
    pub(crate) prev_kv: bool,
}

impl Wanted {
    pub(crate) fn of(request: &WatchCreateRequest) -> Self {
        // Undefined filter values are ignored, as in etcd.
        let filtered = |kind: FilterType| request.filters.contains(&i32::from(kind));
        Self { puts: !filtered(FilterType::Noput), deletes: !filtered(FilterType::Nodelete), prev_kv: request.prev_kv }
    }

    pub(crate) fn accepts(self, event: &Event) -> bool {
        if event.is_delete() { self.deletes } else { self.puts }
    }
}

/// The position of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything published has been queued for it.
    Synced,
    /// It catches up; its cursor is kept by the unsynced watchers.
    Unsynced,
    /// Cancelled as compacted; its id stays taken until the client cancels it.
    Compacted,
}

/// The effect of the next progress tick on a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressNotify {
    /// The client did not ask for it.
    Off,
    /// Idle since the last tick: notify.
    Due,
    /// Events were sent since the last tick: skip one.
    NotDue,
}

/// A watcher of a stream.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) range: KeyRange,
    pub(crate) wanted: Wanted,
    pub(crate) fragment: bool,
    pub(crate) progress: ProgressNotify,
    /// No progress is reported before this revision is published.
    pub(crate) progress_from: MainRevision,
    /// Events below are not for it: they lie before its start, or were queued already.
    pub(crate) min_revision: MainRevision,
    pub(crate) state: State,
}

impl Watcher {
    /// Events up to `revision` have been queued for it.
    pub(crate) fn queued_up_to(&mut self, revision: MainRevision) {
        assert!(revision >= self.min_revision, "events up to {revision} are queued behind {}", self.min_revision);
        self.min_revision = revision + 1;
        if self.progress == ProgressNotify::Due {
            self.progress = ProgressNotify::NotDue;
        }
    }

    /// Returns `true` if "everything up to `published` was sent" is true of it and means something.
    pub(crate) fn is_synced_at(&self, published: MainRevision) -> bool {
        self.state == State::Synced && self.progress_from <= published
    }
}
