//! Accepted and refused clients.

use crate::support::{Client, Rig, YEAR, ca, leaf, leaf_at, list, now};
use certs::Profile;
use config::TlsVersion;
use rustls::CipherSuite;
use rustls::version::{TLS12, TLS13};
use time::Duration;
use tls::Protocols;

#[tokio::test]
async fn clients_of_the_ca_are_let_in_and_known() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    for versions in [&[&TLS12], &[&TLS13]] {
        let met = Client::speaking(&rig, Some(&rig.user("alice")), versions).meet(&endpoint, Protocols::Both).await;
        assert!(met.is_in(), "{}", met.reason());
        let accepted = met.server.unwrap();
        let identity = accepted.identity.unwrap();
        assert_eq!(identity.common_name.as_deref(), Some("alice"));
        assert_eq!(identity.issuer, rig.clients.facts().fingerprint_hex());
        assert_eq!(endpoint.status().connections, [(identity.issuer, 1)].into());
        drop(accepted.connection);
        assert!(endpoint.status().connections.is_empty());
    }
    assert_eq!(endpoint.status().handshakes.accepted, 2);
}

#[tokio::test]
async fn everybody_else_is_refused_at_the_door() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let foreign = ca("clients");
    for (what, shown, says) in [
        ("none", None, "peer sent no certificates"),
        (
            "another CA of the same name",
            Some(leaf(&foreign, Profile::Client, "alice", &[])),
            "signed by unknown authority",
        ),
        (
            "expired",
            Some(leaf_at(&rig.clients, Profile::Client, "alice", &[], now() - YEAR - Duration::days(1))),
            "it expired at",
        ),
        (
            "not valid yet",
            Some(leaf_at(&rig.clients, Profile::Client, "alice", &[], now() + Duration::days(1))),
            "it begins to be valid at",
        ),
        (
            "of the servers' CA",
            Some(leaf(&rig.servers, Profile::Server, "etcd1", &["localhost"])),
            "signed by unknown authority",
        ),
    ] {
        for versions in [&[&TLS12], &[&TLS13]] {
            let met = Client::speaking(&rig, shown.as_ref(), versions).meet(&endpoint, Protocols::Both).await;
            assert!(!met.is_in(), "{what}");
            assert!(met.reason().contains(says), "{what}: {}", met.reason());
        }
    }
    assert_eq!(endpoint.status().handshakes.refused, 10);
}

/// GHSA-3wh4-j44w-pg92, and the default of rustls: a resumed session is not verified.
#[tokio::test]
async fn a_revoked_certificate_is_refused_on_the_second_connection_too() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let mut rig = Rig::new();
        rig.settings.revocation_list = Some(rig.path("crl.der"));
        rig.write("crl.der", &list(&rig.clients, &[], 1));
        let endpoint = rig.endpoint();
        let (alice, bob) = (rig.user("alice"), rig.user("bob"));
        let (of_alice, of_bob) =
            (Client::speaking(&rig, Some(&alice), versions), Client::speaking(&rig, Some(&bob), versions));
        for _ in 0..2 {
            let met = of_alice.meet(&endpoint, Protocols::Both).await;
            assert!(met.is_in(), "{}", met.reason());
            let kind = met.client.unwrap().get_ref().1.handshake_kind();
            assert_ne!(kind, Some(rustls::HandshakeKind::Resumed), "no session may be resumed");
        }
        rig.write("crl.der", &list(&rig.clients, &[&alice], 2));
        endpoint.reload(false);
        for _ in 0..2 {
            let met = of_alice.meet(&endpoint, Protocols::Both).await;
            assert!(!met.is_in() && met.reason().contains("revoked"), "{}", met.reason());
        }
        assert!(of_bob.meet(&endpoint, Protocols::Both).await.is_in());
    }
}

#[tokio::test]
async fn an_issuer_without_a_list_is_refused_when_strict() {
    let mut rig = Rig::new();
    let other = ca("other");
    rig.settings.revocation_list = Some(rig.path("crl.pem"));
    rig.write("ca.crt", format!("{}{}", rig.clients.certificate().pem, other.certificate().pem).as_bytes());
    rig.write("crl.pem", &list(&rig.clients, &[], 1));
    // etcd takes from a CRL only the serial numbers in it.
    let endpoint = rig.endpoint();
    for (name, issuer) in [("alice", &rig.clients), ("bob", &other)] {
        let shown = leaf(issuer, Profile::Client, name, &[]);
        let met = Client::new(&rig, Some(&shown)).meet(&endpoint, Protocols::Both).await;
        assert!(met.is_in(), "{name}: {}", met.reason());
    }
    rig.settings.strict = true;
    let endpoint = rig.endpoint();
    assert!(Client::new(&rig, Some(&rig.user("alice"))).meet(&endpoint, Protocols::Both).await.is_in());
    let stranger = leaf(&other, Profile::Client, "bob", &[]);
    let met = Client::new(&rig, Some(&stranger)).meet(&endpoint, Protocols::Both).await;
    assert!(!met.is_in() && met.reason().contains("none of them is of issuer \"CN=other\""), "{}", met.reason());
}

