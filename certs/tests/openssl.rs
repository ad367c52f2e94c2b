//! Our files in openssl, where it is installed.

use crate::support::{NOW, ca_for, leaf, plan};
use certs::{KeyAlgorithm, Passphrase, PrivateKey, Profile, Revocation, RevocationReason};
use std::path::Path;
use std::process::Command;
use time::Duration;

fn openssl(dir: &Path, words: &str) -> Option<(bool, String)> {
    let output = match Command::new("openssl").args(words.split_whitespace()).current_dir(dir).output() {
        Ok(output) => output,
        Err(error) => {
            skip::report(format_args!("openssl cannot be run: {error}"));
            return None;
        }
    };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some((output.status.success(), text))
}

#[test]
fn openssl_agrees() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(home.path().join(name), content).unwrap();
    let ca = ca_for("ca", &["example.org"]);
    let (good, _) = leaf(&ca, &plan(Profile::Server, "etcd1", &["etcd1.example.org"]));
    let (revoked, _) = leaf(&ca, &plan(Profile::Client, "mallory", &[]));
    let revocation =
        Revocation { serial: revoked.facts().unwrap().serial, at: NOW, reason: RevocationReason::KeyCompromise };
    let list = ca.revocation_list(&[revocation], 1, NOW, Duration::days(30)).unwrap();
    std::fs::write(home.path().join("crl.der"), list).unwrap();
    write("ca.crt", &ca.certificate().pem);
    write("good.crt", &good.pem);
    write("revoked.crt", &revoked.pem);
    let key = PrivateKey::generate(KeyAlgorithm::P384).unwrap();
    write("key.pem", &key.to_encrypted_pem(&Passphrase::new("correct-horse".to_owned())).unwrap());
    let at = NOW.unix_timestamp();
    let Some((listed, text)) = openssl(home.path(), "crl -inform DER -in crl.der -CAfile ca.crt -noout -text") else {
        return;
    };
    assert!(listed && text.contains("verify OK") && text.contains("Key Compromise"), "{text}");
    openssl(home.path(), "crl -inform DER -in crl.der -out crl.pem").unwrap();
    for (words, succeeds, says) in [
        (format!("verify -attime {at} -CAfile ca.crt -purpose sslserver good.crt"), true, "good.crt: OK"),
        (
            format!("verify -attime {at} -CAfile ca.crt -CRLfile crl.pem -crl_check -purpose sslclient good.crt"),
            true,
            "OK",
        ),
        (
            format!("verify -attime {at} -CAfile ca.crt -CRLfile crl.pem -crl_check -purpose sslclient revoked.crt"),
            false,
            "revoked",
        ),
        ("pkey -in key.pem -passin pass:correct-horse -noout -text".to_owned(), true, "secp384r1"),
        (
            "x509 -in good.crt -noout -ext nameConstraints,extendedKeyUsage,subjectAltName".to_owned(),
            true,
            "DNS:etcd1.example.org",
        ),
    ] {
        let (succeeded, text) = openssl(home.path(), &words).unwrap();
        assert_eq!(succeeded, succeeds, "{words}: {text}");
        assert!(text.contains(says), "{words}: {text}");
    }
}

#[test]
fn keys_and_requests_of_openssl_are_read() {
    let home = tempfile::tempdir().unwrap();
    for (make, key) in [
        ("ecparam -name prime256v1 -genkey -noout -out a.key", "ECDSA P-256"),
        ("ecparam -name secp384r1 -genkey -noout -out a.key", "ECDSA P-384"),
        ("genrsa -traditional -out a.key 2048", "RSA 2048"),
        ("genpkey -algorithm ed25519 -out a.key", "Ed25519"),
    ] {
        let Some((made, text)) = openssl(home.path(), make) else { return };
        assert!(made, "{text}");
        let own = PrivateKey::from_pem(&std::fs::read_to_string(home.path().join("a.key")).unwrap(), None).unwrap();
        let (made, text) =
            openssl(home.path(), "req -new -key a.key -subj /CN=etcd1 -addext subjectAltName=DNS:etcd1 -out a.csr")
                .unwrap();
        assert!(made, "{text}");
        let request = certs::SigningRequest::read(&std::fs::read(home.path().join("a.csr")).unwrap()).unwrap();
        assert!(request.is_of(&own), "{key}");
        let ca = crate::support::ca("ca");
        let signed = ca.sign(&plan(Profile::Client, "etcd1", &[]), &request, NOW).unwrap();
        assert_eq!(signed.facts().unwrap().key, key);
    }
}
