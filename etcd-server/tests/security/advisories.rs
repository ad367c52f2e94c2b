//! Every advisory on etcd that can be tested from outside, each by its number. Vulnerabilities that
//! an etcd of 3.4 has must be found in it, or the test proves nothing.

use crate::calls::post_json;
use crate::daemon::SOON;
use crate::secrets::files_that_hold;
use crate::suspect::{CANARY, HIDDEN_LEASE, Suspect, old_etcd, ours, password, was_let_through};
use prost::Message as _;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::*;
use siege::raw::{Connection, headers};
use std::fmt::Debug;
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

type Holes = Vec<String>;

/// Ours has none, and the old etcd has some.
async fn closed_here_and_open_there(look: impl AsyncFn(&Suspect) -> Holes) {
    assert_eq!(look(&Suspect::start(ours(&[])).await).await, Holes::new());
    if let Some(settings) = old_etcd() {
        let holes = look(&Suspect::start(settings).await).await;
        assert!(!holes.is_empty(), "nothing was found in an etcd that has the hole");
        eprintln!("{} holes in the old etcd: {}", holes.len(), holes.join("; "));
    }
}

fn note(holes: &mut Holes, is_open: bool, what: impl Debug) {
    if is_open {
        holes.push(format!("{what:?}"));
    }
}

/// GHSA-xg4h-6gfc-h4m8: a watch from a key on was checked as if it were on that key alone.
#[tokio::test(flavor = "multi_thread")]
async fn ghsa_xg4h_6gfc_h4m8_watch_from_a_key_on() {
    closed_here_and_open_there(async |suspect| {
        let mut holes = Holes::new();
        let ranges: [(&[u8], &[u8]); 9] = [
            (b"foo", b"\0"),
            (b"", b""),
            (b"\0", b"\0"),
            (b"", b"\0"),
            (b"foo", b"fop"),
            (b"fo", b"foo\0"),
            (b"foo", b"\xff"),
            (b"\xff", b"\0"),
            (b"g", b"a"),
        ];
        for (key, end) in ranges {
            let create = WatchCreateRequest { key: key.into(), range_end: end.into(), ..Default::default() };
            let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
            let answer = suspect.ask(Some("reader"), "Watch", "Watch", &request).await;
            note(&mut holes, answer.is_ok_and(|answer| !WatchResponse::decode(answer).unwrap().canceled), (key, end));
        }
        holes
    })
    .await;
}

/// CVE-2026-33413: calls without any permission check.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_33413_calls_without_a_check() {
    closed_here_and_open_there(async |suspect| {
        let mut holes = Holes::new();
        let alarm =
            AlarmRequest { action: AlarmAction::Activate.into(), member_id: 1, alarm: AlarmType::Nospace.into() };
        let calls = [
            ("Cluster", "MemberList", MemberListRequest::default().encode_to_vec()),
            ("Lease", "LeaseGrant", LeaseGrantRequest { ttl: 60, id: 0 }.encode_to_vec()),
            ("Lease", "LeaseRevoke", LeaseRevokeRequest { id: 1 }.encode_to_vec()),
            ("Lease", "LeaseKeepAlive", LeaseKeepAliveRequest { id: HIDDEN_LEASE }.encode_to_vec()),
            ("Lease", "LeaseTimeToLive", LeaseTimeToLiveRequest { id: HIDDEN_LEASE, keys: false }.encode_to_vec()),
            ("Lease", "LeaseLeases", LeaseLeasesRequest {}.encode_to_vec()),
            ("KV", "Compact", CompactionRequest { revision: i64::MAX, physical: false }.encode_to_vec()),
            ("Maintenance", "Status", StatusRequest {}.encode_to_vec()),
            ("Maintenance", "Hash", HashRequest {}.encode_to_vec()),
            ("Maintenance", "HashKV", HashKvRequest { revision: 0 }.encode_to_vec()),
            ("Maintenance", "Defragment", DefragmentRequest {}.encode_to_vec()),
            ("Maintenance", "Snapshot", SnapshotRequest {}.encode_to_vec()),
            // It would make the cluster read-only, so it comes last.
            ("Maintenance", "Alarm", alarm.encode_to_vec()),
        ];
        for (service, method, request) in calls {
            let answer = suspect.ask_encoded(None, service, method, request).await;
            note(&mut holes, was_let_through(&answer), method);
        }
        holes
    })
    .await;
}

