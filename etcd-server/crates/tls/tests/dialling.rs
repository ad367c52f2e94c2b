//! Members among themselves: both show certificates, and both are checked.

use crate::support::{Rig, ca, leaf, list, now};
use certs::Profile;
use std::sync::Arc;
use tls::{Endpoint, EndpointSettings, Protocols, Role};

/// Returns a member's endpoint: one CA, a certificate that serves and connects.
fn member(rig: &mut Rig, issuer: &certs::Ca, profile: Profile, names: &[&str]) -> Arc<Endpoint> {
    rig.settings.role = Role::Peer;
    rig.write_pair(&leaf(issuer, profile, "etcd1", names));
    rig.write("ca.crt", issuer.certificate().pem.as_bytes());
    rig.endpoint()
}

async fn meet(from: &Arc<Endpoint>, to: &Arc<Endpoint>, host: &str) -> (Result<(), String>, Result<(), String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (near, far) = tokio::io::duplex(64 << 10);
    let acceptor = to.acceptor().unwrap();
    let server = tokio::spawn(async move {
        let mut accepted = acceptor
            .accept(far, Some(([127, 0, 0, 1], 1).into()), Protocols::Http1)
            .await
            .map_err(|error| error.to_string())?;
        accepted.stream.write_all(b"!").await.map_err(|error| error.to_string())?;
        accepted.stream.flush().await.map_err(|error| error.to_string())
    });
    let client = async {
        let mut stream = from.connector().connect(near, host).await.map_err(|error| error.to_string())?;
        stream.read_exact(&mut [0]).await.map_err(|error| error.to_string())?;
        Ok(())
    };
    let client = client.await;
    (client, server.await.unwrap())
}

#[tokio::test]
async fn members_of_one_ca_meet() {
    let peers = ca("peers");
    let (mut one, mut other) = (Rig::new(), Rig::new());
    let (one, other) = (
        member(&mut one, &peers, Profile::Peer, &["localhost", "127.0.0.1"]),
        member(&mut other, &peers, Profile::Peer, &["localhost", "127.0.0.1"]),
    );
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(meet(&one, &other, host).await, (Ok(()), Ok(())), "{host}");
    }
    let (client, _) = meet(&one, &other, "10.0.0.9").await;
    assert!(client.unwrap_err().contains("not 10.0.0.9"), "the certificate has to stand for the host");
}

#[tokio::test]
async fn a_member_needs_both_usages_and_the_right_ca() {
    let (peers, others) = (ca("peers"), ca("others"));
    let (mut one, mut other, mut foreign) = (Rig::new(), Rig::new(), Rig::new());
    let good = member(&mut one, &peers, Profile::Peer, &["localhost", "127.0.0.1"]);
    let connects_only = member(&mut other, &peers, Profile::Client, &["localhost", "127.0.0.1"]);
    assert_eq!(meet(&connects_only, &good, "localhost").await, (Ok(()), Ok(())));
    let (client, _) = meet(&good, &connects_only, "localhost").await;
    assert!(client.unwrap_err().contains("incompatible key usage"));
    let foreign = member(&mut foreign, &others, Profile::Peer, &["localhost", "127.0.0.1"]);
    assert!(meet(&foreign, &good, "localhost").await.0.is_err());
    assert!(meet(&good, &foreign, "localhost").await.0.is_err());
}

#[tokio::test]
async fn a_member_connects_from_where_its_certificate_says() {
    let peers = ca("peers");
    for (names, checks, good) in
        [(&["10.255.255.1"], true, false), (&["10.255.255.1"], false, true), (&["127.0.0.1"], true, true)]
    {
        let (mut one, mut other) = (Rig::new(), Rig::new());
        other.settings.checks_addresses = checks;
        let to = member(&mut other, &peers, Profile::Peer, &["localhost"]);
        let from = member(&mut one, &peers, Profile::Peer, names);
        let (_, server) = meet(&from, &to, "localhost").await;
        assert_eq!(server.is_ok(), good, "{names:?} {checks}: {server:?}");
    }
}

#[tokio::test]
async fn a_revoked_member_is_not_believed_in_either_direction() {
    let peers = ca("peers");
    let (mut one, mut other) = (Rig::new(), Rig::new());
    one.settings.revocation_list = Some(one.path("crl"));
    one.write("crl", &list(&peers, &[], 1));
    let good = member(&mut one, &peers, Profile::Peer, &["localhost", "127.0.0.1"]);
    other.settings.role = Role::Peer;
    let bad = leaf(&peers, Profile::Peer, "etcd2", &["localhost", "127.0.0.1"]);
    other.write_pair(&bad);
    other.write("ca.crt", peers.certificate().pem.as_bytes());
    let revoked = other.endpoint();
    assert_eq!(meet(&revoked, &good, "localhost").await, (Ok(()), Ok(())));
    one.write("crl", &list(&peers, &[&bad], 2));
    good.reload(false);
    assert!(meet(&revoked, &good, "localhost").await.1.unwrap_err().contains("revoked"));
    assert!(meet(&good, &revoked, "localhost").await.0.unwrap_err().contains("revoked"));
}

#[tokio::test]
async fn self_signed_members_meet_without_knowing_each_other() {
    let (one, other) = (Rig::new(), Rig::new());
    let endpoint = |rig: &Rig| {
        let names = tls::names_of(["127.0.0.1", "not a name"]);
        let pair = tls::auto_files(rig.dir.path(), Role::Peer, &names, 1, now()).unwrap();
        let again = tls::auto_files(rig.dir.path(), Role::Peer, &names, 1, now()).unwrap();
        assert_eq!(pair, again);
        let before = std::fs::read(&pair.cert).unwrap();
        // An expired one is created again.
        tls::auto_files(rig.dir.path(), Role::Peer, &names, 1, now() + time::Duration::days(366)).unwrap();
        assert_ne!(std::fs::read(&pair.cert).unwrap(), before);
        let settings = EndpointSettings {
            role: Role::Peer,
            own: Some(pair),
            trusted_ca: None,
            demands_certificates: false,
            self_signed: true,
            ..rig.settings.clone()
        };
        Endpoint::load(settings).unwrap()
    };
    assert_eq!(meet(&endpoint(&one), &endpoint(&other), "127.0.0.1").await, (Ok(()), Ok(())));
}
