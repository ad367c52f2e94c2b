//! A small history in which everything is right, and the violations when one thing in it is not.

use super::check;
use crate::history::{Delivery, History, Micros, Operation, Outcome, Request, Response, Stream};
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRevokeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, WatchCreateRequest, WatchResponse,
};
use proto::mvccpb::{Event, KeyValue, event::EventType};

const SECOND: Micros = 1_000_000;

fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

fn record(key: &'static str, value: &'static str, create: i64, modified: i64, version: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
        create_revision: create,
        mod_revision: modified,
        version,
        lease: 0,
    }
}

fn written(kv: KeyValue) -> Event {
    Event { r#type: EventType::Put.into(), kv: Some(kv), prev_kv: None }
}

fn deleted(key: &'static str, revision: i64) -> Event {
    let kv = KeyValue { key: key.into(), mod_revision: revision, ..KeyValue::default() };
    Event { r#type: EventType::Delete.into(), kv: Some(kv), prev_kv: None }
}

/// Asked at `at`, answered a microsecond later by member 0 in its first life.
fn operation(at: Micros, request: Request, outcome: Outcome) -> Operation {
    Operation { client: 0, member: 0, life: 1, invoked: at, returned: at + 1, request, outcome }
}

fn put(at: Micros, key: &'static str, value: &'static str, outcome: Outcome) -> Operation {
    operation(at, Request::Put(PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }), outcome)
}

fn put_at(revision: i64) -> Outcome {
    Outcome::Answered(Response::Put(PutResponse { header: header(revision), prev_kv: None }))
}

fn read(at: Micros, key: &'static str, serializable: bool, revision: i64, found: Option<KeyValue>) -> Operation {
    let kvs: Vec<_> = found.into_iter().collect();
    let count = i64::try_from(kvs.len()).unwrap();
    let response = RangeResponse { header: header(revision), kvs, more: false, count };
    let request = RangeRequest { key: key.into(), serializable, ..RangeRequest::default() };
    operation(at, Request::Range(request), Outcome::Answered(Response::Range(response)))
}

fn created(at: Micros, revision: i64) -> Delivery {
    Delivery { at, response: WatchResponse { header: header(revision), created: true, ..WatchResponse::default() } }
}

fn deliveries(at: Micros, revision: i64, events: Vec<Event>) -> Delivery {
    Delivery { at, response: WatchResponse { header: header(revision), events, ..WatchResponse::default() } }
}

fn stream(start_revision: i64, deliveries: Vec<Delivery>) -> Stream {
    let request = WatchCreateRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        start_revision,
        ..WatchCreateRequest::default()
    };
    Stream { watcher: 0, member: 0, invoked: 0, request, deliveries, to_the_end: true, ended: None }
}

/// Revision 2: a is put. 3: b is put. 4: a is deleted. 5: b is put again. All of it delivered to
/// one watcher.
fn history() -> History {
    let delete = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
    let gone = Outcome::Answered(Response::Delete(DeleteRangeResponse {
        header: header(4),
        deleted: 1,
        prev_kvs: Vec::new(),
    }));
    History {
        operations: vec![
            put(10, "a", "1", put_at(2)),
            put(20, "b", "2", put_at(3)),
            operation(30, Request::Delete(delete), gone),
            put(40, "b", "3", put_at(5)),
            read(50, "b", false, 5, Some(record("b", "3", 3, 5, 2))),
        ],
        streams: vec![stream(
            1,
            vec![
                created(1, 1),
                deliveries(12, 2, vec![written(record("a", "1", 2, 2, 1))]),
                deliveries(35, 4, vec![written(record("b", "2", 3, 3, 1)), deleted("a", 4)]),
                deliveries(45, 5, vec![written(record("b", "3", 3, 5, 2))]),
            ],
        )],
        deeds: Vec::new(),
        last_revision: 5,
    }
}