/// CVE-2026-33343: operations in a transaction within a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_33343_transactions_within_transactions() {
    closed_here_and_open_there(async |suspect| {
        let mut holes = Holes::new();
        let operations = [
            Request::RequestRange(RangeRequest { key: "other".into(), ..Default::default() }),
            Request::RequestPut(PutRequest { key: "other".into(), ..Default::default() }),
            Request::RequestDeleteRange(DeleteRangeRequest { key: "none".into(), ..Default::default() }),
        ];
        for operation in operations {
            for depth in 1..=8 {
                for in_failure in [false, true] {
                    let mut nested = operation.clone();
                    for _ in 1..depth {
                        nested = Request::RequestTxn(branch(nested, in_failure));
                    }
                    let open = suspect.passes(Some("bare"), "KV", "Txn", &branch(nested, in_failure)).await;
                    note(&mut holes, open, (depth, in_failure));
                }
            }
        }
        holes
    })
    .await;
}

fn branch(operation: Request, in_failure: bool) -> TxnRequest {
    let operations = vec![RequestOp { request: Some(operation) }];
    let (success, failure) = if in_failure { (Vec::new(), operations) } else { (operations, Vec::new()) };
    TxnRequest { compare: Vec::new(), success, failure }
}

/// CVE-2026-44283: a user with write permission only reads previous values, and puts keys on leases
/// that are not its own.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_44283_previous_values_and_others_leases() {
    closed_here_and_open_there(async |suspect| {
        let mut holes = Holes::new();
        let put = PutRequest { key: "foo".into(), prev_kv: true, ..Default::default() };
        let delete = DeleteRangeRequest { key: "foo".into(), prev_kv: true, ..Default::default() };
        let leased = PutRequest { key: "foo".into(), lease: HIDDEN_LEASE, ..Default::default() };
        note(&mut holes, suspect.passes(Some("writer"), "KV", "Put", &put).await, "Put with its previous value");
        note(
            &mut holes,
            suspect.passes(Some("writer"), "KV", "DeleteRange", &delete).await,
            "DeleteRange with previous values",
        );
        note(&mut holes, suspect.passes(Some("writer"), "KV", "Put", &leased).await, "Put on another's lease");
        for operation in [Request::RequestPut(put), Request::RequestDeleteRange(delete), Request::RequestPut(leased)] {
            for in_failure in [false, true] {
                let flat = branch(operation.clone(), in_failure);
                let nested = branch(Request::RequestTxn(flat.clone()), in_failure);
                for (depth, txn) in [(1, flat), (2, nested)] {
                    note(
                        &mut holes,
                        suspect.passes(Some("writer"), "KV", "Txn", &txn).await,
                        (depth, in_failure, &operation),
                    );
                }
            }
        }
        holes
    })
    .await;
}

/// CVE-2023-32082: the keys of a lease are returned to users that may not read them.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2023_32082_keys_of_a_lease() {
    closed_here_and_open_there(async |suspect| {
        let mut holes = Holes::new();
        for user in ["bare", "reader", "writer"] {
            let request = LeaseTimeToLiveRequest { id: HIDDEN_LEASE, keys: true };
            let answer = suspect.ask(Some(user), "Lease", "LeaseTimeToLive", &request).await;
            note(
                &mut holes,
                answer.is_ok_and(|answer| !LeaseTimeToLiveResponse::decode(answer).unwrap().keys.is_empty()),
                user,
            );
        }
        holes
    })
    .await;
}

