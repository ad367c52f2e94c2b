//! TLS on the metrics page. etcd has no such metrics; the page has them only where something is
//! encrypted.

use crate::listen::encryption::Encryption;
use crate::metrics::own_metrics::{head, line};
use time::OffsetDateTime;

const DAYS: &str = "etcd_tls_certificate_days_left";
const CONNECTIONS: &str = "etcd_tls_connections";
const HANDSHAKES: &str = "etcd_tls_handshakes_total";
const RELOADS: &str = "etcd_tls_reloads_total";

/// The families, in the text format of Prometheus. Labels are made of our own files and settings
/// alone.
pub(crate) fn text(encryption: &Encryption) -> String {
    let now = OffsetDateTime::now_utc();
    let statuses: Vec<_> =
        encryption.endpoints().map(|endpoint| (endpoint.settings().role.label(), endpoint.status())).collect();
    let mut page = String::new();
    if statuses.is_empty() {
        return page;
    }
    head(&mut page, DAYS, "gauge", "Whole days until a certificate or CRL in use expires.");
    for (endpoint, status) in &statuses {
        for certificate in &status.certificates {
            let (setting, subject) = (certificate.setting.trim_start_matches('-'), escaped(&certificate.subject));
            let labels = format!(
                "endpoint=\"{endpoint}\",fingerprint=\"{}\",setting=\"{setting}\",subject=\"{subject}\"",
                certificate.fingerprint
            );
            line(&mut page, DAYS, &labels, certificate.days_left(now));
        }
    }
    head(
        &mut page,
        CONNECTIONS,
        "gauge",
        "Live connections by the SHA-256 of the CA that vouches for the client's certificate.",
    );
    for (endpoint, status) in &statuses {
        for (issuer, connections) in &status.connections {
            line(&mut page, CONNECTIONS, &format!("endpoint=\"{endpoint}\",issuer=\"{issuer}\""), connections);
        }
    }
    head(&mut page, HANDSHAKES, "counter", "Handshakes by how they ended.");
    for (endpoint, status) in &statuses {
        let counts = status.handshakes;
        for (outcome, count) in [
            ("accepted", counts.accepted),
            ("crowded_out", counts.crowded_out),
            ("refused", counts.refused),
            ("timed_out", counts.timed_out),
        ] {
            line(&mut page, HANDSHAKES, &format!("endpoint=\"{endpoint}\",outcome=\"{outcome}\""), count);
        }
    }
    head(&mut page, RELOADS, "counter", "Times that changed files were read, by whether they could be used.");
    for (endpoint, status) in &statuses {
        let (used, refused) = status.reloads;
        for (outcome, count) in [("refused", refused), ("used", used)] {
            line(&mut page, RELOADS, &format!("endpoint=\"{endpoint}\",outcome=\"{outcome}\""), count);
        }
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
