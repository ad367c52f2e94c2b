//! Creating watchers, and refusing to.

use crate::WatcherHub;
use crate::output::{Body, NO_WATCHER, Output};
use crate::watcher::{ProgressNotify, State, StreamId, Wanted, WatchId, WatchKey, Watcher};
use bytes::Bytes;
use proto::etcdserverpb::WatchCreateRequest;
use std::borrow::Cow;
use types::{KeyRange, MainRevision};

// Texts that clients compare (api.md 8.1; etcd server/storage/mvcc/watcher.go and
// api/v3rpc/rpctypes).
const RANGE_IS_EMPTY: &str = "mvcc: watcher range is empty";
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
/// "Choose an id for me."
const AUTO_ID: WatchId = 0;

impl WatcherHub {
    /// Creates a watcher and queues the response. `current` and `compacted` are the store's
    /// revisions at this moment; they may be ahead of the published ones. Permission has been
    /// checked, except that a negative start revision is refused before the permission check.
    ///
    /// # Panics
    /// If a new watcher gets the id of another one.
    pub fn create(
        &mut self,
        stream: StreamId,
        request: &WatchCreateRequest,
        current: MainRevision,
        compacted: MainRevision,
    ) {
        if request.start_revision < 0 {
            return self.refuse(stream, current, COMPACTED);
        }
        let range = range_of(request);
        if range.is_empty() {
            return self.refuse(stream, current, RANGE_IS_EMPTY);
        }
        let Some(held) = self.streams.get_mut(stream) else { return };
        if request.watch_id != AUTO_ID && held.watchers.contains_key(&request.watch_id) {
            return self.refuse(stream, current, DUPLICATE_ID);
        }
        let id = if request.watch_id == AUTO_ID { held.free_id() } else { request.watch_id };
        let replaced = held.watchers.insert(id, watcher_of(request, range, current));
        assert!(replaced.is_none(), "watcher {id} of stream {stream:?} is created twice");
        self.streams.push(stream, Output { watch_id: id, revision: current, body: Body::Created });
        self.compacted(compacted);
        self.place(WatchKey { stream, id });
    }

    /// Answers a creation that is not permitted; `reason` is the text of the status that another
    /// call would end with.
    pub fn refuse(&mut self, stream: StreamId, current: MainRevision, reason: impl Into<Cow<'static, str>>) {
        self.streams
            .push(stream, Output { watch_id: NO_WATCHER, revision: current, body: Body::Refused(reason.into()) });
    }

    /// Puts a new watcher where its start belongs.
    fn place(&mut self, key: WatchKey) {
        let roomy = self.streams.is_roomy(key.stream);
        let Some(watcher) = self.streams.watcher_mut(key) else { return };
        if watcher.min_revision > self.published {
            self.synced.insert(key, &watcher.range, watcher.wanted);
            return;
        }
        if watcher.min_revision < self.compacted {
            return self.end_compacted(key);
        }
        watcher.state = State::Unsynced;
        if roomy {
            self.unsynced.wait(key, watcher.min_revision);
        } else {
            self.unsynced.park(key, watcher.min_revision);
        }
    }
}

/// Returns the watched range, normalised as in etcd: an absent key means the smallest one.
fn range_of(request: &WatchCreateRequest) -> KeyRange {
    let key = if request.key.is_empty() { Bytes::from_static(b"\0") } else { request.key.clone() };
    KeyRange::from_wire(key, request.range_end.clone())
}

fn watcher_of(request: &WatchCreateRequest, range: KeyRange, current: MainRevision) -> Watcher {
    let from_now = request.start_revision == 0;
    Watcher {
        range,
        wanted: Wanted::of(request),
        fragment: request.fragment,
        progress: if request.progress_notify { ProgressNotify::Due } else { ProgressNotify::Off },
        progress_from: if from_now { current } else { request.start_revision },
        min_revision: if from_now { current + 1 } else { request.start_revision },
        state: State::Synced,
    }
}
