//! Accepted settings, and their results.

use std::time::Duration;

use config::{
    AutoCompaction, Bootstrap, BuildSource, ClusterState, Gate, LogFormat, LogLevel, LogOutput, LogOutputs,
    MetricsDetail, Names, Quota, Settings, Start, TokenKind, redacted, version_text,
};

use crate::support::{Machine, from_file, loaded, run, settings};

fn urls(urls: &[config::Url]) -> Vec<&str> {
    urls.iter().map(config::Url::as_str).collect()
}

fn cluster(settings: &Settings) -> String {
    match &settings.cluster.bootstrap {
        Bootstrap::InitialCluster(cluster) => cluster.to_string(),
        other @ (Bootstrap::Discovery(_) | Bootstrap::DnsSrv { .. }) => format!("{other:?}"),
    }
}

#[test]
fn nothing_given_leads_to_etcds_defaults() {
    let it = settings("");
    assert_eq!((it.member.name.as_str(), it.member.data_dir.to_str()), ("default", Some("default.etcd")));
    assert_eq!(urls(&it.listen.client), ["http://localhost:2379"]);
    assert_eq!(urls(&it.listen.peer), ["http://localhost:2380"]);
    assert_eq!(cluster(&it), "default=http://localhost:2380");
    assert_eq!((it.cluster.state, it.cluster.token.as_str()), (ClusterState::New, "etcd-cluster"));
    assert_eq!(it.quota, Quota::Bytes(2 << 30));
    assert_eq!(it.auto_compaction, AutoCompaction::Off);
    assert!(!it.limits.auto_promote_learners);
    assert_eq!((it.limits.txn_ops_max, it.limits.request_bytes_max, it.limits.learners_max), (128, 1_572_864, 1));
    assert_eq!(it.snapshot.catchup_entries, 5_000);
    assert_eq!(
        (it.election.heartbeat, it.election.timeout, it.election.timeout_ticks()),
        (Duration::from_millis(100), Duration::from_secs(1), 10)
    );
    assert_eq!((it.compaction.batch_limit.get(), it.compaction.sleep_interval), (1000, Duration::from_millis(10)));
    assert_eq!(it.watch.progress_notify_interval, Duration::from_secs(600));
    assert_eq!((it.auth.token.clone(), it.auth.bcrypt_cost), (TokenKind::Simple, 10));
    assert_eq!(
        (it.log.level, it.log.format, it.log.outputs.clone(), it.log.rotation),
        (LogLevel::Info, LogFormat::Json, LogOutputs::Default, None)
    );
    assert_eq!(it.listen.concurrent_streams_max, u32::MAX);
    assert_eq!((it.http.cors_origins.clone(), it.http.host_whitelist.clone()), (Names::Any, Names::Any));
    assert_eq!(it.corrupt_check.compact_hash_interval, None);
    assert!(it.check_bootstrap(&|_| None).is_ok());
}

#[test]
fn flags_are_taken_in_every_spelling_of_go() {
    for words in ["--name=a", "--name a", "-name=a", "-name a", "--name b --name=a"] {
        assert_eq!(settings(words).member.name, "a", "{words}");
    }
    for (words, on) in
        [("--pre-vote", true), ("--pre-vote=false", false), ("-pre-vote=F", false), ("--pre-vote=1", true)]
    {
        assert_eq!(settings(words).election.pre_vote, on, "{words}");
    }
    assert_eq!(settings("--name=a=b --initial-cluster=c=http://x:1").member.name, "a=b");
    assert_eq!(settings("--snapshot-catchup-entries=0x10").snapshot.catchup_entries, 16);
}

