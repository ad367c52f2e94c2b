//! The table: certificates that people have, certificates that are wrong, and which of them etcd
//! 3.7.1 takes.
//!
//! The verdicts were recorded from etcd 3.7.1 (Go 1.26): a client's certificate at the client port
//! and at the peer port, and a server's certificate to which etcd connects as a member. `a`
//! accepts, `r` refuses. With `ETCD_BIN_DIR` they are recorded again and compared.

use crate::der::{self, PRINTABLE, T61, UTF8, element};
use crate::make::{
    ANY, CERT_SIGN, CLIENT, CODE, CRL_SIGN, ENCIPHER, Issuer, Key, Plan, SERVER, SIGN, Signature, basic, constraints,
    extension, here, key_usage, name, names, names_as, usages,
};
use std::path::Path;

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The certificate first, then the rest of the chain.
    pub(crate) shown: Vec<Vec<u8>>,
    pub(crate) key: Key,
    /// At the client port, at the peer port, and as a server.
    pub(crate) expected: &'static str,
}

/// Trusted certificates, and the rows that are held against them.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) trusted: Vec<Vec<u8>>,
    pub(crate) rows: Vec<Row>,
    /// A CA of the table with a plain certificate of it, for the servers.
    pub(crate) issuer: Issuer,
}

const BOTH: &[&str] = &[SERVER, CLIENT];
/// An identifier that nothing knows.
const UNKNOWN: &str = "1.3.6.1.4.1.55555.1";

struct Making {
    table: Table,
}

impl Making {
    /// A CA whose certificate is trusted.
    fn trusted(&mut self, plan: Plan) -> Issuer {
        self.trusted_with(plan, Key::p256())
    }

    fn trusted_with(&mut self, plan: Plan, key: Key) -> Issuer {
        self.table.trusted.push(plan.self_signed(&key));
        Issuer { key, subject: plan.subject }
    }

    fn row(&mut self, name: &'static str, expected: &'static str, shown: Vec<Vec<u8>>, key: &Key) {
        self.table.rows.push(Row { name, shown, key: key.clone(), expected });
    }

    /// A certificate of this plan from an issuer.
    #[expect(clippy::needless_pass_by_value, reason = "plans are written in the call")]
    fn leaf(&mut self, name: &'static str, expected: &'static str, issuer: &Issuer, plan: Plan) {
        let key = Key::p256();
        let made = plan.issue(&key, issuer);
        self.row(name, expected, vec![made], &key);
    }

    /// A plain certificate below a CA of this plan, which is itself below the first one.
    #[expect(clippy::needless_pass_by_value, reason = "plans are written in the call")]
    fn below(&mut self, name: &'static str, expected: &'static str, root: &Issuer, plan: Plan) {
        let (key, between) = (Key::p256(), Key::p256());
        let issuer = Issuer { key: between.clone(), subject: plan.subject.clone() };
        let shown = vec![plain("leaf").issue(&key, &issuer), plan.issue(&between, root)];
        self.row(name, expected, shown, &key);
    }
}

/// The date that RFC 5280 has for certificates without an end.
fn end_of_time() -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap()
}

pub(crate) fn ca_plan(name: &str) -> Plan {
    Plan::new(name).with(basic(true, None)).with(key_usage(CERT_SIGN | CRL_SIGN))
}

/// A certificate as it should be.
pub(crate) fn plain(name: &str) -> Plan {
    Plan::new(name).with(basic(false, None)).with(key_usage(SIGN | ENCIPHER)).with(usages(BOTH)).with(here())
}

/// Returns the whole table; `dir` keeps keys of openssl.
pub(crate) fn table(dir: &Path) -> Table {
    let key = Key::p256();
    let root = Issuer { key: key.clone(), subject: ca_plan("root").subject };
    let mut making = Making {
        table: Table { trusted: vec![ca_plan("root").self_signed(&key)], rows: Vec::new(), issuer: root.clone() },
    };
    leaves(&mut making, &root);
    encodings(&mut making, &root);
    keys(&mut making, &root, dir);
    chains(&mut making, &root);
    roots(&mut making);
    shown_themselves(&mut making, &key);
    making.table
}

