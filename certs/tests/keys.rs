//! Keys of every kind go through files, with and without a passphrase.

use certs::{Error, KeyAlgorithm, Passphrase, PrivateKey};

#[test]
fn every_kind_survives_a_file() {
    let passphrase = Passphrase::new("correct horse\n".to_owned());
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let plain = PrivateKey::from_pem(&key.to_pem(), None).unwrap();
        assert_eq!(plain.public_key(), key.public_key(), "{algorithm:?}");
        let encrypted = key.to_encrypted_pem(&passphrase).unwrap();
        assert!(encrypted.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let read = PrivateKey::from_pem(&encrypted, Some(&Passphrase::new("correct horse".to_owned()))).unwrap();
        assert_eq!(read.public_key(), key.public_key(), "{algorithm:?}");
        assert!(matches!(PrivateKey::from_pem(&encrypted, None), Err(Error::PassphraseNeeded)));
        let wrong = Passphrase::new("incorrect horse".to_owned());
        assert!(matches!(PrivateKey::from_pem(&encrypted, Some(&wrong)), Err(Error::WrongPassphrase)));
    }
}

#[test]
fn nothing_shows_a_secret() {
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let passphrase = Passphrase::new("canary-passphrase".to_owned());
    assert_eq!(format!("{key:?} {passphrase:?}"), "PrivateKey { .. } Passphrase(..)");
}

#[test]
fn a_short_passphrase_is_refused() {
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let error = key.to_encrypted_pem(&Passphrase::new("1234567".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "the passphrase is too short: at least 8 characters");
}
