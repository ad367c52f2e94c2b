//! Clients that do not read large responses keep others from nothing.

use crate::client::{PATIENCE, start};
use prost::Message as _;
use proto::etcdserverpb::{RangeRequest, SnapshotRequest};
use rpc::etcdserverpb::{kv_client::KvClient, maintenance_client::MaintenanceClient};
use siege::floods::fairness::fill_large;
use siege::raw::{Connection, DATA, headers, message};
use testbed::Server;
use tonic::transport::Endpoint;

fn all() -> RangeRequest {
    RangeRequest { key: "big/".into(), range_end: "big0".into(), ..RangeRequest::default() }
}

/// Connections whose responses have begun and are not read.
async fn unread(server: &Server, path: &str, body: &[u8], count: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(server.place().client_port).await.unwrap();
        connection.request(&headers(path), &message(body)).await.unwrap();
        connections.push(connection);
    }
    connections
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_ranges_do_not_hold_up_another() {
    let server = start(&[]).await;
    fill_large(&server).await.unwrap();
    let mut unread = unread(&server, "/etcdserverpb.KV/Range", &all().encode_to_vec(), 100).await;
    for connection in &mut unread {
        // Each has a place once data has come.
        while connection.receiver.next().await.unwrap().unwrap().kind != DATA {}
    }
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    let mut kv = KvClient::new(channel).max_decoding_message_size(1 << 30);
    let read =
        tokio::time::timeout(PATIENCE, kv.range(all())).await.expect("held up by clients that do not read").unwrap();
    assert_eq!(read.into_inner().kvs.len(), 25_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_backups_make_room_for_another() {
    let server = start(&[]).await;
    fill_large(&server).await.unwrap();
    let _unread = unread(&server, "/etcdserverpb.Maintenance/Snapshot", &[], 20).await;
    let channel = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
    let mut maintenance = MaintenanceClient::new(channel).max_decoding_message_size(1 << 30);
    let backup = async {
        let mut parts = maintenance.snapshot(SnapshotRequest {}).await?.into_inner();
        while parts.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    };
    tokio::time::timeout(PATIENCE, backup).await.expect("held up by clients that do not read").unwrap();
}