fn leaves(it: &mut Making, root: &Issuer) {
    let with_names = || Plan::new("leaf").with(here());
    it.leaf("plain", "aaa", root, plain("leaf"));
    it.leaf("no extensions", "aar", root, Plan::new("leaf"));
    it.leaf("names only", "aaa", root, with_names());
    it.leaf("version 1", "aar", root, Plan::new("leaf").version(1));
    it.leaf("version 2", "aar", root, Plan::new("leaf").version(2));
    it.leaf("CA:TRUE", "aaa", root, with_names().with(basic(true, None)));
    it.leaf(
        "CA:TRUE with keyCertSign",
        "aaa",
        root,
        with_names().with(basic(true, None)).with(key_usage(CERT_SIGN | CRL_SIGN)),
    );
    it.leaf("CA:TRUE with path length 0", "aaa", root, with_names().with(basic(true, Some(0))));
    it.leaf("usage client only", "aar", root, with_names().with(usages(&[CLIENT])));
    it.leaf("usage server only", "rra", root, with_names().with(usages(&[SERVER])));
    it.leaf("usage any", "aaa", root, with_names().with(usages(&[ANY])));
    it.leaf("usage code signing", "rrr", root, with_names().with(usages(&[CODE])));
    it.leaf("usage unknown", "rrr", root, with_names().with(usages(&[UNKNOWN])));
    it.leaf("usage unknown and client", "aar", root, with_names().with(usages(&[UNKNOWN, CLIENT])));
    it.leaf("usage empty", "aaa", root, with_names().with(usages(&[])));
    it.leaf("key usage encipherment only", "aaa", root, with_names().with(key_usage(ENCIPHER)));
    it.leaf("key usage keyCertSign only", "aaa", root, with_names().with(key_usage(CERT_SIGN)));
    it.leaf("expired", "rrr", root, plain("leaf").expired());
    it.leaf("not valid yet", "rrr", root, plain("leaf").not_yet());
    it.leaf("common name for a host", "aar", root, Plan::new("127.0.0.1").with(usages(BOTH)));
    it.leaf("host localhost", "aar", root, plain("leaf").replacing(names(&[(2, b"localhost")])));
    it.leaf("another address", "arr", root, plain("leaf").replacing(names(&[(7, &[10, 255, 255, 1])])));
    it.leaf(
        "another address and localhost",
        "aar",
        root,
        plain("leaf").replacing(names(&[(7, &[10, 255, 255, 1]), (2, b"localhost")])),
    );
    it.leaf("a wildcard", "arr", root, plain("leaf").replacing(names(&[(2, b"*.example.org")])));
    it.leaf("a mail address", "aar", root, plain("leaf").replacing(names(&[(1, b"alice@example.org")])));
    it.leaf(
        "a URI and the address",
        "aaa",
        root,
        plain("leaf").replacing(names(&[(6, b"spiffe://example.org/etcd"), (7, &[127, 0, 0, 1])])),
    );
    it.leaf(
        "a mapped address",
        "aaa",
        root,
        plain("leaf").replacing(names(&[(7, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1])])),
    );
    it.leaf("a name with a blank", "arr", root, plain("leaf").replacing(names(&[(2, b"a b")])));
    it.leaf(
        "names critical",
        "aaa",
        root,
        plain("leaf").replacing(names_as(true, &[(2, b"localhost"), (7, &[127, 0, 0, 1])])),
    );
    it.leaf("registered id only, critical", "rrr", root, plain("leaf").replacing(names_as(true, &[(8, &[0x2a, 3])])));
    it.leaf("registered id only", "aar", root, plain("leaf").replacing(names(&[(8, &[0x2a, 3])])));
    it.leaf("unknown extension", "aaa", root, plain("leaf").with(extension(UNKNOWN, false, &[5, 0])));
    it.leaf("unknown extension, critical", "rrr", root, plain("leaf").with(extension(UNKNOWN, true, &[5, 0])));
    it.leaf("subject empty", "aaa", root, Plan { subject: der::sequence(&[]), ..plain("leaf") });
    it.leaf("valid until 9999", "aaa", root, Plan { not_after: end_of_time(), ..plain("leaf") });
}

