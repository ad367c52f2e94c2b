//! The log lines of a member's life that tools and people wait for: etcd's texts and fields, and
//! the list of those that do not exist here.

use proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, LeaseGrantRequest, MemberPromoteRequest, MoveLeaderRequest, PutRequest,
    SnapshotRequest,
};
use rpc::etcdserverpb::cluster_client::ClusterClient;
use rpc::etcdserverpb::kv_client::KvClient;
use rpc::etcdserverpb::lease_client::LeaseClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testbed::{Cluster, Server, Settings};
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of one member alone, each with the fields of etcd's that it has here. `ID` and `N` stand
/// for member ids and numbers.
const OF_ONE: &[(&str, &[&str])] = &[
    (
        "starting an etcd server",
        &[
            "etcd-version",
            "member-initialized",
            "name",
            "data-dir",
            "initial-advertise-peer-urls",
            "listen-client-urls",
        ],
    ),
    ("configuring peer listeners", &["listen-peer-urls"]),
    ("configuring client listeners", &["listen-client-urls"]),
    ("enabled backend quota", &["quota-name", "quota-size-bytes"]),
    ("simple token is not cryptographically signed", &[]),
    ("starting local member", &["local-member-id", "cluster-id"]),
    ("kvstore restored", &["current-rev"]),
    ("starting etcd server", &["local-member-id", "local-server-version", "cluster-version"]),
    (
        "now serving peer/client/metrics",
        &[
            "local-member-id",
            "initial-advertise-peer-urls",
            "listen-peer-urls",
            "advertise-client-urls",
            "listen-client-urls",
            "listen-metrics-urls",
        ],
    ),
    ("serving peer traffic", &["address"]),
    ("ID is starting a new election at term N", &[]),
    ("ID became candidate at term N", &[]),
    ("ID became leader at term N", &[]),
    ("raft.node: ID elected leader ID at term N", &[]),
    ("set initial cluster version", &["cluster-id", "local-member-id", "cluster-version"]),
    ("enabled capabilities for version", &["cluster-version"]),
    (
        "published local member to cluster through raft",
        &["local-member-id", "local-member-attributes", "cluster-id", "publish-timeout"],
    ),
    ("ready to serve client requests", &[]),
    ("grpc service status changed", &["service", "status"]),
    ("serving client traffic insecurely; this is strongly discouraged!", &["traffic", "address"]),
    (
        "finished scheduled compaction",
        &["compact-revision", "took", "number-of-keys-compacted", "current-db-size-bytes"],
    ),
    ("starting compact hash check", &["local-member-id"]),
    ("finished compaction hash check", &["number-of-hashes-checked"]),
    ("starting defragment", &[]),
    ("defragmenting", &["path"]),
    ("finished defragmenting directory", &["path", "took"]),
    ("finished defragment", &[]),
    ("sending database snapshot to client", &["total-bytes", "storage-version"]),
    ("successfully sent database snapshot to client", &["total-bytes", "took", "storage-version"]),
    ("triggering snapshot", &["local-member-applied-index", "local-member-snapshot-index"]),
    ("saved snapshot to disk", &["snapshot-index"]),
    ("compacted Raft logs", &["compact-index"]),
    ("received signal; shutting down", &["signal"]),
    ("closing etcd server", &["name", "data-dir", "advertise-peer-urls", "advertise-client-urls"]),
    ("skipped leadership transfer for single voting member cluster", &["local-member-id", "current-leader-member-id"]),
    ("stopping serving peer traffic", &["address"]),
    ("stopped serving peer traffic", &["address"]),
    ("closed etcd server", &["name", "data-dir", "advertise-peer-urls", "advertise-client-urls"]),
    ("restarting local member", &["cluster-id", "local-member-id", "commit-index"]),
    (
        "recovered/added member from store",
        &["cluster-id", "local-member-id", "recovered-remote-peer-id", "recovered-remote-peer-urls"],
    ),
    ("set cluster version from store", &["cluster-version"]),
];

