//! Refused settings, with text and exit code. Texts were recorded from etcd 3.5.30 where it has the
//! setting, and are those of 3.7.1 where it differs; texts of our own are marked.

use crate::support::{Machine, run, run_words};

fn check(cases: &[(&str, u8, &str)]) {
    for (words, code, text) in cases {
        let problem = run(words, &[], &Machine::default()).expect_err(words);
        assert_eq!((problem.exit_code(), problem.to_string().as_str()), (*code, *text), "{words}");
    }
}

#[test]
fn command_lines_that_cannot_be_read() {
    check(&[
        ("--zzzzzzzz", 2, "flag provided but not defined: -zzzzzzzz"),
        // The part in brackets is ours.
        ("--nam=x", 2, "flag provided but not defined: -nam (did you mean --name?)"),
        (
            "--listen-client-url=http://x:1",
            2,
            "flag provided but not defined: -listen-client-url (did you mean --listen-client-urls?)",
        ),
        (
            "--experimental-initial-corrupt-check",
            2,
            "flag provided but not defined: -experimental-initial-corrupt-check (removed in etcd 3.7; use --feature-gates=InitialCorruptCheck=true)",
        ),
        ("--enable-v2", 2, "flag provided but not defined: -enable-v2 (removed in etcd 3.6; nothing takes its place)"),
        ("--debug", 2, "flag provided but not defined: -debug (removed in etcd 3.5; use --log-level=debug)"),
        ("---x", 2, "bad flag syntax: ---x"),
        ("-=x", 2, "bad flag syntax: -=x"),
        ("--name", 2, "flag needs an argument: -name"),
        ("foo", 1, r#""foo" is not a valid flag"#),
        ("-", 1, r#""-" is not a valid flag"#),
        ("-- --heartbeat-interval=0", 1, r#""--heartbeat-interval=0" is not a valid flag"#),
        ("--pre-vote false", 1, r#""false" is not a valid flag"#),
        ("--version x", 1, r#""x" is not a valid flag"#),
    ]);
}

#[test]
fn values_that_cannot_be_read() {
    check(&[
        ("--max-wals=abc", 2, r#"invalid value "abc" for flag -max-wals: parse error"#),
        ("--max-request-bytes=-1", 2, r#"invalid value "-1" for flag -max-request-bytes: parse error"#),
        (
            "--max-wals=99999999999999999999",
            2,
            r#"invalid value "99999999999999999999" for flag -max-wals: value out of range"#,
        ),
        (
            "--max-concurrent-streams=4294967296",
            2,
            r#"invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range"#,
        ),
        (
            "--max-concurrent-streams=x",
            2,
            r#"invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax"#,
        ),
        ("--backend-batch-interval=5", 2, r#"invalid value "5" for flag -backend-batch-interval: parse error"#),
        ("--quota-backend-bytes=1GB", 2, r#"invalid value "1GB" for flag -quota-backend-bytes: parse error"#),
        ("--pre-vote=foo", 2, r#"invalid boolean value "foo" for -pre-vote: parse error"#),
        ("--initial-cluster-state=foo", 2, r#"invalid value "foo" for flag -initial-cluster-state: invalid value"#),
        ("--discovery-fallback=foo", 2, r#"invalid value "foo" for flag -discovery-fallback: invalid value"#),
        ("--v2-deprecation=foo", 2, r#"invalid value "foo" for flag -v2-deprecation: invalid value "foo""#),
        ("--cors=foo", 2, r#"invalid value "foo" for flag -cors: URL scheme must be http, https, unix, or unixs: foo"#),
        (
            "--listen-client-urls=http://1.2.3.4",
            2,
            r#"invalid value "http://1.2.3.4" for flag -listen-client-urls: URL address does not have the form "host:port": http://1.2.3.4"#,
        ),
        (
            "--listen-client-urls=http://127.0.0.1:2379,",
            2,
            r#"invalid value "http://127.0.0.1:2379," for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: "#,
        ),
        (
            "--feature-gates=Foo=true",
            2,
            r#"invalid value "Foo=true" for flag -feature-gates: unrecognized feature gate: Foo"#,
        ),
        (
            "--feature-gates=CompactHashCheck",
            2,
            r#"invalid value "CompactHashCheck" for flag -feature-gates: missing bool value for CompactHashCheck"#,
        ),
    ]);
}

#[test]
fn logs() {
    let rotate = "--enable-log-rotation --log-outputs=a --log-rotation-config-json=";
    check(&[
        ("--logger=foo", 1, r#"unknown logger option "foo""#),
        ("--logger=capnslog", 1, "--logger=capnslog is removed in v3.5"),
        ("--log-outputs=default,stderr", 1, r#"multi logoutput for "default" is not supported yet"#),
        ("--log-outputs=", 1, r#"open sink "": open : no such file or directory"#),
        (
            "--log-outputs=systemd/journal,stderr",
            1,
            r#"running with systemd/journal but other '--log-outputs' values (["stderr" "systemd/journal"]) are configured with 'default'; override 'default' value with something else"#,
        ),
        ("--log-format=foo", 1, "unknown log format: foo, supported values json, console"),
        ("--log-level=foo", 1, r#"unrecognized level: "foo""#),
        (
            "--enable-log-rotation",
            1,
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        ),
        (
            "--enable-log-rotation --log-outputs=stderr",
            1,
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        ),
        (
            "--enable-log-rotation --log-outputs=a,b",
            1,
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        ),
        // The part behind the colon is ours.
        (&format!("{rotate}foo"), 1, "improperly formatted log rotation config: expected ident at line 1 column 2"),
        (
            &format!("{rotate}{{\"maxsize\":\"a\"}}"),
            1,
            "invalid log rotation config: invalid type: string \"a\", expected u64 at line 1 column 14",
        ),
    ]);
}

#[test]
fn addresses() {
    check(&[
        ("--name=", 1, "--name must not be empty: give the name that this member has in --initial-cluster"),
        (
            "--auto-tls --client-cert-auth",
            1,
            "--auto-tls with --client-cert-auth and without --trusted-ca-file lets no one in: name the CA of the clients with --trusted-ca-file, or leave --client-cert-auth out",
        ),
        ("--listen-client-urls=http://foo:2379", 1, "expected IP in URL for binding (http://foo:2379)"),
        ("--listen-peer-urls=http://foo:2379", 1, "expected IP in URL for binding (http://foo:2379)"),
        ("--listen-metrics-urls=http://foo:1", 1, "expected IP in URL for binding (http://foo:1)"),
        ("--listen-client-http-urls=http://foo:1", 1, "expected IP in URL for binding (http://foo:1)"),
        ("--listen-client-urls=http://:2379", 1, "expected IP in URL for binding (http://:2379)"),
        (
            "--listen-client-urls=http://127.0.0.1:1",
            1,
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (
            "--initial-advertise-peer-urls=http://:2380",
            1,
            r#"--initial-advertise-peer-urls ["http://:2380"] must be "host:port" (unexpected empty host (http://:2380))"#,
        ),
        (
            "--advertise-client-urls=http://:2379",
            1,
            r#"--advertise-client-urls "http://:2379" must be in the format "host:port", "unix:/path/to/socket" or "unixs:/path/to/socket" (unexpected empty host (http://:2379))"#,
        ),
        (
            "--listen-client-http-urls=http://localhost:2379",
            1,
            "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379",
        ),
        // Ours: etcd fails later, and less clearly.
        ("--listen-peer-urls=", 1, "no valid URLs given for --listen-peer-urls"),
        ("--advertise-client-urls=", 1, "no valid URLs given for --advertise-client-urls"),
    ]);
}

#[test]
fn clusters() {
    let many = r#"multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv""#;
    check(&[
        ("--discovery-srv=a --initial-cluster=a=http://1.1.1.1:1", 1, many),
        ("--discovery-srv=a --discovery-endpoints=b --discovery-token=c", 1, many),
        ("--discovery-token=a", 1, "both --discovery-token and --discovery-endpoints must be set"),
        ("--discovery-endpoints=a", 1, "both --discovery-token and --discovery-endpoints must be set"),
        ("--discovery-endpoints=a,, --discovery-token=b", 1, "--discovery-endpoints must not contain empty endpoints"),
        (
            "--discovery-fallback=proxy",
            1,
            r#"v2 proxy is deprecated, and --discovery-fallback can't be configured as "proxy""#,
        ),
        (
            "--initial-cluster=a",
            1,
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ",
        ),
        (
            "--initial-cluster=default=foo",
            1,
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo",
        ),
    ]);
}

#[test]
fn timing_and_compaction() {
    check(&[
        ("--heartbeat-interval=0", 1, "--heartbeat-interval must be >0 (set to 0ms)"),
        ("--election-timeout=0", 1, "--election-timeout must be >0 (set to 0ms)"),
        (
            "--election-timeout=499",
            1,
            "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]",
        ),
        (
            "--election-timeout=50000 --heartbeat-interval=20000",
            1,
            "--election-timeout[50000ms] should be at least as 5 times as --heartbeat-interval[20000ms]",
        ),
        ("--election-timeout=50001", 1, "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
        ("--auto-compaction-mode=", 1, "undefined auto-compaction-mode"),
        ("--auto-compaction-mode=foo", 1, r#"unknown auto-compaction-mode "foo""#),
        ("--auto-compaction-retention=foo", 1, r#"error parsing CompactionRetention: time: invalid duration "foo""#),
        (
            "--auto-compaction-retention=-1",
            1,
            r#"error parsing CompactionRetention: time: missing unit in duration "-1""#,
        ),
        (
            "--auto-compaction-mode=revision --auto-compaction-retention=1.5",
            1,
            r#"error parsing CompactionRetention: time: missing unit in duration "1.5""#,
        ),
        // Ours: etcd takes a negative duration for off, and lets hours overflow.
        ("--auto-compaction-retention=-5h", 1, r#"error parsing CompactionRetention: negative retention "-5h""#),
        ("--auto-compaction-retention=9999999", 1, "error parsing CompactionRetention: 9999999 hours is too long"),
        (
            "--enable-distributed-tracing --distributed-tracing-sampling-rate=-1",
            1,
            "distributed tracing configurition is not valid: (tracing sampling rate must be positive)",
        ),
        (
            "--enable-distributed-tracing --distributed-tracing-sampling-rate=1000001",
            1,
            "distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)",
        ),
        (
            "--feature-gates=LeaseCheckpointPersist=true",
            1,
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        ),
        ("--compact-hash-check-time=0s", 1, "--compact-hash-check-time must be >0 (set to 0s)"),
        ("--compact-hash-check-time=-90s", 1, "--compact-hash-check-time must be >0 (set to -1m30s)"),
    ]);
}

#[test]
fn security() {
    check(&[
        ("--tls-min-version=TLS1.1", 1, r#"unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)"#),
        (
            "--tls-max-version=TLS1.2 --tls-min-version=TLS1.3",
            1,
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (
            "--tls-min-version=TLS1.3 --cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            1,
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        ),
        ("--cipher-suites=FOO", 1, r#"unexpected TLS cipher suite "FOO""#),
        (
            "--listen-client-urls=https://127.0.0.1:1 --advertise-client-urls=http://a:1",
            1,
            "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme",
        ),
        (
            "--listen-peer-urls=https://127.0.0.1:1",
            1,
            "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url https://127.0.0.1:1 with HTTPS scheme",
        ),
        (
            "--listen-metrics-urls=https://127.0.0.1:1",
            1,
            "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
        ),
        ("--peer-cert-file=a", 1, "KeyFile and CertFile must both be present[key: , cert: a]"),
        ("--key-file=a", 1, "KeyFile and CertFile must both be present[key: a, cert: ]"),
        (
            "--client-cert-file=a",
            1,
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: a]",
        ),
        (
            "--peer-cert-allowed-cn=a,b --peer-cert-allowed-hostname=c",
            1,
            r#"AllowedCNs and AllowedHostnames are mutually exclusive (cns=["a" "b"], hostnames=["c"])"#,
        ),
        ("--self-signed-cert-validity=0", 1, "selfSignedCertValidity is invalid,it should be greater than 0"),
        // Behind etcd's text we add the defect.
        ("--auth-token=foo", 1, r#"auth: invalid auth options (unknown token type "foo")"#),
        ("--auth-token=simple,a", 1, r#"auth: invalid auth options ("a" is not of the form key=value)"#),
        ("--auth-token=simple,a=b,a=c", 1, r#"auth: invalid auth options ("a" is given twice)"#),
        ("--auth-token=jwt", 1, "auth: invalid auth options (jwt needs sign-method)"),
        ("--auth-token=jwt,sign-method=foo", 1, r#"auth: invalid auth options (unknown sign-method "foo")"#),
        (
            "--auth-token=jwt,sign-method=HS256",
            1,
            "auth: invalid auth options (jwt needs priv-key, or pub-key to verify only)",
        ),
        (
            "--auth-token=jwt,sign-method=RS256,priv-key=/x,ttl=foo",
            1,
            r#"auth: invalid auth options (time: invalid duration "foo")"#,
        ),
    ]);
}

#[test]
fn variables() {
    let conflict = "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag)): ETCD_NAME";
    for (words, variables, text) in [
        ("--name=y", "ETCD_NAME=x", conflict),
        ("--name=x", "ETCD_NAME=x", conflict),
        ("", "ETCD_HEARTBEAT_INTERVAL=abc", r#"invalid value "abc" for ETCD_HEARTBEAT_INTERVAL: parse error"#),
        ("", "ETCD_INITIAL_CLUSTER_STATE=abc", r#"invalid value "abc" for ETCD_INITIAL_CLUSTER_STATE: invalid value"#),
        ("", "ETCD_PRE_VOTE=abc", r#"invalid value "abc" for ETCD_PRE_VOTE: parse error"#),
        (
            "",
            "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1",
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        ("", "ETCD_CONFIG_FILE=/f", "open /f: no such file or directory"),
    ] {
        let problem = run(words, &[variables], &Machine::default()).expect_err(variables);
        assert_eq!((problem.exit_code(), problem.to_string().as_str()), (1, text));
    }
}

#[test]
fn files() {
    for (yaml, text) in [
        // etcd's texts carry the names of Go structs; these are ours, for the same mistakes.
        ("name: 5", "setting name: cannot unmarshal number into a value of type string"),
        ("name: [a]", "setting name: cannot unmarshal array into a value of type string"),
        ("heartbeat-interval: \"a\"", "setting heartbeat-interval: cannot unmarshal string into a value of type uint"),
        ("heartbeat-interval: -1", "setting heartbeat-interval: cannot unmarshal number into a value of type uint"),
        ("heartbeat-interval: 1.5", "setting heartbeat-interval: cannot unmarshal number into a value of type uint"),
        (
            "max-concurrent-streams: 4294967296",
            "setting max-concurrent-streams: cannot unmarshal number into a value of type uint32",
        ),
        (
            "strict-reconfig-check: 1",
            "setting strict-reconfig-check: cannot unmarshal number into a value of type bool",
        ),
        (
            "auto-compaction-retention: 1",
            "setting auto-compaction-retention: cannot unmarshal number into a value of type string",
        ),
        (
            "grpc-keepalive-interval: 5s",
            "setting grpc-keepalive-interval: cannot unmarshal string into a value of type time.Duration (an integer count of nanoseconds)",
        ),
        ("log-outputs: stderr", "setting log-outputs: cannot unmarshal string into a value of type []string"),
        ("listen-client-urls: [a]", "setting listen-client-urls: cannot unmarshal array into a value of type string"),
        (
            "client-transport-security: {cert-file: 1}",
            "setting client-transport-security.cert-file: cannot unmarshal number into a value of type string",
        ),
        ("- a", "f: the file must be a mapping of settings, not array"),
        // From here on the texts are etcd's.
        ("peer-transport-security: 5", "invalid peer-transport-security"),
        ("initial-cluster-state: foo", r#"unexpected clusterState "foo""#),
        ("heartbeat-interval: 0", "--heartbeat-interval must be >0 (set to 0ms)"),
        (
            "listen-client-urls: http://a",
            r#"unexpected error setting up listen-client-urls: URL address does not have the form "host:port": http://a"#,
        ),
        ("feature-gates: Foo=true", "unexpected error setting up feature-gates: unrecognized feature gate: Foo"),
    ] {
        let machine = Machine { file: Some(yaml.to_owned()), host: None };
        let problem = run("--config-file f", &[], &machine).expect_err(yaml);
        assert_eq!((problem.exit_code(), problem.to_string().as_str()), (1, text), "{yaml}");
    }
}

#[test]
fn broken_yaml_is_refused_with_its_place() {
    for yaml in ["\tname: a", "name: 'a", "{name: a", "a: &x [*x]", "name: a\n  b: c"] {
        let machine = Machine { file: Some(yaml.to_owned()), host: None };
        let problem = run("--config-file f", &[], &machine).expect_err(yaml);
        assert!(problem.to_string().starts_with("f: error converting YAML to JSON: "), "{problem}");
    }
}

#[test]
fn nested_aliases_do_not_grow_without_bound() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        yaml.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let machine = Machine { file: Some(yaml), host: None };
    let problem = run("--config-file f", &[], &machine).unwrap_err();
    assert!(problem.to_string().contains("document contains excessive aliasing"), "{problem}");
}

#[test]
fn subcommands_of_etcd_are_named_as_missing() {
    let problem = run("gateway start", &[], &Machine::default()).unwrap_err();
    assert!(problem.to_string().starts_with("subcommand \"gateway\" is not part of this daemon"), "{problem}");
}

#[test]
fn a_blank_is_no_url() {
    let problem =
        run_words(&["--listen-client-urls".to_owned(), " ".to_owned()], &[], &Machine::default()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        r#"invalid value " " for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: "#
    );
}
