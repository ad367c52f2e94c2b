//! The stories in `tests/scripts`.
//!
//! `put k=v…` is one request; `-k` deletes a key, `-k..m` a range. `unpublished` holds back the
//! events of the next request.

use crate::store::{Change, Store};
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use proto::mvccpb::Event;
use std::fmt::Write as _;
use std::time::Duration;
use types::{KeyRange, MonotonicTime};
use watch::{Budget, Header, Output, Settings, StreamId, WatcherHub};

struct Stage {
    store: Store,
    hub: WatcherHub,
    now: MonotonicTime,
    stream: StreamId,
    held_back: bool,
}

pub(crate) fn decoded(output: &Output) -> WatchResponse {
    let mut out = BytesMut::new();
    output.encode_into(Header::default(), &mut out);
    WatchResponse::decode(out.freeze()).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.replace("\\0", "\0"))
}

fn shown_event(event: &Event) -> String {
    let text = |bytes: &Bytes| bytes.escape_ascii().to_string();
    let kv = event.kv.as_ref().unwrap();
    let prev = event
        .prev_kv
        .as_ref()
        .map(|prev| format!(" (was {}@{})", text(&prev.value), prev.mod_revision))
        .unwrap_or_default();
    match event.r#type {
        0 if kv.value.len() > 20 => format!("{}=<{} bytes>@{}{prev}", text(&kv.key), kv.value.len(), kv.mod_revision),
        0 => format!("{}={}@{}{prev}", text(&kv.key), text(&kv.value), kv.mod_revision),
        _ => {
            assert_eq!((kv.create_revision, kv.version, kv.value.len(), kv.lease), (0, 0, 0, 0));
            format!("-{}@{}{prev}", text(&kv.key), kv.mod_revision)
        }
    }
}

fn shown(response: &WatchResponse) -> String {
    let mut text = format!("id={} rev={}", response.watch_id, response.header.as_ref().unwrap().revision);
    for (flag, name) in
        [(response.created, "created"), (response.canceled, "canceled"), (response.fragment, "fragment")]
    {
        if flag {
            write!(text, " {name}").unwrap();
        }
    }
    if response.compact_revision != 0 {
        write!(text, " compact_revision={}", response.compact_revision).unwrap();
    }
    if !response.cancel_reason.is_empty() {
        write!(text, " reason={:?}", response.cancel_reason).unwrap();
    }
    for event in &response.events {
        write!(text, " {}", shown_event(event)).unwrap();
    }
    text
}

fn change(word: &str) -> Change {
    if let Some(deleted) = word.strip_prefix('-') {
        let (key, end) = deleted.split_once("..").unwrap_or((deleted, ""));
        return Change::Delete(KeyRange::from_wire(bytes(key), bytes(end)));
    }
    let (key, value) = word.split_once('=').unwrap();
    let value = value.strip_prefix('*').map_or(value.to_owned(), |length| "v".repeat(length.parse().unwrap()));
    Change::Put(key.into(), value)
}

/// `watch k..m from=3 id=4 prev fragment progress nodelete`.
fn create_request(words: &[&str]) -> WatchCreateRequest {
    let mut request = WatchCreateRequest::default();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "from" => request.start_revision = value.parse().unwrap(),
            "id" => request.watch_id = value.parse().unwrap(),
            "filter" => request.filters.push(value.parse().unwrap()),
            "prev" => request.prev_kv = true,
            "fragment" => request.fragment = true,
            "progress" => request.progress_notify = true,
            _ => {
                let (key, end) = word.split_once("..").unwrap_or((word, ""));
                (request.key, request.range_end) = (bytes(key.trim_matches('"')), bytes(end));
            }
        }
    }
    request
}

/// Bounds that a few events reach.
pub(crate) const SMALL: Settings = Settings {
    stream_bytes_max: 1000,
    total_bytes_max: 3000,
    response_bytes_max: 200,
    retries_at_once: 64,
    fragment_bytes: 200,
};

impl Stage {
    fn new() -> Self {
        let mut hub = WatcherHub::new(SMALL, 1, -1);
        for stream in [1, 2] {
            hub.open_stream(StreamId(stream), Duration::from_secs(600), MonotonicTime(0));
        }
        Self { store: Store::new(), hub, now: MonotonicTime(0), stream: StreamId(1), held_back: false }
    }

    fn receive(&mut self) -> String {
        let mut responses = Vec::new();
        while let Some(output) = self.hub.take(self.stream) {
            self.hub.drained(self.stream, output.queued_bytes());
            responses.push(format!("\n  {}", shown(&decoded(&output))));
        }
        if responses.is_empty() { "nothing".into() } else { responses.concat() }
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = || words[1].parse::<i64>().unwrap();
        let (current, compacted) = (self.store.current(), self.store.compacted());
        match words[0] {
            "put" => {
                let changes: Vec<Change> = words[1..].iter().map(|word| change(word)).collect();
                let events = self.store.execute(&changes);
                if !std::mem::take(&mut self.held_back) {
                    self.hub.publish(&self.store.view, &events).unwrap();
                }
                return format!("revision {}", self.store.current());
            }
            "unpublished" => self.held_back = true,
            "skipped" => self.hub.skipped_to(number()),
            "compact" => {
                self.store.compact(number(), !words.contains(&"unremoved"));
                self.hub.compacted(number());
            }
            "watch" => self.hub.create(self.stream, &create_request(&words[1..]), current, compacted),
            "refuse" => self.hub.refuse(self.stream, current, line.split_once(' ').unwrap().1.to_owned()),
            "cancel" => self.hub.cancel(self.stream, number(), current),
            "progress" => self.hub.progress_request(self.stream),
            "catch-up" => {
                let budget = Budget { changes: 2, ..Budget::default() };
                return if self.hub.catch_up(&self.store.view, budget).unwrap() { "more" } else { "complete" }.into();
            }
            "after" => {
                self.now = self.now.after(Duration::from_secs(number().unsigned_abs()));
                self.hub.tick(self.now);
            }
            "stream" => self.stream = StreamId(number().unsigned_abs()),
            "close" => self.hub.close_stream(self.stream),
            "queued" => return format!("{} bytes, {} unsynced", self.hub.queued_bytes(), self.hub.unsynced_watchers()),
            "receive" => return self.receive(),
            unknown => panic!("unknown command {unknown}"),
        }
        "done".into()
    }
}

#[test]
fn scripts_answer_as_recorded() {
    script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), Stage::new, Stage::run);
}
