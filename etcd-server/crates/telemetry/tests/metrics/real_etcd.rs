//! A real etcd 3.5 shows the same families, but for the differences between 3.5 and 3.7 that are
//! listed here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use telemetry::metrics::ABSENCES;

use super::exercise;
use super::families::families;

/// Families that 3.5 shows and 3.7 no longer has.
const GONE_SINCE_3_5: &[&str] = &["etcd_debugging_mvcc_range_total"];

/// Prefixes of families without labels that 3.5 does not have.
const NEW_SINCE_3_5: &[&str] = &["etcd_debugging_server_watch_send_loop_"];

/// An etcd of one member, ended when dropped.
struct Etcd {
    child: Child,
    client: SocketAddr,
    _data: tempfile::TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.child.kill().expect("kill etcd");
        self.child.wait().expect("wait for etcd");
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Etcd {
    fn start(binaries: &Path) -> Self {
        let (client, peer) = (free_address(), free_address());
        let data = tempfile::tempdir().unwrap();
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let mut child = Command::new(binaries.join("etcd"))
            .arg("--data-dir")
            .arg(data.path())
            .args(["--metrics", "extensive", "--log-level", "info", "--listen-client-urls", &client_url])
            .args(["--advertise-client-urls", &client_url, "--listen-peer-urls", &peer_url])
            .args(["--initial-advertise-peer-urls", &peer_url, "--initial-cluster", &format!("default={peer_url}")])
            .stderr(Stdio::piped())
            .spawn()
            .expect("start etcd");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready to serve client requests") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "etcd ended before it was ready");
        }
        // The rest of its log is read and dropped, so that etcd never waits for us.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, client, _data: data }
    }

    fn etcdctl(&self, binaries: &Path, words: &[&str]) {
        let done = Command::new(binaries.join("etcdctl"))
            .args(["--endpoints", &self.client.to_string()])
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "etcdctl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.client).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

fn binaries() -> Option<PathBuf> {
    let dir = std::env::var_os("ETCD_BIN_DIR").map(PathBuf::from)?;
    dir.join("etcd").is_file().then_some(dir)
}

#[test]
fn its_families_are_ours_or_absent_with_a_reason() {
    let Some(binaries) = binaries() else {
        skip::report("ETCD_BIN_DIR names no directory with an etcd");
        return;
    };
    let etcd = Etcd::start(&binaries);
    for words in [["put", "a", "1"], ["lease", "grant", "60"], ["alarm", "list", "--"], ["endpoint", "health", "--"]] {
        etcd.etcdctl(&binaries, &words);
    }
    etcd.get("/health");
    etcd.get("/readyz");
    let theirs = families(&etcd.get("/metrics"));
    let ours = families(&exercise::everything().text());
    assert!(theirs.len() > 100, "only {} families", theirs.len());
    let mut compared = 0;
    for (name, shape) in &theirs {
        // Without a sample, its labels are not to be seen.
        let unused = shape.labels.is_empty() && ours.get(name).is_some_and(|ours| !ours.labels.is_empty());
        let excused = GONE_SINCE_3_5.contains(&name.as_str()) || ABSENCES.iter().any(|absence| absence.covers(name));
        if unused || excused {
            continue;
        }
        assert_eq!(ours.get(name), Some(shape), "{name}");
        compared += 1;
    }
    // A family with labels may only be unused yet, so the others show the new ones.
    for name in ours.iter().filter(|(_, shape)| shape.labels.is_empty()).map(|(name, _)| name) {
        let new = NEW_SINCE_3_5.iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(theirs.contains_key(name), !new, "{name}");
    }
    println!("{compared} families are alike");
    assert!(compared > 70, "only {compared} families compared");
}
