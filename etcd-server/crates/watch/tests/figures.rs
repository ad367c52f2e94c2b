//! What a hub reports about itself and about each response: counts, flags and bounds.

use crate::store::{Change, Store};
use proto::etcdserverpb::WatchCreateRequest;
use std::time::Duration;
use types::MonotonicTime;
use watch::{Budget, Header, Output, Settings, StreamId, WatcherHub};

const ONE: StreamId = StreamId(1);

fn put(key: &str, value: &str) -> Change {
    Change::Put(key.to_owned(), value.to_owned())
}

fn hub() -> WatcherHub {
    let mut hub = WatcherHub::new(crate::script::SMALL, 1, -1);
    hub.open_stream(ONE, Duration::from_secs(600), MonotonicTime(0));
    hub
}

fn watch(key: &str, start_revision: i64, watch_id: i64) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), start_revision, watch_id, ..WatchCreateRequest::default() }
}

/// The next response of the stream; it stays queued in the hub's accounts.
fn take(hub: &mut WatcherHub) -> Output {
    hub.take(ONE).unwrap()
}

#[test]
fn usual_bounds_follow_the_largest_request() {
    let settings = Settings::for_request_bytes(1_572_864);
    assert_eq!(settings.fragment_bytes, 2_097_152);
    assert_eq!(
        (settings.stream_bytes_max, settings.total_bytes_max, settings.response_bytes_max),
        (4 << 20, 128 << 20, 256 << 10)
    );
}

#[test]
fn streams_and_watchers_are_counted() {
    let (mut store, mut hub) = (Store::new(), hub());
    for round in 0..3 {
        hub.publish(&store.view, &[]).unwrap();
        let events = store.execute(&[put("a", &round.to_string())]);
        hub.publish(&store.view, &events).unwrap();
    }
    assert_eq!((hub.open_streams(), hub.watchers(), hub.unsynced_watchers()), (1, 0, 0));
    hub.open_stream(StreamId(2), Duration::from_secs(600), MonotonicTime(0));
    // Two wait for what is to come, three read history.
    for start in [0, 0, 2, 2, 3] {
        hub.create(ONE, &watch("a", start, 0), store.current(), -1);
    }
    assert_eq!((hub.open_streams(), hub.watchers(), hub.unsynced_watchers()), (2, 5, 3));
    assert!(hub.has_work());
    while hub.catch_up(&store.view, Budget::default()).unwrap() {}
    assert_eq!((hub.watchers(), hub.unsynced_watchers(), hub.has_work()), (5, 0, false));
    hub.close_stream(ONE);
    assert_eq!((hub.open_streams(), hub.watchers(), hub.queued_bytes()), (1, 0, 0));
}

#[test]
fn responses_tell_their_kind() {
    let (mut store, mut hub) = (Store::new(), hub());
    hub.create(ONE, &watch("a", 0, 0), 1, -1);
    let created = take(&mut hub);
    hub.create(ONE, &watch("a", -1, 0), 1, -1);
    let refused = take(&mut hub);
    let events = store.execute(&[put("a", "1"), put("b", "2")]);
    hub.publish(&store.view, &events).unwrap();
    let event = take(&mut hub);
    hub.progress_request(ONE);
    let progress = take(&mut hub);
    hub.cancel(ONE, 0, 2);
    let canceled = take(&mut hub);
    // Creation, end, progress, events.
    for (output, expected) in [
        (&created, (true, false, false, 0)),
        (&refused, (true, true, false, 0)),
        (&event, (false, false, false, 1)),
        (&progress, (false, false, true, 0)),
        (&canceled, (false, true, false, 0)),
    ] {
        assert_eq!(
            (output.is_creation(), output.is_end(), output.is_progress(), output.event_count()),
            expected,
            "{output:?}"
        );
        let mut encoded = Vec::new();
        output.encode_into(Header::default(), &mut encoded);
        assert_eq!(encoded.len(), output.encoded_len(Header::default()), "{output:?}");
        assert!(encoded.len() <= output.queued_bytes(), "{output:?}");
    }
    assert_eq!((created.watch_id(), refused.watch_id(), progress.watch_id()), (0, -1, -1));
}

#[test]
fn requests_wait_while_responses_fill_the_queue() {
    let (mut store, mut hub) = (Store::new(), hub());
    assert!(hub.accepts_requests(ONE) && !hub.accepts_requests(StreamId(9)));
    hub.create(ONE, &watch("a", 0, 0), 1, -1);
    let created = take(&mut hub);
    hub.drained(ONE, created.queued_bytes());
    let events = store.execute(&[put("a", &"v".repeat(1200))]);
    hub.publish(&store.view, &events).unwrap();
    assert!(!hub.accepts_requests(ONE), "{} bytes are queued", hub.queued_bytes());
    let large = take(&mut hub);
    assert!(!hub.accepts_requests(ONE), "taken is not yet sent");
    hub.drained(ONE, large.queued_bytes());
    assert!(hub.accepts_requests(ONE));
}

#[test]
fn free_ids_are_never_given_twice() {
    let mut hub = hub();
    let mut create = |watch_id| {
        hub.create(ONE, &watch("a", 0, watch_id), 1, -1);
        take(&mut hub).watch_id()
    };
    assert_eq!([create(0), create(2), create(0), create(0)], [0, 2, 1, 3]);
    hub.cancel(ONE, 0, 1);
    hub.cancel(ONE, 3, 1);
    take(&mut hub);
    take(&mut hub);
    hub.create(ONE, &watch("a", 0, 0), 1, -1);
    assert_eq!(take(&mut hub).watch_id(), 4, "the id of a cancelled watcher is not used again");
}

#[test]
fn tick_returns_the_next_time_that_progress_is_due() {
    let mut hub = WatcherHub::new(crate::script::SMALL, 1, -1);
    assert_eq!(hub.tick(MonotonicTime(0)), None, "there is no stream");
    for (stream, seconds) in [(1, 600), (2, 400)] {
        hub.open_stream(StreamId(stream), Duration::from_secs(seconds), MonotonicTime(0));
    }
    // Each stream has its own interval, counted from the tick that notified it last.
    assert_eq!(hub.tick(MonotonicTime(0)), Some(MonotonicTime(400_000)));
    assert_eq!(hub.tick(MonotonicTime(400_000)), Some(MonotonicTime(600_000)));
    assert_eq!(hub.tick(MonotonicTime(650_000)), Some(MonotonicTime(800_000)));
    hub.close_stream(StreamId(2));
    assert_eq!(hub.tick(MonotonicTime(650_000)), Some(MonotonicTime(1_250_000)));
}

#[test]
fn watcher_behind_waits_for_a_newer_view() {
    let (mut store, mut hub) = (Store::new(), hub());
    hub.create(ONE, &watch("a", 0, 0), 1, -1);
    take(&mut hub);
    let events = store.execute(&[put("a", "1")]);
    hub.publish(&store.view, &events).unwrap();
    take(&mut hub);
    // The next revision exists, but the view that is at hand does not hold it yet.
    hub.skipped_to(3);
    assert!(hub.catch_up(&store.view, Budget::default()).unwrap());
    assert!(hub.take(ONE).is_none());
    store.execute(&[put("a", "2")]);
    assert!(!hub.catch_up(&store.view, Budget::default()).unwrap());
    assert_eq!(take(&mut hub).event_count(), 1);
}
