//! Directories: their content after every step, and their refusals.

use crate::support::{NOW, YEAR, leaf, plan};
use certs::files::{CaDir, HostDir, HostFile, NewCa, RotationPhase, check_private};
use certs::{CaKind, CaPlan, Chain, KeyAlgorithm, Passphrase, PrivateKey, Profile, RevocationReason, Usage};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use time::Duration;

fn new<'a>(name: &str, passphrase: Option<&'a Passphrase>) -> NewCa<'a> {
    let plan = CaPlan { common_name: name.to_owned(), lifetime: YEAR * 10, constraints: Vec::new() };
    NewCa { plan, algorithm: KeyAlgorithm::P256, passphrase }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_ca_is_made_once_and_opened_with_its_passphrase() {
    let home = tempfile::tempdir().unwrap();
    let dir = CaDir::below(&home.path().join("pki"), CaKind::Client);
    let passphrase = Passphrase::new("correct horse".to_owned());
    dir.create(&new("one", Some(&passphrase)), NOW).unwrap();
    assert!(dir.create(&new("two", None), NOW).unwrap_err().to_string().contains("nothing is overwritten"));
    assert_eq!(dir.facts().unwrap().subject, "CN=one");
    assert!(dir.is_encrypted().unwrap());
    assert!(dir.unlock(None).is_err());
    dir.unlock(Some(&passphrase)).unwrap();
    assert_eq!((mode(dir.path()), mode(&dir.path().join("ca.key"))), (0o700, 0o600));
    std::fs::set_permissions(dir.path().join("ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = dir.unlock(Some(&passphrase)).unwrap_err().to_string();
    assert!(exposed.contains("can be read by others (mode 0644): chmod 600"), "{exposed}");
}

#[test]
fn what_is_revoked_is_in_every_later_list() {
    let home = tempfile::tempdir().unwrap();
    let dir = CaDir::below(home.path(), CaKind::Client);
    let ca = dir.create(&new("one", None), NOW).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let made = dir.issue(&ca, &plan(Profile::Client, "alice", &[]), &key, NOW).unwrap();
    let serial = made.facts().unwrap().serial_hex();
    assert!(dir.revoke("00ff", RevocationReason::Unspecified, NOW).is_err());
    dir.revoke(&serial, RevocationReason::KeyCompromise, NOW).unwrap();
    assert!(dir.revoke(&serial, RevocationReason::KeyCompromise, NOW).unwrap_err().to_string().contains("before"));
    for number in 1..=2 {
        let list = dir.publish(&ca, NOW, Duration::days(7)).unwrap();
        let facts = certs::RevocationListFacts::of(&list).unwrap();
        assert_eq!((facts.number, facts.revokes(&made.facts().unwrap())), (Some(number), true));
    }
    // A line that a crash has cut off was never acted upon.
    let register = dir.path().join("register.jsonl");
    let whole = std::fs::read_to_string(&register).unwrap();
    std::fs::write(&register, format!("{whole}{{\"event\":\"iss")).unwrap();
    assert_eq!(dir.entries().unwrap().len(), 4);
    std::fs::write(&register, format!("nonsense\n{whole}")).unwrap();
    assert!(dir.entries().unwrap_err().to_string().contains("line 1"));
}

#[test]
fn an_exchange_of_cas_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let dir = CaDir::below(home.path(), CaKind::Peer);
    let old = dir.create(&new("old", None), NOW).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let peer = plan(Profile::Peer, "etcd1", &["etcd1"]);
    let before = dir.issue(&old, &peer, &key, NOW).unwrap();
    dir.publish(&old, NOW, Duration::days(7)).unwrap();
    assert!(dir.rotation_switch().is_err() && dir.rotation_finish().is_err());

    let next = dir.rotation_start(&new("new", None), NOW).unwrap();
    assert_eq!((dir.rotation(), dir.bundle().unwrap().len()), (RotationPhase::TrustBoth, 2));
    assert_eq!(dir.facts().unwrap().subject, "CN=old");
    dir.publish(&next, NOW, Duration::days(7)).unwrap();
    let lists = certs::revocation_lists(&std::fs::read(dir.revocation_list_path()).unwrap()).unwrap();
    assert_eq!(lists.len(), 2, "each CA has a list");

    // Interrupted as late as possible: the next CA is in its place, and its own directory is still
    // there.
    let kept = home.path().join("kept");
    copy_dir(&dir.path().join("next"), &kept);
    dir.rotation_switch().unwrap();
    copy_dir(&kept, &dir.path().join("next"));
    assert_eq!(dir.rotation(), RotationPhase::TrustBoth);
    dir.rotation_switch().unwrap();
    assert_eq!((dir.rotation(), dir.facts().unwrap().subject.as_str()), (RotationPhase::Reissue, "CN=new"));
    assert_eq!(dir.previous().unwrap().unwrap().subject, "CN=old");

    assert_eq!(dir.left_of_previous(NOW).unwrap().len(), 1);
    let new = dir.unlock(None).unwrap();
    let after = dir.issue(&new, &peer, &key, NOW).unwrap();
    assert!(dir.left_of_previous(NOW).unwrap().is_empty());
    let bundle = dir.bundle().unwrap();
    for certificate in [&before, &after] {
        let shown = [rustls_pki_types::CertificateDer::from(certificate.der.as_slice())];
        assert!(Chain { shown: &shown, cas: &bundle, revocation_lists: &[] }.verify(Usage::Client, NOW).is_ok());
    }
    dir.rotation_finish().unwrap();
    assert_eq!((dir.rotation(), dir.bundle().unwrap().len()), (RotationPhase::None, 1));

    dir.rotation_start(&self::new("newest", None), NOW).unwrap();
    dir.rotation_switch().unwrap();
    assert_eq!(dir.left_of_previous(NOW).unwrap().len(), 1, "what the first CA issued is no successor");
}

/// A bearer needs one certificate: those that later ones have taken the place of, with whatever
/// names, hold up no exchange.
#[test]
fn superseded_certificates_do_not_hold_up_an_exchange() {
    let home = tempfile::tempdir().unwrap();
    let dir = CaDir::below(home.path(), CaKind::Peer);
    let old = dir.create(&new("old", None), NOW).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    for names in [&["etcd1"][..], &["etcd1", "10.0.0.1"], &["etcd1.example.org"]] {
        dir.issue(&old, &plan(Profile::Peer, "etcd1", names), &key, NOW).unwrap();
    }
    dir.issue(&old, &plan(Profile::Peer, "etcd2", &["etcd2"]), &key, NOW).unwrap();
    dir.rotation_start(&new("new", None), NOW).unwrap();
    dir.rotation_switch().unwrap();
    let left =
        || dir.left_of_previous(NOW).unwrap().into_iter().map(|issued| issued.names.join(",")).collect::<Vec<_>>();
    assert_eq!(left(), ["etcd1.example.org", "etcd2"], "only the newest of each bearer is in use");
    let new = dir.unlock(None).unwrap();
    dir.issue(&new, &plan(Profile::Peer, "etcd1", &["etcd1.example.net"]), &key, NOW).unwrap();
    assert_eq!(left(), ["etcd2"]);
    dir.issue(&new, &plan(Profile::Peer, "etcd2", &["etcd2"]), &key, NOW).unwrap();
    assert!(left().is_empty());
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn file(name: &str, content: &str, private: bool) -> HostFile {
    HostFile { name: name.to_owned(), content: content.as_bytes().to_vec().into(), private }
}

#[test]
fn a_host_changes_whole_sets() {
    let home = tempfile::tempdir().unwrap();
    let dir = HostDir::at(home.path());
    let change = dir.change(&[file("server.crt", "cert 1", false), file("server.key", "key 1", true)]).unwrap();
    assert_eq!((change.generation, change.removed), (1, vec![]));
    assert_eq!(mode(&dir.current("server.key")), 0o600);
    for number in 2..=4 {
        dir.change(&[file("server.crt", &format!("cert {number}"), false)]).unwrap();
        assert_eq!(std::fs::read_to_string(dir.current("server.crt")).unwrap(), format!("cert {number}"));
        assert_eq!(std::fs::read_to_string(dir.current("server.key")).unwrap(), "key 1");
    }
    let change = dir.change(&[file("client-ca.crt", "ca", false)]).unwrap();
    assert_eq!((change.generation, change.removed), (5, vec![2]));
    assert_eq!(dir.files().unwrap().len(), 3);
    // The rest of an interrupted change does not matter.
    std::fs::create_dir(home.path().join("generations/.000006.new")).unwrap();
    assert_eq!(dir.change(&[file("server.crt", "cert 6", false)]).unwrap().generation, 6);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.key");
    std::fs::write(&path, "key").unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o604, false), (0o660, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(check_private(&path).is_ok(), good, "{mode:o}");
    }
}

#[test]
fn a_host_check_tells_of_everything() {
    let ca = crate::support::ca("ca");
    let (made, key) = leaf(&ca, &plan(Profile::Server, "etcd1", &["etcd1.example.org"]));
    let other = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let (shown, cas) = ([crate::support::der(&made)], [crate::support::der(ca.certificate())]);
    let wanted = [certs::Name::parse("10.0.0.1").unwrap()];
    let bad = |key: &PrivateKey, wanted: &[certs::Name], now| {
        let check = certs::HostCheck {
            profile: Profile::Server,
            shown: &shown,
            cas: &cas,
            revocation_lists: &[],
            key: Some(key),
            wanted,
            warn: Duration::days(30),
        };
        let findings = check.run(now);
        findings
            .into_iter()
            .filter(|finding| finding.severity != certs::Severity::Good)
            .map(|finding| finding.check)
            .collect::<Vec<_>>()
    };
    assert_eq!(bad(&key, &[], NOW), Vec::<&str>::new());
    assert_eq!(bad(&other, &wanted, NOW), ["key", "names"]);
    assert_eq!(bad(&key, &[], NOW + YEAR - Duration::days(3)), ["dates"]);
    assert_eq!(bad(&key, &[], NOW + YEAR * 2), ["chain-server", "chain-client", "dates"]);
}
