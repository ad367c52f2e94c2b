//! Do the members hold the same? The leader compares; a member that differs is named by the CORRUPT
//! alarm, and serves no more.
//!
//! Three ways, cheap to costly: the hash of the live records, which every member keeps while it
//! applies, compared all the time; the hash of the whole history after compactions; the same at
//! fixed times. The last two are etcd's, and off unless asked for.

use api::Server;
use consensus::Role;
use futures::future::join_all;
use peer::{HashKv, Transport, ask};
use proto::etcdserverpb::AlarmType;
use replica::Replica;
use std::collections::BTreeMap;
use std::time::Duration;
use types::MemberId;

/// Between two comparisons of live hashes.
const LIVE_INTERVAL: Duration = Duration::from_secs(5);
/// For one member's list of live hashes.
const LIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// For one member's hash over its whole history: it reads everything.
const HASH_TIMEOUT: Duration = Duration::from_secs(300);

/// Compares the live hashes for as long as this member leads, each time it does.
pub(crate) async fn compare_live(server: Server, transport: Transport) {
    let mut look = tokio::time::interval(LIVE_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if leads(server.replica()) {
            let found = differing(server.replica(), &live_hashes(server.replica(), &transport).await);
            raise(&server, &found, "live hashes").await;
        }
    }
}

/// Compares the history after compactions: every `interval`, if there was one meanwhile.
pub(crate) async fn compare_after_compactions(server: Server, transport: Transport, interval: Duration) {
    let mut compared = 0;
    loop {
        tokio::time::sleep(interval).await;
        let compacted = server.replica().published().removed_revision();
        if !leads(server.replica()) {
            continue;
        }
        tracing::info!(local_member_id = %server.replica().member_id(), "starting compact hash check");
        let hashes = u64::from(compacted > compared);
        if compacted > compared {
            compared = compacted;
            compare_history(&server, &transport).await;
        }
        tracing::info!(number_of_hashes_checked = hashes, "finished compaction hash check");
    }
}

/// Compares the history every `interval`.
pub(crate) async fn compare_periodically(server: Server, transport: Transport, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if leads(server.replica()) {
            compare_history(&server, &transport).await;
            tracing::info!(number_of_peers_checked = others(server.replica()).len(), "finished peer corruption check");
        }
    }
}

/// Compares this member's history with the others' before it serves clients. Those that do not
/// respond cannot contradict.
///
/// A compaction may overtake the revision that is being hashed; then a newer one is compared.
pub(crate) async fn compare_at_start(server: &Server, transport: &Transport) -> Result<(), String> {
    let (revision, own) = loop {
        let point = server.replica().published().read_point();
        match own_hash(server, point.current).await {
            Ok(own) => break (point.current, own),
            Err(_) if server.replica().published().read_point().compacted > point.compacted => {}
            Err(why) => return Err(why),
        }
    };
    for (member, other) in hashes_of_others(server.replica(), transport, revision).await {
        if other.compact_revision == own.compact_revision && other.hash != own.hash {
            return Err(format!(
                "found data inconsistency with peers: at revision {revision} this member's hash is {}, that of member {member} is {}: \
                 remove this member from the cluster, empty its data directory and add it again",
                own.hash, other.hash
            ));
        }
    }
    tracing::info!(revision, "initial corruption checking passed; no corruption");
    Ok(())
}

fn leads(replica: &Replica) -> bool {
    replica.published().raft_status().role == Role::Leader
}

fn others(replica: &Replica) -> Vec<MemberId> {
    replica.published().members().members().map(|member| member.id).filter(|id| *id != replica.member_id()).collect()
}

/// Returns the hash of each member at one index that all of them know; empty if there is none.
async fn live_hashes(replica: &Replica, transport: &Transport) -> BTreeMap<MemberId, u128> {
    let asked = others(replica).into_iter().map(|id| async move {
        let request = |target: ask::Target| async move { ask::live_hashes(&target, LIVE_TIMEOUT).await };
        transport.ask(id, request, |_| {}).await.map(|marks| (id, marks))
    });
    let mut known: BTreeMap<MemberId, BTreeMap<u64, u128>> = join_all(asked).await.into_iter().flatten().collect();
    let own = replica.published().live_marks();
    known.insert(replica.member_id(), own.clone());
    let common = own.into_keys().rev().find(|index| known.values().all(|marks| marks.contains_key(index)));
    let Some(index) = common else { return BTreeMap::new() };
    known.into_iter().filter_map(|(id, marks)| Some((id, *marks.get(&index)?))).collect()
}

async fn own_hash(server: &Server, revision: i64) -> Result<HashKv, String> {
    server.hash_at(revision).await.map(HashKv::from).map_err(|status| status.message().to_owned())
}

async fn hashes_of_others(replica: &Replica, transport: &Transport, revision: i64) -> Vec<(MemberId, HashKv)> {
    let asked = others(replica).into_iter().map(|id| async move {
        let request = |target: ask::Target| async move { ask::hash_kv(&target, revision, HASH_TIMEOUT).await };
        let failed = |error: &ask::PeerCallError| tracing::warn!(remote_peer_id = %id, %error, "failed to get the hash of a member");
        transport.ask(id, request, failed).await.map(|hashed| (id, hashed))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn compare_history(server: &Server, transport: &Transport) {
    if server.replica().barrier().await.is_err() {
        return;
    }
    let revision = server.replica().published().read_point().current;
    let Ok(own) = own_hash(server, revision).await else { return };
    let others = hashes_of_others(server.replica(), transport, revision).await;
    // Hashes over different parts of the history say nothing about each other.
    let same = others.into_iter().filter(|(_, other)| other.compact_revision == own.compact_revision);
    let hashes = same
        .map(|(id, other)| (id, u128::from(other.hash)))
        .chain([(server.replica().member_id(), u128::from(own.hash))])
        .collect();
    raise(server, &differing(server.replica(), &hashes), "hashes of the history").await;
}

/// Returns the members that differ: those outside of a majority of the voters; without a majority
/// they are unknown.
fn differing(replica: &Replica, hashes: &BTreeMap<MemberId, u128>) -> Vec<MemberId> {
    let mut counts: BTreeMap<u128, usize> = BTreeMap::new();
    for hash in hashes.values() {
        *counts.entry(*hash).or_default() += 1;
    }
    if counts.len() <= 1 {
        return Vec::new();
    }
    let majority = replica.published().members().voters().count() / 2 + 1;
    match counts.into_iter().find(|(_, count)| *count >= majority) {
        Some((right, _)) => hashes.iter().filter(|(_, hash)| **hash != right).map(|(id, _)| *id).collect(),
        // The cluster as a whole, as etcd says it.
        None => vec![MemberId(0)],
    }
}

async fn raise(server: &Server, found: &[MemberId], compared: &str) {
    for member in found {
        let known = server.replica().published().alarms().of(AlarmType::Corrupt.into());
        if known.iter().any(|alarm| alarm.member_id == member.0) {
            continue;
        }
        tracing::error!(corrupted_member_id = %member, compared, "found data inconsistency between members: raising the CORRUPT alarm");
        server.raise_alarm(AlarmType::Corrupt, *member).await;
    }
}
