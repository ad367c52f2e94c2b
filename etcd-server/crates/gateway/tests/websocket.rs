//! Websockets: each message is a request, each line of the answer a message.

use base64::Engine as _;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, HttpResponse, ask};

const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const HEADER: &str = r#""header":{"cluster_id":"13985637432575640401","member_id":"15161684485828181158","revision":"2","raft_term":"2"}"#;

fn handshake(method: &str, path: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n{headers}\r\n"
    )
}

async fn open(path: &str, headers: &str) -> (Client, String) {
    let mut client = Client::new();
    client.send(handshake("GET", path, &format!("{KEY}{headers}"))).await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(!head.contains("Access-Control"), "{head}");
    (client, head)
}

impl Client {
    /// Sends a frame masked with zeros.
    async fn send_frame(&mut self, opcode: u8, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        self.io.write_all(&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0]).await.unwrap();
        self.io.write_all(text.as_bytes()).await.unwrap();
    }

    async fn read_frame(&mut self) -> (u8, String) {
        let head = self.read_bytes(2).await;
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.read_bytes(2).await.try_into().unwrap())),
            length => usize::from(length),
        };
        (head[0] & 0x0f, String::from_utf8(self.read_bytes(length).await).unwrap())
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

#[tokio::test]
async fn a_watch_over_a_websocket() {
    let (mut client, _) = open("/v3/watch", "").await;
    for (opcode, watch_id) in [(TEXT, 7), (BINARY, 8)] {
        client.send_frame(opcode, &format!(r#"{{"create_request":{{"watch_id":{watch_id}}}}}"#)).await;
        let want = format!(r#"{{"result":{{{HEADER},"watch_id":"{watch_id}","created":true}}}}"#);
        assert_eq!(client.read_frame().await, (TEXT, want));
    }
    client.send_frame(PING, "x").await;
    assert_eq!(client.read_frame().await, (PONG, "x".to_owned()));
    client.send_frame(CLOSE, "").await;
    client.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_goes_ends_the_call() {
    let (mut client, _) = open("/v3/watch", "").await;
    client.send_frame(TEXT, r#"{"create_request":{}}"#).await;
    client.read_frame().await;
    drop(client.io);
    client.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_unary_call_answers_once_and_closes() {
    for (path, sent, want) in [
        ("/v3/kv/range", "{}", r#"{"code":3, "message":"etcdserver: key is not provided"}"#),
        ("/v3/kv/range", "nope", r#"{"code":3, "message":"invalid character 'o' in literal null (expecting 'u')"}"#),
        ("/v3/kv/txn", "1", "{\"code\":3, \"message\":\"proto:\u{a0}syntax error (line 1:1): unexpected token 1\"}"),
        ("/v3/foo", "", r#"{"code":5, "message":"Not Found"}"#),
    ] {
        let (mut client, _) = open(path, "").await;
        // An unknown path is answered without waiting for a message.
        if !sent.is_empty() {
            client.send_frame(TEXT, sent).await;
        }
        assert_eq!(client.read_frame().await, (TEXT, want.to_owned()));
        assert_eq!(client.read_frame().await.0, CLOSE);
    }
}

#[tokio::test]
async fn a_token_may_come_as_subprotocol() {
    for protocol in ["Bearer, abc", "Bearerabc"] {
        let (mut client, head) = open("/v3/kv/range", &format!("Sec-WebSocket-Protocol: {protocol}\r\n")).await;
        assert!(head.contains("Sec-Websocket-Protocol: Bearer\r\n"), "{head}");
        client.send_frame(TEXT, r#"{"key":"bWV0YWRhdGE="}"#).await;
        let json: serde_json::Value = serde_json::from_str(&client.read_frame().await.1).unwrap();
        let seen = base64::engine::general_purpose::STANDARD.decode(json["kvs"][0]["value"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(seen).unwrap().contains("authorization=Bearer abc\n"));
    }
}

#[tokio::test]
async fn bad_handshakes_are_refused() {
    let response = ask(Client::new(), &handshake("POST", "/v3/kv/range", &format!("{KEY}Connection: close\r\n"))).await;
    assert_eq!(
        (response.status, response.text(), response.header("Sec-Websocket-Version")),
        (405, "Method Not Allowed\n", "13")
    );
    let response: HttpResponse = ask(Client::new(), &handshake("GET", "/v3/kv/range", "Connection: close\r\n")).await;
    assert_eq!((response.status, response.text()), (400, "Bad Request\n"));
    let response = ask(Client::new(), &handshake("GET", "/health", &format!("{KEY}Connection: close\r\n"))).await;
    assert_eq!((response.status, response.text()), (200, r#"{"health":"true","reason":""}"#));
}
