//! Many small messages on one connection are no attack.

use crate::client::{PATIENCE, settings, start};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use proto::etcdserverpb::{LeaseGrantRequest, RangeRequest};
use rpc::etcdserverpb::lease_client::LeaseClient;
use siege::floods::fairness::keep_alive_in_small_frames;
use siege::raw::{Connection, DATA, END_STREAM, HEADERS, RST_STREAM, frame, headers, message};
use testbed::Cluster;
use tonic::transport::Channel;

/// More than h2's own budget for small frames.
const LEASES: u64 = 10_000;

async fn grant(channel: Channel) {
    let grants = futures::stream::iter(1..=LEASES).map(|id| {
        let mut leases = LeaseClient::new(channel.clone());
        async move { leases.lease_grant(LeaseGrantRequest { ttl: 600, id: id.cast_signed() }).await.unwrap() }
    });
    grants.buffer_unordered(256).for_each(async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_many_leases_of_one_connection_at_every_member() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    grant(cluster.channel(leader).await.unwrap()).await;
    for member in [leader, (leader + 1) % 3] {
        let renewing = keep_alive_in_small_frames(cluster.members[member].place().client_port, LEASES, 3);
        let (renewed, _, closed) =
            tokio::time::timeout(PATIENCE, renewing).await.expect("some leases were not renewed").unwrap();
        assert!(!closed && renewed == 3 * LEASES, "leader: {}, {renewed} renewed, closed: {closed}", member == leader);
    }
}

/// Each call's end in a frame of its own, all calls at once.
#[tokio::test(flavor = "multi_thread")]
async fn answers_many_calls_that_end_late() {
    const CALLS: u32 = 12_000;
    let server = start(&[]).await;
    let mut connection = Connection::open(server.place().client_port).await.unwrap();
    let range = message(&RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec());
    let block = siege::raw::field_block(&headers("/etcdserverpb.KV/Range"));
    let streams: Vec<u32> = (0..CALLS).map(|_| connection.sender.take_stream()).collect();
    // Within the client's first window of 64 KiB by far: each message is eight bytes.
    let (first, ends): (Vec<Vec<u8>>, Vec<Vec<u8>>) = streams
        .iter()
        .map(|stream| {
            let begun = [frame(HEADERS, 4, *stream, &block), frame(DATA, 0, *stream, &range[..1])].concat();
            (begun, frame(DATA, END_STREAM, *stream, &range[1..]))
        })
        .unzip();
    let mut sender = connection.sender;
    let sending = tokio::spawn(async move {
        sender.send(&Bytes::from(first.concat())).await.unwrap();
        sender.send(&Bytes::from(ends.concat())).await.unwrap();
        // The responses may be larger than the client's window of the connection.
        sender.send(&frame(siege::raw::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())).await.unwrap();
        sender
    });
    let mut answered = 0;
    while answered < CALLS {
        let received =
            tokio::time::timeout(PATIENCE, connection.receiver.next()).await.expect("calls were not answered").unwrap();
        let received = received.expect("the connection was closed");
        assert!(received.kind != siege::raw::GO_AWAY && received.kind != RST_STREAM, "{received:?}");
        answered += u32::from(received.kind == HEADERS && received.flags & END_STREAM != 0);
    }
    drop(sending.await.unwrap());
}
