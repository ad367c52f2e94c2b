//! The cost of watching: events delivered to many watchers, publishing beside many watchers, and
//! catching up from far behind.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement needs a clock and prints its figures"
)]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded for reading")]

use bytes::BytesMut;
use proto::etcdserverpb::WatchCreateRequest;
use proto::mvccpb::KeyValue;
use schema::revision_record::{self, RevisionRecord};
use schema::{Batch as _, MemoryStore, Table, history_key, meta};
use std::time::{Duration, Instant};
use types::{Event, Fault, MainRevision, MonotonicTime, Revision};
use watch::{Budget, Header, Settings, StreamId, WatcherHub};

const VALUE_BYTES: usize = 256;
const NEVER_COMPACTED: MainRevision = -1;

fn event(main: MainRevision, key: &str) -> Event {
    let kv = KeyValue {
        key: key.to_owned().into(),
        create_revision: main,
        mod_revision: main,
        version: 1,
        value: vec![b'v'; VALUE_BYTES].into(),
        lease: 0,
    };
    Event { revision: Revision::new(main, 0), key: kv.key.clone(), record: mvcc::record::encode(&kv) }
}

fn hub_at(revision: MainRevision) -> WatcherHub {
    WatcherHub::new(Settings::for_request_bytes(1 << 20), revision, NEVER_COMPACTED)
}

fn watch(hub: &mut WatcherHub, stream: u64, key: String, range_end: String, start_revision: MainRevision) {
    let request = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision,
        ..WatchCreateRequest::default()
    };
    hub.create(StreamId(stream), &request, hub.published(), NEVER_COMPACTED);
}

