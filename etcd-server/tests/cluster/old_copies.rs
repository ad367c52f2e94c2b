//! Most members are replaced by older copies of themselves: acknowledged writes are lost, and the
//! one that still has them says so.

use crate::support::{PATIENCE, put, settings};
use proto::etcdserverpb::{AlarmRequest, AlarmType, alarm_request::AlarmAction};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::path::Path;
use std::time::{Duration, Instant};
use testbed::Cluster;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn corrupt_alarms(cluster: &Cluster, via: usize) -> Vec<u64> {
    let request = AlarmRequest { action: AlarmAction::Get.into(), member_id: 0, alarm: AlarmType::Corrupt.into() };
    let alarms =
        MaintenanceClient::new(cluster.channel(via).await.unwrap()).alarm(request).await.unwrap().into_inner().alarms;
    alarms.into_iter().map(|alarm| alarm.member_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_with_acknowledged_writes_notices_their_loss() {
    for killed in [true, false] {
        let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
        put(&mut cluster.kv(0).await.unwrap(), "before", "the copy").await.unwrap();
        let (keeper, others) = (2, [0, 1]);
        let keeper_id = cluster.id_of(0, keeper).await.unwrap();
        let copies = tempfile::tempdir().unwrap();
        for member in others {
            cluster.members[member].stop();
            copy(&cluster.members[member].data_dir(), &copies.path().join(member.to_string()));
        }
        for member in others {
            cluster.members[member].relaunch().unwrap();
        }
        for member in others {
            cluster.members[member].healthy().await.unwrap();
        }
        for number in 0..20 {
            put(&mut cluster.kv(keeper).await.unwrap(), &format!("acknowledged {number}"), "x").await.unwrap();
        }
        let keeper_term = cluster.raft_term(keeper).await.unwrap();
        if killed {
            cluster.members[keeper].kill();
        } else {
            cluster.members[keeper].stop();
        }
        for member in others {
            cluster.members[member].kill();
            let data_dir = cluster.members[member].data_dir();
            std::fs::remove_dir_all(&data_dir).unwrap();
            copy(&copies.path().join(member.to_string()), &data_dir);
        }
        for member in others {
            cluster.members[member].relaunch().unwrap();
        }
        for member in others {
            cluster.members[member].healthy().await.unwrap();
        }
        // Their log is the newer one, so that the member cannot win an election with its own.
        while cluster.raft_term(0).await.unwrap() <= keeper_term {
            let leader = cluster.leader(PATIENCE).await.unwrap();
            cluster.move_leader(leader, 1 - leader).await.unwrap();
        }
        put(&mut cluster.kv(0).await.unwrap(), "after", "the loss").await.unwrap();
        cluster.members[keeper].relaunch().unwrap();
        let ended = cluster.members[keeper].wait_for_end(PATIENCE);
        let log = cluster.members[keeper].log_tail();
        assert!(ended.is_some_and(|status| !status.success()), "killed: {killed}\n{log}");
        assert!(log.contains("has lost acknowledged writes"), "killed: {killed}\n{log}");
        let begun = Instant::now();
        while corrupt_alarms(&cluster, 0).await != [keeper_id] {
            assert!(begun.elapsed() < PATIENCE, "no CORRUPT alarm for the member, killed: {killed}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
