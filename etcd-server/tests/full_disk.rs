//! A disk that fills up while the member runs: it stops or refuses with a clear reason, and starts
//! again once there is space.

use crate::daemon::{Client, SOON, start};
use crate::history::{Change, Model, Seen};
use crate::power_cut::disk;
use std::io::Write as _;
use tonic::Code;

/// Two log segments of 64 MiB and some room for the state.
const DISK_BYTES: u64 = 192 << 20;
/// More than two segments and the room hold.
const WRITES: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_member_and_loses_nothing() {
    let Some(disk) = disk(DISK_BYTES) else { return };
    let mut server = start(Some(&disk.path()), &[]).await;
    let client = Client::connect(&server.endpoint()).await;
    let balloon = disk.path().join("balloon");
    fill(&balloon);
    let mut seen = Seen::default();
    for number in 0..WRITES {
        let change =
            Change::Put { key: format!("key-{number}"), value: format!("{number}{}", "x".repeat(1 << 20)), lease: 0 };
        let Change::Put { key, value, .. } = &change else { unreachable!("it is a put") };
        match client.put(key, value).await {
            Ok(revision) => seen.acknowledge(revision, vec![change]),
            Err(status) => {
                seen.unanswered.push(vec![change]);
                // The member says that there is no space, or it stops and says so in its log.
                if status.code() != Code::ResourceExhausted {
                    let ended = server.wait_for_end(SOON);
                    assert_eq!(ended.and_then(|ended| ended.code()), Some(1), "{status}\n{}", server.log_tail());
                    assert!(server.log_tail().contains("No space left on device"), "{}", server.log_tail());
                }
                break;
            }
        }
    }
    assert!(!seen.unanswered.is_empty(), "{WRITES} MiB went on a disk of {DISK_BYTES} bytes");
    println!("the disk was full after {} writes of 1 MiB", seen.acknowledged.len());
    std::fs::remove_file(&balloon).unwrap();
    server.restart().await.unwrap();
    let client = Client::connect(&server.endpoint()).await;
    let mut model = Model::default();
    model.follow(&client, seen).await;
    client.put("after", "space").await.unwrap();
    server.kill();
}

/// Takes all remaining space.
fn fill(balloon: &std::path::Path) {
    let mut file = std::fs::File::create(balloon).unwrap();
    let piece = vec![1; 64 << 10];
    while file.write_all(&piece).is_ok() {}
    // Data that the file system has not placed yet would give space back later.
    drop(file.sync_all());
}
