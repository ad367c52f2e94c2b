//! Writing and reading files in memory.

use backend_file::bolt::{BoltError, BoltFile, Bucket, MemoryBucket, Plan, ReadAt, Trailer};
use bytes::Bytes;
use types::Fault;

/// Buckets as plain values.
pub(crate) type Contents = Vec<(Bytes, Vec<(Bytes, Bytes)>)>;

/// A whole file in memory; its length is that which was announced.
pub(crate) fn write<B: Bucket>(buckets: &[B], trailer: Trailer) -> Result<Bytes, Fault> {
    let plan = Plan::measure(buckets)?;
    let chunks = plan.write(trailer).collect::<Result<Vec<_>, _>>()?;
    let file: Bytes = chunks.concat().into();
    let trailer_bytes = if trailer == Trailer::Sha256 { 32 } else { 0 };
    assert_eq!(file.len() as u64, plan.size_bytes() + trailer_bytes);
    Ok(file)
}

/// Everything in a file, which is checked as a whole too.
pub(crate) fn read<R: ReadAt>(source: R) -> Result<Contents, BoltError> {
    let file = BoltFile::open(source)?;
    let mut contents = Contents::new();
    for bucket in file.buckets()? {
        let items = file.items(&bucket)?.collect::<Result<Vec<_>, _>>()?;
        contents.push((bucket.name, items));
    }
    let mut checked = Contents::new();
    file.check::<BoltError>(|bucket, item| {
        match item {
            None => checked.push((bucket.name.clone(), Vec::new())),
            Some(item) => checked.last_mut().unwrap().1.push(item),
        }
        Ok(())
    })?;
    assert_eq!(contents, checked);
    Ok(contents)
}

/// A bucket of the given items.
pub(crate) fn bucket<'a>(name: &'static str, items: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> MemoryBucket {
    let mut bucket = MemoryBucket::new(name);
    for (key, value) in items {
        bucket.put(key.to_vec(), value.to_vec());
    }
    bucket
}

/// `count` items of `value_bytes` each, under numbers.
pub(crate) fn numbered(name: &'static str, count: u32, value_bytes: usize) -> MemoryBucket {
    let mut bucket = MemoryBucket::new(name);
    for number in 0..count {
        bucket.put(Bytes::copy_from_slice(&number.to_be_bytes()), vec![number.to_le_bytes()[0]; value_bytes]);
    }
    bucket
}

pub(crate) fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