/// Lines of three members, of which one comes and goes.
const OF_THREE: &[(&str, &[&str])] = &[
    ("ID became follower at term N", &[]),
    ("ID became pre-candidate at term N", &[]),
    ("ID switched to configuration voters=(IDS) learners=(IDS)", &[]),
    ("ID switched to configuration voters=(IDS)", &[]),
    (
        "added member",
        &["cluster-id", "local-member-id", "added-peer-id", "added-peer-peer-urls", "added-peer-is-learner"],
    ),
    ("promote member", &["cluster-id", "local-member-id", "promoted-member-id"]),
    ("removed member", &["cluster-id", "local-member-id", "removed-remote-peer-id", "removed-remote-peer-urls"]),
    (
        "applied a configuration change through raft",
        &["local-member-id", "raft-conf-change", "raft-conf-change-node-id"],
    ),
    ("leadership transfer starting", &["local-member-id", "current-leader-member-id", "transferee-member-id"]),
    ("leadership transfer finished", &["local-member-id", "old-leader-member-id", "new-leader-member-id", "took"]),
    ("ID [term N] starts to transfer leadership to ID", &[]),
    ("skipped leadership transfer; local server is not leader", &["local-member-id", "current-leader-member-id"]),
    ("sent database snapshot", &["snapshot-index", "remote-peer-id"]),
    ("receiving database snapshot", &["remote-snapshot-sender-id"]),
    (
        "applying snapshot",
        &["current-applied-index", "incoming-leader-snapshot-index", "incoming-leader-snapshot-term"],
    ),
    ("applied snapshot", &["current-snapshot-index", "current-applied-index", "incoming-leader-snapshot-index"]),
    ("finished peer corruption check", &["number-of-peers-checked"]),
    ("enabled corruption checking", &["interval"]),
    ("data-dir used by this member must be removed", &[]),
];

const GO: &str = "about the Go program or its init system";
const BOLT: &str = "about a file or page of bbolt, or a step of opening it";
const WAL: &str = "about etcd's WAL and .snap files, which do not exist here";
const STEP: &str = "a step of a start, a stop or an election that is not a step here, or takes no time; the line of the whole is there";
const PEER_STREAMS: &str = "one for each of etcd's connections between members; here `added remote peer`, `peer became active`, `removed remote peer`";
const RACE: &str = "depends on the moment at which members meet";
const MUX: &str = "the end of etcd's connection multiplexer, which is logged as an error at every clean stop";

