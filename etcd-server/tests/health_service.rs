//! The gRPC health service when the member stops.

use crate::daemon::{PROGRAM, SOON};
use proto::healthpb::{HealthCheckRequest, health_check_response::ServingStatus};
use rpc::healthpb::health_client::HealthClient;
use testbed::{Server, Settings};
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_watchers_see_not_serving_before_the_end() {
    let mut server = Server::start(Settings::new(PROGRAM)).await.unwrap();
    let mut health = HealthClient::connect(server.endpoint()).await.unwrap();
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let unknown = health.check(HealthCheckRequest { service: "unknown".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let ended = tokio::task::spawn_blocking(move || server.terminate(SOON));
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // After it the stream ends, with or without an error, and so does the process.
    while let Ok(Some(further)) = watch.message().await {
        assert_eq!(further.status(), ServingStatus::NotServing);
    }
    assert!(ended.await.unwrap().unwrap().success());
}
