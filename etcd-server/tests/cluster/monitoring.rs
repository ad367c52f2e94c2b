//! The alert rules and the dashboard that the packages bring ask for series that a member of a
//! cluster really has.

use crate::support::{PATIENCE, put, settings};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use testbed::Cluster;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Shown where there are certificates.
const WITH_TLS: &str = "etcd_tls_certificate_days_left";
/// Begins the series that `etcd-admin snapshot save` writes for the node exporter, and their file.
const OF_SNAPSHOTS: &str = "etcd_snapshot";
/// Shown only when a message could not be sent.
const AFTER_FAILURES: &[&str] = &["etcd_network_peer_sent_failures_total"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_that_is_asked_for_exists() {
    let mut asked = BTreeSet::new();
    for file in ["etcd-alerts.yml", "etcd-dashboard.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/files/monitoring").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        asked.extend(names(&text));
    }
    assert!(asked.len() > 20 && AFTER_FAILURES.iter().all(|name| asked.contains(*name)), "{asked:?}");
    assert!(asked.remove(WITH_TLS), "{asked:?}");
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etcd-admin/src/snapshot/metrics.rs");
    let written = std::fs::read_to_string(written).unwrap();
    let (of_snapshots, asked): (BTreeSet<String>, BTreeSet<String>) =
        asked.into_iter().partition(|name| name.starts_with(OF_SNAPSHOTS));
    assert!(of_snapshots.len() > 1 && of_snapshots.iter().all(|name| written.contains(name)), "{of_snapshots:?}");
    let mut cluster = Cluster::start(settings(&[]), 3).await.unwrap();
    put(&mut cluster.kv(0).await.unwrap(), "key", "value").await.unwrap();
    let begun = Instant::now();
    loop {
        let address = cluster.members[0].endpoint().trim_start_matches("http://").to_owned();
        let told = families(&address).await;
        let missing: Vec<&String> =
            asked.iter().filter(|name| !AFTER_FAILURES.contains(&name.as_str()) && !told.contains(*name)).collect();
        if missing.is_empty() {
            break;
        }
        // The way between members is measured now and then only.
        assert!(begun.elapsed() < PATIENCE * 3, "not on the page: {missing:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    cluster.members[2].kill();
    let begun = Instant::now();
    loop {
        let told = families(cluster.members[0].endpoint().trim_start_matches("http://")).await;
        if AFTER_FAILURES.iter().all(|name| told.contains(*name)) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE * 3, "not on the page after failures: {AFTER_FAILURES:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Every word in a text that begins as our series do; of a histogram's, the family.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours =
        words.filter(|word| ["etcd_", "grpc_server_", "process_", "os_"].iter().any(|start| word.starts_with(start)));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

/// The families on the metrics page.
async fn families(address: &str) -> BTreeSet<String> {
    let page = page(address).await;
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

/// The metrics page of a member.
pub(crate) async fn page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    page
}