/// Lines of etcd 3.7.1 that the scripts below can cause and that do not exist here; `*` at an end
/// stands for anything.
const ABSENT: &[(&str, &str)] = &[
    ("Running*", GO),
    ("notifying init daemon", GO),
    ("successfully notified init daemon", GO),
    ("Initialize and start etcd server", STEP),
    ("server has already been initialized", STEP),
    ("Opening *", BOLT),
    ("opened backend db", BOLT),
    ("restore consistentIndex", BOLT),
    ("recovered v3 backend", BOLT),
    ("Skipping snapshot backend", BOLT),
    ("closing old backend file", BOLT),
    ("closed old backend file", BOLT),
    ("updated storage version", BOLT),
    ("failed to update storage version", BOLT),
    ("cluster version differs from storage version.", BOLT),
    ("compact tree index", "there is no index of all keys in memory"),
    ("storing new hash", "the hash of a compaction is computed when it is asked for"),
    ("restored last compact revision", BOLT),
    ("bootstrapping *", STEP),
    ("bootstrap successfully", STEP),
    ("Bootstrapping WAL from snapshot", WAL),
    ("constructed a snapshot from WAL record", WAL),
    ("Constructed a new raft snapshot from v3 state", WAL),
    ("started to purge file", WAL),
    ("purged", WAL),
    ("deleting orphaned *", WAL),
    ("created a new WAL segment*", WAL),
    ("newRaft *", STEP),
    ("ID switched to configuration voters=()", STEP),
    ("failed to reach the peer URL", RACE),
    ("failed to check hash KV", RACE),
    ("skip compaction since there is an inflight snapshot", RACE),
    ("listener failed", MUX),
    ("rejecting *", RACE),
    ("stopped publish because server is stopping", RACE),
    ("failed to get version", RACE),
    ("Failed to detect schema version", BOLT),
    ("started as single-node; fast-forwarding election ticks", STEP),
    ("starting initial election tick advance", STEP),
    ("initialized peer connections; fast-forwarding election ticks", STEP),
    ("setting up initial cluster version using v3 API", "`cluster version is updated` follows at once"),
    ("enabled backend quota with default value", "the line is `enabled backend quota` for every value"),
    ("ID received *", STEP),
    ("ID has received *", STEP),
    ("ID [logterm*", STEP),
    ("ID [term*", STEP),
    ("ID sends MsgTimeoutNow*", STEP),
    ("ID [commit*", STEP),
    ("ID lost leader*", STEP),
    ("log [committed*", STEP),
    ("found conflict at index*", STEP),
    ("cmux::serve", MUX),
    ("setting up serving from embedded etcd failed.", MUX),
    ("stopping insecure grpc server due to error", MUX),
    ("stopped insecure grpc server due to error", MUX),
    ("server has stopped; stopping *", STEP),
    ("sending database sha256 checksum to client", "the checksum is the last part of what is sent"),
    ("starting remote peer", PEER_STREAMS),
    ("started remote peer", PEER_STREAMS),
    ("stopping remote peer", PEER_STREAMS),
    ("stopped remote peer", PEER_STREAMS),
    ("added new remote peer", PEER_STREAMS),
    ("started HTTP pipelining with remote peer", PEER_STREAMS),
    ("stopped HTTP pipelining with remote peer", PEER_STREAMS),
    ("started stream *", PEER_STREAMS),
    ("stopped stream *", PEER_STREAMS),
    ("set message encoder", PEER_STREAMS),
    ("established TCP streaming connection with remote peer", PEER_STREAMS),
    ("closed TCP streaming connection with remote peer", PEER_STREAMS),
    ("closing TCP streaming connection with remote peer", PEER_STREAMS),
    ("stopped TCP streaming connection with remote peer", PEER_STREAMS),
    ("lost TCP streaming connection with remote peer", PEER_STREAMS),
    ("failed to find remote peer in cluster", RACE),
    ("failed to send out heartbeat on time*", RACE),
    ("rejected Raft message from removed member", RACE),
    ("rejected stream from remote peer because it was removed", RACE),
    ("failed to process Raft message", RACE),
    ("dropped internal Raft message*", RACE),
    ("failed to dial stream with remote peer", RACE),
    ("prober detected unhealthy status", RACE),
    ("failed to publish local member to cluster through raft", RACE),
    ("failed hash kv request", RACE),
    ("failed to get hashKV", RACE),
    ("Skipped peer's hash", RACE),
    ("skipped revision in compaction hash check*", RACE),
    ("successfully checked hash on whole cluster", "`finished compaction hash check` follows"),
    ("apply request took too long", RACE),
    ("leader failed to send out heartbeat on time*", RACE),
    ("waiting for ReadIndex response took too long, retrying", RACE),
    ("ignored out-of-date read index response*", RACE),
    ("trace", RACE),
    ("slow fdatasync", RACE),
    ("request stats", RACE),
    ("ignored streaming request; ID mismatch", RACE),
    ("the local etcd member has been removed from the cluster*", RACE),
    ("request sent was ignored (cluster ID mismatch*", RACE),
    ("server error", RACE),
    ("raft.node: ID lost leader ID at term N", "a change of the leader is one line here: `changed leader from`"),
    ("raft.node: ID changed leader from ID to ID at term N", RACE),
    ("ignore already *", "a change that the log repeats changes nothing, and is logged by nobody"),
    ("skipped attributes update of removed member", "the same"),
    ("resolved URL Host", "URLs are resolved by the system when they are connected to"),
    ("resolving URL Host", "the same"),
    ("sending database snapshot", "`sent database snapshot` with the time that it took"),
    ("sent database snapshot to writer", BOLT),
    ("sending merged snapshot", "the same as `sending database snapshot`"),
    ("sent merged snapshot", "the same as `sent database snapshot`"),
    ("saved database snapshot to disk", "`received database snapshot`"),
    ("received and saved database snapshot", "`received database snapshot`"),
    ("received and saved snapshot", "`received database snapshot`"),
    ("applied incoming Raft snapshot", "`applied snapshot`"),
    ("applySnapshot*", STEP),
    ("restoring *", STEP),
    ("restored *", STEP),
    ("removing old peers from network", STEP),
    ("removed old peers from network", STEP),
    ("adding peers from new cluster configuration", STEP),
    ("added peers from new cluster configuration", STEP),
    ("auth token is assigned*", RACE),
    ("Running http and grpc server on single port*", "a warning about settings, which is there with the settings"),
];

