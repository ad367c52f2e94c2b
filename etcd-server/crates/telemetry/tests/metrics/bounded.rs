//! The page stays bounded for any input of the network.

use std::net::Ipv4Addr;

use config::MetricsDetail;
use telemetry::metrics::{ADDRESSES_MAX, CallType, ClientVersion, PEERS_MAX, Page, Sample};
use types::MemberId;

use super::exercise::{self, Fixed};
use super::families::value;

#[test]
fn hostile_labels_share_one_series() {
    let metrics = exercise::new(MetricsDetail::Basic);
    for number in 0..1000u32 {
        metrics.client_requests.count(ClientVersion::parse(&format!("9.{number}\"\n")), CallType::Unary);
        metrics.network.receive_failed(Ipv4Addr::from_bits(number).into());
        metrics.network.peer(MemberId(u64::from(number))).received_bytes.inc();
    }
    let page = Page::new(metrics, Box::new(Fixed(Sample::default()))).text();
    let series = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        value(&page, r#"etcd_server_client_requests_total{client_api_version="other",type="unary"}"#),
        Some(1000.0)
    );
    assert_eq!(series("etcd_server_client_requests_total{"), 1);
    assert_eq!(series("etcd_network_peer_received_failures_total{"), ADDRESSES_MAX + 1);
    assert_eq!(series("etcd_network_peer_received_bytes_total{"), PEERS_MAX + 1);
    let shared = (1000 - PEERS_MAX) as f64;
    assert_eq!(value(&page, r#"etcd_network_peer_received_bytes_total{From="other"}"#), Some(shared));
}
