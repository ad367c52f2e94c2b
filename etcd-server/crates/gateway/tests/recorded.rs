//! Answers recorded from etcd 3.5.30, asked of the gateway: status, headers and body must be the
//! same.

use base64::Engine as _;

use crate::client::{Client, HttpResponse, ask, get, post, request};

const HEADER: &str = r#""header":{"cluster_id":"13985637432575640401", "member_id":"15161684485828181158", "revision":"2", "raft_term":"2"}"#;
const FOUND: &str = r#", "kvs":[{"key":"YQ==", "create_revision":"2", "mod_revision":"2", "version":"1", "value":"Yg=="}], "count":"1"}"#;

fn assert_error(response: &HttpResponse, status: u16, body: &str) {
    assert_eq!((response.status, response.text(), response.header("Content-Type")), (status, body, "application/json"));
    assert_eq!(response.header("Grpc-Metadata-Content-Type"), "");
    assert_eq!(response.header("Access-Control-Allow-Origin"), "*");
}

#[tokio::test]
async fn a_range_answers_as_etcd_does() {
    let want = format!("{{{HEADER}{FOUND}");
    for body in [
        r#"{"key":"YQ=="}"#,
        r#"{"key":"YQ"}"#,
        r#"{"key":"YQ==","rangeEnd":"Yg=="}"#,
        r#"{"key":"YQ==","limit":5.0,"foo":{"a":[1]},"foo":2}"#,
        r#"{"key":"YQ==","limit":"1e1"}"#,
        r#"{"sort_order":"NOPE","key":"YQ=="}"#,
        r#"{"key":"YQ=="} garbage"#,
        r#"{"key":"YQ=="}}"#,
    ] {
        let response = post("/v3/kv/range", body).await;
        assert_eq!((response.status, response.text()), (200, want.as_str()), "{body}");
        assert_eq!(response.header("Content-Type"), "application/json");
        assert_eq!(response.header("Grpc-Metadata-Content-Type"), "application/grpc");
    }
}