/// Returns `message` with words in the place of member ids and numbers, so that lines of two runs
/// can be compared.
fn normal(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = (13..=16).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        out.push_str(&rest[..start]);
        out.push_str(if is_id {
            "ID"
        } else if is_number {
            "N"
        } else {
            word
        });
        rest = &rest[end..];
    }
    out.push_str(rest);
    while out.contains("ID ID") {
        out = out.replace("ID ID", "ID");
    }
    out.replace("=(ID)", "=(IDS)")
}

/// Stands among the fields of a line of etcd's that belongs to a life without faults.
const LIFE: &str = "at info";

/// The lines of some members, by message, with all the fields that they had.
type Lines = BTreeMap<String, Vec<String>>;

fn read(logs: &[PathBuf]) -> Lines {
    let mut lines = Lines::new();
    for log in logs {
        for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
            let Ok(Value::Object(line)) = serde_json::from_str::<Value>(line) else { continue };
            let fields = lines.entry(normal(line["msg"].as_str().unwrap())).or_default();
            fields.extend(line.keys().cloned());
            if line["level"] == "info" {
                fields.push(LIFE.to_owned());
            }
        }
    }
    lines
}

#[track_caller]
fn hold(lines: &Lines, expected: &[(&str, &[&str])]) {
    let mut missing = Vec::new();
    for (message, fields) in expected {
        match lines.get(*message) {
            None => missing.push(format!("{message:?}")),
            Some(found) => {
                let absent = fields.iter().filter(|field| !found.iter().any(|name| name == *field));
                missing.extend(absent.map(|field| format!("{field} of {message:?}")));
            }
        }
    }
    assert!(missing.is_empty(), "missing: {missing:#?}\namong {:#?}", lines.keys());
}

fn is_absent(message: &str) -> bool {
    let covers =
        |pattern: &str| pattern.strip_suffix('*').map_or(message == pattern, |start| message.starts_with(start));
    ABSENT.iter().any(|(pattern, _)| covers(pattern))
}

fn settings(command: &str, log: &Path) -> Settings {
    let mut settings = Settings::new(command);
    let flags = "--snapshot-count 10 --snapshot-catchup-entries 5 --compact-hash-check-time 500ms --feature-gates CompactHashCheck=true";
    settings.flags = flags.split(' ').map(str::to_owned).collect();
    settings.flags.extend(["--log-outputs".to_owned(), log.to_str().unwrap().to_owned()]);
    settings
}

async fn connect(server: &Server) -> Channel {
    Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap()
}