#[test]
fn retention_is_hours_or_a_duration_or_revisions() {
    let periodic = |seconds| AutoCompaction::Periodic(Duration::from_secs(seconds));
    let revision = |count: u64| AutoCompaction::Revision(count.try_into().unwrap());
    for (words, expected) in [
        ("--auto-compaction-retention=1", periodic(3_600)),
        ("--auto-compaction-retention=30m", periodic(1_800)),
        ("--auto-compaction-retention=0", AutoCompaction::Off),
        ("--auto-compaction-retention=0s", AutoCompaction::Off),
        ("--auto-compaction-mode=revision --auto-compaction-retention=1000", revision(1_000)),
        ("--auto-compaction-mode=revision --auto-compaction-retention=1s", revision(1_000_000_000)),
        ("--auto-compaction-mode=revision", AutoCompaction::Off),
    ] {
        assert_eq!(settings(words).auto_compaction, expected, "{words}");
    }
}

#[test]
fn quota_zero_is_the_default_and_negative_is_off() {
    for (words, expected) in [
        ("--quota-backend-bytes=0", Quota::Bytes(2 << 30)),
        ("--quota-backend-bytes=-1", Quota::Off),
        ("--quota-backend-bytes=1_000", Quota::Bytes(1_000)),
        ("--quota-backend-bytes=9223372036854775807", Quota::Bytes(i64::MAX.unsigned_abs())),
    ] {
        assert_eq!(settings(words).quota, expected, "{words}");
    }
}

#[test]
fn a_name_alone_renames_the_default_cluster() {
    for (words, expected) in [
        ("--name=a", "a=http://localhost:2380"),
        ("--name=a --initial-advertise-peer-urls=http://h:2,http://h:1", "a=http://h:1,a=http://h:2"),
        ("--initial-advertise-peer-urls=http://h:1", "default=http://localhost:2380"),
        ("--name=a --initial-cluster=b=http://h:1", "b=http://h:1"),
        ("--name=a --initial-cluster=a=http://h:1,a=http://h:0,b=http://g:1", "a=http://h:0,a=http://h:1,b=http://g:1"),
    ] {
        assert_eq!(cluster(&settings(words)), expected, "{words}");
    }
}

#[test]
fn who_listens_everywhere_advertises_the_machines_address() {
    let machine = Machine { file: None, host: Some("10.0.0.7".parse().unwrap()) };
    let it = loaded("--name=a --listen-peer-urls=http://0.0.0.0:12380", &[], &machine).settings;
    assert_eq!(urls(&it.listen.advertise_peer), ["http://10.0.0.7:12380"]);
    assert_eq!(cluster(&it), "a=http://10.0.0.7:12380");
    assert_eq!(urls(&it.listen.advertise_client), ["http://localhost:2379"]);
    assert_eq!(it.listen.detected_host, machine.host);
    let told =
        loaded("--listen-peer-urls=http://0.0.0.0:1 --initial-advertise-peer-urls=http://x:1", &[], &machine).settings;
    assert_eq!((urls(&told.listen.advertise_peer), told.listen.detected_host), (vec!["http://x:1"], None));
    let unknown = loaded("--listen-peer-urls=http://0.0.0.0:1", &[], &Machine::default()).settings;
    assert_eq!(urls(&unknown.listen.advertise_peer), ["http://localhost:2380"]);
}