fn encodings(it: &mut Making, root: &Issuer) {
    it.leaf("an extension twice", "rrr", root, plain("leaf").with(usages(BOTH)));
    it.leaf("serial negative", "rrr", root, plain("leaf").serial(&[0x80, 1]));
    it.leaf("serial zero", "aaa", root, plain("leaf").serial(&[0]));
    it.leaf("serial of 21 bytes", "aaa", root, plain("leaf").serial(&[0x11; 21]));
    it.leaf("algorithms differ", "rrr", root, Plan { inner_signature: Some(Signature::EcdsaSha384), ..plain("leaf") });
    it.leaf("signature damaged", "rrr", root, Plan { damaged: true, ..plain("leaf") });
    it.leaf("version 4", "rrr", root, plain("leaf").version(4));
    it.leaf("issuer in another string type", "rrr", root, Plan { issuer: Some(name(UTF8, b"root")), ..plain("leaf") });
    it.leaf("subject in UTF-8", "aaa", root, Plan { subject: name(UTF8, "ä".as_bytes()), ..plain("leaf") });
    it.leaf("subject in damaged UTF-8", "rrr", root, Plan { subject: name(UTF8, &[0xff]), ..plain("leaf") });
    it.leaf("subject in T61", "aaa", root, Plan { subject: name(T61, &[0xe4]), ..plain("leaf") });
    it.leaf(
        "@ in a printable string",
        "rrr",
        root,
        Plan { subject: name(PRINTABLE, b"alice@example.org"), ..plain("leaf") },
    );
    it.leaf(
        "* in a printable string",
        "aaa",
        root,
        Plan { subject: name(PRINTABLE, b"*.example.org"), ..plain("leaf") },
    );
    it.leaf("address of five bytes", "rrr", root, plain("leaf").replacing(names(&[(7, &[127, 0, 0, 1, 0])])));
    it.leaf(
        "host not in ASCII",
        "rrr",
        root,
        plain("leaf").replacing(names(&[(2, "ä".as_bytes()), (7, &[127, 0, 0, 1])])),
    );
    it.leaf("names empty", "aar", root, plain("leaf").replacing(names(&[])));
    it.leaf(
        "key usage damaged",
        "rrr",
        root,
        Plan::new("leaf").with(here()).with(extension("2.5.29.15", true, &[1, 1])),
    );
    let other_key = element(0x80, &[1; 20]);
    it.leaf(
        "another key id of the issuer",
        "aaa",
        root,
        plain("leaf").with(extension("2.5.29.35", false, &der::sequence(std::slice::from_ref(&other_key)))),
    );
    it.leaf(
        "key id of the issuer critical",
        "rrr",
        root,
        plain("leaf").with(extension("2.5.29.35", true, &der::sequence(&[other_key]))),
    );
    it.leaf(
        "own key id critical",
        "rrr",
        root,
        plain("leaf").with(extension("2.5.29.14", true, &element(der::OCTET_STRING, &[1; 20]))),
    );
    it.leaf(
        "CA information critical",
        "rrr",
        root,
        plain("leaf").with(extension("1.3.6.1.5.5.7.1.1", true, &der::sequence(&[]))),
    );
    let ec = der::sequence(&[der::oid("1.2.840.10045.2.1"), der::oid("1.3.132.0.10")]);
    let k1 = der::sequence(&[ec, der::bits(&[&[4][..], &[7; 64]].concat())]);
    it.leaf("a curve that Go lacks", "rrr", root, Plan { info: Some(k1), ..plain("leaf") });
}

