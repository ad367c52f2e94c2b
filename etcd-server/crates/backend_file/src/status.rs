//! The output of `etcdutl snapshot status` for a file.

use crate::backend::{BackendHash, Excluded, HistoryKey, KEY, META, STORAGE_VERSION_KEY, put_from};
use crate::bolt::{BoltError, BoltFile, ReadAt};
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_128;

/// The version whose output is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusStyle {
    /// Etcd 3.5: all entries of all buckets count as keys; no version.
    V3_5,
    /// Etcd since 3.6: live user keys count, and the storage version is shown. Needs some 30 bytes
    /// of memory for each of them.
    V3_6,
}

/// A file's status. As JSON it has etcd's keys in etcd's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// CRC-32C over all buckets.
    pub hash: u32,
    /// Main revision of the newest entry; 0 when there is none.
    pub revision: i64,
    /// Entries, or keys that live.
    #[serde(rename = "totalKey")]
    pub total_keys: u64,
    /// Bytes of the pages in use.
    #[serde(rename = "totalSize")]
    pub size_bytes: u64,
    /// Storage version, empty when the file has none; only since 3.6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Checks the whole file and returns its status, in one walk.
///
/// # Errors
/// The first flaw of the file; a revision that is none; and, for [`StatusStyle::V3_6`], a value
/// that is no key and value.
pub fn status<R: ReadAt>(file: &BoltFile<R>, style: StatusStyle) -> Result<Status, BoltError> {
    let mut hash = BackendHash::new(Excluded::Nothing);
    let mut entries = 0;
    let mut newest = Bytes::new();
    let mut version = String::new();
    let mut live = LiveKeys::default();
    file.check::<BoltError>(|bucket, item| {
        let Some((key, value)) = item else {
            hash.bucket(&bucket.name);
            return Ok(());
        };
        hash.entry(&key, &value);
        entries += 1;
        if bucket.name == META && key == STORAGE_VERSION_KEY {
            version = String::from_utf8_lossy(&value).into_owned();
        }
        if bucket.name == KEY {
            if style == StatusStyle::V3_6 {
                live.replay(&key, value)?;
            }
            newest = key;
        }
        Ok(())
    })?;
    let revision = if newest.is_empty() { 0 } else { history_key(&newest)?.revision.main };
    let (total_keys, version) = match style {
        StatusStyle::V3_5 => (entries, None),
        StatusStyle::V3_6 => (live.0.len() as u64, Some(version)),
    };
    Ok(Status { hash: hash.finish(), revision, total_keys, size_bytes: file.size_bytes(), version })
}

/// The live user keys, distinguished by 128 bits of hash.
#[derive(Default)]
struct LiveKeys(BTreeSet<u128>);

impl LiveKeys {
    fn replay(&mut self, key: &Bytes, value: Bytes) -> Result<(), BoltError> {
        let change = history_key(key)?;
        let user_key = put_from(value).map_err(|_| flaw(key, "its value is not a key-value record"))?.key;
        let name = xxh3_128(&user_key);
        if change.tombstone {
            self.0.remove(&name)
        } else {
            self.0.insert(name)
        };
        Ok(())
    }
}

fn history_key(key: &Bytes) -> Result<HistoryKey, BoltError> {
    HistoryKey::decode(key).map_err(|_| flaw(key, "it is not a revision"))
}

fn flaw(key: &Bytes, flaw: &'static str) -> BoltError {
    BoltError::History { key: key.escape_ascii().to_string(), flaw }
}