/// CVE-2021-28235: the password of a login, or of a new user, stays in the log of requests.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2021_28235_passwords_on_disk_and_in_logs() {
    closed_here_and_open_there(async |suspect| {
        let change =
            AuthUserChangePasswordRequest { name: "bare".to_owned(), password: password("bare"), ..Default::default() };
        suspect.ask(Some("root"), "Auth", "UserChangePassword", &change).await.unwrap();
        let dir = suspect.server.data_dir().parent().unwrap().to_owned();
        files_that_hold(&dir, &[CANARY.as_bytes()])
    })
    .await;
}

/// 3.7.1: the quota did not count puts of transactions within transactions.
#[tokio::test(flavor = "multi_thread")]
async fn nested_puts_count_against_the_quota() {
    let suspect = Suspect::start(ours(&["--quota-backend-bytes", "200000"])).await;
    let put =
        Request::RequestPut(PutRequest { key: "big".into(), value: vec![b'x'; 300_000].into(), ..Default::default() });
    for depth in [1, 2, 5] {
        let mut txn = branch(put.clone(), false);
        for _ in 1..depth {
            txn = branch(Request::RequestTxn(txn), false);
        }
        let refused = suspect.ask(Some("root"), "KV", "Txn", &txn).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded", "depth {depth}");
    }
}

/// 3.7.1: bodies without end, and headers without end, at the port between members.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_members_are_bounded() {
    let server = testbed::Server::start(ours(&[])).await.unwrap();
    let asked = async |head: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.place().peer_port)).await.unwrap();
        drop(stream.write_all(head.as_bytes()).await);
        drop(stream.write_all(body).await);
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(SOON, stream.read(&mut answer))
            .await
            .expect("neither answered nor closed")
            .unwrap_or(0);
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    for path in ["/leases", "/leases/internal"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: member\r\nContent-Length: {}\r\n\r\n", 1_u64 << 40);
        let answer = asked(&head, &vec![0; 100_000]).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
    // Headers that never end are given up.
    assert!(!asked("GET /version HTTP/1.1\r\nHost: member\r\nX-Slow: ", b"").await.starts_with("HTTP/1.1 200"));
    let long = format!("GET /version HTTP/1.1\r\nHost: member\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(!asked(&long, b"").await.starts_with("HTTP/1.1 200"));
}

/// CVE-2018-1099 and CORS: pages of other names, and of other origins.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2018_1099_names_and_origins() {
    let flags = ["--host-whitelist", "etcd.example,localhost", "--cors", "https://good.example:8443"];
    let server = testbed::Server::start(ours(&flags)).await.unwrap();
    let get = async |path: &str, host: &str, origin: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.place().client_port)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.to_ascii_lowercase()
    };
    for (host, welcome) in [
        ("etcd.example", true),
        ("etcd.example:2379", true),
        ("localhost", true),
        ("evil.example", false),
        ("127.0.0.1", false),
    ] {
        for path in ["/version", "/health", "/metrics", "/v3/kv/range"] {
            let answer = get(path, host, "https://good.example:8443").await;
            assert_eq!(answer.starts_with("http/1.1 421"), !welcome, "{host} {path}: {answer}");
        }
    }
    let allowed = "access-control-allow-origin: https://good.example:8443";
    assert!(get("/version", "localhost", "https://good.example:8443").await.contains(allowed));
    assert!(!get("/version", "localhost", "https://evil.example:8443").await.contains("access-control-allow-origin"));
    let stream = TcpStream::connect(("127.0.0.1", server.place().client_port)).await.unwrap();
    let rebound =
        post_json(stream, "/v3/kv/put", &[("X-Forwarded-Host", "evil.example".to_owned())], r#"{"key":"YQ=="}"#).await;
    assert!(rebound.starts_with("HTTP/1.1 200"), "the post helper says localhost: {rebound}");
}

