//! Files change under a running endpoint.

use crate::support::{Client, Rig, ca, leaf, list};
use certs::Profile;
use std::time::Duration;
use tls::{Protocols, Reloader};

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_handshake_on() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let alice = rig.user("alice");
    let client = Client::new(&rig, Some(&alice));
    let before = client.meet(&endpoint, Protocols::Both).await;
    let fresh = leaf(&rig.servers, Profile::Server, "etcd1", &["localhost"]);
    rig.write_pair(&fresh);
    endpoint.reload(false);
    let after = client.meet(&endpoint, Protocols::Both).await;
    let shown =
        |met: &crate::support::Met| met.client.as_ref().unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec();
    assert_eq!(shown(&after), fresh.certificate.der);
    assert_ne!(shown(&before), shown(&after));
    // The older connection goes on.
    assert_eq!(endpoint.status().connections.values().sum::<u64>(), 2);
}

#[tokio::test]
async fn what_cannot_be_used_leaves_everything_as_it_was_and_is_told_once() {
    let mut rig = Rig::new();
    // Lists that have expired are warned about otherwise.
    rig.settings.strict = true;
    rig.settings.revocation_list = Some(rig.path("crl.der"));
    rig.write("crl.der", &list(&rig.clients, &[], 1));
    let endpoint = rig.endpoint();
    let alice = rig.user("alice");
    let client = Client::new(&rig, Some(&alice));
    let good_key = std::fs::read(rig.path("server.key")).unwrap();
    let half_key = &good_key[..good_key.len() / 2];
    let other = leaf(&rig.servers, Profile::Server, "etcd1", &["localhost"]);
    let mut failed = 0;
    for (name, content) in [
        ("server.key", half_key.to_vec()),
        ("server.key", other.key.to_pem().as_bytes().to_vec()),
        ("server.crt", b"".to_vec()),
        ("server.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        ("ca.crt", b"nonsense".to_vec()),
        ("ca.crt", good_key.clone()),
        ("crl.der", b"".to_vec()),
        ("crl.der", list(&ca("clients"), &[], 9)),
        (
            "crl.der",
            rig.clients
                .revocation_list(&[], 3, crate::support::now() - time::Duration::days(9), time::Duration::days(1))
                .unwrap(),
        ),
    ] {
        let good = std::fs::read(rig.path(name)).unwrap();
        rig.write(name, &content);
        endpoint.reload(false);
        endpoint.reload(false);
        failed += 1;
        assert_eq!(endpoint.status().reloads.1, failed, "{name} is told once");
        assert!(client.meet(&endpoint, Protocols::Both).await.is_in(), "{name}");
        rig.write(name, &good);
        endpoint.reload(false);
        assert_eq!(endpoint.status().reloads.1, failed);
    }
    std::fs::remove_file(rig.path("crl.der")).unwrap();
    endpoint.reload(false);
    assert!(client.meet(&endpoint, Protocols::Both).await.is_in(), "a file that is gone changes nothing");
    assert_eq!(endpoint.status().reloads.1, failed + 1);
}

/// CA1 → CA1 and CA2 → CA2 without a restart.
#[tokio::test]
async fn an_ca_is_exchanged_and_the_last_of_the_old_are_sent_away() {
    let rig = Rig::new();
    let endpoint = rig.endpoint();
    let next = ca("clients 2");
    let (old_user, new_user) = (rig.user("alice"), leaf(&next, Profile::Client, "alice", &[]));
    let (old, new) = (Client::new(&rig, Some(&old_user)), Client::new(&rig, Some(&new_user)));
    assert!(!new.meet(&endpoint, Protocols::Both).await.is_in());
    rig.write("ca.crt", format!("{}{}", rig.clients.certificate().pem, next.certificate().pem).as_bytes());
    endpoint.reload(false);
    let mut of_old = old.meet(&endpoint, Protocols::Both).await.server.unwrap();
    let mut of_new = new.meet(&endpoint, Protocols::Both).await.server.unwrap();
    let fingerprint = |ca: &certs::Ca| ca.facts().fingerprint_hex();
    assert_eq!(endpoint.status().connections, [(fingerprint(&rig.clients), 1), (fingerprint(&next), 1)].into());
    rig.write("ca.crt", next.certificate().pem.as_bytes());
    endpoint.reload(false);
    of_old.connection.trust_is_lost().await;
    let stays = tokio::time::timeout(Duration::from_millis(50), of_new.connection.trust_is_lost()).await;
    assert!(stays.is_err(), "who is trusted stays");
    assert_eq!(endpoint.status().connections, [(fingerprint(&next), 1)].into());
    assert!(!old.meet(&endpoint, Protocols::Both).await.is_in());
    assert!(new.meet(&endpoint, Protocols::Both).await.is_in());
}

#[tokio::test]
async fn a_live_connection_of_a_revoked_certificate_is_ended() {
    let mut rig = Rig::new();
    rig.settings.revocation_list = Some(rig.path("crl.der"));
    rig.write("crl.der", &list(&rig.clients, &[], 1));
    let endpoint = rig.endpoint();
    let reloader = Reloader::start(vec![endpoint.clone()]);
    let alice = rig.user("alice");
    let mut accepted = Client::new(&rig, Some(&alice)).meet(&endpoint, Protocols::Both).await.server.unwrap();
    rig.write("crl.der", &list(&rig.clients, &[&alice], 2));
    // Found by itself, within the interval.
    tokio::time::timeout(Duration::from_secs(10), accepted.connection.trust_is_lost()).await.unwrap();
    let before = endpoint.status().reloads.0;
    reloader.reload();
    while endpoint.status().reloads.0 == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
