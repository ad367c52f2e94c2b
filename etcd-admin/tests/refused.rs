//! Bad input: one line, the exit code that fits, and nothing changed.

use crate::tool::Tool;

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let tool = Tool::with_cas();
    let write = |name: &str, content: &[u8]| std::fs::write(tool.path(name), content).unwrap();
    write("empty", b"");
    write("text", b"hello\n");
    write("damaged", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("torn", b"-----BEGIN CERTIFICATE-----\nAAAA\n");
    std::fs::create_dir(tool.path("directory")).unwrap();
    let before = tool.everything();
    for (args, code, says) in [
        ("", 2, "Usage"),
        ("cert", 2, "Usage"),
        ("cert fly", 2, "unrecognized subcommand 'fly'"),
        ("cert issue", 2, "required arguments"),
        ("cert issue butler x", 2, "invalid value 'butler'"),
        ("cert issue server", 2, "whose server certificate?"),
        ("cert issue server a_b..c", 2, "neither a host name nor an IP address"),
        ("cert issue server 1.2.3.400", 2, "has the form of an address"),
        ("cert issue server localhost", 5, "loopback"),
        ("cert issue server root", 5, "superuser"),
        ("cert issue client", 2, "whose client certificate?"),
        ("cert issue client --cn alice --days 0", 2, "invalid value '0'"),
        ("cert issue client --cn alice --key rsa512", 2, "invalid value 'rsa512'"),
        ("cert issue admin --cn alice", 5, "use the client profile"),
        ("cert issue client --cn alice --passphrase-file no-such-file", 1, "no-such-file"),
        ("cert issue client --cn alice --ca-dir nowhere", 1, "etcd-admin ca init"),
        ("cert sign no-such-file --profile server", 1, "no-such-file"),
        ("cert sign text --profile server", 7, "text: read a signing request"),
        ("cert inspect empty", 7, "empty: no certificate found: the file is empty"),
        ("cert inspect text", 7, "text: no certificate found: the file is neither PEM nor DER"),
        ("cert inspect damaged", 7, "damaged"),
        ("cert inspect torn", 7, "torn"),
        ("cert inspect directory", 7, "directory: it is not a regular file"),
        ("cert inspect pki/client/ca.key", 7, "the file holds a ENCRYPTED PRIVATE KEY"),
        ("cert verify", 2, "required"),
        ("cert verify --dir directory", 1, "neither a server's nor a peer's certificate"),
        ("cert status directory", 1, "no file that ends in .crt"),
        ("cert install --dir no-such-directory --cert text", 2, "is not a directory"),
        ("cert install --dir directory", 2, "nothing to install"),
        ("cert install --dir directory --client-ca text", 7, "text: no certificate found"),
        ("cert install --dir directory --client-crl pki/client/ca.crt", 7, "the file holds a CERTIFICATE"),
        ("crl show pki/client/ca.crt", 7, "the file holds a CERTIFICATE"),
        ("crl show empty", 7, "the file is empty"),
        ("ca init --kind client --constrain 10.0.0.0/99 --no-passphrase", 5, "already"),
        ("ca init --kind client --constrain 10.0.0.0/99 --no-passphrase --ca-dir other", 2, "ADDRESS/BITS"),
        ("ca rotate finish --kind client", 5, "no previous client CA"),
        ("ca show --ca-dir nowhere", 1, "etcd-admin ca init"),
    ] {
        let output = tool.run(args).ends(code, says);
        if code != 2 {
            assert_eq!(output.lines().count(), 1, "{args}: {output}");
        }
        assert_eq!(tool.everything(), before, "{args}");
    }
}