/// CVE-2020-15113: a data directory that others may enter, and files that others may read.
#[tokio::test(flavor = "multi_thread")]
async fn cve_2020_15113_modes_of_data() {
    // As the packaged unit starts it; without the flag it is a warning, as in etcd.
    let mut server = testbed::Server::start(ours(&["--strict-file-checks"])).await.unwrap();
    let data = server.data_dir();
    let exposed = exposed_below(&data);
    assert!(exposed.is_empty(), "{exposed:?}");
    server.stop();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    server.relaunch().unwrap();
    let ended = server.wait_for_end(SOON).expect("it starts on a directory that others may enter");
    assert!(!ended.success() && server.log_tail().contains("run chmod 700"), "{}", server.log_tail());
}

fn exposed_below(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    let own = (mode & 0o077 != 0).then(|| path.to_owned());
    let below = std::fs::read_dir(path).into_iter().flatten().flatten().flat_map(|entry| exposed_below(&entry.path()));
    own.into_iter().chain(below).collect()
}

/// Audits of 2020 and 2022: numbers out of range, and metadata that is no text, in requests.
#[tokio::test(flavor = "multi_thread")]
async fn odd_numbers_and_metadata_do_no_harm() {
    let suspect = Suspect::start(ours(&[])).await;
    for (order, target) in [(0, 99), (1, 99), (-1, 0), (7, -3), (i32::MAX, i32::MIN)] {
        let request = RangeRequest { key: "foo".into(), sort_order: order, sort_target: target, ..Default::default() };
        let refused = suspect.ask(Some("root"), "KV", "Range", &request).await.unwrap_err();
        assert_eq!(refused.message(), "etcdserver: invalid sort option", "{order} {target}");
    }
    for (result, target) in [(0, 77), (9, 0), (-1, -1)] {
        let compare = Compare { result, target, key: "foo".into(), ..Default::default() };
        let request = TxnRequest { compare: vec![compare], ..Default::default() };
        // Any response will do.
        drop(suspect.ask(Some("root"), "KV", "Txn", &request).await);
    }
    let mut connection = Connection::open(suspect.server.place().client_port).await.unwrap();
    let mut fields = headers("/etcdserverpb.KV/Range");
    fields.push((b"client-api-version".to_vec(), b"\xff\xfe".to_vec()));
    connection.request(&fields, b"\0\0\0\0\x05\x0a\x03foo").await.unwrap();
    let answered = connection.answer(1).await.unwrap();
    assert!(answered.ended && answered.data.is_empty(), "{answered:?}");
    assert!(
        suspect.passes(Some("root"), "KV", "Range", &RangeRequest { key: "foo".into(), ..Default::default() }).await
    );
}

/// GHSA-p77j-4mvh-x3m3 of gRPC for Go: a path that the rules do not know and the router does.
#[tokio::test(flavor = "multi_thread")]
async fn ghsa_p77j_4mvh_x3m3_odd_paths() {
    let suspect = Suspect::start(ours(&[])).await;
    let range = RangeRequest { key: "foo".into(), ..Default::default() }.encode_to_vec();
    let framed = [&[0, 0, 0, 0, u8::try_from(range.len()).unwrap()][..], &range].concat();
    for path in [
        "etcdserverpb.KV/Range",
        "//etcdserverpb.KV/Range",
        "/etcdserverpb.KV//Range",
        "/etcdserverpb.KV/Range/",
        "/etcdserverpb%2eKV/Range",
        "/etcdserverpb.KV%2fRange",
        "/ETCDSERVERPB.KV/Range",
        "/etcdserverpb.KV/range",
        "/x/../etcdserverpb.KV/Range",
        "/etcdserverpb.KV/Range?x=1",
        "/etcdserverpb.KV/Range",
        "*",
    ] {
        let mut connection = Connection::open(suspect.server.place().client_port).await.unwrap();
        connection.request(&headers(path), &framed).await.unwrap();
        let answered = connection.answer(1).await.unwrap();
        assert!(!contains(&answered.data, b"secret"), "{path}: {answered:?}");
    }
    assert!(
        suspect.passes(Some("reader"), "KV", "Range", &RangeRequest { key: "foo".into(), ..Default::default() }).await
    );
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
