//! The same requests to the gateway and to a real etcd, where ETCD_BIN_DIR names one: everything
//! that no service decides must be equal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::{Client, HttpResponse, ask, request};

struct Etcd {
    process: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Etcd {
    fn start(bin_dir: &Path) -> Etcd {
        // Held together until both are known, so that they differ.
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, peer] = listeners.map(|listener| listener.local_addr().unwrap().to_string());
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(bin_dir.join("etcd"))
            .arg("--data-dir")
            .arg(data.path())
            .args([format!("--listen-client-urls=http://{client}"), format!("--advertise-client-urls=http://{client}")])
            .args([format!("--listen-peer-urls=http://{peer}"), format!("--initial-advertise-peer-urls=http://{peer}")])
            .arg(format!("--initial-cluster=default=http://{peer}"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("serving client traffic insecurely")));
        assert!(ready.is_some(), "etcd ended before it served");
        std::thread::spawn(move || log.for_each(drop));
        Etcd { process, address: client, _data: data }
    }

    fn ask(&self, request: &str) -> HttpResponse {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        HttpResponse::parse(&raw)
    }
}

const BODIES: &[&str] = &[
    "{",
    "nope",
    "[1 2]",
    "-",
    "1.",
    "null",
    "5",
    "\"a\"",
    "{\"key\":\"\n\"}",
    r#"{"key":1}"#,
    r#"{"key":"YQ","key":"YQ"}"#,
    r#"{"key":"YQ=","x":[{}]}"#,
    r#"{"key":"+_8="}"#,
    r#"{"limit":1.5}"#,
    r#"{"limit":"0x5"}"#,
    r#"{"limit":{}}"#,
    r#"{"limit":[]}"#,
    r#"{"limit":99999999999999999999}"#,
    r#"{"rangeEnd":false}"#,
    r#"{"serializable":1}"#,
    r#"{"sortOrder":1.5}"#,
    r#"{"sort_order":true}"#,
    r#"{"a":1,}"#,
    r#"{"a":"\x"}"#,
    r#"{"ä":"ö","limit":x}"#,
    r#"{"ä":"ö","limit":true}"#,
    "{}",
];

const TARGETS: &[(&str, &str)] = &[
    ("GET", "/v3/kv/range"),
    ("POST", "/v3/foo"),
    ("POST", "/v3/kv/range:x"),
    ("POST", "/v3/kv/range/"),
    ("GET", "/v3"),
    ("GET", "/v3/../a%20b?x=y&z"),
    ("GET", "//health"),
    ("POST", "//health"),
    ("GET", "/"),
    ("PUT", "/version"),
    ("PUT", "/livez/serializable_read"),
    ("GET", "/livez?verbose&exclude=x"),
    ("GET", "/readyz/linearizable_read"),
    ("GET", "/health"),
    ("OPTIONS", "/anything"),
];

#[tokio::test]
async fn a_real_etcd_answers_the_same() {
    let Some(bin_dir) = std::env::var_os("ETCD_BIN_DIR") else {
        skip::report("ETCD_BIN_DIR names no directory with a real etcd");
        return;
    };
    let etcd = Etcd::start(Path::new(&bin_dir));
    let bodies = BODIES.iter().map(|body| request("POST", "/v3/kv/range", "", body));
    let targets = TARGETS.iter().map(|(method, target)| request(method, target, "", "{}"));
    for text in bodies.chain(targets) {
        let mut theirs = etcd.ask(&text);
        // Builds of etcd differ in the space after "proto:", on purpose.
        theirs.body = String::from_utf8(theirs.body).unwrap().replace("proto: ", "proto:\u{a0}").into_bytes();
        // Go's redirects are temporary from the version on that builds etcd 3.7.
        if theirs.status == 301 {
            theirs.status = 307;
            let body = String::from_utf8(theirs.body).unwrap().replace("Moved Permanently", "Temporary Redirect");
            theirs.body = body.into_bytes();
        }
        assert_eq!(ask(Client::new(), &text).await, theirs, "{text}");
    }
}
