//! The time until an append is durable: 1, 16 and 128 records of 300 bytes per sync. `sync_latency
//! [DIRECTORY]`

use bytes::Bytes;
use raftlog::{HardState, Identity, Log, Options, Record};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

const BATCHES: usize = 3000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("raftlog-bench"), PathBuf::from);
    let data = Bytes::from(vec![0x5a; 300]);
    let mut out = std::io::stdout().lock();
    writeln!(out, "records per sync   p50 us   p99 us")?;
    for count in [1_u64, 16, 128] {
        let (mut log, recovered) = Log::open(&directory, Identity::default(), Options::default())?;
        let mut next = recovered.last_index + 1;
        let mut times = Vec::with_capacity(BATCHES);
        for _ in 0..BATCHES {
            let batch: Vec<Record> =
                (next..next + count).map(|index| Record { term: 1, index, kind: 0, data: data.clone() }).collect();
            let state = HardState { term: 1, vote: 1, commit: next - 1 };
            let start = Instant::now();
            log.append(&batch, Some(state))?;
            times.push(start.elapsed().as_micros());
            next += count;
        }
        times.sort_unstable();
        writeln!(out, "{count:16} {:8} {:8}", times[BATCHES / 2], times[BATCHES * 99 / 100])?;
        log.truncate_front(next - 1)?;
    }
    Ok(std::fs::remove_dir_all(directory)?)
}
