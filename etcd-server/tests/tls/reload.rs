//! Files change under a running daemon, and under load.

use crate::client::Client;
use crate::daemon::{Daemon, Ports, SOON};
use crate::pki::{Leaf, Pki, ca, leaf, list};
use certs::Profile;
use nix::sys::signal::{Signal, kill};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Clients that put over and over, each on a new connection, until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(client: &Client, port: u16) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = || {
            let (client, stop, done) = (client.clone(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match client.put(port, "load").await {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failed.push(error),
                    }
                }
                failed
            })
        };
        let tasks = (0..4).map(|_| task()).collect();
        Self { stop, done, tasks }
    }

    async fn finish(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for task in self.tasks {
            failed.extend(task.await.unwrap());
        }
        (self.done.load(Ordering::Relaxed), failed)
    }
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < SOON, "never happened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// CA1 → CA1 and CA2 → CA2, a new leaf, and a CRL, while clients work: no trusted client fails.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_exchanged_under_load_and_nobody_fails() {
    let pki = Pki::new();
    let next = ca("ca 2");
    let now = OffsetDateTime::now_utc();
    let of_next = |name: &str| leaf(&next, Profile::Client, name, &[], now);
    let mut daemon = Daemon::start(&pki.flags_with_list(), Ports::Shared);
    let pair = |first: &[u8], second: &[u8]| [first, second].concat();
    let (old, new) = (Client::new(&pki, Some(&pki.user("alice"))), Client::new(&pki, Some(&of_next("alice"))));
    assert!(new.grpc(daemon.client).await.is_err());

    let load = Load::start(&old, daemon.client);
    pki.write("crl.der", &pair(pem_list(&pki.ca, &[]).as_bytes(), pem_list(&next, &[]).as_bytes()));
    pki.write("ca.crt", &pair(pki.ca.certificate().pem.as_bytes(), next.certificate().pem.as_bytes()));
    eventually(async || new.grpc(daemon.client).await.is_ok()).await;
    pki.write_server(&pki.leaf(Profile::Server, "etcd1 renewed", &["127.0.0.1", "localhost"]));
    eventually(async || shown_name(&new, daemon.client).await == "etcd1 renewed").await;
    let mallory = of_next("mallory");
    let of_mallory = Client::new(&pki, Some(&mallory));
    of_mallory.grpc(daemon.client).await.unwrap();
    let lists = [pem_list(&pki.ca, &[]), pem_list(&next, &[&mallory])].concat();
    pki.write("crl.der", lists.as_bytes());
    eventually(async || of_mallory.grpc(daemon.client).await.is_err()).await;
    let (done, failed) = load.finish().await;
    assert!(failed.is_empty() && done > 0, "{done} done, {}: {:?}", failed.len(), failed.first());

    // One connection of the old CA is left when it is dropped.
    let left = old.channel(daemon.client).await.unwrap();
    let load = Load::start(&new, daemon.client);
    pki.write("ca.crt", next.certificate().pem.as_bytes());
    eventually(async || old.grpc(daemon.client).await.is_err()).await;
    daemon.wait_for_log("its certificate is not trusted any more");
    let read = proto::etcdserverpb::RangeRequest { key: "a".into(), ..Default::default() };
    let gone = tokio::time::timeout(SOON, rpc::etcdserverpb::kv_client::KvClient::new(left).range(read)).await.unwrap();
    assert!(gone.is_err(), "the connection was ended, and its certificate opens no other");
    let (done_later, failed) = load.finish().await;
    assert!(failed.is_empty() && done_later > 0, "{done_later} done, {}: {:?}", failed.len(), failed.first());
    assert!(daemon.is_running());
    eprintln!("{} puts over as many handshakes, 0 failed, 0 restarts", done + done_later);
}

async fn shown_name(client: &Client, port: u16) -> String {
    let Ok(stream) = client.stream(port, b"h2").await else { return String::new() };
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    certs::CertificateFacts::of(&shown).unwrap().common_name.unwrap_or_default()
}

fn pem_list(ca: &certs::Ca, revoked: &[&Leaf]) -> String {
    use std::fmt::Write as _;
    let der = list(ca, revoked);
    let mut text = String::from("-----BEGIN X509 CRL-----\n");
    for line in base64(&der).as_bytes().chunks(64) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    text + "-----END X509 CRL-----\n"
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().chain([0; 2].iter()).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= part.len() { letter } else { '=' });
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_told_once() {
    let pki = Pki::new();
    let mut daemon = Daemon::start(&pki.flags_with_list(), Ports::Shared);
    let client = Client::new(&pki, Some(&pki.user("alice")));
    pki.write("crl.der", b"nonsense");
    daemon.wait_for_log("cannot be used; those loaded before stay in use");
    client.grpc(daemon.client).await.unwrap();
    // Found again and again, logged once: the next line is the next change.
    pki.write("crl.der", &list(&pki.ca, &[]));
    daemon.wait_for_log("reloaded TLS files");
    assert_eq!(daemon.log().matches("stay in use").count(), 1);
    kill(daemon.pid(), Signal::SIGHUP).unwrap();
    eventually(async || daemon.log().matches("reloaded TLS files").count() == 2).await;
    client.grpc(daemon.client).await.unwrap();
    assert!(daemon.is_running());
}
