//! Files of any content never panic a reader. `FUZZ_CASES` runs more than the default.

use crate::support::{NOW, ca, leaf, plan};
use certs::{CertificateFacts, KeyAlgorithm, PrivateKey, Profile, RevocationListFacts, SigningRequest};
use time::Duration;

/// Small, seeded, and good enough to choose bytes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                2 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xff, 0x30][self.below(5)],
                3 => bytes.extend_from_within(at..),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
    }
}

#[test]
fn spoilt_files_are_refused_without_a_panic() {
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000_u32);
    let ca = ca("ca");
    let (made, key) = leaf(&ca, &plan(Profile::Server, "etcd1", &["etcd1", "10.0.0.1"]));
    let revocation = certs::Revocation { serial: vec![1; 16], at: NOW, reason: certs::RevocationReason::Superseded };
    let list = ca.revocation_list(&[revocation], 1, NOW, Duration::days(30)).unwrap();
    let request = SigningRequest::create("etcd1", &[], &PrivateKey::generate(KeyAlgorithm::P256).unwrap()).unwrap();
    let whole = [
        made.der.clone(),
        made.pem.clone().into_bytes(),
        list.clone(),
        request.pem().into_bytes(),
        key.to_pem().as_bytes().to_vec(),
    ];
    let mut dice = Dice(7);
    let mut read = 0;
    for _ in 0..cases {
        let mut bytes = whole[dice.below(whole.len())].clone();
        dice.spoil(&mut bytes);
        read += usize::from(CertificateFacts::of(&bytes).is_ok());
        read += usize::from(RevocationListFacts::of(&bytes).is_ok());
        read += usize::from(RevocationListFacts::is_signed_by(&bytes, &ca.certificate().der));
        read += usize::from(SigningRequest::read(&bytes).is_ok());
        read += usize::from(PrivateKey::from_pem(&String::from_utf8_lossy(&bytes), None).is_ok());
        if let Ok(found) = certs::certificates(&bytes) {
            let chain = certs::Chain { shown: &found, cas: &found, revocation_lists: &[] };
            read += usize::from(chain.verify(certs::Usage::Client, NOW).is_ok());
        }
        drop(certs::revocation_lists(&bytes));
    }
    eprintln!("{cases} spoilt files, {read} of them still readable");
}
