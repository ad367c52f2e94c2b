//! Files that are refused, each with one line that names setting, file and reason.

use crate::support::{Rig, YEAR, leaf, leaf_at, list, now};
use certs::{KeyAlgorithm, Passphrase, PrivateKey, Profile};
use std::os::unix::fs::PermissionsExt as _;
use tls::Endpoint;

fn refusal(rig: &Rig) -> String {
    Endpoint::load(rig.settings.clone()).map_or_else(|error| error.to_string(), |_| "taken".to_owned())
}

#[test]
fn every_bad_file_is_named_with_its_reason() {
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let encrypted = key.to_encrypted_pem(&Passphrase::new("correct horse".to_owned())).unwrap();
    for (name, content, says) in [
        ("server.crt", "", "--cert-file FILE: no certificate found: the file is empty"),
        ("server.crt", "hello", "--cert-file FILE: no certificate found: the file is neither PEM nor DER"),
        ("server.crt", &key.to_pem(), "--cert-file FILE: no certificate found: the file holds a PRIVATE KEY"),
        ("server.key", "", "--key-file FILE: no private key in PEM form found"),
        ("server.key", &key.to_pem(), "--key-file FILE: the key in it does not belong to the certificate in"),
        ("server.key", &encrypted, "--key-file FILE: the key is encrypted"),
        ("ca.crt", "", "--trusted-ca-file FILE: no certificate found: the file is empty"),
        ("crl", "", "--client-crl-file FILE: no revocation list found: the file is empty"),
        ("crl", &key.to_pem(), "--client-crl-file FILE: no revocation list found: the file holds a PRIVATE KEY"),
    ] {
        let mut rig = Rig::new();
        rig.settings.revocation_list = Some(rig.path("crl"));
        rig.write("crl", &list(&rig.clients, &[], 1));
        assert_eq!(refusal(&rig), "taken");
        rig.write(name, content.as_bytes());
        let told = refusal(&rig).replace(rig.path(name).to_str().unwrap(), "FILE");
        assert!(told.starts_with(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_missing_file_and_an_exposed_key_are_refused() {
    let mut rig = Rig::new();
    std::fs::set_permissions(rig.path("server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refusal(&rig), "taken", "Kubernetes mounts Secrets so");
    rig.settings.strict = true;
    assert!(refusal(&rig).contains("can be read by others (mode 0644): chmod 600"), "{}", refusal(&rig));
    std::fs::remove_file(rig.path("server.key")).unwrap();
    assert!(
        refusal(&rig).starts_with("--key-file: read ") && refusal(&rig).contains("No such file"),
        "{}",
        refusal(&rig)
    );
    let rig = Rig::new();
    std::fs::remove_file(rig.path("ca.crt")).unwrap();
    std::fs::create_dir(rig.path("ca.crt")).unwrap();
    assert!(refusal(&rig).contains("it is not a regular file"), "{}", refusal(&rig));
}

#[test]
fn doubtful_lists_are_warned_about_unless_strict() {
    let other = crate::support::ca("clients");
    for (list, says) in [
        (
            crate::support::list_until(&crate::support::ca("unrelated"), 1, now() - time::Duration::days(1)),
            "has expired on",
        ),
        (list(&other, &[], 1), "is not signed by that CA"),
    ] {
        let mut rig = Rig::new();
        rig.settings.revocation_list = Some(rig.path("crl"));
        rig.write("crl", &list);
        assert_eq!(refusal(&rig), "taken", "{says}");
        rig.settings.strict = true;
        assert!(refusal(&rig).contains(says), "{says}: {}", refusal(&rig));
    }
}

#[test]
fn what_clients_will_refuse_is_served_as_etcd_serves_it() {
    let rig = Rig::new();
    rig.write_pair(&leaf_at(&rig.servers, Profile::Server, "etcd1", &["localhost"], now() - YEAR * 3 / 2));
    assert_eq!(refusal(&rig), "taken", "an expired certificate is told of and served");
    rig.write_pair(&leaf(&rig.servers, Profile::Client, "etcd1", &["localhost"]));
    assert_eq!(refusal(&rig), "taken", "so is one that may not serve");
}

#[test]
fn keys_of_every_kind_are_taken() {
    let rig = Rig::new();
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let plan = certs::LeafPlan {
            profile: Profile::Server,
            common_name: "etcd1".to_owned(),
            names: vec![certs::Name::parse("localhost").unwrap()],
            lifetime: YEAR,
            loopback_only: true,
        };
        let certificate = rig.servers.issue(&plan, &key, now()).unwrap();
        rig.write_pair(&crate::support::Leaf { certificate, key });
        assert_eq!(refusal(&rig), "taken", "{algorithm:?}");
    }
}