async fn put(kv: &mut KvClient<Channel>, bytes: usize) -> i64 {
    let put = PutRequest { key: "key".into(), value: vec![b'v'; bytes].into(), ..PutRequest::default() };
    kv.put(put).await.unwrap().into_inner().header.unwrap().revision
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The life of a member that is alone: start, writes, maintenance, stop, and a second start.
async fn life_of_one(command: &str) -> Lines {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut server = Server::start(settings(command, &log)).await.unwrap();
    let channel = connect(&server).await;
    let mut kv = KvClient::new(channel.clone());
    for _ in 0..30 {
        put(&mut kv, 1 << 20).await;
    }
    let revision = put(&mut kv, 1).await;
    kv.compact(CompactionRequest { revision, physical: true }).await.unwrap();
    let mut maintenance = MaintenanceClient::new(channel.clone());
    maintenance.defragment(DefragmentRequest {}).await.unwrap();
    let mut backup = maintenance.snapshot(SnapshotRequest {}).await.unwrap().into_inner();
    while backup.message().await.unwrap().is_some() {}
    LeaseClient::new(channel).lease_grant(LeaseGrantRequest { id: 1, ttl: 60 }).await.unwrap();
    until("a hash check and a snapshot", || {
        let lines = read(std::slice::from_ref(&log));
        lines.contains_key("finished compaction hash check") && lines.contains_key("saved snapshot to disk")
    })
    .await;
    server.stop();
    server.restart().await.unwrap();
    server.stop();
    read(&[log])
}

/// The life of three: a learner comes, is promoted and goes, leadership moves, all stop.
async fn life_of_three(command: &str) -> Lines {
    let dir = tempfile::tempdir().unwrap();
    let log = |name: &str| dir.path().join(name);
    let with_check = |name: &str| {
        let mut settings = settings(command, &log(name));
        settings.flags.extend(["--corrupt-check-time", "1s"].map(str::to_owned));
        settings
    };
    let mut cluster = Cluster::start_each(vec![with_check("a"), with_check("b"), with_check("c")]).await.unwrap();
    cluster.settings = with_check("d");
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let mut kv = cluster.kv(leader).await.unwrap();
    for _ in 0..40 {
        put(&mut kv, 100).await;
    }
    let begun = Instant::now();
    let learner = loop {
        match cluster.add(leader, true).await {
            Ok(learner) => break learner,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let id = cluster.id_of(leader, learner).await.unwrap();
    let begun = Instant::now();
    while let Err(status) =
        ClusterClient::new(cluster.channel(leader).await.unwrap()).member_promote(MemberPromoteRequest { id }).await
    {
        assert!(begun.elapsed() < PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let next = (0..3).find(|member| *member != leader).unwrap();
    let target_id = cluster.id_of(leader, next).await.unwrap();
    let begun = Instant::now();
    let mut maintenance = MaintenanceClient::new(cluster.channel(leader).await.unwrap());
    while let Err(status) = maintenance.move_leader(MoveLeaderRequest { target_id }).await {
        assert!(begun.elapsed() < PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let begun = Instant::now();
    while let Err(error) = cluster.remove(next, learner).await {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.members[learner].wait_for_end(PATIENCE);
    let all = ["a", "b", "c", "d"].map(log);
    until("a corruption check", || read(&all).contains_key("finished peer corruption check")).await;
    for member in &mut cluster.members {
        member.stop();
    }
    read(&all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_logs_etcds_life_cycle() {
    hold(&life_of_one(env!("CARGO_BIN_EXE_etcd-server")).await, OF_ONE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_log_etcds_life_cycle() {
    hold(&life_of_three(env!("CARGO_BIN_EXE_etcd-server")).await, OF_THREE);
}

/// Checks that every line of a real etcd over the same scripts is logged here or listed above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_real_etcd_is_accounted_for() {
    let Some(dir) = std::env::var_os("ETCD_371_BIN_DIR") else {
        skip::report("ETCD_371_BIN_DIR names no directory with an etcd 3.7.1");
        return;
    };
    let command = Path::new(&dir).join("etcd");
    let command = command.to_str().unwrap();
    let (one, three) = (life_of_one(command).await, life_of_three(command).await);
    let (our_one, our_three) =
        (life_of_one(env!("CARGO_BIN_EXE_etcd-server")).await, life_of_three(env!("CARGO_BIN_EXE_etcd-server")).await);
    let is_here = |message: &str| our_one.contains_key(message) || our_three.contains_key(message);
    // Warnings depend on the moment at which members meet.
    let is_life = |(_, fields): &(&String, &Vec<String>)| fields.iter().any(|field| field == LIFE);
    let lines = one.iter().chain(&three).filter(is_life).map(|(message, _)| message);
    let unknown: Vec<&String> = lines.filter(|message| !is_here(message) && !is_absent(message)).collect();
    assert!(unknown.is_empty(), "neither logged here nor listed as absent: {unknown:#?}");
    println!(
        "{} messages of etcd, of which {} are logged here",
        one.len() + three.len(),
        one.keys().chain(three.keys()).filter(|message| is_here(message)).count()
    );
}
