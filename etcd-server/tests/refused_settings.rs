//! Settings that the daemon does not start with: exit code, the reason, and no data directory made.

use crate::daemon::Start;

struct Case {
    flags: &'static [&'static str],
    code: i32,
    says: &'static str,
}

const CASES: &[Case] = &[
    Case { flags: &["--no-such-flag"], code: 2, says: "flag provided but not defined: -no-such-flag" },
    Case {
        flags: &["--heartbeat-interval=often"],
        code: 2,
        says: "invalid value \"often\" for flag -heartbeat-interval",
    },
    Case { flags: &["stray"], code: 1, says: "\"stray\" is not a valid flag" },
    Case {
        flags: &["--listen-peer-urls=https://127.0.0.1:1", "--initial-advertise-peer-urls=https://127.0.0.1:1"],
        code: 1,
        says: "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url https://127.0.0.1:1",
    },
    Case {
        flags: &["--listen-metrics-urls=https://127.0.0.1:1"],
        code: 1,
        says: "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
    },
    Case {
        flags: &[
            "--initial-cluster=node=http://127.0.0.1:1,other=http://127.0.0.1:2",
            "--initial-advertise-peer-urls=http://127.0.0.1:1",
            "--initial-cluster-state=existing",
        ],
        code: 1,
        says: "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs",
    },
    Case {
        flags: &["--initial-cluster=other=http://127.0.0.1:1"],
        code: 1,
        says: "in the initial cluster configuration",
    },
    Case { flags: &["--listen-client-urls=http://example.org:1"], code: 1, says: "expected IP in URL for binding" },
    Case {
        flags: &["--listen-client-urls=127.0.0.1:1"],
        code: 2,
        says: "invalid value \"127.0.0.1:1\" for flag -listen-client-urls",
    },
    Case { flags: &["--election-timeout=100", "--heartbeat-interval=100"], code: 1, says: "--election-timeout" },
    Case { flags: &["--config-file=/no/such/file"], code: 1, says: "/no/such/file" },
    Case { flags: &["--auth-token=jwt,sign-method=RS256,priv-key=/no/such/key"], code: 1, says: "/no/such/key" },
    Case { flags: &["--auto-compaction-retention=-1"], code: 1, says: "error parsing CompactionRetention" },
];

#[test]
fn settings_are_refused_by_name_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("data");
    for Case { flags, code, says } in CASES {
        let ended = Start::on(&data_dir).flags(flags).until_it_ends();
        assert_eq!(ended.code, Some(*code), "{flags:?}: {}", ended.output);
        assert!(ended.output.lines().any(|line| line.contains(says)), "{flags:?} says {says:?}: {}", ended.output);
        assert!(!ended.output.contains("panicked"), "{flags:?}: {}", ended.output);
        assert!(!data_dir.exists(), "{flags:?}: made a data directory");
    }
}

#[test]
fn a_service_manager_is_told_what_a_restart_does_not_mend() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("data");
    let used = home.path().join("used");
    std::fs::create_dir_all(used.join("member/snap")).unwrap();
    std::fs::write(used.join("member/snap/db"), "").unwrap();
    for (data_dir, flags, code) in [
        (&data_dir, vec!["--config-file=/no/such/file"], 78),
        (&data_dir, vec!["--initial-cluster=other=http://127.0.0.1:1"], 78),
        (&data_dir, vec!["--auth-token=jwt,sign-method=RS256,priv-key=/no/such/key"], 78),
        (&data_dir, vec!["--peer-trusted-ca-file=/no/such/CA"], 78),
        (&used, vec![], 78),
        // The others may answer later.
        (
            &data_dir,
            vec![
                "--initial-cluster=node=http://127.0.0.1:1,other=http://127.0.0.1:2",
                "--initial-advertise-peer-urls=http://127.0.0.1:1",
                "--initial-cluster-state=existing",
            ],
            1,
        ),
    ] {
        let ended = Start::on(data_dir).flags(&flags).by_a_service_manager().until_it_ends();
        assert_eq!(ended.code, Some(code), "{flags:?}: {}", ended.output);
    }
}

#[test]
fn settings_can_be_checked_without_starting_anything() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("data");
    for Case { flags, code, says } in CASES.iter().filter(|case| !case.says.starts_with("cannot fetch")) {
        let ended = Start::on(&data_dir).flags(&["--check-config"]).flags(flags).until_it_ends();
        assert_eq!(ended.code, Some(*code), "{flags:?}: {}", ended.output);
        assert!(ended.output.contains(says), "{flags:?} says {says:?}: {}", ended.output);
    }
    let good = Start::on(&data_dir).flags(&["--check-config"]).until_it_ends();
    assert_eq!(good.code, Some(0), "{}", good.output);
    assert!(good.output.contains("The settings and the files that they name can be used.\n"), "{}", good.output);
    assert!(!data_dir.exists());
}