fn keys(it: &mut Making, root: &Issuer, dir: &Path) {
    for (name, key, expected) in [
        ("key P-384", Key::of(&rcgen::PKCS_ECDSA_P384_SHA384), "aaa"),
        ("key P-521", Key::of(&rcgen::PKCS_ECDSA_P521_SHA512), "aaa"),
        ("key Ed25519", Key::of(&rcgen::PKCS_ED25519), "aaa"),
        ("key RSA 2048", Key::rsa(dir, 2048), "aaa"),
        ("key RSA 3072", Key::rsa(dir, 3072), "aaa"),
        ("key RSA 1024", Key::rsa(dir, 1024), "aaa"),
        ("key RSA 1025", Key::rsa(dir, 1025), "aaa"),
        ("key RSA 1536", Key::rsa(dir, 1536), "aaa"),
        ("key RSA 2047", Key::rsa(dir, 2047), "aaa"),
        ("key RSA 1016", Key::rsa(dir, 1016), "rrr"),
        ("key RSA 768", Key::rsa(dir, 768), "rrr"),
    ] {
        let made = plain("leaf").issue(&key, root);
        it.row(name, expected, vec![made], &key);
    }
    let any_hash = it.trusted_with(ca_plan("any hash"), Key::p256_with_any_hash(dir));
    it.leaf("ECDSA with SHA-384", "aaa", &any_hash, plain("leaf").signed(Signature::EcdsaSha384));
    it.leaf("ECDSA with SHA-512", "aaa", &any_hash, plain("leaf").signed(Signature::EcdsaSha512));
    it.leaf("ECDSA with SHA-1", "rrr", &any_hash, plain("leaf").signed(Signature::EcdsaSha1));
    for (name, algorithm, signature) in [
        ("CA P-384", &rcgen::PKCS_ECDSA_P384_SHA384, Signature::EcdsaSha384),
        ("CA P-521", &rcgen::PKCS_ECDSA_P521_SHA512, Signature::EcdsaSha512),
        ("CA Ed25519", &rcgen::PKCS_ED25519, Signature::Ed25519),
    ] {
        let issuer = it.trusted_with(ca_plan(name).signed(signature), Key::of(algorithm));
        it.leaf(name, "aaa", &issuer, plain("leaf").signed(signature));
    }
    for (name, bits, signature, expected) in [
        ("CA RSA 2048", 2048, Signature::RsaSha256, "aaa"),
        ("CA RSA 2048, SHA-512", 2048, Signature::RsaSha512, "aaa"),
        ("CA RSA 2048, PSS", 2048, Signature::RsaPssSha256, "aaa"),
        ("CA RSA 2048, SHA-1", 2048, Signature::RsaSha1, "rrr"),
        ("CA RSA 2048, MD5", 2048, Signature::RsaMd5, "rrr"),
        ("CA RSA 1024", 1024, Signature::RsaSha256, "aaa"),
        ("CA RSA 1024, SHA-512", 1024, Signature::RsaSha512, "aaa"),
        ("CA RSA 1024, PSS", 1024, Signature::RsaPssSha256, "aaa"),
        ("CA RSA 1024, SHA-1", 1024, Signature::RsaSha1, "rrr"),
        ("CA RSA 768", 768, Signature::RsaSha256, "rrr"),
    ] {
        let issuer = it.trusted_with(ca_plan(name).signed(signature), Key::rsa(dir, bits));
        it.leaf(name, expected, &issuer, plain("leaf").signed(signature));
        if bits == 1024 && signature == Signature::RsaSha256 {
            it.leaf(
                "CA RSA 1024, signature damaged",
                "rrr",
                &issuer,
                Plan { damaged: true, ..plain("leaf").signed(signature) },
            );
        }
    }
}

fn chains(it: &mut Making, root: &Issuer) {
    intermediates(it, root);
    two_intermediates(it, root);
    path_lengths(it, root);
}

fn issuer_of(key: &Key, plan: &Plan) -> Issuer {
    Issuer { key: key.clone(), subject: plan.subject.clone() }
}

fn intermediates(it: &mut Making, root: &Issuer) {
    it.below("intermediate", "aaa", root, ca_plan("between 1"));
    it.below(
        "intermediate without keyCertSign",
        "rrr",
        root,
        Plan::new("between 2").with(basic(true, None)).with(key_usage(SIGN)),
    );
    it.below("intermediate without key usage", "aaa", root, Plan::new("between 3").with(basic(true, None)));
    it.below(
        "intermediate CA:FALSE",
        "rrr",
        root,
        Plan::new("between 4").with(basic(false, None)).with(key_usage(CERT_SIGN)),
    );
    it.below("intermediate without basic constraints", "rrr", root, Plan::new("between 5").with(key_usage(CERT_SIGN)));
    it.below("intermediate of version 1", "rrr", root, Plan::new("between 6").version(1));
    it.below("intermediate expired", "rrr", root, ca_plan("between 7").expired());
    it.below("intermediate not valid yet", "rrr", root, ca_plan("between 8").not_yet());
    it.below("intermediate for servers", "rra", root, ca_plan("between 9").with(usages(&[SERVER])));
    it.below("intermediate for clients", "aar", root, ca_plan("between 10").with(usages(&[CLIENT])));
    it.below("intermediate for any usage", "aaa", root, ca_plan("between 11").with(usages(&[ANY])));
    it.below(
        "intermediate with unknown extension, critical",
        "rrr",
        root,
        ca_plan("between 12").with(extension(UNKNOWN, true, &[5, 0])),
    );
    it.below("intermediate with damaged signature", "rrr", root, Plan { damaged: true, ..ca_plan("between 13") });
    it.below(
        "intermediate permits localhost only",
        "rrr",
        root,
        ca_plan("between 14").with(constraints(true, &[(0x82, b"example.org")], &[])),
    );
}

