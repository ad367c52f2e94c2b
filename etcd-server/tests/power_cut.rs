//! Power cuts under load on a filesystem of its own: everything acknowledged before the cut is
//! there after it.

use crate::daemon::{Client, SOON, number, seeded, start};
use crate::history::Model;
use crate::kill::check;
use crate::load::Load;
use testbed::LoopDisk;

/// Two log segments of 64 MiB and room for the state.
const DISK_BYTES: u64 = 512 << 20;

/// Says in one line why nothing is tested where loop mounts cannot be had.
pub(crate) fn disk(bytes: u64) -> Option<LoopDisk> {
    let disk = LoopDisk::new(bytes).unwrap();
    if disk.is_none() {
        skip::report("no loop mount of an ext4 image here (needs root, mkfs.ext4 and a loop device)");
    }
    disk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_power_cuts_under_load() {
    let Some(mut disk) = disk(DISK_BYTES) else { return };
    let mut random = seeded("power cut");
    let cycles = number("POWER_CUT_CYCLES", 5);
    let mut server = start(Some(&disk.path()), &[]).await;
    let lease = Client::connect(&server.endpoint()).await.grant_lease().await;
    let (mut model, mut acknowledged, mut unanswered) = (Model::default(), 0, 0);
    for cycle in 0..cycles {
        let mut load = Load::start(&server.endpoint(), 6, random.u64(..) >> 8, lease, 2000).await;
        load.wait_for(random.u64(1..600)).await;
        assert!(disk.cut_power());
        // The first failed write is final, and no client gets a response after it.
        let status = server.wait_for_end(SOON);
        assert_eq!(status.and_then(|status| status.code()), Some(1), "cycle {cycle}: {status:?}");
        let seen = load.finish().await;
        assert!(disk.unmount() && disk.mount(), "cycle {cycle}: mount again");
        server.restart().await.unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        let checked = check(&mut server, &mut model, seen, lease).await;
        acknowledged += checked.acknowledged;
        unanswered += checked.unanswered_found;
    }
    println!(
        "{cycles} power cuts: {acknowledged} acknowledged operations, all there; {unanswered} unanswered ones found, none twice"
    );
    server.kill();
}
