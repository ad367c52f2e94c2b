//! Heads of calls: authority, content type, method, and bodies that hold more or less than one
//! message.

use crate::client::{GRPC, Response, call, start};
use http::Method;
use prost::Message as _;
use proto::etcdserverpb::RangeRequest;
use siege::raw::{Connection, headers, message};

const RANGE: &str = "/etcdserverpb.KV/Range";
const MEMBERS: &str = "/etcdserverpb.Cluster/MemberList";

fn range() -> Vec<u8> {
    message(&RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec())
}

/// Authorities that etcd's Go client v3.5.0 and others send, and that no URI holds.
#[tokio::test]
async fn any_authority_and_te_is_served() {
    let server = start(&[]).await;
    let authorities: [&[u8]; 10] = [
        b"#initially=[http://127.0.0.1:2379]",
        b"%2Ftmp%2Fetcd.sock",
        b"/tmp/etcd.sock",
        b"",
        b"a:1,b:2",
        b"a b",
        b"\xc3\xa9\xff",
        b"user@host",
        b"[::1",
        b"localhost:2379",
    ];
    let mut connection = Connection::open(server.place().client_port).await.unwrap();
    for authority in authorities {
        for (path, body) in [(RANGE, range()), (MEMBERS, message(&[]))] {
            let mut fields = headers(path);
            fields[3].1 = authority.to_vec();
            let stream = connection.request(&fields, &body).await.unwrap();
            let answered = connection.answer(stream).await.unwrap();
            assert!(
                answered.code.is_none() && !answered.data.is_empty(),
                "{:?}: {answered:?}",
                String::from_utf8_lossy(authority)
            );
        }
    }
    let mut fields = headers(RANGE);
    fields[5].1 = b"gzip".to_vec();
    let stream = connection.request(&fields, &range()).await.unwrap();
    let answered = connection.answer(stream).await.unwrap();
    assert!(answered.code.is_none() && !answered.data.is_empty(), "{answered:?}");
    // A hundred header lines and more.
    let mut fields = headers(RANGE);
    fields.extend((0..300).map(|number| (format!("x-{number}").into_bytes(), b"1".to_vec())));
    let stream = connection.request(&fields, &range()).await.unwrap();
    assert!(!connection.answer(stream).await.unwrap().data.is_empty());
}

/// Requests that a web page may send without a preflight must not run a call.
#[tokio::test]
async fn only_grpc_posts_run_calls_on_every_listener() {
    let plain = start(&[]).await;
    let [http_port, _] = testbed::free_ports().unwrap();
    let grpc_alone = start(&["--listen-client-http-urls", &format!("http://127.0.0.1:{http_port}")]).await;
    for server in [&plain, &grpc_alone] {
        let port = server.place().client_port;
        for path in [RANGE, MEMBERS] {
            for content_type in
                ["text/plain", "application/json", "application/x-www-form-urlencoded", "application/grpcx", ""]
            {
                let response = call(port, Method::POST, path, &[("content-type", content_type)], &range()).await;
                let Response { http, grpc_status, message, .. } = response;
                let expected = format!("invalid gRPC request content-type \"{content_type}\"");
                assert_eq!((http, grpc_status.as_deref(), message), (415, Some("3"), expected), "{path}");
            }
            let response = call(port, Method::POST, path, &[], &range()).await;
            assert_eq!(
                (response.http, response.grpc_status.as_deref()),
                (415, Some("3")),
                "{path} without a content type"
            );
            for method in [Method::GET, Method::PUT] {
                let response = call(port, method.clone(), path, &[GRPC], &range()).await;
                let expected = format!("Received a HEADERS frame with :method \"{method}\" which should be POST");
                assert_eq!(
                    (response.http, response.grpc_status.as_deref(), response.message),
                    (405, Some("13"), expected)
                );
            }
        }
        for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            let response = call(port, Method::POST, RANGE, &[("content-type", content_type)], &range()).await;
            assert_eq!(response.grpc_status.as_deref(), Some("0"), "{content_type}");
        }
    }
}

#[tokio::test]
async fn names_unknown_services_and_methods() {
    let server = start(&[]).await;
    for (path, message) in [
        ("/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"),
        ("/etcdserverpb.Watch/Nope", "unknown method Nope for service etcdserverpb.Watch"),
        ("/grpc.health.v1.Health/Nope", "unknown method Nope for service grpc.health.v1.Health"),
        ("/a.B/Nope", "unknown service a.B"),
        ("/a/b/c", "unknown service a/b"),
        ("/abc", "malformed method name: \"/abc\""),
    ] {
        let response = call(server.place().client_port, Method::POST, path, &[GRPC], &range()).await;
        assert_eq!((response.grpc_status.as_deref(), response.message.as_str()), (Some("12"), message), "{path}");
    }
}

#[tokio::test]
async fn reads_the_first_message_of_a_unary_call() {
    let server = start(&[]).await;
    for (path, first) in [(RANGE, range()), (MEMBERS, message(&[]))] {
        for (body, status, text) in [
            (first.clone(), "0", ""),
            ([&first[..], &first].concat(), "0", ""),
            ([&first[..], &[0, 0]].concat(), "0", ""),
            (Vec::new(), "2", "EOF"),
            (vec![0, 0], "2", "EOF"),
            (vec![0, 0, 0, 0, 5, 1], "2", "unexpected EOF"),
        ] {
            let response = call(server.place().client_port, Method::POST, path, &[GRPC], &body).await;
            assert_eq!(
                (response.grpc_status.as_deref(), response.message.as_str()),
                (Some(status), text),
                "{path} {body:?}"
            );
        }
    }
}