/// The promises that a history breaks.
fn broken(history: &History) -> Vec<&'static str> {
    let mut promises: Vec<_> = check(history).into_iter().map(|violation| violation.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

/// The promises that are broken when the good history is changed.
fn broken_by(change: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = history();
    change(&mut history);
    broken(&history)
}

/// A second watcher, whose stream is given.
fn also_told(start_revision: i64, responses: Vec<Delivery>) -> Vec<&'static str> {
    broken_by(|history| {
        let responses = [vec![created(1, 1)], responses].concat();
        history.streams.push(Stream { to_the_end: false, ..stream(start_revision, responses) });
    })
}

#[test]
fn nothing_is_said_of_a_good_history() {
    assert_eq!(check(&history()), []);
}

#[test]
fn reads_tell_the_state_at_their_revision() {
    assert_eq!(
        broken_by(|history| history.operations.push(read(60, "b", false, 5, Some(record("b", "2", 3, 3, 1))))),
        ["linearizable"]
    );
    assert_eq!(broken_by(|history| history.operations.push(read(60, "a", false, 5, None))), [""; 0]);
}

#[test]
fn a_linearizable_read_is_not_older_than_what_was_seen_before_it_was_asked() {
    let old = || Operation { member: 1, ..read(60, "b", false, 3, Some(record("b", "2", 3, 3, 1))) };
    assert_eq!(broken_by(|history| history.operations.push(old())), ["linearizable"]);
    // One that was asked before may be as old.
    assert_eq!(broken_by(|history| history.operations.push(Operation { invoked: 22, ..old() })), [""; 0]);
}

#[test]
fn a_serializable_read_may_be_old_but_not_older_than_the_same_process_was_before() {
    let old = |member, life| Operation { member, life, ..read(60, "b", true, 3, Some(record("b", "2", 3, 3, 1))) };
    assert_eq!(broken_by(|history| history.operations.push(old(1, 1))), [""; 0]);
    assert_eq!(broken_by(|history| history.operations.push(old(0, 2))), [""; 0]);
    assert_eq!(broken_by(|history| history.operations.push(old(0, 1))), ["order"]);
}

#[test]
fn a_write_of_unknown_outcome_is_placed_by_what_watchers_were_told() {
    let unknown = || Outcome::Unknown(String::new());
    assert_eq!(broken_by(|history| history.operations[1].outcome = unknown()), [""; 0]);
    assert_eq!(broken_by(|history| history.operations[2].outcome = unknown()), [""; 0]);
    assert_eq!(broken_by(|history| history.operations.push(put(5, "c", "never", unknown()))), [""; 0]);
    assert_eq!(broken_by(|history| history.operations[1].outcome = Outcome::Refused(String::new())), ["linearizable"]);
    // Asked when its revision had been seen already.
    assert_eq!(
        broken_by(|history| (history.operations[1].invoked, history.operations[1].outcome) = (47, unknown())),
        ["linearizable"]
    );
    assert_eq!(broken_by(|history| drop(history.operations.remove(2))), ["linearizable"]);
}

#[test]
fn a_write_is_done_once() {
    let change = |history: &mut History| {
        history.operations.remove(3);
        history.streams[0].deliveries[3].response.events = vec![written(record("b", "2", 3, 5, 2))];
        history.operations.pop();
    };
    assert_eq!(broken_by(change), ["linearizable"]);
    assert_eq!(broken_by(|history| history.operations.push(put(55, "c", "9", put_at(5)))), ["linearizable"]);
}

#[test]
fn nothing_is_refused_as_compacted_without_a_compaction() {
    let request = RangeRequest { key: "a".into(), revision: 2, ..RangeRequest::default() };
    let refused = Outcome::Refused("etcdserver: mvcc: required revision has been compacted".to_owned());
    let old = operation(60, Request::Range(request), refused);
    assert_eq!(broken_by(|history| history.operations.push(old.clone())), ["linearizable"]);
    let compacted = Outcome::Answered(Response::Compact(CompactionResponse { header: header(5) }));
    let compact = operation(55, Request::Compact(CompactionRequest { revision: 3, physical: false }), compacted);
    assert_eq!(broken_by(|history| history.operations.extend([compact, old])), [""; 0]);
}

