//! Certificates of a CA are trusted for their purpose, and for nothing else.

use crate::support::{NOW, YEAR, ca, ca_for, der, leaf, plan};
use certs::{
    Certificate, Chain, ChainProblem, KeyAlgorithm, Name, PrivateKey, Profile, Revocation, RevocationReason,
    SigningRequest, Usage,
};
use rustls_pki_types::CertificateRevocationListDer;
use time::{Duration, OffsetDateTime};

fn verified(
    leaf: &Certificate,
    by: &[&Certificate],
    lists: &[&[u8]],
    usage: Usage,
    now: OffsetDateTime,
) -> Result<usize, ChainProblem> {
    let shown = [der(leaf)];
    let cas: Vec<_> = by.iter().map(|ca| der(ca)).collect();
    let lists: Vec<_> = lists.iter().map(|list| CertificateRevocationListDer::from(*list)).collect();
    Chain { shown: &shown, cas: &cas, revocation_lists: &lists }.verify(usage, now)
}

#[test]
fn profiles_are_good_for_their_roles_alone() {
    let ca = ca("ca");
    for (profile, name, serves) in [
        (Profile::Server, "etcd1", true),
        (Profile::Peer, "etcd1", true),
        (Profile::Client, "alice", false),
        (Profile::Admin, "root", false),
        (Profile::Metrics, "metrics", false),
    ] {
        let (leaf, _) = leaf(&ca, &plan(profile, name, &["etcd1.example.org", "10.0.0.1"]));
        let by = [ca.certificate()];
        let as_server = verified(&leaf, &by, &[], Usage::Server, NOW);
        assert_eq!(as_server, if serves { Ok(0) } else { Err(ChainProblem::WrongUsage) }, "{profile:?}");
        assert_eq!(verified(&leaf, &by, &[], Usage::Client, NOW), Ok(0), "{profile:?}");
        let facts = leaf.facts().unwrap();
        assert_eq!(facts.common_name.as_deref(), Some(name));
        assert_eq!((facts.server_usage, facts.client_usage, facts.is_ca), (serves, true, false));
        assert_eq!(facts.names, [Name::parse("etcd1.example.org").unwrap(), Name::parse("10.0.0.1").unwrap()]);
        assert_eq!(facts.authority_key_id, ca.facts().subject_key_id);
    }
}