/// A chain of two CAs below the root, in all orders and with holes.
fn two_intermediates(it: &mut Making, root: &Issuer) {
    let root_certificate = it.table.trusted[0].clone();
    let (high, low, key) = (Key::p256(), Key::p256(), Key::p256());
    let (high_plan, low_plan) = (ca_plan("high"), ca_plan("low"));
    let high_made = high_plan.issue(&high, root);
    let low_made = low_plan.issue(&low, &issuer_of(&high, &high_plan));
    let leaf = plain("leaf").issue(&key, &issuer_of(&low, &low_plan));
    it.row("two intermediates", "aaa", vec![leaf.clone(), low_made.clone(), high_made.clone()], &key);
    it.row("two intermediates, other order", "aaa", vec![leaf.clone(), high_made.clone(), low_made.clone()], &key);
    it.row(
        "two intermediates and the root",
        "aaa",
        vec![leaf.clone(), low_made.clone(), high_made.clone(), root_certificate],
        &key,
    );
    it.row("the upper intermediate is missing", "rrr", vec![leaf.clone(), low_made.clone()], &key);
    it.row("the lower intermediate is missing", "rrr", vec![leaf.clone(), high_made.clone()], &key);
    let stray = plain("stray").self_signed(&Key::p256());
    it.row(
        "a stray certificate is shown too",
        "aaa",
        vec![leaf.clone(), stray, low_made.clone(), high_made.clone()],
        &key,
    );
    it.row(
        "what is no certificate is shown too",
        "rrr",
        vec![leaf.clone(), low_made.clone(), high_made.clone(), vec![0x30, 0]],
        &key,
    );
    let negative = plain("stray").serial(&[0x80, 1]).self_signed(&Key::p256());
    it.row(
        "a negative serial is shown too",
        "rrr",
        vec![leaf.clone(), low_made.clone(), high_made.clone(), negative],
        &key,
    );
    let namesake = low_plan.self_signed(&Key::p256());
    it.row(
        "another intermediate of the same name",
        "aaa",
        vec![leaf.clone(), namesake, low_made, high_made.clone()],
        &key,
    );
    let by_stranger = low_plan.issue(&low, &Issuer { key: Key::p256(), subject: name(PRINTABLE, b"stranger") });
    let again = low_plan.issue(&low, &issuer_of(&high, &high_plan));
    it.row("cross-signed", "aaa", vec![leaf, by_stranger, again, high_made], &key);
}

fn path_lengths(it: &mut Making, root: &Issuer) {
    let short = it.trusted(Plan::new("short").with(basic(true, Some(0))).with(key_usage(CERT_SIGN)));
    it.leaf("root of path length 0", "aaa", &short, plain("leaf"));
    it.below("root of path length 0, an intermediate", "rrr", &short, ca_plan("too long"));
    let (upper, lower, key) = (Key::p256(), Key::p256(), Key::p256());
    let upper_plan = Plan::new("upper").with(basic(true, Some(0))).with(key_usage(CERT_SIGN));
    let lower_plan = ca_plan("lower");
    let shown = vec![
        plain("leaf").issue(&key, &issuer_of(&lower, &lower_plan)),
        lower_plan.issue(&lower, &issuer_of(&upper, &upper_plan)),
        upper_plan.issue(&upper, root),
    ];
    it.row("intermediate of path length 0, another below", "rrr", shown, &key);
}

