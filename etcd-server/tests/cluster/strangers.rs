//! Another server than the member listens at one of its peer URLs: the cluster continues, and both
//! sides log the reason.

use crate::support::{Load, PATIENCE, all_equal, holds_all, settings};
use proto::etcdserverpb::{AlarmRequest, AlarmType, StatusRequest, alarm_request::AlarmAction};
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::time::{Duration, Instant};
use testbed::{Cluster, Place, Server};

/// The time between two comparisons of the members' hashes, see background/corruption.rs.
const COMPARE_INTERVAL: Duration = Duration::from_secs(5);

async fn alarms(cluster: &Cluster, via: usize) -> usize {
    let mut maintenance = MaintenanceClient::new(cluster.channel(via).await.unwrap());
    let request = AlarmRequest { action: AlarmAction::Get.into(), member_id: 0, alarm: AlarmType::None.into() };
    maintenance.alarm(request).await.unwrap().into_inner().alarms.len()
}

/// Waits until the log of a server holds a line with all of these words.
async fn logs(server: &Server, words: &[&str]) {
    let begun = Instant::now();
    while !server.log_tail().lines().any(|line| words.iter().all(|word| line.contains(word))) {
        assert!(begun.elapsed() < PATIENCE, "no line with {words:?} in\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_of_another_cluster_at_a_peer_url_is_harmless() {
    for at_leader in [false, true] {
        let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
        let leader = cluster.leader(PATIENCE).await.unwrap();
        let away = if at_leader { leader } else { (leader + 1) % 3 };
        let staying = [(away + 1) % 3, (away + 2) % 3];
        cluster.members[away].kill();
        cluster.leader(PATIENCE).await.unwrap();
        let place = Place {
            name: "stranger".into(),
            peer_port: cluster.members[away].place().peer_port,
            ..Place::free("").unwrap()
        };
        let flags = ["--initial-cluster".to_owned(), place.entry(), "--initial-cluster-token".into(), "another".into()];
        let mut stranger = Server::launch(settings(&[]), place, flags.to_vec()).unwrap();
        stranger.healthy().await.unwrap();
        // So that both have hashes at common indexes to compare.
        let endpoints = staying.iter().map(|member| cluster.members[*member].endpoint()).collect();
        let load = Load::start(endpoints);
        let begun = Instant::now();
        for member in staying {
            logs(&cluster.members[member], &["request sent was ignored by remote peer", "cluster ID mismatch"]).await;
        }
        logs(&stranger, &["rejected request from remote peer", "cluster ID mismatch"]).await;
        // A state that would only show with time: at least two comparisons must have passed without
        // an alarm.
        while begun.elapsed() < COMPARE_INTERVAL * 5 / 2 {
            assert_eq!(
                alarms(&cluster, staying[0]).await,
                0,
                "an alarm, with the stranger at the leader's address: {at_leader}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (acknowledged, failed) = load.finish().await;
        assert!(!acknowledged.is_empty());
        assert_eq!(failed, 0, "writes fail, with the stranger at the leader's address: {at_leader}");
        // The right member comes back.
        stranger.kill();
        cluster.members[away].restart().await.unwrap();
        holds_all(&cluster, away, &acknowledged).await;
        assert!(all_equal(&cluster.hashes().await.unwrap()));
        assert_eq!(alarms(&cluster, away).await, 0);
        let mut maintenance = MaintenanceClient::new(cluster.channel(away).await.unwrap());
        assert!(maintenance.status(StatusRequest {}).await.unwrap().into_inner().errors.is_empty());
    }
}