#[test]
fn dates_are_kept_to() {
    let ca = ca("ca");
    let (leaf, _) = leaf(&ca, &plan(Profile::Client, "alice", &[]));
    let by = [ca.certificate()];
    for (after, outcome) in [
        (Duration::ZERO, Ok(0)),
        (-Duration::minutes(4), Ok(0)),
        (-Duration::minutes(6), Err("begins to be valid")),
        (YEAR - Duration::seconds(1), Ok(0)),
        (YEAR + Duration::seconds(1), Err("has expired")),
    ] {
        let verified = verified(&leaf, &by, &[], Usage::Client, NOW + after);
        let agrees = match (&verified, outcome) {
            (Ok(anchor), Ok(wanted)) => *anchor == wanted,
            (Err(problem), Err(says)) => problem.to_string().contains(says),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        assert!(agrees, "{after}: {verified:?}");
    }
    let facts = leaf.facts().unwrap();
    assert!(!facts.is_due(NOW + YEAR / 2) && facts.is_due(NOW + YEAR * 2 / 3));
}

#[test]
fn no_certificate_outlives_its_ca() {
    let ca = ca("ca");
    let long = certs::LeafPlan { lifetime: YEAR * 20, ..plan(Profile::Client, "alice", &[]) };
    let (leaf, _) = leaf(&ca, &long);
    assert_eq!(leaf.facts().unwrap().not_after, ca.facts().not_after);
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    assert!(ca.issue(&long, &key, NOW + YEAR * 11).unwrap_err().to_string().contains("has expired"));
}

#[test]
fn another_ca_of_the_same_name_is_another() {
    let (one, other) = (ca("ca"), ca("ca"));
    let (leaf, _) = leaf(&one, &plan(Profile::Client, "alice", &[]));
    assert_eq!(
        verified(&leaf, &[other.certificate()], &[], Usage::Client, NOW),
        Err(ChainProblem::UnknownIssuer { issuer: "CN=ca".to_owned() })
    );
    assert_eq!(verified(&leaf, &[other.certificate(), one.certificate()], &[], Usage::Client, NOW), Ok(1));
}

#[test]
fn an_ca_issues_within_its_constraints() {
    let ca = ca_for("ca", &["example.org", "10.0.0.0/8"]);
    let by = [ca.certificate()];
    for (names, good) in [
        (["a.example.org", "10.1.2.3"], true),
        (["a.example.com", "10.1.2.3"], false),
        (["a.example.org", "11.1.2.3"], false),
    ] {
        let (leaf, _) = leaf(&ca, &plan(Profile::Server, "etcd1", &names));
        let outcome = verified(&leaf, &by, &[], Usage::Server, NOW);
        assert!(
            if good { outcome == Ok(0) } else { matches!(outcome, Err(ChainProblem::NameConstraint(_))) },
            "{names:?}: {outcome:?}"
        );
    }
}

#[test]
fn what_is_revoked_is_not_trusted() {
    let (one, other) = (ca("one"), ca("other"));
    let (bad, _) = leaf(&one, &plan(Profile::Client, "mallory", &[]));
    let (good, _) = leaf(&one, &plan(Profile::Client, "alice", &[]));
    let revocation =
        Revocation { serial: bad.facts().unwrap().serial, at: NOW, reason: RevocationReason::KeyCompromise };
    let list = one.revocation_list(std::slice::from_ref(&revocation), 7, NOW, Duration::days(30)).unwrap();
    let foreign = other.revocation_list(&[], 1, NOW, Duration::days(30)).unwrap();
    let by = [one.certificate(), other.certificate()];
    let serial = bad.facts().unwrap().serial_hex();
    assert_eq!(verified(&bad, &by, &[&list, &foreign], Usage::Client, NOW), Err(ChainProblem::Revoked { serial }));
    assert_eq!(verified(&good, &by, &[&list, &foreign], Usage::Client, NOW), Ok(0));
    let issuer = "CN=one".to_owned();
    // Nothing known of an issuer, and a list that has run out, both close the door.
    assert_eq!(
        verified(&good, &by, &[&foreign], Usage::Client, NOW),
        Err(ChainProblem::UnknownRevocation { issuer: issuer.clone() })
    );
    assert_eq!(
        verified(&good, &by, &[&list], Usage::Client, NOW + Duration::days(31)),
        Err(ChainProblem::RevocationListExpired { issuer })
    );
    let facts = certs::RevocationListFacts::of(&list).unwrap();
    assert_eq!((facts.number, facts.revoked.len()), (Some(7), 1));
    assert!(facts.revokes(&bad.facts().unwrap()) && !facts.revokes(&good.facts().unwrap()));
    assert!(certs::RevocationListFacts::is_signed_by(&list, &one.certificate().der));
    assert!(!certs::RevocationListFacts::is_signed_by(&list, &other.certificate().der));
}

#[test]
fn the_plan_decides_and_not_the_request() {
    let ca = ca("ca");
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let request = SigningRequest::create("root", &[Name::parse("evil.example.org").unwrap()], &key).unwrap();
    assert!(request.is_of(&key));
    let read = SigningRequest::read(request.pem().as_bytes()).unwrap();
    assert_eq!((read.common_name.as_str(), read.names.len()), ("root", 1));
    let signed = ca.sign(&plan(Profile::Server, "etcd1", &["etcd1.example.org"]), &read, NOW).unwrap();
    let facts = signed.facts().unwrap();
    assert_eq!(facts.common_name.as_deref(), Some("etcd1"));
    assert_eq!(facts.names, [Name::parse("etcd1.example.org").unwrap()]);
    assert_eq!((facts.public_key, facts.key.as_str()), (key.public_key(), "Ed25519"));
}

#[test]
fn a_request_with_a_broken_signature_is_not_read() {
    let key = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let request = SigningRequest::create("etcd1", &[], &key).unwrap();
    let mut der = rustls_pki_types::CertificateSigningRequestDer::from(
        <rustls_pki_types::CertificateSigningRequestDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
            request.pem().as_bytes(),
        )
        .unwrap()
        .to_vec(),
    )
    .to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    assert!(SigningRequest::read(&der).is_err());
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    for (plan, says) in [
        (plan(Profile::Server, "etcd1", &[]), "needs the names"),
        (plan(Profile::Server, "etcd1", &["localhost", "127.0.0.1"]), "loopback"),
        (plan(Profile::Peer, "root", &["etcd1"]), "superuser"),
        (plan(Profile::Admin, "alice", &[]), "is root"),
        (plan(Profile::Client, "", &[]), "1 to 64 characters"),
        (plan(Profile::Client, &"x".repeat(65), &[]), "1 to 64 characters"),
    ] {
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(certs::LeafPlan { loopback_only: true, ..plan(Profile::Server, "etcd1", &["localhost"]) }.check().is_ok());
}

#[test]
fn a_leaf_is_no_ca() {
    let ca = ca("ca");
    let (leaf, key) = leaf(&ca, &plan(Profile::Client, "alice", &[]));
    assert!(certs::Ca::of(leaf.der, key).unwrap_err().to_string().contains("is not a CA"));
    let stranger = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    assert!(matches!(certs::Ca::of(ca.certificate().der.clone(), stranger), Err(certs::Error::KeyMismatch)));
}
