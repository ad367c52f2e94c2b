//! CAs and certificates for tests.

use certs::{Ca, CaPlan, Certificate, KeyAlgorithm, LeafPlan, Name, PrivateKey, Profile};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

pub(crate) const NOW: OffsetDateTime = match OffsetDateTime::from_unix_timestamp(1_800_000_000) {
    Ok(moment) => moment,
    Err(_) => panic!("the moment is within range"),
};
pub(crate) const YEAR: Duration = Duration::days(365);

pub(crate) fn ca(name: &str) -> Ca {
    ca_for(name, &[])
}

pub(crate) fn ca_for(name: &str, constraints: &[&str]) -> Ca {
    let constraints = constraints.iter().map(|text| certs::Constraint::parse(text).unwrap()).collect();
    let plan = CaPlan { common_name: name.to_owned(), lifetime: YEAR * 10, constraints };
    Ca::create(&plan, PrivateKey::generate(KeyAlgorithm::P256).unwrap(), NOW).unwrap()
}

pub(crate) fn plan(profile: Profile, common_name: &str, names: &[&str]) -> LeafPlan {
    LeafPlan {
        profile,
        common_name: common_name.to_owned(),
        names: names.iter().map(|name| Name::parse(name).unwrap()).collect(),
        lifetime: YEAR,
        loopback_only: false,
    }
}

pub(crate) fn leaf(ca: &Ca, plan: &LeafPlan) -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    (ca.issue(plan, &key, NOW).unwrap(), key)
}

pub(crate) fn der(certificate: &Certificate) -> CertificateDer<'_> {
    CertificateDer::from(certificate.der.as_slice())
}
