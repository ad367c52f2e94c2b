//! The Watch service of a running daemon, driven by a plain gRPC client: the rules that clients
//! rely on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest,
    WatchRequest, WatchResponse,
};
use proto::mvccpb::event::EventType;
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::watch_client::WatchClient;
use std::time::Duration;
use testbed::{Server, Settings};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// Time limit of every wait; a missing response fails the test instead of hanging it.
const LIMIT: Duration = Duration::from_secs(60);

struct Daemon {
    server: Server,
    channel: Channel,
    kv: KvClient<Channel>,
}

impl Daemon {
    async fn start() -> Self {
        let server = Server::start(Settings::new(env!("CARGO_BIN_EXE_etcd-server"))).await.unwrap();
        let channel = Channel::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
        let kv = KvClient::new(channel.clone());
        Self { server, channel, kv }
    }

    async fn put(&mut self, key: &str, value: impl Into<bytes::Bytes>) -> i64 {
        let put = PutRequest { key: key.to_owned().into(), value: value.into(), ..PutRequest::default() };
        self.kv.put(put).await.unwrap().into_inner().header.unwrap().revision
    }

    async fn delete(&mut self, key: &str) {
        self.kv
            .delete_range(DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() })
            .await
            .unwrap();
    }

    async fn watch(&self) -> Watching {
        let (requests, stream) = mpsc::channel(16);
        let client = WatchClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(usize::MAX);
        let responses = client.watch(ReceiverStream::new(stream)).await.unwrap().into_inner();
        Watching { requests, responses }
    }
}

struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Watching {
    async fn ask(&self, request: RequestUnion) {
        self.requests.send(WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    async fn create(&mut self, request: WatchCreateRequest) -> WatchResponse {
        self.ask(RequestUnion::CreateRequest(request)).await;
        let response = self.next().await;
        assert!(response.created);
        response
    }

    async fn next(&mut self) -> WatchResponse {
        tokio::time::timeout(LIMIT, self.responses.message())
            .await
            .expect("an answer")
            .unwrap()
            .expect("the stream is open")
    }
}

fn of(key: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), ..WatchCreateRequest::default() }
}

fn values(response: &WatchResponse) -> Vec<String> {
    response.events.iter().map(|event| String::from_utf8(event.kv.as_ref().unwrap().value.to_vec()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_with_what_was_asked_for() {
    let mut daemon = Daemon::start().await;
    let mut watching = daemon.watch().await;
    let created = watching.create(WatchCreateRequest { prev_kv: true, ..of("a") }).await;
    assert_eq!((created.watch_id, created.header.unwrap().revision), (0, 1));
    let without_puts = WatchCreateRequest { filters: vec![FilterType::Noput.into()], watch_id: 7, ..of("a") };
    assert_eq!(watching.create(without_puts).await.watch_id, 7);
    assert_eq!(watching.create(WatchCreateRequest { watch_id: 7, ..of("a") }).await.watch_id, -1);
    daemon.put("b", "unseen").await;
    daemon.put("a", "1").await;
    let put = watching.next().await;
    assert_eq!((put.watch_id, values(&put), put.header.unwrap().revision), (0, vec!["1".to_owned()], 3));
    daemon.delete("a").await;
    let mut deletes = [watching.next().await, watching.next().await];
    deletes.sort_by_key(|response| response.watch_id);
    assert!(deletes.iter().all(|response| response.events[0].r#type == i32::from(EventType::Delete)));
    let before = |response: &WatchResponse| response.events[0].prev_kv.as_ref().map(|kv| kv.value.to_vec());
    assert_eq!((before(&deletes[0]), before(&deletes[1])), (Some(b"1".to_vec()), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_replayed_unless_it_is_compacted() {
    let mut daemon = Daemon::start().await;
    for value in ["1", "2", "3", "4"] {
        daemon.put("a", value).await;
    }
    let mut watching = daemon.watch().await;
    watching.create(WatchCreateRequest { start_revision: 3, ..of("a") }).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(values(&watching.next().await));
    }
    assert_eq!(seen, ["2", "3", "4"]);
    daemon.kv.compact(CompactionRequest { revision: 4, physical: false }).await.unwrap();
    let created = watching.create(WatchCreateRequest { start_revision: 2, ..of("a") }).await;
    let ended = watching.next().await;
    assert_eq!((ended.watch_id, ended.canceled, ended.compact_revision), (created.watch_id, true, 4));
    assert_eq!(ended.header.unwrap().revision, 0);
    let refused = watching.create(WatchCreateRequest { start_revision: -1, ..of("a") }).await;
    assert_eq!(
        (refused.watch_id, &refused.cancel_reason[..]),
        (-1, "etcdserver: mvcc: required revision has been compacted")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_and_cancellation_are_answered_in_order() {
    let mut daemon = Daemon::start().await;
    let mut watching = daemon.watch().await;
    watching.create(of("a")).await;
    let revision = daemon.put("b", "1").await;
    watching.ask(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    let progress = watching.next().await;
    assert_eq!((progress.watch_id, progress.header.unwrap().revision, progress.events.len()), (-1, revision, 0));
    // An unknown watcher is not answered, so the next answer is about the known one.
    watching.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 5 })).await;
    watching.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 0 })).await;
    let canceled = watching.next().await;
    assert_eq!((canceled.watch_id, canceled.canceled, &canceled.cancel_reason[..]), (0, true, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_cut_for_who_asks_for_fragments() {
    let mut daemon = Daemon::start().await;
    for _ in 0..4 {
        daemon.put("a", vec![b'x'; 1 << 20]).await;
    }
    let mut watching = daemon.watch().await;
    watching.create(WatchCreateRequest { start_revision: 1, fragment: true, ..of("a") }).await;
    let mut events = 0;
    while events < 4 {
        let response = watching.next().await;
        assert!(prost::Message::encoded_len(&response) < 2 << 20);
        events += response.events.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_watcher_of_a_stream_is_told() {
    let mut daemon = Daemon::start().await;
    let mut watching = daemon.watch().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..500 {
        ids.insert(watching.create(of("a")).await.watch_id);
    }
    assert_eq!(ids.len(), 500);
    daemon.put("a", "1").await;
    while !ids.is_empty() {
        let response = watching.next().await;
        assert!(ids.remove(&response.watch_id), "each is told once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_loses_nothing_and_delays_nobody() {
    let daemon = Daemon::start().await;
    let mut slow = daemon.watch().await;
    slow.create(of("a")).await;
    let other = Channel::from_shared(daemon.server.endpoint()).unwrap().connect().await.unwrap();
    let mut quick = Daemon { channel: other, ..daemon }.watch_and_return().await;
    // Far more than the windows of the connection and the queue of the stream hold together.
    for number in 0..40 {
        let value = format!("{number:05}").repeat(100_000);
        let revision = quick.0.put("a", value).await;
        let told = quick.1.next().await;
        assert_eq!(told.header.unwrap().revision, revision);
    }
    let mut seen = Vec::new();
    while seen.len() < 40 {
        seen.extend(values(&slow.next().await).into_iter().map(|value| value[..5].to_owned()));
    }
    let all: Vec<String> = (0..40).map(|number| format!("{number:05}")).collect();
    assert_eq!(seen, all);
}

impl Daemon {
    /// A second reader on this daemon's channel, and the daemon back.
    async fn watch_and_return(self) -> (Self, Watching) {
        let mut watching = self.watch().await;
        watching.create(of("a")).await;
        (self, watching)
    }
}