#[test]
fn every_event_is_told_once_in_order_and_whole() {
    let (a, b, again) =
        (written(record("a", "1", 2, 2, 1)), written(record("b", "2", 3, 3, 1)), written(record("b", "3", 3, 5, 2)));
    assert_eq!(
        also_told(2, vec![deliveries(60, 5, vec![a.clone(), b.clone(), deleted("a", 4), again.clone()])]),
        [""; 0]
    );
    assert_eq!(also_told(2, vec![deliveries(60, 5, vec![a.clone(), deleted("a", 4)])]), ["reliable"]);
    assert_eq!(also_told(2, vec![deliveries(60, 5, vec![b.clone(), a.clone()])]), ["ordered"]);
    assert_eq!(
        also_told(2, vec![deliveries(60, 5, vec![a.clone(), b.clone()]), deliveries(61, 5, vec![b.clone()])]),
        ["unique"]
    );
    assert_eq!(also_told(3, vec![deliveries(60, 5, vec![a.clone(), b.clone()])]), ["start"]);
    assert_eq!(also_told(2, vec![deliveries(60, 5, vec![written(record("a", "7", 2, 2, 1))])]), ["events"]);
    assert_eq!(also_told(2, vec![deliveries(60, 1, vec![a.clone()])]), ["ordered"]);
    assert_eq!(broken_by(|history| drop(history.streams[0].deliveries.pop())), ["linearizable", "reliable"]);
}

#[test]
fn a_revision_is_not_split_but_into_fragments() {
    let split = |fragment: bool| {
        let txn_of = |history: &mut History| {
            history.streams[0].deliveries[3].response.events.push(written(record("c", "3", 5, 5, 1)));
            let mut first = deliveries(60, 5, vec![written(record("b", "3", 3, 5, 2))]);
            first.response.fragment = fragment;
            let second = deliveries(61, 5, vec![written(record("c", "3", 5, 5, 1))]);
            history.streams.push(Stream { to_the_end: false, ..stream(5, vec![created(1, 1), first, second]) });
            // The author of c got no response.
            history.operations.truncate(3);
            history.operations.push(two_puts());
        };
        broken_by(txn_of)
    };
    assert_eq!(split(true), [""; 0]);
    assert_eq!(split(false), ["atomic"]);
}

fn two_puts() -> Operation {
    use proto::etcdserverpb::{RequestOp, TxnRequest, request_op};
    let put = |key: &'static str| {
        let put = PutRequest { key: key.into(), value: "3".into(), ..PutRequest::default() };
        RequestOp { request: Some(request_op::Request::RequestPut(put)) }
    };
    let txn = TxnRequest { success: vec![put("b"), put("c")], ..TxnRequest::default() };
    operation(40, Request::Txn(txn), Outcome::Unknown(String::new()))
}

#[test]
fn progress_is_true() {
    let b = written(record("b", "2", 3, 3, 1));
    let a = written(record("a", "1", 2, 2, 1));
    assert_eq!(
        also_told(
            2,
            vec![deliveries(60, 2, vec![a.clone()]), deliveries(61, 2, Vec::new()), deliveries(62, 3, vec![b.clone()])]
        ),
        [""; 0]
    );
    assert_eq!(also_told(2, vec![deliveries(60, 2, vec![a.clone()]), deliveries(61, 3, Vec::new())]), ["bookmarkable"]);
    assert_eq!(also_told(2, vec![deliveries(60, 3, Vec::new()), deliveries(61, 3, vec![a, b])]), ["bookmarkable"]);
}

