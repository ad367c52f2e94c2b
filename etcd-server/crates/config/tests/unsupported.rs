//! What must keep the daemon from starting until it is served.

use crate::support::{from_file, settings};

#[test]
fn what_would_be_weakened_is_listed() {
    for (words, flags) in [
        ("--cert-file=a --key-file=b --trusted-ca-file=c --client-cert-auth --tls-min-version=TLS1.3", vec![]),
        ("--auto-tls --listen-client-urls=https://127.0.0.1:1 --advertise-client-urls=https://a:1", vec![]),
        ("--peer-auto-tls --listen-peer-urls=unixs:///p", vec![]),
        ("--initial-cluster=a=http://h:1,b=http://h:2", vec![]),
        ("--initial-cluster-state=existing", vec![]),
        ("--discovery-srv=example.com", vec!["--discovery-srv"]),
        ("--discovery-token=a --discovery-endpoints=b", vec!["--discovery-endpoints"]),
        ("--force-new-cluster", vec![]),
        ("--name=a --pre-vote=false", vec![]),
    ] {
        let found = settings(words);
        let found: Vec<_> = found.unsupported().iter().map(|each| each.setting.as_str()).collect();
        assert_eq!(found, flags, "{words}");
    }
}

#[test]
fn a_file_is_held_to_the_same() {
    let found = from_file("discovery-srv: example.com\n").settings;
    assert_eq!(found.unsupported()[0].to_string(), "--discovery-srv: discovery is not served yet");
}
