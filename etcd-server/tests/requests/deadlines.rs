//! `grpc-timeout` ends a call, its waiting and its effects.

use crate::client::{GRPC, PATIENCE, call, metric, settings, start};
use http::Method;
use prost::Message as _;
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest};
use proto::v3electionpb::CampaignRequest;
use proto::v3lockpb::LockRequest;
use siege::raw::message;
use testbed::Cluster;

#[tokio::test]
async fn refuses_malformed_timeouts() {
    let server = start(&[]).await;
    let range = message(&RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec());
    for (path, body) in [("/etcdserverpb.KV/Range", range), ("/etcdserverpb.Cluster/MemberList", message(&[]))] {
        for (timeout, why) in [
            ("1", "transport: timeout string is too short: \"1\""),
            ("1x", "transport: timeout unit is not recognized: \"1x\""),
            ("123456789S", "transport: timeout string is too long: \"123456789S\""),
            ("-1S", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ] {
            let response =
                call(server.place().client_port, Method::POST, path, &[GRPC, ("grpc-timeout", timeout)], &body).await;
            let expected = format!("malformed grpc-timeout: {why}");
            assert_eq!(
                (response.http, response.grpc_status.as_deref(), response.message),
                (400, Some("13"), expected),
                "{path}"
            );
        }
        let response =
            call(server.place().client_port, Method::POST, path, &[GRPC, ("grpc-timeout", "0n")], &body).await;
        assert_eq!(
            (response.grpc_status.as_deref(), response.message.as_str()),
            (Some("4"), "context deadline exceeded")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_every_call_that_waits_for_a_quorum() {
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    let leader = cluster.leader(PATIENCE).await.unwrap();
    for member in (0..3).filter(|member| *member != leader) {
        cluster.members[member].kill();
    }
    let port = cluster.members[leader].place().client_port;
    let range = RangeRequest { key: "a".into(), ..RangeRequest::default() };
    let put = PutRequest { key: "a".into(), ..PutRequest::default() };
    let campaign = CampaignRequest { name: "e".into(), ..CampaignRequest::default() };
    let calls = [
        ("etcdserverpb.KV", "Range", range.encode_to_vec()),
        ("etcdserverpb.KV", "Put", put.encode_to_vec()),
        ("etcdserverpb.Lease", "LeaseGrant", LeaseGrantRequest { ttl: 60, id: 0 }.encode_to_vec()),
        ("etcdserverpb.Lease", "LeaseKeepAlive", LeaseKeepAliveRequest { id: 1 }.encode_to_vec()),
        (
            "etcdserverpb.Cluster",
            "MemberList",
            proto::etcdserverpb::MemberListRequest { linearizable: true }.encode_to_vec(),
        ),
        ("v3lockpb.Lock", "Lock", LockRequest { name: "l".into(), lease: 1 }.encode_to_vec()),
        ("v3electionpb.Election", "Campaign", campaign.encode_to_vec()),
        ("v3electionpb.Election", "Observe", range.encode_to_vec()),
        ("etcdserverpb.KV", "RangeStream", range.encode_to_vec()),
    ];
    for (service, method, body) in calls {
        let path = format!("/{service}/{method}");
        // Shorter than an election timeout, so that the leader is one to the end.
        let response = call(port, Method::POST, &path, &[GRPC, ("grpc-timeout", "300m")], &message(&body)).await;
        assert_eq!(
            (response.grpc_status.as_deref(), response.message.as_str()),
            (Some("4"), "context deadline exceeded"),
            "{path}"
        );
        let counted = format!(
            "grpc_server_handled_total{{grpc_code=\"DeadlineExceeded\",grpc_method=\"{method}\",grpc_service=\"{service}\""
        );
        assert!((metric(port, &counted).await - 1.0).abs() < f64::EPSILON, "{path}");
    }
}
