//! The queue of the watch thread: changes from apply, in order and bounded, and requests of
//! streams.
//!
//! Apply never waits here. Changes beyond the bound, and all changes while there is no watcher, are
//! dropped; only their last revision is kept, and the hub reads them from the store when a watcher
//! needs them.

use super::response_queue::ResponseQueue;
use parking_lot::{Condvar, Mutex};
use proto::etcdserverpb::WatchCreateRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use types::{Event, MainRevision};
use watch::{StreamId, WatchId};

/// Changes that may wait for the watch thread, in bytes of keys and records, each with
/// [`EVENT_OVERHEAD_BYTES`].
const CHANGES_BYTES_MAX: usize = 32 << 20;
/// Bytes of an event beside its key and record.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// A change of apply, readable now.
#[derive(Debug)]
pub(crate) enum Change {
    /// Whole revisions, in order.
    Events(Vec<Event>),
    /// History below this revision can no longer be read.
    Compacted(MainRevision),
}

/// A client's request on its stream.
#[derive(Debug)]
pub(crate) enum Request {
    /// A watcher; whether it is permitted was judged before.
    Create(WatchCreateRequest),
    /// A watcher that is not permitted, for this reason.
    Refuse(&'static str),
    Cancel(WatchId),
    Progress,
}

/// The commands of streams.
#[derive(Debug)]
pub(crate) enum Command {
    Open {
        stream: StreamId,
        response_queue: Arc<ResponseQueue>,
        progress_interval: Duration,
    },
    /// The permit lets the client ask more once it is dropped.
    Request {
        stream: StreamId,
        request: Request,
        permit: OwnedSemaphorePermit,
    },
    /// The outlet of this stream has something to be collected.
    Drained(StreamId),
    Close(StreamId),
}

/// Everything that has arrived; to be handled in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) changes: Vec<Change>,
    /// Changes up to here were dropped.
    pub(crate) skipped_to: Option<MainRevision>,
    /// The newest compaction among them.
    pub(crate) skipped_compaction: Option<MainRevision>,
    pub(crate) commands: Vec<Command>,
    pub(crate) stop: bool,
}

impl Arrived {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.commands.is_empty() && !self.stop
    }
}

#[derive(Debug, Default)]
struct State {
    arrived: Arrived,
    changes_bytes: usize,
    /// Streams that were opened and not closed.
    streams: usize,
    /// `true` if the watch thread takes nothing any more.
    is_closed: bool,
}

/// Filled by apply and by streams, emptied by the watch thread. Commands are bounded by the permits
/// of their streams.
#[derive(Debug, Default)]
pub(crate) struct WatchQueue {
    state: Mutex<State>,
    something_arrived: Condvar,
    /// `true` if streams are to report sent bytes, because a watcher waits for room.
    pub(crate) tell_of_drains: AtomicBool,
    pub(crate) figures: Figures,
}

/// The numbers of the hub, updated by the watch thread after each step.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) streams: AtomicUsize,
    pub(crate) watchers: AtomicUsize,
    pub(crate) unsynced_watchers: AtomicUsize,
    /// Counted by the streams themselves.
    pub(crate) pending_events: Arc<AtomicUsize>,
}

impl WatchQueue {
    /// Changes that have become readable.
    pub(crate) fn push_events(&self, events: Vec<Event>) {
        let Some(last) = events.last() else { return };
        let revision = last.revision.main;
        let bytes: usize = events.iter().map(|event| event.key.len() + event.record.len() + EVENT_OVERHEAD_BYTES).sum();
        let mut state = self.state.lock();
        if let Some(skipped_to) = state.arrived.skipped_to {
            assert!(skipped_to < revision, "revision {revision} comes behind {skipped_to}");
        }
        if state.streams == 0 || state.drops(bytes) {
            state.arrived.skipped_to = Some(revision);
            // Dropping a large batch takes time that must not delay others.
            drop(state);
            return;
        }
        state.changes_bytes += bytes;
        state.arrived.changes.push(Change::Events(events));
        drop(state);
        self.something_arrived.notify_one();
    }

    /// Records that a snapshot replaced the state: waiting changes are read from the new one.
    pub(crate) fn push_replaced(&self, revision: MainRevision, compacted: MainRevision) {
        let mut state = self.state.lock();
        state.arrived.changes.clear();
        state.changes_bytes = 0;
        state.arrived.skipped_to = Some(revision);
        state.arrived.skipped_compaction = Some(compacted);
        drop(state);
        self.something_arrived.notify_one();
    }

    /// A compaction, behind the changes before it.
    pub(crate) fn push_compacted(&self, revision: MainRevision) {
        let mut state = self.state.lock();
        if state.streams == 0 || state.drops(EVENT_OVERHEAD_BYTES) {
            state.arrived.skipped_compaction = Some(revision);
            return;
        }
        state.changes_bytes += EVENT_OVERHEAD_BYTES;
        state.arrived.changes.push(Change::Compacted(revision));
        drop(state);
        self.something_arrived.notify_one();
    }

    /// Adds a command of a stream. Returns `false` if the watch thread has ended.
    pub(crate) fn push_command(&self, command: Command) -> bool {
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        match &command {
            Command::Open { .. } => state.streams += 1,
            Command::Close(stream) => {
                assert!(state.streams > 0, "{stream:?} is closed, and none is open");
                state.streams -= 1;
            }
            Command::Request { .. } | Command::Drained(_) => {}
        }
        state.arrived.commands.push(command);
        drop(state);
        self.something_arrived.notify_one();
        true
    }

    /// Adds the stop command, the last one.
    pub(crate) fn stop(&self) {
        self.state.lock().arrived.stop = true;
        self.something_arrived.notify_one();
    }

    /// Closes the queue: nothing will be taken any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.streams = 0;
        state.arrived = Arrived::default();
    }

    /// Everything that has arrived; waits for something as long as `wait` says, without limit if it
    /// does not.
    pub(crate) fn take(&self, wait: Option<Duration>) -> Arrived {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let mut state = self.state.lock();
        while state.arrived.is_empty() {
            match deadline {
                Some(deadline) => {
                    if self.something_arrived.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
                None => self.something_arrived.wait(&mut state),
            }
        }
        assert!(
            !state.arrived.changes.is_empty() || state.changes_bytes == 0,
            "no change waits, and {} bytes of changes",
            state.changes_bytes
        );
        state.changes_bytes = 0;
        std::mem::take(&mut state.arrived)
    }
}

impl State {
    /// Returns `true` if a change of this size is dropped. Once one was, those behind it are too:
    /// they would not be in order.
    fn drops(&self, bytes: usize) -> bool {
        let dropped_before = self.arrived.skipped_to.is_some() && !self.arrived.changes.is_empty();
        dropped_before || self.changes_bytes + bytes > CHANGES_BYTES_MAX
    }
}
