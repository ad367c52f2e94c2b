//! A client library of others, the `etcd-client` crate, over one session: it finds here everything
//! that it expects of etcd.

use crate::daemon::start;
use etcd_client::{
    AlarmAction, AlarmType, Client, CompactionOptions, Compare, CompareOp, ConnectOptions, DeleteOptions, Error,
    GetOptions, LockOptions, Permission, PutOptions, ResignOptions, Txn, TxnOp,
};

async fn connect(endpoint: &str) -> Client {
    Client::connect([endpoint], None).await.unwrap()
}

fn message(error: &Error) -> &str {
    let Error::GRpcStatus(status) = error else { panic!("not an answer: {error}") };
    status.message()
}

#[tokio::test]
async fn keys_and_transactions() {
    let server = start(None, &[]).await;
    let mut client = connect(&server.endpoint()).await;
    for number in 0..5 {
        client.put(format!("a/{number}"), format!("{number}"), None).await.unwrap();
    }
    let before = client.put("a/0", "new", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(before.prev_key().unwrap().value(), b"0");
    let found = client.get("a/", Some(GetOptions::new().with_prefix().with_limit(2))).await.unwrap();
    assert_eq!((found.count(), found.kvs().len(), found.more()), (5, 2, true));
    let revision = before.header().unwrap().revision();
    let earlier = client.get("a/0", Some(GetOptions::new().with_revision(revision - 1))).await.unwrap();
    assert_eq!(earlier.kvs()[0].value(), b"0");
    let txn = Txn::new()
        .when([Compare::value("a/0", CompareOp::Equal, "new")])
        .and_then([TxnOp::put("a/0", "newer", None), TxnOp::get("a/0", None)])
        .or_else([TxnOp::get("a/1", None)]);
    let response = client.txn(txn).await.unwrap();
    assert!(response.succeeded() && response.op_responses().len() == 2);
    assert_eq!(client.delete("a/", Some(DeleteOptions::new().with_prefix())).await.unwrap().deleted(), 5);
    client.compact(revision, None).await.unwrap();
    let refused = client.get("a/0", Some(GetOptions::new().with_revision(revision - 1))).await.unwrap_err();
    assert_eq!(message(&refused), "etcdserver: mvcc: required revision has been compacted");
}

#[tokio::test]
async fn deleted_keys_stay_deleted_when_their_history_is_removed() {
    let server = start(None, &[]).await;
    let mut client = connect(&server.endpoint()).await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.delete("a", None).await.unwrap();
    let last = client.put("b", "1", None).await.unwrap().header().unwrap().revision();
    let hash = client.hash_kv(last).await.unwrap();
    client.compact(last, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let found = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(found.kvs().iter().map(etcd_client::KeyValue::key).collect::<Vec<_>>(), [b"b"]);
    assert_ne!(client.hash_kv(last).await.unwrap().hash(), hash.hash(), "the history is gone, and only that");
}

#[tokio::test]
async fn leases_with_keep_alive() {
    let server = start(None, &[]).await;
    let mut client = connect(&server.endpoint()).await;
    let lease = client.lease_grant(600, None).await.unwrap();
    client.put("k", "v", Some(PutOptions::new().with_lease(lease.id()))).await.unwrap();
    let (mut keeper, mut kept) = client.lease_keep_alive(lease.id()).await.unwrap();
    for _ in 0..3 {
        keeper.keep_alive().await.unwrap();
        let response = kept.message().await.unwrap().unwrap();
        assert_eq!((response.id(), response.ttl()), (lease.id(), 600));
    }
    assert_eq!(client.leases().await.unwrap().leases().len(), 1);
    client.lease_revoke(lease.id()).await.unwrap();
    assert_eq!(client.get("k", None).await.unwrap().count(), 0);
    // A lease that is gone is answered with no time left, not with an error.
    keeper.keep_alive().await.unwrap();
    assert_eq!(kept.message().await.unwrap().unwrap().ttl(), 0);
}

#[tokio::test]
async fn lock_and_election() {
    let server = start(None, &[]).await;
    let (mut first, mut second) = (connect(&server.endpoint()).await, connect(&server.endpoint()).await);
    let lease = first.lease_grant(600, None).await.unwrap().id();
    let held = first.lock("door", Some(LockOptions::new().with_lease(lease))).await.unwrap();
    let waiting = tokio::spawn(async move { second.lock("door", None).await.unwrap().key().to_vec() });
    // It waits only once its own key is there beside the first.
    while first.get("door/", Some(GetOptions::new().with_prefix())).await.unwrap().count() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    first.unlock(held.key()).await.unwrap();
    assert!(waiting.await.unwrap().starts_with(b"door/"));

    let leader = first.campaign("office", "first", lease).await.unwrap().leader().cloned().unwrap();
    assert_eq!(first.leader("office").await.unwrap().kv().unwrap().value(), b"first");
    first.proclaim("again", Some(etcd_client::ProclaimOptions::new().with_leader(leader.clone()))).await.unwrap();
    assert_eq!(first.leader("office").await.unwrap().kv().unwrap().value(), b"again");
    first.resign(Some(ResignOptions::new().with_leader(leader))).await.unwrap();
    assert_eq!(message(&first.leader("office").await.unwrap_err()), "election: no leader");
}

#[tokio::test]
async fn users_roles_and_permissions() {
    let server = start(None, &["--bcrypt-cost=4"]).await;
    let mut client = connect(&server.endpoint()).await;
    client.user_add("root", "secret", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.role_add("reader").await.unwrap();
    client.role_grant_permission("reader", Permission::read("a")).await.unwrap();
    client.user_add("ann", "hers", None).await.unwrap();
    client.user_grant_role("ann", "reader").await.unwrap();
    client.auth_enable().await.unwrap();

    let refused = client.get("a", None).await.unwrap_err();
    assert_eq!(message(&refused), "etcdserver: user name is empty");
    let wrong =
        Client::connect([server.endpoint()], Some(ConnectOptions::new().with_user("ann", "his"))).await.err().unwrap();
    assert_eq!(message(&wrong), "etcdserver: authentication failed, invalid user ID or password");
    let mut ann =
        Client::connect([server.endpoint()], Some(ConnectOptions::new().with_user("ann", "hers"))).await.unwrap();
    assert_eq!(ann.get("a", None).await.unwrap().count(), 0);
    assert_eq!(message(&ann.put("a", "1", None).await.unwrap_err()), "etcdserver: permission denied");
    assert_eq!(message(&ann.get("b", None).await.unwrap_err()), "etcdserver: permission denied");
    let mut root =
        Client::connect([server.endpoint()], Some(ConnectOptions::new().with_user("root", "secret"))).await.unwrap();
    root.put("b", "1", None).await.unwrap();
    root.auth_disable().await.unwrap();
    client.put("b", "2", None).await.unwrap();
}

#[tokio::test]
async fn maintenance_status_and_snapshot() {
    let server = start(None, &[]).await;
    let mut client = connect(&server.endpoint()).await;
    client.put("a", "1", None).await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.version(), "3.7.1");
    assert!(status.leader() != 0 && status.raft_applied_index() > 0 && status.db_size() > 0);
    assert_eq!(client.member_list().await.unwrap().members().len(), 1);
    assert!(client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap().alarms().is_empty());
    let mut snapshot = client.snapshot().await.unwrap();
    let mut file = Vec::new();
    while let Some(part) = snapshot.message().await.unwrap() {
        file.extend_from_slice(part.blob());
    }
    // A backend file in whole pages, and the SHA-256 of it behind.
    assert_eq!(file.len() % 512, 32);
    assert_eq!(&file[16..20], &0xED0C_DAED_u32.to_le_bytes(), "bbolt's magic number");
}