#[tokio::test]
async fn names_are_held_against_the_settings() {
    let mut rig = Rig::new();
    let alice = leaf(&rig.clients, Profile::Client, "alice", &["a.example.org", "10.0.0.1"]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (common_names, hostnames, good) in [
        (vec!["alice"], vec![], true),
        (vec!["bob", "alice"], vec![], true),
        (vec!["bob"], vec![], false),
        (vec!["Alice"], vec![], false),
        (vec![], vec!["a.example.org"], true),
        (vec![], vec!["10.0.0.1"], true),
        (vec![], vec!["b.example.org"], false),
    ] {
        (rig.settings.allowed_common_names, rig.settings.allowed_hostnames) = (names(&common_names), names(&hostnames));
        let met = Client::new(&rig, Some(&alice)).meet(&rig.endpoint(), Protocols::Both).await;
        assert_eq!(met.is_in(), good, "{common_names:?} {hostnames:?}: {}", met.reason());
        if !good {
            // The alert that etcd sends, for which its users search their logs.
            let refused = met.client.unwrap_err().to_string();
            assert_eq!(refused, "received fatal alert: BadCertificate", "{common_names:?} {hostnames:?}");
        }
    }
}

#[tokio::test]
async fn the_lowest_version_and_the_highest_are_kept_to() {
    let mut rig = Rig::new();
    let alice = rig.user("alice");
    for (min, max, older, newer) in [
        (TlsVersion::Tls12, None, true, true),
        (TlsVersion::Tls13, None, false, true),
        (TlsVersion::Tls12, Some(TlsVersion::Tls12), true, false),
    ] {
        (rig.settings.version_min, rig.settings.version_max) = (min, max);
        let endpoint = rig.endpoint();
        assert_eq!(
            Client::speaking(&rig, Some(&alice), &[&TLS12]).meet(&endpoint, Protocols::Both).await.is_in(),
            older,
            "{min:?}"
        );
        assert_eq!(
            Client::speaking(&rig, Some(&alice), &[&TLS13]).meet(&endpoint, Protocols::Both).await.is_in(),
            newer,
            "{min:?}"
        );
    }
}

#[tokio::test]
async fn suites_are_those_that_were_named() {
    let mut rig = Rig::new();
    rig.settings.cipher_suites =
        vec!["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned(), "TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()];
    let endpoint = rig.endpoint();
    let alice = rig.user("alice");
    let with = |suite| Client::new(&rig, Some(&alice)).with_suites(move |own| own == suite);
    assert!(with(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384).meet(&endpoint, Protocols::Both).await.is_in());
    assert!(!with(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256).meet(&endpoint, Protocols::Both).await.is_in());
    rig.settings.cipher_suites.remove(0);
    rig.settings.version_max = Some(TlsVersion::Tls12);
    let error = tls::Endpoint::load(rig.settings.clone()).unwrap_err().to_string();
    assert!(error.starts_with("--cipher-suites: none of them is served"), "{error}");
}

#[tokio::test]
async fn each_listener_agrees_on_what_it_speaks() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let alice = rig.user("alice");
    for (protocols, offered, outcome) in [
        (Protocols::Both, &[&b"h2"[..], b"http/1.1"][..], Some(true)),
        (Protocols::Both, &[b"http/1.1"], Some(false)),
        (Protocols::Both, &[], Some(false)),
        (Protocols::Both, &[b"spdy"], None),
        (Protocols::Http1, &[b"h2", b"http/1.1"], Some(false)),
        (Protocols::Http1, &[b"h2"], None),
        (Protocols::Http1, &[], Some(false)),
        (Protocols::Http2, &[b"h2"], Some(true)),
    ] {
        let met = Client::new(&rig, Some(&alice)).offering(offered).meet(&endpoint, protocols).await;
        assert_eq!(met.is_in().then(|| met.server.as_ref().unwrap().is_http2), outcome, "{protocols:?} {offered:?}");
    }
}

#[tokio::test]
async fn without_an_ca_nobody_has_to_show_anything() {
    let mut rig = Rig::new();
    (rig.settings.trusted_ca, rig.settings.demands_certificates) = (None, false);
    let met = Client::new(&rig, None).meet(&rig.endpoint(), Protocols::Both).await;
    assert!(met.is_in() && met.server.as_ref().unwrap().identity.is_none());
}
