//! Writes a file of many keys to a path, and prints its speed and memory.
//!
//! `cargo run --release -p backup --example throughput -- PATH [KEYS [VALUE_BYTES]]`
#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use backend_file::backend::{KEY, META, put_entry, u64_value};
use backend_file::bolt::{BoltFile, Bucket, Items, Lengths, MemoryBucket, Plan, Trailer, verify_trailer};
use backend_file::{StatusStyle, status};
use bytes::Bytes;
use proto::mvccpb::KeyValue;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Instant;
use types::{Fault, Revision};

/// A history that is made up while it is walked.
struct Made {
    keys: i64,
    value: Bytes,
}

impl Made {
    fn entry(&self, number: i64) -> (Bytes, Bytes) {
        let (main, key) = (number + 2, format!("/registry/made/{number:09}").into());
        let kv = KeyValue {
            key,
            create_revision: main,
            mod_revision: main,
            version: 1,
            value: self.value.clone(),
            lease: 0,
        };
        put_entry(Revision::new(main, 0), &kv)
    }
}

enum Source {
    Made(Made),
    Small(MemoryBucket),
}

impl Bucket for Source {
    fn name(&self) -> &[u8] {
        match self {
            Self::Made(_) => KEY,
            Self::Small(bucket) => bucket.name(),
        }
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        match self {
            Self::Made(made) => Ok(Box::new((0..made.keys).map(|number| Ok(made.entry(number))))),
            Self::Small(bucket) => bucket.items(),
        }
    }

    fn lengths(&self) -> Result<Lengths<'_>, Fault> {
        match self {
            Self::Made(made) => Ok(Box::new((0..made.keys).map(|number| {
                let (key, value) = made.entry(number);
                Ok((key.len(), value.len()))
            }))),
            Self::Small(bucket) => bucket.lengths(),
        }
    }
}

/// Returns the peak memory of this process, as the system reports it.
fn peak_memory() -> String {
    let lines = BufReader::new(File::open("/proc/self/status").expect("Linux")).lines();
    lines.map_while(Result::ok).find(|line| line.starts_with("VmHWM")).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("no path given")?;
    let keys = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let value_bytes = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let mut meta = MemoryBucket::new(META);
    meta.put("consistent_index", u64_value(77));
    let buckets = [Source::Made(Made { keys, value: vec![b'x'; value_bytes].into() }), Source::Small(meta)];
    println!("at the start: {}", peak_memory());

    let begin = Instant::now();
    let plan = Plan::measure(&buckets)?;
    println!("measured {} bytes in {:?}: {}", plan.size_bytes(), begin.elapsed(), peak_memory());
    for trailer in [Trailer::Absent, Trailer::Sha256] {
        let begin = Instant::now();
        let mut file = File::create(&path)?;
        for chunk in plan.write(trailer) {
            file.write_all(&chunk?)?;
        }
        println!("written, trailer {trailer:?}: {}", rate(plan.size_bytes(), begin));
    }
    let begin = Instant::now();
    let digest = verify_trailer(&File::open(&path)?)?;
    println!("digest {digest:?}: {}", rate(plan.size_bytes(), begin));
    for style in [StatusStyle::V3_5, StatusStyle::V3_6] {
        let begin = Instant::now();
        let told = status(&BoltFile::open(File::open(&path)?)?, style)?;
        println!("{told:?}: {}", rate(plan.size_bytes(), begin));
    }
    Ok(())
}

fn rate(bytes: u64, begin: Instant) -> String {
    let took = begin.elapsed();
    format!("{} MB/s in {took:?}: {}", u128::from(bytes) / took.as_micros().max(1), peak_memory())
}