fn roots(it: &mut Making) {
    let mut root = |name: &'static str, expected, plan: Plan| {
        let issuer = it.trusted(Plan { subject: crate::make::name(PRINTABLE, name.as_bytes()), ..plan });
        it.leaf(name, expected, &issuer, plain("leaf"));
    };
    let ca = || ca_plan("ca");
    root("root of version 1", "aaa", Plan::new("ca").version(1));
    root("root without basic constraints", "rrr", Plan::new("ca").with(key_usage(CERT_SIGN)));
    root("root CA:FALSE", "rrr", Plan::new("ca").with(basic(false, None)).with(key_usage(CERT_SIGN)));
    root("root without key usage", "aaa", Plan::new("ca").with(basic(true, None)));
    root("root without keyCertSign", "rrr", Plan::new("ca").with(basic(true, None)).with(key_usage(SIGN)));
    root("root expired", "rrr", ca().expired());
    root("root not valid yet", "rrr", ca().not_yet());
    root("root for servers", "rra", ca().with(usages(&[SERVER])));
    root("root for clients", "aar", ca().with(usages(&[CLIENT])));
    root("root with unknown extension, critical", "rrr", ca().with(extension(UNKNOWN, true, &[5, 0])));
    root(
        "root permits localhost and 127.0.0.0/8",
        "aaa",
        ca().with(constraints(true, &[(0x82, b"localhost"), (0x87, &[127, 0, 0, 0, 255, 0, 0, 0])], &[])),
    );
    root("root permits localhost", "aaa", ca().with(constraints(true, &[(0x82, b"localhost")], &[])));
    root("root permits example.org", "rrr", ca().with(constraints(true, &[(0x82, b"example.org")], &[])));
    root("root permits 10.0.0.0/8", "rrr", ca().with(constraints(false, &[(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])], &[])));
    root("root excludes localhost", "rrr", ca().with(constraints(true, &[], &[(0x82, b"localhost")])));
    root(
        "root excludes 127.0.0.0/8",
        "rrr",
        ca().with(constraints(true, &[], &[(0x87, &[127, 0, 0, 0, 255, 0, 0, 0])])),
    );
    root("root excludes 10.0.0.0/8", "aaa", ca().with(constraints(true, &[], &[(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])])));
    root(
        "root with constraints on directory names, critical",
        "rrr",
        ca().with(constraints(true, &[(0xa4, &name(PRINTABLE, b"x"))], &[])),
    );
    root(
        "root with constraints on directory names",
        "aaa",
        ca().with(constraints(false, &[(0xa4, &name(PRINTABLE, b"x"))], &[])),
    );
    let nameless = it.trusted(Plan {
        subject: name(PRINTABLE, b"nameless"),
        ..ca_plan("ca").with(constraints(true, &[(0x82, b"example.org")], &[]))
    });
    it.leaf("root permits example.org, no names", "aar", &nameless, Plan::new("leaf"));
    let other = Issuer { key: Key::p256(), subject: name(PRINTABLE, b"untrusted") };
    it.leaf("untrusted root", "rrr", &other, plain("leaf"));
    let namesake = Issuer { key: Key::p256(), subject: name(PRINTABLE, b"root") };
    it.leaf("another root of the same name", "rrr", &namesake, plain("leaf"));
}

fn shown_themselves(it: &mut Making, root: &Key) {
    let root_certificate = it.table.trusted[0].clone();
    it.row("the root itself", "aar", vec![root_certificate], root);
    let mut own = |name: &'static str, expected, plan: Plan, is_trusted: bool| {
        let key = Key::p256();
        let made = Plan { subject: crate::make::name(PRINTABLE, name.as_bytes()), ..plan }.self_signed(&key);
        if is_trusted {
            it.table.trusted.push(made.clone());
        }
        it.row(name, expected, vec![made], &key);
    };
    let bare = || Plan::new("own").with(here());
    own("self-signed CA:TRUE, trusted", "aaa", bare().with(basic(true, None)), true);
    own("self-signed CA:FALSE, trusted", "aaa", bare().with(basic(false, None)), true);
    own("self-signed without basic constraints, trusted", "aaa", bare(), true);
    own("self-signed of version 1, trusted", "aar", Plan::new("own").version(1), true);
    own("self-signed for servers, trusted", "rra", bare().with(usages(&[SERVER])), true);
    own("self-signed for clients, trusted", "aar", bare().with(usages(&[CLIENT])), true);
    own("self-signed expired, trusted", "rrr", bare().expired(), true);
    own("self-signed CA:TRUE, not trusted", "rrr", bare().with(basic(true, None)), false);
    own("self-signed CA:FALSE, not trusted", "rrr", bare().with(basic(false, None)), false);
    let stranger = Issuer { key: Key::p256(), subject: name(PRINTABLE, b"stranger") };
    let key = Key::p256();
    let pinned = plain("pinned").issue(&key, &stranger);
    it.table.trusted.push(pinned.clone());
    it.row("trusted itself, issued by a stranger", "aaa", vec![pinned], &key);
    let (between, key) = (Key::p256(), Key::p256());
    let plan = ca_plan("trusted intermediate");
    it.table.trusted.push(plan.issue(&between, &stranger));
    let issuer = Issuer { key: between, subject: plan.subject };
    let leaf = plain("leaf").issue(&key, &issuer);
    it.row("a trusted intermediate", "aaa", vec![leaf], &key);
}
