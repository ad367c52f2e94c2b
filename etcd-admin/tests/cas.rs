//! CAs: made, shown, exchanged; what they issue, revoke and publish.

use crate::tool::{PASSPHRASE, Tool};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn two_cas_are_made_under_a_passphrase() {
    let tool = Tool::new();
    let output = tool.run("ca init --passphrase-file passphrase").good();
    assert!(output.contains("CN=etcd client CA") && output.contains("CN=etcd peer CA"), "{output}");
    for kind in ["client", "peer"] {
        let key = std::fs::read_to_string(tool.path(&format!("pki/{kind}/ca.key"))).unwrap();
        assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let mode = |path: &str| std::fs::metadata(tool.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&format!("pki/{kind}")), mode(&format!("pki/{kind}/ca.key"))), (0o700, 0o600));
    }
    let before = tool.everything();
    tool.run("ca init --passphrase-file passphrase").ends(5, "already");
    assert_eq!(tool.everything(), before);
    let shown = tool.json("ca show");
    assert_eq!(
        (shown[0]["kind"].as_str(), shown[0]["encrypted"].as_bool(), shown.as_array().unwrap().len()),
        (Some("client"), Some(true), 2)
    );
}

#[test]
fn a_passphrase_comes_by_file_or_input_and_by_nothing_else() {
    let tool = Tool::new();
    tool.run("ca init").ends(9, "use --passphrase-file");
    tool.run_with("ca init --passphrase-file -", "short\n").ends(5, "too short");
    tool.run_with("ca init --passphrase-file -", &format!("{PASSPHRASE}\n")).good();
    tool.run("cert issue client --cn alice").ends(9, "is not a terminal");
    tool.run_with("cert issue client --cn alice --passphrase-file -", "not the passphrase\n")
        .ends(7, "wrong passphrase");
    tool.run_with("cert issue client --cn alice --passphrase-file -", &format!("{PASSPHRASE}\n")).good();
    let output = tool.run("ca init --kind peer --no-passphrase").ends(5, "already");
    assert!(output.contains("ca rotate"));
    std::fs::set_permissions(tool.path("passphrase"), std::fs::Permissions::from_mode(0o644)).unwrap();
    tool.run("cert issue client --cn bob --passphrase-file passphrase").ends(7, "can be read by others");
}

#[test]
fn certificates_of_every_profile_are_issued_and_inspected() {
    let tool = Tool::with_cas();
    for (args, file, server) in [
        ("server etcd1.example.org 10.0.0.1", "server", true),
        ("peer https://10.0.0.1:2380 --key ed25519", "peer", true),
        ("client --cn alice --key p384", "client-alice", false),
        ("admin --key rsa2048", "admin", false),
        ("metrics", "metrics", false),
    ] {
        let output = tool.run(&format!("cert issue {args} --out out --passphrase-file passphrase")).good();
        assert!(output.contains(&format!("out/{file}.key")), "{output}");
        let seen = tool.json(&format!("cert inspect out/{file}.crt"));
        assert_eq!((seen[0]["server"].as_bool(), seen[0]["client"].as_bool()), (Some(server), Some(true)), "{seen}");
    }
    assert_eq!(tool.json("cert inspect out/admin.crt")[0]["common_name"], "root");
    assert_eq!(tool.json("cert inspect out/peer.crt")[0]["names"][0], "10.0.0.1");
    tool.run("cert issue server other.example.org --out out --passphrase-file passphrase")
        .ends(5, "nothing is overwritten");
    let rows = tool.json("cert status out");
    assert_eq!(rows.as_array().unwrap().len(), 7, "five certificates and two bundles: {rows}");
    tool.run("cert status out --warn-days 400").ends(3, "expires soon");
    let issued = tool.json("ca show --issued");
    assert_eq!((issued[0]["issued"].as_u64(), issued[1]["issued"].as_u64()), (Some(4), Some(1)));
}

#[test]
fn a_dry_run_does_nothing() {
    let tool = Tool::with_cas();
    tool.run("cert issue client --cn alice --passphrase-file passphrase").good();
    let before = tool.everything();
    for args in [
        "cert issue server a.example.org --passphrase-file passphrase",
        "cert renew client-alice.crt --now --passphrase-file passphrase",
        "cert revoke client-alice.crt",
        "crl publish --kind client --passphrase-file passphrase",
        "ca rotate start --kind client --passphrase-file passphrase",
    ] {
        tool.run(&format!("--dry-run {args}")).ends(0, "would");
        assert_eq!(tool.everything(), before, "{args}");
    }
}