// Texts recorded from etcd 3.5.30.
#[test]
fn bootstrapping_needs_a_matching_member() {
    for (words, error) in [
        (
            "--initial-cluster=a=http://localhost:2380",
            r#"couldn't find local name "default" in the initial cluster configuration"#,
        ),
        ("--initial-cluster=", r#"couldn't find local name "default" in the initial cluster configuration"#),
        (
            "--initial-cluster=default=http://1.1.1.1:1",
            r#"--initial-cluster has default=http://1.1.1.1:1 but missing from --initial-advertise-peer-urls=http://localhost:2380 (resolved urls: "http://localhost:2380" != "http://1.1.1.1:1")"#,
        ),
        (
            "--initial-advertise-peer-urls=http://1.1.1.1:1",
            r#"--initial-cluster has default=http://localhost:2380 but missing from --initial-advertise-peer-urls=http://1.1.1.1:1 (resolved urls: "http://1.1.1.1:1" != "http://localhost:2380")"#,
        ),
        (
            "--initial-advertise-peer-urls=http://127.0.0.1:2380,http://127.0.0.1:2381 --initial-cluster=default=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls has http://127.0.0.1:2381 but missing from --initial-cluster=default=http://127.0.0.1:2380,default=http://127.0.0.1:2381",
        ),
        (
            "--initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380,default=http://127.0.0.1:2381",
            r#"--initial-cluster has default=http://127.0.0.1:2381 but missing from --initial-advertise-peer-urls=http://127.0.0.1:2380 (len(["http://127.0.0.1:2380"]) != len(["http://127.0.0.1:2380" "http://127.0.0.1:2381"]))"#,
        ),
        (
            "--initial-cluster=default=http://localhost:2380,b=http://localhost:2380",
            "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url",
        ),
    ] {
        assert_eq!(settings(words).check_bootstrap(&|_| None).unwrap_err().to_string(), error, "{words}");
    }
}

#[test]
fn a_host_name_matches_its_address_when_bootstrapping() {
    let it = settings("--initial-advertise-peer-urls=http://one.example:1 --initial-cluster=default=http://10.0.0.1:1");
    assert!(it.check_bootstrap(&|host| (host == "one.example").then(|| "10.0.0.1".to_owned())).is_ok());
    assert!(it.check_bootstrap(&|_| Some("10.0.0.2".to_owned())).is_err());
}

#[test]
fn variables_count_where_no_flag_is_given() {
    let it = loaded(
        "--pre-vote=false",
        &["ETCD_NAME=v", "ETCD_PRE_VOTE=", "HOME=/root", "ETCD_MAX_TXN_OPS=7"],
        &Machine::default(),
    );
    assert_eq!((it.settings.member.name.as_str(), it.settings.limits.txn_ops_max), ("v", 7));
    assert_eq!(it.variables, ["ETCD_NAME", "ETCD_MAX_TXN_OPS"]);
}

#[test]
fn with_a_file_flags_and_variables_are_ignored() {
    let machine = Machine { file: Some("max-txn-ops: 9\n".to_owned()), host: None };
    for (words, variables) in [
        ("--config-file=f --name=flag", vec!["ETCD_MAX_TXN_OPS=7"]),
        ("--name=flag", vec!["ETCD_CONFIG_FILE=f", "ETCD_NAME=both"]),
    ] {
        let it = loaded(words, &variables, &machine);
        assert_eq!((it.settings.member.name.as_str(), it.settings.limits.txn_ops_max), ("default", 9));
        assert_eq!(it.file.as_deref(), Some("f".as_ref()));
        let ignored: Vec<_> = it.warnings.iter().filter(|warning| warning.text.starts_with("ignored, since")).collect();
        assert_eq!(ignored.len(), 2, "{:?}", it.warnings);
    }
}

#[test]
fn a_file_reaches_every_section() {
    let it = from_file(
        "NAME: m1
data-dir: /var/lib/etcd
listen-client-urls: http://10.0.0.1:2379,http://127.0.0.1:2379
log-outputs: [stdout, /tmp/a.log]
log-format: console
grpc-keepalive-interval: 1000000000
quota-backend-bytes: -5
socket-options: {reuse-port: true}
client-transport-security:
  cert-file: /c
  key-file: /k
  allowed-hostname: [a, b]
peer-transport-security: ~
cors: ''
host-whitelist: a,b
feature-gates: CompactHashCheck=true
self-signed-cert-validity: 0
initial-cluster:
metrics: extensive
auto-compaction-mode: revision
auto-compaction-retention: \"5\"
",
    )
    .settings;
    assert_eq!((it.member.name.as_str(), it.member.data_dir.to_str()), ("m1", Some("/var/lib/etcd")));
    assert_eq!(urls(&it.listen.client), ["http://10.0.0.1:2379", "http://127.0.0.1:2379"]);
    assert_eq!(it.log.outputs, LogOutputs::Listed(vec![LogOutput::File("/tmp/a.log".into()), LogOutput::Stdout]));
    assert_eq!((it.log.format, it.quota, it.listen.socket.reuse_port), (LogFormat::Console, Quota::Off, true));
    assert_eq!(it.listen.keep_alive.interval, Some(Duration::from_secs(1)));
    assert_eq!(it.tls.client.allowed_hostnames, ["a", "b"]);
    assert_eq!(it.http.cors_origins, Names::Any);
    assert!(it.http.host_whitelist.allows("a") && !it.http.host_whitelist.allows("c"));
    assert!(it.features.is_on(Gate::CompactHashCheck));
    assert_eq!(it.corrupt_check.compact_hash_interval, Some(Duration::from_secs(60)));
    assert_eq!((it.tls.self_signed_years, it.metrics.detail), (1, MetricsDetail::Extensive));
    assert_eq!(cluster(&it), "m1=http://localhost:2380");
    assert_eq!(it.auto_compaction, AutoCompaction::Revision(5.try_into().unwrap()));
}

#[test]
fn json_and_an_empty_file_are_files_too() {
    assert_eq!(from_file(r#"{"name": "j", "pre-vote": false}"#).settings.member.name, "j");
    assert_eq!(from_file("# nothing\n").settings.member.name, "default");
}

#[test]
fn durations_below_their_least_are_raised() {
    let it =
        settings("--raft-write-timeout=1s --watch-progress-notify-interval=1ms --warning-unary-request-duration=0s");
    assert_eq!(it.peer.write_timeout, Duration::from_secs(5));
    assert_eq!(it.watch.progress_notify_interval, Duration::from_millis(100));
    assert_eq!(it.warning.unary_request, Duration::from_millis(300));
    let off = settings(
        "--grpc-keepalive-interval=0 --grpc-keepalive-timeout=-1s --corrupt-check-time=0s --downgrade-check-time=0s",
    );
    assert_eq!(
        (
            off.listen.keep_alive.interval,
            off.listen.keep_alive.timeout,
            off.corrupt_check.interval,
            off.downgrade_check
        ),
        (None, None, None, None)
    );
}

#[test]
fn jwt_options_are_read() {
    let TokenKind::Jwt(jwt) = settings("--auth-token=jwt,pub-key=/p,priv-key=/q,sign-method=RS256,ttl=10m").auth.token
    else {
        panic!("not jwt");
    };
    assert_eq!((jwt.sign_method.as_str(), jwt.ttl), ("RS256", Duration::from_secs(600)));
    assert_eq!((jwt.public_key, jwt.private_key), (Some("/p".into()), Some("/q".into())));
    assert_eq!(settings("--auth-token=").auth.token, TokenKind::None);
}

#[test]
fn warnings_name_the_setting_once() {
    let warned = |words: &str, variables: &[&str]| {
        let all = loaded(words, variables, &Machine::default()).warnings;
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (words, variable, expected) in [
        ("-v", "", "--v: flag is no longer supported - ignoring"),
        (
            "--memory-mlock",
            "",
            "--memory-mlock: accepted, but has no effect here: it tunes etcd's storage engine; the state here lives in RocksDB",
        ),
        (
            "--max-snapshots=5",
            "",
            "--max-snapshots: --max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
        ),
        (
            "--v2-deprecation=gone",
            "",
            "--v2-deprecation: --v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.",
        ),
        (
            "--quota-backend-bytes=8589934593",
            "",
            "--quota-backend-bytes: quota exceeds the maximum of 8 GiB that etcd recommends",
        ),
        ("--max-request-bytes=10485761", "", "--max-request-bytes: exceeded recommended request limit of 10 MiB"),
        ("--name=a --name=b", "", "--name: given more than once; the last one counts"),
        (
            "--enable-log-rotation --log-outputs=f --log-rotation-config-json={\"localtime\":true}",
            "",
            "--log-rotation-config-json: localtime has no effect here: files are named by UTC, as log lines are",
        ),
        ("--bcrypt-cost=3", "", "--bcrypt-cost: not between 4 and 31: the default 10 is used"),
        ("--metrics=foo", "", "--metrics: \"foo\" is neither basic nor extensive; basic is used"),
        ("--raft-write-timeout=1s", "", "--raft-write-timeout: raised to the minimum of 5s"),
        ("", "ETCD_FOO=1", "ETCD_FOO: unrecognized environment variable"),
        ("", "ETCD_NAMES=1", "ETCD_NAMES: unrecognized environment variable (did you mean ETCD_NAME?)"),
        ("", "ETCD_VERSION=true", "ETCD_VERSION: cannot set special environment variable"),
        (
            "",
            "ETCD_ENABLE_PPROF=true",
            "--enable-pprof: accepted, but has no effect here: its profiles describe a Go program; use perf on this process",
        ),
        (
            "--unsafe-no-fsync",
            "",
            "--unsafe-no-fsync: accepted, but has no effect here: every acknowledged write is on disk; many writes share one sync",
        ),
    ] {
        let variables: Vec<&str> = Some(variable).filter(|variable| !variable.is_empty()).into_iter().collect();
        let found = warned(words, &variables);
        assert_eq!(found.iter().filter(|text| *text == expected).count(), 1, "{expected} in {found:?}");
    }
    assert_eq!(
        warned("--name=a --data-dir=/d --listen-client-http-urls=http://127.0.0.1:9", &[]),
        Vec::<String>::new()
    );
}

#[test]
fn unknown_keys_of_a_file_are_warned_about() {
    let found =
        from_file("nam: a\nenable-v2: true\nclient-transport-security: {certfile: x}\nx-extra: {deep: 1}\nempty:\n")
            .warnings;
    let found: Vec<_> = found.iter().map(ToString::to_string).filter(|text| text.contains("unknown key")).collect();
    assert_eq!(
        found,
        [
            "client-transport-security.certfile: unknown key in the configuration file, ignored (did you mean client-transport-security.cert-file?)",
            "empty: unknown key in the configuration file, ignored",
            "enable-v2: unknown key in the configuration file, ignored (removed in etcd 3.6)",
            "nam: unknown key in the configuration file, ignored (did you mean name?)",
            "x-extra: unknown key in the configuration file, ignored",
        ]
    );
}

#[test]
fn secrets_stay_out_of_what_is_printed() {
    let words: Vec<String> =
        ["--discovery-password=a", "--discovery-user", "u:p", "--name", "n"].map(str::to_owned).to_vec();
    assert_eq!(redacted(&words), ["--discovery-password=***", "--discovery-user", "***", "--name", "n"]);
    let it = settings("--discovery-token=t --discovery-endpoints=e --discovery-user=u:p");
    let shown = format!("{it:?}");
    assert!(shown.contains("user: \"u\", password: ***"), "{shown}");
}

#[test]
fn help_and_version_are_printed_and_nothing_else_is_looked_at() {
    for words in ["-h", "--help", "-help --nonsense"] {
        assert!(
            matches!(run(words, &[], &Machine::default()), Ok(Start::Print(text)) if text.starts_with("Usage:")),
            "{words}"
        );
    }
    assert!(matches!(run("--version --heartbeat-interval=0", &[], &Machine::default()), Ok(Start::Version)));
}

#[test]
fn version_text_names_source_if_it_is_known() {
    let text = version_text(BuildSource::default());
    let starts: Vec<_> = text.lines().map(|line| line.split(": ").next().unwrap_or("")).collect();
    assert_eq!(starts, ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch", "etcd-server Version"]);
    assert!(text.starts_with("etcd Version: 3.7.1\nGit SHA: Not provided\n"), "{text}");
    let text = version_text(BuildSource { commit: "0123456789ab", date: "2026-01-31" });
    assert!(text.contains("\nGit SHA: 0123456789ab\n") && text.ends_with(" (2026-01-31)\n"), "{text}");
}

#[test]
fn members_of_a_domain_are_known_by_it_where_no_authority_is_named() {
    let name = |words: &str| settings(words).name_of_members().map(str::to_owned);
    assert_eq!(name("--discovery-srv example.org"), Some("example.org".to_owned()));
    assert_eq!(name("--discovery-srv example.org --peer-trusted-ca-file ca.crt"), None);
    assert_eq!(name("--initial-cluster default=http://localhost:2380"), None);
}