#[test]
fn only_what_was_asked_for_is_told_and_with_what_was_before() {
    let with = |change: fn(&mut WatchCreateRequest), events: Vec<Event>| {
        broken_by(|history| {
            let mut other = Stream { to_the_end: false, ..stream(5, vec![created(1, 1), deliveries(60, 5, events)]) };
            change(&mut other.request);
            history.streams.push(other);
        })
    };
    let again = || written(record("b", "3", 3, 5, 2));
    let and_before = || Event { prev_kv: Some(record("b", "2", 3, 3, 1)), ..again() };
    assert_eq!(with(|request| request.filters = vec![FilterType::Noput.into()], vec![again()]), ["filter"]);
    assert_eq!(with(|request| request.range_end = "b".into(), vec![again()]), ["filter"]);
    assert_eq!(with(|request| request.prev_kv = true, vec![and_before()]), [""; 0]);
    assert_eq!(with(|request| request.prev_kv = true, vec![again()]), ["prev_kv"]);
    assert_eq!(with(|_| (), vec![and_before()]), ["prev_kv"]);
}

#[test]
fn a_watch_is_not_cancelled_as_compacted_without_a_reason() {
    let mut cancelled = deliveries(60, 5, Vec::new());
    (cancelled.response.canceled, cancelled.response.compact_revision) = (true, 3);
    assert_eq!(also_told(2, vec![cancelled]), ["resumable"]);
}

/// Lease 7 of two seconds, granted at second 1; revision 6 puts a key with it, 7 deletes the key,
/// seen at the given moment.
fn leased(seen: Micros) -> History {
    let mut history = history();
    let grant = Response::Grant(LeaseGrantResponse { header: header(5), id: 7, ttl: 2, error: String::new() });
    history.operations.push(operation(
        SECOND,
        Request::Grant(LeaseGrantRequest { id: 0, ttl: 2 }),
        Outcome::Answered(grant),
    ));
    let put = PutRequest { key: "l".into(), value: "8".into(), lease: 7, ..PutRequest::default() };
    history.operations.push(operation(SECOND + 10, Request::Put(put), put_at(6)));
    let kept = KeyValue { lease: 7, ..record("l", "8", 6, 6, 1) };
    history.streams[0]
        .deliveries
        .extend([deliveries(SECOND + 20, 6, vec![written(kept)]), deliveries(seen, 7, vec![deleted("l", 7)])]);
    history.last_revision = 7;
    history
}

fn renewed(at: Micros, ttl: i64) -> Operation {
    let answer = LeaseKeepAliveResponse { header: header(6), id: 7, ttl };
    operation(at, Request::KeepAlive(7), Outcome::Answered(Response::KeepAlive(answer)))
}

#[test]
fn a_lease_lives_as_long_as_was_promised() {
    assert_eq!(check(&leased(3 * SECOND + 1)), []);
    assert_eq!(broken(&leased(3 * SECOND - 1)), ["lease"]);
    let mut history = leased(3 * SECOND + 1);
    history.operations.push(renewed(2 * SECOND, 2));
    assert_eq!(broken(&history), ["lease"], "it was renewed at second 2");
    let mut history = leased(4 * SECOND);
    history.operations.push(renewed(2 * SECOND, 0));
    assert_eq!(broken(&history), ["lease"], "it was told to be gone at second 2");
}

#[test]
fn a_lease_that_ended_is_not_renewed() {
    let mut history = leased(4 * SECOND);
    history.operations.push(Operation { member: 1, ..renewed(5 * SECOND, 2) });
    assert_eq!(broken(&history), ["lease"]);
}

#[test]
fn a_revoked_lease_may_end_early_and_does_not_come_back() {
    let revoked = Outcome::Answered(Response::Revoke(LeaseRevokeResponse { header: header(7) }));
    let revoke = operation(2 * SECOND, Request::Revoke(7), revoked);
    let mut history = leased(2 * SECOND + 10);
    history.operations.push(revoke);
    assert_eq!(check(&history), []);
    history.operations.push(Operation { member: 1, ..renewed(2 * SECOND + 5, 2) });
    assert_eq!(broken(&history), ["lease"]);
}

#[test]
fn keys_do_not_outlive_their_lease() {
    let mut history = leased(3 * SECOND + 1);
    history.streams[0].deliveries.pop();
    history.last_revision = 6;
    assert_eq!(broken(&history), ["lease"]);
}
