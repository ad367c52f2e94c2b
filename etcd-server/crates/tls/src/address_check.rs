//! The check that a member connects from an address in its certificate, by etcd's rules.
//!
//! A certificate without names passes. An address must be that of the connection. Otherwise one of
//! the host names must be the one that the address resolves to, or resolve to the address; a
//! wildcard is compared with the end of the former.

use crate::error::HandshakeError;
use certs::Name;
use std::net::IpAddr;

pub(crate) async fn check(names: &[Name], remote: IpAddr) -> Result<(), HandshakeError> {
    let remote = remote.to_canonical();
    let addresses: Vec<_> = names.iter().filter_map(address).collect();
    let hosts: Vec<_> = names.iter().filter_map(host).map(str::to_owned).collect();
    if (addresses.is_empty() && hosts.is_empty()) || addresses.contains(&remote) {
        return Ok(());
    }
    if hosts.is_empty() {
        let valid = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(HandshakeError::OtherAddress { address: remote.to_string(), valid });
    }
    if reverse(remote).await.is_some_and(|found| hosts.iter().any(|host| stands_for(host, &found)))
        || leads_to(&hosts, remote).await
    {
        return Ok(());
    }
    Err(HandshakeError::Address { address: remote.to_string(), names: hosts })
}

fn address(name: &Name) -> Option<IpAddr> {
    match name {
        Name::Ip(address) => Some(address.to_canonical()),
        Name::Dns(_) | Name::Other(_) => None,
    }
}

fn host(name: &Name) -> Option<&str> {
    match name {
        Name::Dns(host) => Some(host),
        Name::Ip(_) | Name::Other(_) => None,
    }
}

fn stands_for(host: &str, found: &str) -> bool {
    match host.strip_prefix('*') {
        Some(end) => found.ends_with(end),
        None => host == found,
    }
}

/// The name of an address. Blocks a thread for as long as the resolver takes; the handshake's own
/// bound ends the wait.
async fn reverse(remote: IpAddr) -> Option<String> {
    let looked_up = tokio::task::spawn_blocking(move || dns_lookup::lookup_addr(&remote)).await;
    let name = looked_up.ok()?.ok()?;
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

async fn leads_to(hosts: &[String], remote: IpAddr) -> bool {
    for host in hosts.iter().filter(|host| !host.starts_with('*')) {
        if let Ok(mut found) = tokio::net::lookup_host((host.as_str(), 0)).await
            && found.any(|address| address.ip().to_canonical() == remote)
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn certificates_are_held_against_the_address() {
        let here = IpAddr::from([127, 0, 0, 1]);
        for (names, good) in [
            (vec![], true),
            (vec!["127.0.0.1"], true),
            (vec!["10.255.255.1"], false),
            (vec!["10.255.255.1", "127.0.0.1"], true),
            (vec!["localhost"], true),
            (vec!["10.255.255.1", "localhost"], true),
            (vec!["nowhere.invalid"], false),
            (vec!["*.invalid"], false),
        ] {
            let parsed: Vec<_> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
            assert_eq!(check(&parsed, here).await.is_ok(), good, "{names:?}");
        }
        let error = check(&[Name::parse("nowhere.invalid").unwrap()], here).await.unwrap_err();
        assert_eq!(error.to_string(), r#"tls: "127.0.0.1" does not match any of DNSNames ["nowhere.invalid"]"#);
        let others = ["10.255.255.1", "2001:db8::1"].map(|name| Name::parse(name).unwrap());
        let error = check(&others, here).await.unwrap_err();
        assert_eq!(error.to_string(), "x509: certificate is valid for 10.255.255.1, 2001:db8::1, not 127.0.0.1");
    }
}