#[test]
fn what_is_revoked_is_published_and_found() {
    let tool = Tool::with_cas();
    for name in ["alice", "bob"] {
        tool.run(&format!("cert issue client --cn {name} --passphrase-file passphrase")).good();
    }
    tool.run("cert revoke client-alice.crt --reason key-compromise").good();
    tool.run("cert revoke client-alice.crt").ends(5, "revoked before");
    tool.run("cert revoke 00ff").ends(5, "no CA");
    tool.run("cert revoke no-such-file").ends(2, "neither a file nor a serial number");
    tool.run("crl publish --kind client --passphrase-file passphrase").good();
    let lists = tool.json("crl show pki/client/crl.pem");
    assert_eq!((lists[0]["number"].as_u64(), lists[0]["revoked"].as_array().unwrap().len()), (Some(2), 1));
    let verify = "cert verify --profile client --ca client-ca.crt --crl pki/client/crl.pem --cert";
    tool.run(&format!("{verify} client-alice.crt")).ends(3, " revoked; issue a new one with a new key");
    tool.run(&format!("{verify} client-bob.crt")).good();
}

#[test]
fn a_certificate_is_renewed_in_its_place_when_it_is_time() {
    let tool = Tool::with_cas();
    tool.run("cert issue server etcd1.example.org --passphrase-file passphrase").good();
    let before = tool.json("cert inspect server.crt")[0].clone();
    assert_eq!(tool.run("cert needs-renewal server.crt").code, Some(1));
    assert_eq!(tool.run("cert needs-renewal server.crt --days 366").code, Some(0));
    assert_eq!(tool.run("cert needs-renewal no-such-file").code, Some(255));
    tool.run("cert renew server.crt --passphrase-file passphrase").ends(3, "not time yet");
    tool.run("cert renew server.crt --now --passphrase-file passphrase").good();
    let after = tool.json("cert inspect server.crt")[0].clone();
    assert_ne!(before["serial"], after["serial"]);
    assert_eq!(before["names"], after["names"]);
    tool.run("cert verify --cert server.crt --ca client-ca.crt --san etcd1.example.org").good();
    tool.run("cert verify --cert server.crt --ca client-ca.crt --san https://10.0.0.9:2379")
        .ends(3, "is not valid for 10.0.0.9");
    tool.run("cert verify --cert server.crt --ca pki/peer/bundle.crt").ends(3, "no trusted CA given has issued it");
}

#[test]
fn an_ca_is_exchanged_step_by_step() {
    let tool = Tool::with_cas();
    tool.run("cert issue peer etcd1.example.org --passphrase-file passphrase --out old").good();
    let rotate = |step: &str| tool.run(&format!("ca rotate {step} --kind peer --passphrase-file passphrase"));
    rotate("switch").ends(5, "begin with");
    rotate("start").good();
    rotate("start").ends(5, "under way already");
    assert_eq!(tool.json("ca rotate status --kind peer")["phase"], "trust-both");
    rotate("switch").good();
    let status = tool.json("ca rotate status --kind peer");
    assert_eq!((status["phase"].as_str(), status["left_of_previous"].as_array().unwrap().len()), (Some("reissue"), 1));
    rotate("finish").ends(5, "peer etcd1.example.org");
    tool.run("cert issue peer etcd1.example.org --passphrase-file passphrase --out new").good();
    let verify =
        |dir: &str| tool.run(&format!("cert verify --profile peer --cert {dir}/peer.crt --ca pki/peer/bundle.crt"));
    verify("old").good();
    verify("new").good();
    let previous = status["previous"].as_str().unwrap().to_owned();
    let page = |count: u32| format!("etcd_tls_connections{{endpoint=\"peer\",issuer=\"{previous}\"}} {count}\n");
    std::fs::write(tool.path("page"), page(2)).unwrap();
    tool.run("ca rotate finish --kind peer --metrics page").ends(5, "2 connections still use the old CA");
    std::fs::write(tool.path("page"), page(0)).unwrap();
    tool.run("ca rotate finish --kind peer --metrics page").good();
    verify("old").ends(3, "no trusted CA given has issued it");
    verify("new").good();
    assert_eq!(tool.json("ca rotate status --kind peer")["phase"], "none");

    // Once more on the same day: CAs of different names, and the certificates of the one before are
    // no successors.
    rotate("start").good();
    let bundle = tool.json("cert inspect pki/peer/bundle.crt");
    assert_ne!(bundle[0]["subject"], bundle[1]["subject"]);
    rotate("switch").good();
    rotate("finish").ends(5, "peer etcd1.example.org");
}
