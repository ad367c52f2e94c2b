//! Three members, everything encrypted; and accepted clients on the port between them.

use crate::client::Client;
use crate::daemon::SOON;
use crate::pki::{Leaf, Pki, ca, expired, leaf, list};
use certs::{Ca, Profile};
use rustls::version::{TLS12, TLS13};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use time::OffsetDateTime;

/// A member, ended with the test.
struct Member {
    child: Child,
    client: u16,
    peer: u16,
    log: PathBuf,
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns three members with a certificate of their own each, of another CA than the clients'.
fn cluster(pki: &Pki, peers: &Ca) -> [Member; 3] {
    let ports = testbed::free_ports::<6>().unwrap();
    let names = ["one", "two", "three"];
    let initial: Vec<_> =
        names.iter().zip(ports).map(|(name, port)| format!("{name}=https://127.0.0.1:{port}")).collect();
    pki.write("peer-ca.crt", peers.certificate().pem.as_bytes());
    pki.write("peer-crl.der", &list(peers, &[]));
    std::array::from_fn(|number| {
        let (name, peer, client) = (names[number], ports[number], ports[number + 3]);
        let shown = leaf(peers, Profile::Peer, name, &["127.0.0.1"], OffsetDateTime::now_utc());
        pki.write(&format!("{name}.key"), shown.key.as_bytes());
        pki.write(&format!("{name}.crt"), shown.pem.as_bytes());
        let path = |file: &str| pki.path(file).display().to_string();
        let log = pki.path(&format!("{name}.log"));
        let output = std::fs::File::create(&log).unwrap();
        let (peer_url, client_url) = (format!("https://127.0.0.1:{peer}"), format!("https://127.0.0.1:{client}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_etcd-server"));
        command.args([
            "--name",
            name,
            "--data-dir",
            &path(&format!("{name}.etcd")),
            "--initial-cluster",
            &initial.join(","),
        ]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args([
            "--peer-cert-file",
            &path(&format!("{name}.crt")),
            "--peer-key-file",
            &path(&format!("{name}.key")),
        ]);
        command.args([
            "--peer-trusted-ca-file",
            &path("peer-ca.crt"),
            "--peer-client-cert-auth",
            "--peer-crl-file",
            &path("peer-crl.der"),
        ]);
        command.args(pki.flags()).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Member { child: command.spawn().unwrap(), client, peer, log }
    })
}

async fn works(client: &Client, member: &Member) {
    let begun = Instant::now();
    while let Err(error) = client.put(member.client, "a").await {
        let log = || std::fs::read_to_string(&member.log).unwrap();
        assert!(begun.elapsed() < SOON, "{error}: {}", log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// D19's doors: a client's certificate opens nothing between members, nor does that of a stranger,
/// an expired or a revoked one.
#[tokio::test(flavor = "multi_thread")]
async fn three_members_work_encrypted_and_let_only_members_in() {
    let (pki, peers) = (Pki::new(), ca("peers"));
    let members = cluster(&pki, &peers);
    let alice = Client::new(&pki, Some(&pki.user("alice")));
    for member in &members {
        works(&alice, member).await;
    }
    let now = OffsetDateTime::now_utc();
    let member = leaf(&peers, Profile::Peer, "four", &["127.0.0.1"], now);
    let revoked = leaf(&peers, Profile::Peer, "five", &["127.0.0.1"], now);
    let elsewhere = leaf(&peers, Profile::Peer, "six", &["10.255.255.1"], now);
    let (stranger, of_clients, old) =
        (leaf(&pki.stranger, Profile::Peer, "four", &["127.0.0.1"], now), pki.user("alice"), expired(&peers));
    pki.write("peer-crl.der", &list(&peers, &[&revoked]));
    let asks = async |shown: Option<&Leaf>, version| {
        // The server's identity is not checked here; the client trusts only the clients' CA, so it
        // gets the members' too.
        let client = Client::trusting(&[&peers], shown, &[version]);
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            outcomes.push(
                client
                    .http_named(members[0].peer, "127.0.0.1", "/members")
                    .await
                    .is_ok_and(|response| response.contains("one")),
            );
        }
        outcomes
    };
    let begun = Instant::now();
    while asks(Some(&revoked), &TLS13).await[0] {
        assert!(begun.elapsed() < SOON, "the revoked one still gets in");
    }
    for (who, shown, welcome) in [
        ("a member", Some(&member), true),
        ("nobody", None, false),
        ("a client", Some(&of_clients), false),
        ("a stranger", Some(&stranger), false),
        ("an expired one", Some(&old), false),
        ("a revoked one", Some(&revoked), false),
        ("a member from elsewhere", Some(&elsewhere), false),
    ] {
        for version in [&TLS12, &TLS13] {
            assert_eq!(asks(shown, version).await, [welcome; 2], "{who} {version:?}");
        }
    }
    for member in &members {
        works(&alice, member).await;
    }
}
