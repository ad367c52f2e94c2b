//! Data directories that must not be served: refused with the reason and the remedy, and left as
//! they are.

use crate::daemon::{Client, Ended, PROGRAM, Start, number, seeded, start};
use crate::data_dir::{Answers, Copy, End, Left, copy, flip, truncate};
use schema::{Batch as _, Table, meta};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use storage::{Store, StoreOptions};
use testbed::Settings;

/// A way to spoil a data directory, and words that the refusal must hold.
struct Case {
    name: &'static str,
    end: End,
    spoil: fn(&Copy),
    says: &'static [&'static str],
}

fn length(path: &std::path::Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn segment(copy: &Copy) -> std::path::PathBuf {
    copy.member().join("log").join(name_of_first_segment(copy))
}

fn name_of_first_segment(copy: &Copy) -> String {
    let mut names: Vec<_> = fs::read_dir(copy.member().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name != "watermark" && !name.starts_with("spare"));
    names.sort();
    names.remove(0)
}

const CASES: &[Case] = &[
    Case {
        name: "state removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_dir_all(copy.member().join("state")).unwrap(),
        says: &["/state: missing or empty, though the raft log in", "restore this member from a backup"],
    },
    Case {
        name: "state emptied",
        end: End::Killed,
        spoil: |copy| {
            fs::remove_dir_all(copy.member().join("state")).unwrap();
            fs::create_dir(copy.member().join("state")).unwrap();
        },
        says: &["/state: missing or empty, though the raft log in"],
    },
    Case {
        name: "log removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_dir_all(copy.member().join("log")).unwrap(),
        says: &["/log/watermark: missing, though this member has state", "put it back"],
    },
    Case {
        name: "log segment removed",
        end: End::Killed,
        spoil: |copy| fs::remove_file(segment(copy)).unwrap(),
        says: &["missing, though the log spans segments"],
    },
    Case {
        name: "log segment cut",
        end: End::Killed,
        spoil: |copy| truncate(&segment(copy), 8192),
        says: &["/log/", "rebuild it from its peers"],
    },
    Case {
        name: "one bit of the log",
        end: End::Killed,
        spoil: |copy| flip(&segment(copy), 40_000 * 8),
        says: &["/log/", "rebuild it from its peers"],
    },
    Case {
        name: "watermark removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_file(copy.member().join("log/watermark")).unwrap(),
        says: &["/log/watermark: missing, though the segments beside it are there"],
    },
    Case {
        name: "CURRENT removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_file(copy.member().join("state/CURRENT")).unwrap(),
        says: &["/state", "CURRENT is missing", "restore this member from a backup"],
    },
    Case {
        name: "one bit of CURRENT",
        end: End::Stopped,
        spoil: |copy| flip(&copy.member().join("state/CURRENT"), 12 * 8),
        says: &["open state in", "restore this member from a backup"],
    },
    Case {
        name: "CURRENT emptied",
        end: End::Stopped,
        spoil: |copy| truncate(&copy.member().join("state/CURRENT"), 0),
        says: &["open state in", "CURRENT", "restore this member from a backup"],
    },
    Case {
        name: "MANIFEST removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_file(copy.file("state", |name| name.starts_with("MANIFEST"))).unwrap(),
        says: &["open state in", "MANIFEST", "restore this member from a backup"],
    },
    Case {
        name: "one bit of MANIFEST",
        end: End::Stopped,
        spoil: |copy| flip(&copy.file("state", |name| name.starts_with("MANIFEST")), 20 * 8),
        says: &["open state in", "restore this member from a backup"],
    },
    Case {
        name: "table cut",
        end: End::Stopped,
        spoil: |copy| {
            let table = copy.file("state", |name| name.ends_with(".sst"));
            truncate(&table, length(&table) - 1);
        },
        says: &["open state in", ".sst", "restore this member from a backup"],
    },
    Case {
        name: "table removed",
        end: End::Stopped,
        spoil: |copy| fs::remove_file(copy.file("state", |name| name.ends_with(".sst"))).unwrap(),
        says: &["open state in", ".sst", "restore this member from a backup"],
    },
    Case {
        name: "newer format",
        end: End::Stopped,
        spoil: |copy| {
            let store = Store::open(&copy.member().join("state"), &StoreOptions::default()).unwrap();
            let mut batch = store.batch();
            batch.put(Table::Meta, meta::FORMAT_VERSION, &(meta::FORMAT + 1).to_be_bytes());
            store.write(batch).unwrap();
            store.flush().unwrap();
        },
        says: &["has format 3, newer than 2", "install the version that wrote it"],
    },
    Case {
        name: "a real etcd's",
        end: End::Stopped,
        spoil: |copy| {
            fs::create_dir(copy.member().join("snap")).unwrap();
            fs::write(copy.member().join("snap/db"), "bolt").unwrap();
        },
        says: &["is an etcd v3 data directory", "import that with etcd-admin"],
    },
    Case {
        name: "open to others",
        end: End::Stopped,
        spoil: |copy| fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap(),
        says: &["can be entered by others (mode 755)", "run chmod 700"],
    },
    Case {
        name: "a file",
        end: End::Stopped,
        spoil: |copy| {
            fs::remove_dir_all(copy.path()).unwrap();
            fs::write(copy.path(), "").unwrap();
        },
        says: &["is not a directory"],
    },
];

/// Checks that one line gives the reason, and that the process ends with 1.
fn assert_refused(name: &str, ended: &Ended, says: &[&str]) {
    assert_eq!(ended.code, Some(1), "{name}: {}", ended.output);
    let reasons: Vec<_> = ended.output.lines().filter(|line| line.contains(says[0])).collect();
    assert_eq!(reasons.len(), 1, "{name}: one line holds {:?}: {}", says[0], ended.output);
    for words in says {
        assert!(reasons[0].contains(words), "{name}: {words:?} in {}", reasons[0]);
    }
    assert!(!ended.output.contains("panicked"), "{name}: {}", ended.output);
}

#[tokio::test]
async fn damaged_directories_are_refused_and_left_as_they_are() {
    let (stopped, killed) = (Left::by_a_member_that(End::Stopped).await, Left::by_a_member_that(End::Killed).await);
    for case in CASES {
        let copy = if case.end == End::Stopped { stopped.copy() } else { killed.copy() };
        (case.spoil)(&copy);
        let before = if copy.path().is_dir() { Some(copy.fingerprint()) } else { None };
        // As the packaged unit has it.
        let ended = Start::on(&copy.path()).flags(&["--strict-file-checks"]).until_it_ends();
        assert_refused(case.name, &ended, case.says);
        let after = if copy.path().is_dir() { Some(copy.fingerprint()) } else { None };
        assert_eq!(before, after, "{}: files were changed", case.name);
    }
}

#[tokio::test]
async fn a_log_of_another_member_or_of_another_time_is_refused() {
    let (left, other) = (Left::by_a_member_that(End::Stopped).await, Left::by_a_member_that(End::Stopped).await);
    let swapped = left.copy();
    fs::remove_dir_all(swapped.member().join("log")).unwrap();
    copy(&other.copy().member().join("log"), &swapped.member().join("log"));
    let before = swapped.fingerprint();
    assert_refused("swapped", &Start::on(&swapped.path()).until_it_ends(), &["belongs to member", "were swapped"]);
    assert_eq!(before, swapped.fingerprint());

    let mut server = start(None, &[]).await;
    Client::connect(&server.endpoint()).await.put("a", "1").await.unwrap();
    server.stop();
    let early = tempfile::tempdir().unwrap();
    copy(&server.data_dir().join("member/log"), &early.path().join("log"));
    server.restart().await.unwrap();
    Client::connect(&server.endpoint()).await.put("a", "2").await.unwrap();
    server.stop();
    fs::remove_dir_all(server.data_dir().join("member/log")).unwrap();
    copy(&early.path().join("log"), &server.data_dir().join("member/log"));
    let ended = Start::on(&server.data_dir()).until_it_ends();
    assert_refused(
        "rolled back",
        &ended,
        &["/log: the log holds entries", "replaced by an older copy", "rebuild it from its peers"],
    );
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_the_holders_process_id() {
    let server = start(None, &[]).await;
    let ended = Start::on(&server.data_dir()).until_it_ends();
    let holder = format!("already locked by process {}", server.pid());
    assert_refused("locked", &ended, &["is in use", &holder]);
    Client::connect(&server.endpoint()).await.put("a", "still served").await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_refused_and_nothing_is_founded() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let ended = Start::on(&home.path().join("data")).flags(&["--listen-client-urls", &url]).until_it_ends();
    assert_refused("port", &ended, &[&format!("listen {url}"), "Address already in use"]);
    assert!(!home.path().join("data/member/state").exists());
}

/// One flipped bit anywhere: the member refuses, or stops when it reads it, or it is of no account.
/// Never a wrong answer.
async fn flipped_bits(end: End, dir: &str, flips: u64) {
    let left = Left::by_a_member_that(end).await;
    let mut random = seeded("bit flips");
    let (mut refused, mut stopped, mut harmless) = (0, 0, 0);
    for flip_number in 0..flips {
        // The testbed's server keeps its data in a directory of its own making: started once, its
        // data is then replaced.
        let mut server = start(None, &[]).await;
        server.kill();
        fs::remove_dir_all(server.data_dir()).unwrap();
        let damaged = left.copy();
        let ending = if dir == "log" { "0" } else { ".sst" };
        let manifest = dir == "state" && flip_number % 3 == 0;
        let path = match (dir, manifest) {
            ("log", _) => segment(&damaged),
            (_, true) => damaged.file(dir, |name| name.starts_with("MANIFEST")),
            _ => damaged.file(dir, |name| name.ends_with(ending)),
        };
        let used = if dir == "log" { 4096 + 200_000 } else { length(&path) };
        let bit = random.u64(0..used * 8);
        flip(&path, bit);
        copy(&damaged.path(), &server.data_dir());
        let told = format!("bit {bit} of {}", path.display());
        if server.restart().await.is_err() {
            assert!(!server.is_running(), "{told}: silent");
            refused += 1;
            continue;
        }
        match Answers::of(&Client::connect(&server.endpoint()).await).await {
            Ok(responses) => {
                assert_eq!(responses, left.responses, "{told}");
                harmless += 1;
            }
            Err(_) => {
                let status = server.wait_for_end(crate::daemon::SOON);
                assert_eq!(
                    status.and_then(|status| status.code()),
                    Some(1),
                    "{told}: {status:?}\n{}",
                    server.log_tail()
                );
                stopped += 1;
            }
        }
    }
    println!(
        "{flips} flipped bits in {dir}: {refused} refused at start, {stopped} stopped when read, {harmless} of no account"
    );
}

#[tokio::test]
async fn a_flipped_bit_in_tables_never_makes_a_wrong_answer() {
    flipped_bits(End::Stopped, "state", number("BIT_FLIPS", 12)).await;
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_never_makes_a_wrong_answer() {
    flipped_bits(End::Killed, "log", number("BIT_FLIPS", 8)).await;
}

/// A later start than the member's own: the settings of the testbed, for tests that put a directory
/// in its place.
#[tokio::test]
async fn an_undamaged_copy_is_served() {
    let left = Left::by_a_member_that(End::Killed).await;
    let mut server = testbed::Server::start(Settings::new(PROGRAM)).await.unwrap();
    server.kill();
    fs::remove_dir_all(server.data_dir()).unwrap();
    copy(&left.copy().path(), &server.data_dir());
    server.restart().await.unwrap();
    assert_eq!(Answers::of(&Client::connect(&server.endpoint()).await).await.unwrap(), left.responses);
}
