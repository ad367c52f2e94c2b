//! Certificates, keys, requests and revocation lists, in PEM and DER.

use crate::{Dice, Target};
use certs::{
    Ca, CaPlan, CertificateFacts, Chain, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile, Revocation,
    RevocationListFacts, RevocationReason, SigningRequest, Usage,
};
use time::{Duration, OffsetDateTime};

pub(super) struct Certificates {
    ca: Vec<u8>,
    good: Vec<Vec<u8>>,
}

impl Certificates {
    pub(super) fn new() -> Self {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let key = || PrivateKey::generate(KeyAlgorithm::P256).expect("the library makes keys");
        let plan = CaPlan { common_name: "ca".to_owned(), lifetime: Duration::days(3650), constraints: Vec::new() };
        let ca = Ca::create(&plan, key(), now).expect("the plan is good");
        let names =
            ["etcd1.example.org", "10.0.0.1"].map(|name| Name::parse(name).expect("the names are good")).to_vec();
        let plan = LeafPlan {
            profile: Profile::Server,
            common_name: "etcd1".to_owned(),
            names,
            lifetime: Duration::days(365),
            loopback_only: false,
        };
        let of_leaf = key();
        let leaf = ca.issue(&plan, &of_leaf, now).expect("the plan is good");
        let revoked = [Revocation { serial: vec![1; 16], at: now, reason: RevocationReason::Superseded }];
        let list = ca.revocation_list(&revoked, 1, now, Duration::days(30)).expect("the CA signs lists");
        let request = SigningRequest::create("etcd1", &[], &key()).expect("the request is good");
        let bundle = [leaf.pem.as_bytes(), ca.certificate().pem.as_bytes()].concat();
        let good = vec![
            leaf.der,
            leaf.pem.into_bytes(),
            bundle,
            list,
            request.pem().into_bytes(),
            of_leaf.to_pem().as_bytes().to_vec(),
        ];
        Self { ca: ca.certificate().der.clone(), good }
    }
}

impl Target for Certificates {
    fn try_one(&mut self, dice: &mut Dice) -> bool {
        let mut bytes = dice.pick(&self.good).clone();
        dice.spoil(&mut bytes);
        let mut taken = CertificateFacts::of(&bytes).is_ok();
        taken |= RevocationListFacts::of(&bytes).is_ok() && RevocationListFacts::is_signed_by(&bytes, &self.ca);
        taken |= SigningRequest::read(&bytes).is_ok();
        taken |= PrivateKey::from_pem(&String::from_utf8_lossy(&bytes), None).is_ok();
        let lists = certs::revocation_lists(&bytes).unwrap_or_default();
        if let Ok(found) = certs::certificates(&bytes) {
            let chain = Chain { shown: &found, cas: &found, revocation_lists: &lists };
            taken |= chain.verify(Usage::Client, OffsetDateTime::UNIX_EPOCH).is_ok();
        }
        taken
    }
}
