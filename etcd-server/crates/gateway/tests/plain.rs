//! The endpoints beside the gateway, and the rules before them. Texts and headers recorded from
//! etcd 3.5.30.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use gateway::{AllowList, HealthRecord, Limits, Member as _, Peer, Settings, serve_metrics_connection};

use crate::client::{Client, HttpResponse, ask, get, request, settings};
use crate::service::FakeMember;

const TEXT: &str = "text/plain; charset=utf-8";

async fn get_of(member: FakeMember, path: &str) -> HttpResponse {
    ask(Client::with(settings(), Peer::default(), member), &request("GET", path, "", "")).await
}

#[tokio::test]
async fn healthy_members_say_so() {
    for (path, want, sniff) in [
        ("/health", r#"{"health":"true","reason":""}"#, ""),
        ("/health?exclude=NOSPACE&serializable=true", r#"{"health":"true","reason":""}"#, ""),
        ("/livez", "ok\n", "nosniff"),
        ("/livez?verbose", "[+]serializable_read ok\nok\n", "nosniff"),
        ("/livez/serializable_read", "ok\n", "nosniff"),
        (
            "/readyz?verbose",
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
            "nosniff",
        ),
        (
            "/readyz?exclude=data_corruption&exclude=foo&exclude=non_learner&verbose",
            "[+]serializable_read ok\n[+]linearizable_read ok\nok\n",
            "nosniff",
        ),
        ("/readyz/data_corruption?verbose", "[+]data_corruption ok\nok\n", "nosniff"),
    ] {
        let response = get(path).await;
        assert_eq!((response.status, response.text(), response.header("Content-Type")), (200, want, TEXT), "{path}");
        assert_eq!(response.header("X-Content-Type-Options"), sniff, "{path}");
        assert_eq!(response.header("Access-Control-Allow-Methods"), "POST, GET, OPTIONS, PUT, DELETE");
    }
}

#[tokio::test]
async fn unhealthy_members_say_why() {
    let corrupt = || FakeMember { alarms: vec![1, 2], ..FakeMember::default() };
    let leaderless = || FakeMember {
        leader: false,
        read: Some(Err("etcdserver: no \"leader\"".to_owned())),
        ..FakeMember::default()
    };
    for (member, path, want) in [
        (corrupt(), "/health", "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n"),
        (corrupt(), "/health?exclude=NOSPACE", "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n"),
        (
            FakeMember { alarms: vec![9], ..FakeMember::default() },
            "/health",
            "{\"health\":\"false\",\"reason\":\"ALARM UNKNOWN\"}\n",
        ),
        (leaderless(), "/health", "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n"),
        (
            FakeMember { leader: true, ..leaderless() },
            "/health",
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: no \\\"leader\\\"\"}\n",
        ),
        (
            corrupt(),
            "/readyz",
            "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n\n",
        ),
        (
            corrupt(),
            "/readyz/data_corruption?exclude=data_corruption",
            "[-]data_corruption failed: alarm activated: CORRUPT\n\n",
        ),
        (leaderless(), "/readyz/linearizable_read", "[-]linearizable_read failed: etcdserver: no \"leader\"\n\n"),
        (
            FakeMember { learner: true, ..FakeMember::default() },
            "/readyz/non_learner",
            "[-]non_learner failed: not supported for learner\n\n",
        ),
    ] {
        let response = get_of(member, path).await;
        assert_eq!((response.status, response.text(), response.header("Content-Type")), (503, want, TEXT), "{path}");
        assert_eq!(response.header("X-Content-Type-Options"), "nosniff");
    }
}

#[tokio::test]
async fn excluded_and_serializable_checks_pass_over_trouble() {
    let leaderless = || FakeMember { leader: false, read: None, ..FakeMember::default() };
    assert_eq!(get_of(leaderless(), "/health?serializable=true").await.status, 200);
    assert_eq!(get_of(leaderless(), "/livez").await.status, 200);
    assert_eq!(get_of(leaderless(), "/readyz?exclude=linearizable_read").await.status, 200);
    let no_space = FakeMember { alarms: vec![1], ..FakeMember::default() };
    assert_eq!(get_of(no_space, "/readyz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_is_given_up() {
    let hanging = || FakeMember { read: None, ..FakeMember::default() };
    let response = get_of(hanging(), "/health").await;
    assert_eq!(response.text(), "{\"health\":\"false\",\"reason\":\"RANGE ERROR:context deadline exceeded\"}\n");
    assert_eq!(get_of(hanging(), "/readyz").await.status, 503);
}

#[tokio::test]
async fn other_pages() {
    let response = get("/version").await;
    assert_eq!(response.text(), r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"unknown"}"#);
    assert_eq!(response.header("Content-Type"), "application/json");
    let response = get("/debug/vars").await;
    assert_eq!(response.text(), "{\n\"cmdline\": [\"etcd\"],\n\"raft.status\": {\"term\":2}\n}\n");
    assert_eq!(response.header("Content-Type"), "application/json; charset=utf-8");
    let response = get("/debug/member").await;
    assert_eq!((response.text(), response.header("Content-Type")), ("{\"role\":\"follower\"}\n", "application/json"));
    let response = get("/metrics").await;
    assert_eq!(response.text(), "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n");
    assert_eq!(response.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    let response = ask(Client::new(), &request("GET", "/metrics", "Accept-Encoding: br, gzip\r\n", "")).await;
    assert_eq!(response.header("Content-Encoding"), "gzip");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(response.body.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked.ends_with("etcd_server_has_leader 1\n"));
}

#[tokio::test]
async fn what_is_not_there() {
    for path in [
        "/",
        "/v2/keys",
        "/v3alpha/kv/range",
        "/version/",
        "/health/",
        "/livez/nope",
        "/livez/non_learner",
        "/readyz/",
        "/debug/vars/",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/debug/requests",
        "/metrics/",
        "/health%2f",
        "/xv3beta/kv/range",
        "/v3beta",
    ] {
        let response = get(path).await;
        assert_eq!(
            (response.status, response.text(), response.header("Content-Type")),
            (404, "404 page not found\n", TEXT),
            "{path}"
        );
        assert_eq!(response.header("X-Content-Type-Options"), "nosniff");
    }
    let without = Settings { enable_gateway: false, ..settings() };
    let client = Client::with(without, Peer::default(), FakeMember::default());
    assert_eq!(ask(client, &request("POST", "/v3/kv/range", "", "{}")).await.text(), "404 page not found\n");
}

#[tokio::test]
async fn only_get_is_allowed_and_options_are_always_fine() {
    for path in ["/health", "/livez", "/readyz/data_corruption", "/version", "/debug/vars", "/debug/member"] {
        for method in ["POST", "PUT", "DELETE", "FOO"] {
            let response = ask(Client::new(), &request(method, path, "", "")).await;
            assert_eq!(
                (response.status, response.text(), response.header("Allow")),
                (405, "Method Not Allowed\n", "GET"),
                "{method} {path}"
            );
        }
    }
    for path in ["/health", "/v3/kv/range", "/nope"] {
        let response = ask(Client::new(), &request("OPTIONS", path, "", "")).await;
        assert_eq!((response.status, response.text(), response.header("Access-Control-Allow-Origin")), (200, "", "*"));
    }
}

#[tokio::test]
async fn origins_and_hosts_are_checked() {
    let lists = || Settings {
        cors: AllowList::new(["http://a.example:80"]),
        host_whitelist: AllowList::new(["good.example"]),
        ..settings()
    };
    for (host, origin, status, allowed) in [
        ("good.example:2379", "http://a.example:80", 200, "http://a.example:80"),
        ("good.example", "http://b.example", 200, ""),
        ("evil:23", "http://a.example:80", 421, ""),
        ("GOOD.example", "http://a.example:80", 421, ""),
    ] {
        let client = Client::with(lists(), Peer::default(), FakeMember::default());
        let text = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
        let response = ask(client, &text).await;
        assert_eq!(
            (response.status, response.header("Access-Control-Allow-Origin")),
            (status, allowed),
            "{host} {origin}"
        );
        if status == 421 {
            assert!(response.text().contains("etcd received your request, but the Host header was unrecognized.\n"));
            assert!(response.text().contains(&format!("etcd --host-whitelist \"{}\"", host.trim_end_matches(":23"))));
        }
    }
    let tls = Peer { tls: true, ..Peer::default() };
    let client = Client::with(lists(), tls, FakeMember::default());
    assert_eq!(ask(client, &request("GET", "/health", "", "")).await.status, 200);
}

#[tokio::test]
async fn a_certificate_name_is_no_identity_for_the_gateway() {
    let peer = || Peer { tls: true, common_name: Some("root".to_owned()), remote: None };
    let with_auth = || FakeMember { auth: true, ..FakeMember::default() };
    let certs = || Settings { client_cert_auth: true, ..settings() };
    let response = ask(Client::with(certs(), peer(), with_auth()), &request("POST", "/v3/kv/range", "", "{}")).await;
    let want = "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
    assert_eq!((response.status, response.text()), (400, want));
    let response = ask(Client::with(certs(), peer(), with_auth()), &request("GET", "/health", "", "")).await;
    assert_eq!(response.status, 200);
    let response =
        ask(Client::with(certs(), peer(), FakeMember::default()), &request("POST", "/v3/kv/txn", "", "{}")).await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn the_metrics_listener_serves_five_pages_alone() {
    let member = Arc::new(FakeMember::default());
    for (path, status) in [
        ("/metrics", 200),
        ("/debug/member", 200),
        ("/health", 200),
        ("/livez", 200),
        ("/readyz/non_learner", 200),
        ("/version", 404),
        ("/v3/kv/range", 404),
    ] {
        let (io, server_io) = tokio::io::duplex(4096);
        let limits = Limits::for_request_bytes(1);
        let serving =
            serve_metrics_connection(server_io, member.clone(), limits, Duration::from_secs(7), std::future::pending());
        let client = Client::over(io, async { serving.await.map_err(|error| error.to_string()) });
        let response = ask(client, &request("GET", path, "Origin: http://a\r\n", "")).await;
        assert_eq!((response.status, response.header("Access-Control-Allow-Origin")), (status, ""), "{path}");
    }
    let records = std::mem::take(&mut *member.records.lock().unwrap());
    let check = |endpoint, name| HealthRecord::Check { endpoint, name, success: true };
    assert_eq!(
        records,
        [HealthRecord::Health { success: true }, check("livez", "serializable_read"), check("readyz", "non_learner")]
    );
    assert!(member.has_leader());
}

#[tokio::test]
async fn only_pages_about_the_member_are_served_before_it_is_ready() {
    for path in ["/metrics", "/health", "/livez", "/readyz", "/debug/member"] {
        let (_ready, waiting) = tokio::sync::watch::channel(false);
        assert_eq!(ask(Client::held_until(waiting), &request("GET", path, "", "")).await.status, 200, "{path}");
    }
    for (method, path) in [("GET", "/version"), ("GET", "/debug/vars"), ("POST", "/v3/kv/range"), ("GET", "/nope")] {
        let (ready, waiting) = tokio::sync::watch::channel(false);
        let text = request(method, path, "", r#"{"key":"YQ=="}"#);
        let mut asked = Box::pin(ask(Client::held_until(waiting), &text));
        for _ in 0..100 {
            assert!(futures::poll!(&mut asked).is_pending(), "{path} does not wait");
            tokio::task::yield_now().await;
        }
        ready.send_replace(true);
        assert!(matches!(asked.await.status, 200 | 404), "{path}");
    }
}