/// Takes and encodes everything queued, as a shell would; returns the numbers of responses and
/// bytes.
fn send_all(hub: &mut WatcherHub, out: &mut BytesMut) -> (usize, usize) {
    let (mut responses, mut bytes) = (0, 0);
    while let Some(stream) = hub.next_ready() {
        while let Some(output) = hub.take(stream) {
            out.clear();
            output.encode_into(Header::default(), out);
            hub.drained(stream, output.queued_bytes());
            (responses, bytes) = (responses + 1, bytes + out.len());
        }
    }
    (responses, bytes)
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// Publishes `changes` revisions in batches to watchers of one prefix, each on a stream of its own.
fn one_prefix(watchers: u64, changes: i64, batch: usize) -> Result<(), Fault> {
    let (store, mut hub, mut out) = (MemoryStore::new(), hub_at(1), BytesMut::new());
    for stream in 0..watchers {
        hub.open_stream(StreamId(stream), Duration::from_secs(600), MonotonicTime(0));
        watch(&mut hub, stream, "/registry/pods/".into(), "/registry/pods0".into(), 0);
    }
    send_all(&mut hub, &mut out);
    let events: Vec<Event> = (2..changes + 2).map(|main| event(main, &format!("/registry/pods/{main}"))).collect();
    let (started, mut publishing, mut bytes) = (Instant::now(), Duration::ZERO, 0);
    for events in events.chunks(batch) {
        let before = Instant::now();
        hub.publish(&store, events)?;
        publishing += before.elapsed();
        bytes += send_all(&mut hub, &mut out).1;
    }
    let delivered = events.len() * usize::try_from(watchers).unwrap_or(0);
    println!(
        "{watchers} watchers of one prefix, {batch} revisions at a time: {:.0} events/s queued, {:.0} events/s queued and encoded, {} MB",
        per_second(delivered, publishing),
        per_second(delivered, started.elapsed()),
        bytes >> 20
    );
    Ok(())
}

/// Publishes changes of single keys, each of which one of `watchers` watches: as that key, or as
/// the range from it to it with `range_suffix` behind.
fn one_watcher_each(watchers: u64, changes: i64, range_suffix: &str) -> Result<(), Fault> {
    let (store, mut hub, mut out) = (MemoryStore::new(), hub_at(1), BytesMut::new());
    for number in 0..watchers {
        if number % 100 == 0 {
            hub.open_stream(StreamId(number / 100), Duration::from_secs(600), MonotonicTime(0));
        }
        let key = format!("/registry/leases/{number:08}");
        let range_end = if range_suffix.is_empty() { String::new() } else { format!("{key}{range_suffix}") };
        watch(&mut hub, number / 100, key, range_end, 0);
    }
    send_all(&mut hub, &mut out);
    let key = |main: i64| format!("/registry/leases/{:08}", (main * 7919) % watchers.cast_signed());
    let events: Vec<Event> = (2..changes + 2).map(|main| event(main, &key(main))).collect();
    let mut publishing = Duration::ZERO;
    let mut responses = 0;
    for event in &events {
        let before = Instant::now();
        hub.publish(&store, std::slice::from_ref(event))?;
        publishing += before.elapsed();
        responses += send_all(&mut hub, &mut out).0;
    }
    assert_eq!(responses, events.len(), "each change has one watcher");
    let kind = if range_suffix.is_empty() { "single-key" } else { "range" };
    println!(
        "{watchers} {kind} watchers: {:.2} µs per publish of one change",
        publishing.as_secs_f64() * 1e6 / changes as f64
    );
    Ok(())
}

fn history(changes: i64) -> MemoryStore {
    let mut store = MemoryStore::new();
    for main in 2..changes + 2 {
        let event = event(main, &format!("/registry/pods/{:06}", main % 100_000));
        let mut changed = Vec::new();
        RevisionRecord { record_bytes: u32::try_from(event.record.len()).unwrap_or(u32::MAX), user_key: &event.key }
            .encode_into(&mut changed);
        store.put(Table::Revisions, &revision_record::encode_key(event.revision), &changed);
        store.put(Table::History, &history_key::encode(&event.key, event.revision), &event.record);
    }
    meta::write_u64(&mut store, meta::CURRENT_REVISION, (changes + 1).cast_unsigned());
    store
}

/// Watchers of everything, or of nothing that changed, start at revision 2 of a long history.
fn far_behind(store: &MemoryStore, changes: i64, watchers: u64, prefix: &'static str) -> Result<(), Fault> {
    let (mut hub, mut out) = (hub_at(changes + 1), BytesMut::new());
    for stream in 0..watchers {
        hub.open_stream(StreamId(stream), Duration::from_secs(600), MonotonicTime(0));
        watch(&mut hub, stream, prefix.into(), "\0".into(), 2);
    }
    send_all(&mut hub, &mut out);
    let (started, mut longest, mut calls, mut queued_max, mut bytes) = (Instant::now(), Duration::ZERO, 0, 0, 0);
    while hub.has_work() {
        let before = Instant::now();
        hub.catch_up(store, Budget::default())?;
        longest = longest.max(before.elapsed());
        queued_max = queued_max.max(hub.queued_bytes());
        calls += 1;
        bytes += send_all(&mut hub, &mut out).1;
    }
    let elapsed = started.elapsed();
    println!(
        "{watchers} watchers from {prefix} on, {changes} revisions behind: {:.2} s, {:.0} revisions/s, {calls} calls, longest {:.1} ms, {} MB sent, at most {} KB queued",
        elapsed.as_secs_f64(),
        per_second(usize::try_from(changes).unwrap_or(0), elapsed),
        longest.as_secs_f64() * 1e3,
        bytes >> 20,
        queued_max >> 10
    );
    Ok(())
}

fn main() -> Result<(), Fault> {
    one_prefix(500, 2_000, 1)?;
    one_prefix(500, 20_000, 64)?;
    for suffix in ["", "/"] {
        one_watcher_each(100, 50_000, suffix)?;
        one_watcher_each(10_000, 50_000, suffix)?;
    }
    let changes = 500_000;
    let store = history(changes);
    far_behind(&store, changes, 1, "/registry/pods/")?;
    far_behind(&store, changes, 1, "/zzz")?;
    far_behind(&store, changes, 20, "/registry/pods/")?;
    Ok(())
}
