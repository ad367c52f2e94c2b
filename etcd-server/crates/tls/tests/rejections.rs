//! The log lines about connections that are not accepted.

use crate::support::{Client, Rig, ca, leaf};
use certs::Profile;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use tls::{Endpoint, Protocols};
use tokio::io::AsyncWriteExt as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The lines of this thread, as `LEVEL name=value ...`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("tls") {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push((*event.metadata().level(), line.0));
        }
    }
}

impl Lines {
    fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
        (lines, guard)
    }

    /// The only line.
    fn one(&self) -> (Level, String) {
        let lines = self.0.lock().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }
}

async fn probe(endpoint: &Arc<Endpoint>, sent: &[u8]) {
    let (mut near, far) = tokio::io::duplex(1024);
    near.write_all(sent).await.unwrap();
    drop(near);
    assert!(endpoint.acceptor().unwrap().accept(far, None, Protocols::Both).await.is_err());
}

#[tokio::test]
async fn a_probe_that_leaves_is_no_warning() {
    let rig = Rig::new();
    // Nothing at all, the first byte, and the first half of a hello.
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x01\x00\x01\x00\x00"] {
        let endpoint = rig.endpoint();
        let (lines, _guard) = Lines::collect();
        probe(&endpoint, sent).await;
        let (level, line) = lines.one();
        assert_eq!(level, Level::DEBUG, "{line}");
        assert!(line.contains("rejected connection on client endpoint"), "{line}");
    }
    let endpoint = rig.endpoint();
    let (lines, _guard) = Lines::collect();
    probe(&endpoint, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(lines.one().0, Level::WARN, "who speaks no TLS is told of");
}

#[tokio::test]
async fn a_rejected_certificate_is_named_in_the_line() {
    let rig = Rig::new();
    let shown = leaf(&ca("others"), Profile::Client, "mallory", &["mallory.example", "10.1.2.3"]);
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let endpoint = rig.endpoint();
        let (lines, _guard) = Lines::collect();
        assert!(!Client::speaking(&rig, Some(&shown), versions).meet(&endpoint, Protocols::Both).await.is_in());
        let (level, line) = lines.one();
        assert_eq!(level, Level::WARN);
        for expected in [
            "remote_addr=\"127.0.0.1:1\"",
            "server_name=\"localhost\"",
            "dns_names=[\"mallory.example\"]",
            "ip_addresses=[\"10.1.2.3\"]",
            "error=tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ] {
            assert!(line.contains(expected), "{expected}: {line}");
        }
    }
}

#[tokio::test]
async fn a_missing_certificate_has_no_names() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let (lines, _guard) = Lines::collect();
    assert!(!Client::new(&rig, None).meet(&endpoint, Protocols::Both).await.is_in());
    let (_, line) = lines.one();
    assert!(line.contains("error=tls: client didn't provide a certificate") && !line.contains("dns_names"), "{line}");
}

#[tokio::test]
async fn alerts_of_clients_are_logged_in_gos_words() {
    let rig = Rig::new();
    // The client trusts other CAs than that of our certificate.
    let foreign = Rig::new();
    let endpoint = rig.endpoint();
    let (lines, _guard) = Lines::collect();
    let user = rig.user("alice");
    assert!(!Client::new(&foreign, Some(&user)).meet(&endpoint, Protocols::Both).await.is_in());
    let (_, line) = lines.one();
    assert!(line.contains("error=remote error: tls: "), "{line}");
}