#[tokio::test]
async fn other_unary_answers() {
    for (path, body, want) in [
        ("/v3/kv/put", r#"{"key":"YQ=="}"#, format!("{{{HEADER}}}")),
        ("/v3beta/kv/put?x=1", r#"{"key":"YQ=="}"#, format!("{{{HEADER}}}")),
        ("/v3/kv%2Frange", r#"{"key":"Yg=="}"#, format!("{{{HEADER}}}")),
        ("/v3/lease/grant", r#"{"TTL":100,"ID":77}"#, format!(r#"{{{HEADER}, "ID":"77", "TTL":"100"}}"#)),
        ("/v3/lease/timetolive", r#"{"ID":99}"#, format!(r#"{{{HEADER}, "ID":"99", "TTL":"-1"}}"#)),
        ("/v3/kv/lease/leases", "", format!(r#"{{{HEADER}, "leases":[{{"ID":"77"}}]}}"#)),
        ("/v3/maintenance/hash", "", format!(r#"{{{HEADER}, "hash":779557333}}"#)),
        ("/v3/maintenance/alarm", r#"{"action":"GET"}"#, format!(r#"{{{HEADER}, "alarms":[{{"alarm":"CORRUPT"}}]}}"#)),
        ("/v3/maintenance/defragment", "", "{}".to_owned()),
        ("/v3/kv/txn", "{}", format!(r#"{{{HEADER}, "succeeded":true}}"#)),
    ] {
        let response = post(path, body).await;
        assert_eq!((response.status, response.text()), (200, want.as_str()), "{path}");
    }
}

#[tokio::test]
async fn failed_calls_answer_as_etcd_does() {
    let nbsp = "\u{a0}";
    for (path, body, status, want) in [
        ("/v3/kv/range", "", 400, r#"{"code":3, "message":"etcdserver: key is not provided"}"#),
        ("/v3/kv/range", "   ", 400, r#"{"code":3, "message":"etcdserver: key is not provided"}"#),
        ("/v3/kv/range", "{}", 400, r#"{"code":3, "message":"etcdserver: key is not provided"}"#),
        (
            "/v3/kv/range",
            r#"{"key":"YQ==","revision":"100000"}"#,
            400,
            r#"{"code":11, "message":"etcdserver: mvcc: required revision is a future revision"}"#,
        ),
        ("/v3/lease/revoke", r#"{"ID":99}"#, 404, r#"{"code":5, "message":"etcdserver: requested lease not found"}"#),
        ("/v3/kv/range", r#"{"key":"YQ==""#, 400, r#"{"code":3, "message":"unexpected EOF"}"#),
        (
            "/v3/kv/range",
            "nope",
            400,
            r#"{"code":3, "message":"invalid character 'o' in literal null (expecting 'u')"}"#,
        ),
        (
            "/v3/kv/range",
            "{'key':1}",
            400,
            r#"{"code":3, "message":"invalid character '\\'' looking for beginning of object key string"}"#,
        ),
        (
            "/v3/kv/range",
            r#"{"key":"YQ==","key":"YQ=="}"#,
            400,
            &format!(r#"{{"code":3, "message":"proto:{nbsp}(line 1:15): duplicate field \"key\""}}"#),
        ),
        (
            "/v3/kv/range",
            " \n []",
            400,
            &format!(r#"{{"code":3, "message":"proto:{nbsp}syntax error (line 1:1): unexpected token ["}}"#),
        ),
        (
            "/v3/kv/txn",
            "01",
            400,
            &format!(r#"{{"code":3, "message":"proto:{nbsp}syntax error (line 1:1): unexpected token 0"}}"#),
        ),
        ("/v3/foo", "{}", 404, r#"{"code":5, "message":"Not Found"}"#),
        ("/v3/", "{}", 404, r#"{"code":5, "message":"Not Found"}"#),
        ("/v3/kv/range/", "{}", 404, r#"{"code":5, "message":"Not Found"}"#),
        ("/v3/KV/range", "{}", 404, r#"{"code":5, "message":"Not Found"}"#),
        ("/v3beta/v3beta/kv/range", "{}", 404, r#"{"code":5, "message":"Not Found"}"#),
    ] {
        assert_error(&post(path, body).await, status, want);
    }
}

#[tokio::test]
async fn only_post_is_known() {
    for method in ["GET", "PUT", "DELETE", "FOO"] {
        let response = ask(Client::new(), &request(method, "/v3/kv/range", "", "{}")).await;
        assert_error(&response, 501, r#"{"code":12, "message":"Method Not Allowed"}"#);
    }
}

#[tokio::test]
async fn request_headers_reach_the_call() {
    for (header, status, want) in [
        ("Grpc-Timeout: 1n", 504, r#"{"code":4, "message":"context deadline exceeded"}"#),
        ("Grpc-Timeout: bad", 400, r#"{"code":3, "message":"invalid grpc-timeout: bad"}"#),
        ("Authorization: bad", 401, r#"{"code":16, "message":"etcdserver: invalid auth token"}"#),
        ("Grpc-Metadata-: a", 500, r#"{"code":13, "message":"there is an empty key in the header"}"#),
        (
            "Grpc-Metadata-x-bin: !!",
            400,
            r#"{"code":3, "message":"invalid binary header Grpc-Metadata-X-Bin: illegal base64 data at input byte 0"}"#,
        ),
    ] {
        let body = if header.contains("Timeout") { r#"{"key":"bmV2ZXI="}"# } else { r#"{"key":"YQ=="}"# };
        let response = ask(Client::new(), &request("POST", "/v3/kv/range", &format!("{header}\r\n"), body)).await;
        assert_error(&response, status, want);
        let challenge = if status == 401 { "etcdserver: invalid auth token" } else { "" };
        assert_eq!(response.header("Www-Authenticate"), challenge);
    }
}

#[tokio::test]
async fn metadata_is_what_the_headers_say_and_a_sign_of_the_gateway() {
    let headers = "Authorization: good\r\nGrpc-Metadata-HasLeader: true\r\nCookie: c\r\nAccept: text/html\r\n";
    let response = ask(Client::new(), &request("POST", "/v3/kv/range", headers, r#"{"key":"bWV0YWRhdGE="}"#)).await;
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let seen = base64::engine::general_purpose::STANDARD.decode(json["kvs"][0]["value"].as_str().unwrap()).unwrap();
    let want = "authorization=good\ncontent-type=application/grpc\ngrpcgateway-accept=text/html\nhasleader=true\nte=trailers\n\
                x-forwarded-host=member.example\n";
    assert_eq!(String::from_utf8(seen).unwrap(), want);
}

#[tokio::test]
async fn paths_that_are_not_clean_are_redirected() {
    for (path, location) in [
        ("//health", "/health"),
        ("/v3/../debug", "/debug"),
        ("/v3/%2e%2e/health", "/health"),
        ("/v3//kv/range", "/v3/kv/range"),
        ("/v3/./kv/range?x=1", "/v3/kv/range?x=1"),
        ("/v3", "/v3/"),
    ] {
        let response = get(path).await;
        assert_eq!((response.status, response.header("Location")), (307, location));
        assert_eq!(response.text(), format!("<a href=\"{location}\">Temporary Redirect</a>.\n\n"));
    }
    let response = post("/v3/kv//range", "{}").await;
    assert_eq!((response.status, response.header("Location"), response.text()), (307, "/v3/kv/range", ""));
}
