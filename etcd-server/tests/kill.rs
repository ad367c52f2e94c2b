//! The end of the process at any instant: nothing acknowledged is lost, nothing else appears, the
//! history stays as it was.

use crate::daemon::{Client, SOON, number, seeded, start};
use crate::history::{Checked, Model};
use crate::load::Load;
use proto::etcdserverpb::RangeRequest;
use raftlog::{Identity, Log, Options};
use schema::meta;
use storage::{Store, StoreOptions};
use testbed::Server;
use types::{ClusterId, MemberId};

const CLIENTS: u64 = 6;

/// Compares the restarted server with the history, then its hash over one more death.
pub(crate) async fn check(server: &mut Server, model: &mut Model, seen: crate::history::Seen, lease: i64) -> Checked {
    let client = Client::connect(&server.endpoint()).await;
    let checked = model.follow(&client, seen).await;
    model.compare_lease(&client, lease).await;
    let hash = client.hash(0).await;
    assert_eq!(hash.hash_revision, model.revision);
    server.kill();
    server.restart().await.unwrap();
    let client = Client::connect(&server.endpoint()).await;
    assert_eq!(client.hash(0).await, hash, "the history changed by a restart");
    model.compare(&client).await;
    checked
}

fn report(what: &str, cycles: u64, checked: &[Checked], model: &Model) {
    let acknowledged: usize = checked.iter().map(|checked| checked.acknowledged).sum();
    let unanswered: usize = checked.iter().map(|checked| checked.unanswered_found).sum();
    println!(
        "{cycles} {what}: {acknowledged} acknowledged operations, all there; {unanswered} unanswered ones found, none twice; \
         revision {}, {} keys",
        model.revision,
        model.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills_under_load() {
    let mut random = seeded("kill");
    let cycles = number("KILL_CYCLES", 10);
    let mut server = start(None, &[]).await;
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let (mut model, mut checked) = (Model::default(), Vec::new());
    for cycle in 0..cycles {
        let mut load = Load::start(&server.endpoint(), CLIENTS, random.u64(..) >> 8, lease, 300).await;
        load.wait_for(random.u64(1..600)).await;
        server.kill();
        let seen = load.finish().await;
        server.restart().await.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        checked.push(check(&mut server, &mut model, seen, lease).await);
    }
    report("kills under load", cycles, &checked, &model);
}

/// Returns the remains of a stopped member: the applied index of its state, and the last index of
/// its log.
fn left_behind(server: &Server) -> (u64, u64) {
    let member = server.data_dir().join("member");
    let store = Store::open(&member.join("state"), &StoreOptions::default()).unwrap();
    let read = |key| meta::read_u64(&store, key).unwrap().unwrap();
    let identity =
        Identity { member_id: MemberId(read(meta::MEMBER_ID)), cluster_id: ClusterId(read(meta::CLUSTER_ID)) };
    let (_, recovered) = Log::open(&member.join("log"), identity, Options::default()).unwrap();
    (read(meta::APPLIED_INDEX), recovered.last_index)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_is_clean() {
    let mut random = seeded("stop");
    let cycles = number("KILL_CYCLES", 3).div_ceil(4).max(3);
    let mut server = start(None, &[]).await;
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let (mut model, mut checked) = (Model::default(), Vec::new());
    for cycle in 0..cycles {
        let mut load = Load::start(&server.endpoint(), CLIENTS, random.u64(..) >> 8, lease, 300).await;
        load.wait_for(random.u64(1..600)).await;
        let status = server.terminate(SOON);
        assert_eq!(
            status.and_then(|status| status.code()),
            Some(0),
            "cycle {cycle}: {status:?}\n{}",
            server.log_tail()
        );
        let seen = load.finish().await;
        let (applied, last) = left_behind(&server);
        assert_eq!(applied, last, "cycle {cycle}: something is left to replay");
        server.restart().await.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        checked.push(check(&mut server, &mut model, seen, lease).await);
    }
    report("stops under load", cycles, &checked, &model);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_during_compaction_changes_no_answer() {
    let mut random = seeded("kill during compaction");
    let cycles = number("KILL_CYCLES", 6).div_ceil(2).max(3);
    // Small steps with pauses, so that the kill comes between them.
    let mut server = start(None, &["--compaction-batch-limit=20", "--compaction-sleep-interval=1ms"]).await;
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let mut model = Model::default();
    for cycle in 0..cycles {
        let mut load = Load::start(&server.endpoint(), CLIENTS, random.u64(..) >> 8, lease, 50).await;
        load.wait_for(1000).await;
        let seen = load.stop().await;
        let client = Client::connect(&server.endpoint()).await;
        model.follow(&client, seen).await;
        let at = random.i64(model.revision - 900..=model.revision);
        client.compact(at).await.unwrap();
        let hash = client.hash(0).await;
        // Anything from nothing to all of it has been removed by then.
        for write in 0..random.u64(0..20) {
            drop(client.range(RangeRequest { key: format!("{write}").into(), ..RangeRequest::default() }).await);
        }
        server.kill();
        server.restart().await.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        let client = Client::connect(&server.endpoint()).await;
        model.compare(&client).await;
        assert_eq!(client.hash(0).await, hash, "cycle {cycle}: compaction at {at} was under way");
        model.compare_lease(&client, lease).await;
        let refused = client
            .try_range(RangeRequest { key: "a".into(), revision: at - 1, ..RangeRequest::default() })
            .await
            .unwrap_err();
        assert_eq!(refused.message(), "etcdserver: mvcc: required revision has been compacted");
    }
}
