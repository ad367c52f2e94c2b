//! Responses byte by byte: the sent bytes equal those that prost makes of the same message.

use crate::store::{Change, Store};
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use proto::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};
use proto::mvccpb::event::EventType;
use proto::mvccpb::{Event, KeyValue};
use std::time::Duration;
use types::{ClusterId, KeyRange, MemberId, MonotonicTime};
use watch::{Header, Settings, StreamId, WatcherHub};

const STREAM: StreamId = StreamId(1);
const HEADER: Header = Header { cluster_id: ClusterId(u64::MAX - 3), member_id: MemberId(77), raft_term: 300 };

fn next_bytes(hub: &mut WatcherHub) -> Bytes {
    let output = hub.take(STREAM).unwrap();
    let mut out = BytesMut::from(&b"before"[..]);
    output.encode_into(HEADER, &mut out);
    let message = out.split_off(6).freeze();
    assert_eq!(message.len(), output.encoded_len(HEADER));
    message
}

fn response(revision: i64) -> WatchResponse {
    let header = ResponseHeader { cluster_id: HEADER.cluster_id.0, member_id: 77, revision, raft_term: 300 };
    WatchResponse { header: Some(header), watch_id: 9, ..WatchResponse::default() }
}

fn kv(value: &str, mod_revision: i64) -> KeyValue {
    KeyValue {
        key: "k".into(),
        create_revision: 2,
        mod_revision,
        version: mod_revision - 1,
        value: value.to_owned().into(),
        lease: 0,
    }
}

fn put(kv: KeyValue, prev_kv: Option<KeyValue>) -> Event {
    Event { r#type: EventType::Put.into(), kv: Some(kv), prev_kv }
}

#[test]
fn answers_are_what_prost_makes_of_the_same_messages() {
    let (mut store, mut hub) = (Store::new(), WatcherHub::new(Settings::for_request_bytes(1 << 20), 1, -1));
    hub.open_stream(STREAM, Duration::from_secs(600), MonotonicTime(0));
    let request = WatchCreateRequest { key: "k".into(), watch_id: 9, prev_kv: true, ..WatchCreateRequest::default() };
    hub.create(STREAM, &request, 1, -1);
    assert_eq!(next_bytes(&mut hub), WatchResponse { created: true, ..response(1) }.encode_to_vec());

    let long = "v".repeat(300);
    for value in ["1", &long] {
        let events = store.execute(&[Change::Put("k".into(), value.into())]);
        hub.publish(&store.view, &events).unwrap();
    }
    let first = WatchResponse { events: vec![put(kv("1", 2), None)], ..response(2) };
    assert_eq!(next_bytes(&mut hub), first.encode_to_vec());
    let second = WatchResponse { events: vec![put(kv(&long, 3), Some(kv("1", 2)))], ..response(3) };
    assert_eq!(next_bytes(&mut hub), second.encode_to_vec());

    let events = store.execute(&[Change::Delete(KeyRange::all())]);
    hub.publish(&store.view, &events).unwrap();
    let gone = KeyValue { key: "k".into(), mod_revision: 4, ..KeyValue::default() };
    let event = Event { r#type: EventType::Delete.into(), kv: Some(gone), prev_kv: Some(kv(&long, 3)) };
    assert_eq!(next_bytes(&mut hub), WatchResponse { events: vec![event], ..response(4) }.encode_to_vec());

    hub.cancel(STREAM, 9, 4);
    assert_eq!(next_bytes(&mut hub), WatchResponse { canceled: true, ..response(4) }.encode_to_vec());
    assert!(hub.take(STREAM).is_none());
}
