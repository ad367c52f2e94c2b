//! A host: keys are born there and never leave; whole sets change at once.

use crate::tool::Tool;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_key_is_born_where_it_is_used() {
    let tool = Tool::with_cas();
    std::fs::create_dir(tool.path("host")).unwrap();
    let output = tool.run("cert request server etcd1.example.org 10.0.0.1 --dir host").good();
    assert!(
        output.contains("cert sign --profile server --cn etcd1.example.org --san etcd1.example.org --san 10.0.0.1"),
        "{output}"
    );
    tool.run("cert request server etcd1.example.org --dir host").ends(5, "a request is pending already");
    let sign = "cert sign host/pending/server.csr --profile server --passphrase-file passphrase --out server.crt";
    tool.run(sign).ends(5, "add --san etcd1.example.org --san 10.0.0.1");
    tool.run(&format!("{sign} --san etcd1.example.org")).ends(5, "add --san 10.0.0.1");
    tool.run(&format!("{sign} --any-names --cn other")).ends(5, "not of \"other\"");
    tool.run(&format!("{sign} --san etcd1.example.org --san 10.0.0.1")).good();
    tool.run(&format!("{sign} --any-names")).ends(5, "nothing is overwritten");
    let install =
        "cert install --dir host --cert server.crt --client-ca pki/client/bundle.crt --client-crl pki/client/crl.pem";
    let output = tool.json(install);
    assert_eq!(output["generation"], 1);
    assert_eq!(output["flags"].as_array().unwrap().len(), 4, "{output}");
    assert!(!tool.path("host/pending/server.key").exists());
    let mode = std::fs::metadata(tool.path("host/current/server.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    tool.run("cert verify --dir host --san 10.0.0.1").good();
    tool.run("cert verify --dir host --san 10.0.0.2").ends(3, "is not valid for 10.0.0.2");
    // Its key is in use by now, so it fits, as one would that is signed for the same key again.
    tool.run(install).good();

    tool.run("cert issue peer etcd1.example.org --passphrase-file passphrase --out elsewhere").good();
    tool.run("cert install --dir host --cert elsewhere/peer.crt")
        .ends(7, "neither a request made in host nor a key in use there");
    tool.run("cert renew host/current/server.crt --now --passphrase-file passphrase").good();
    assert!(tool.path("host/generations/000003").is_dir());
    tool.run("cert verify --dir host").good();
    std::fs::set_permissions(tool.path("host/current/server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    tool.run("cert verify --dir host").ends(3, "can be read by others");
}

#[test]
fn a_users_name_is_never_taken_from_the_request_alone() {
    let tool = Tool::with_cas();
    std::fs::create_dir(tool.path("host")).unwrap();
    tool.run("cert request client --cn alice --dir host").good();
    let sign = "cert sign host/pending/client-alice.csr --profile client --passphrase-file passphrase";
    tool.run(sign).ends(5, "give --cn \"alice\"");
    assert!(tool.run(&format!("{sign} --cn alice")).good().starts_with("-----BEGIN CERTIFICATE-----"));
    tool.run("cert sign host/pending/client-alice.csr --profile admin --passphrase-file passphrase").ends(5, "is root");
}
