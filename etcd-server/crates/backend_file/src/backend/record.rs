//! Common parts of all records: an entry of a bucket, and the error of one that cannot be read.

use bytes::Bytes;
use prost::Message;
use types::Fault;

/// A bucket's key and value.
pub type Entry = (Bytes, Bytes);

/// A record that etcd cannot have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} cannot be read: {flaw}")]
pub struct RecordError {
    /// The kind of record.
    pub record: &'static str,
    /// The defect.
    pub flaw: String,
}

impl RecordError {
    pub(crate) fn new(record: &'static str, flaw: impl std::fmt::Display) -> Self {
        Self { record, flaw: flaw.to_string() }
    }
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Self {
        Self::corrupt(error.record, error.flaw)
    }
}

/// Protobuf, fields ascending and defaults left out, as etcd writes it.
pub(super) fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

pub(super) fn decode<M: Message + Default>(record: &'static str, bytes: Bytes) -> Result<M, RecordError> {
    M::decode(bytes).map_err(|error| RecordError::new(record, error))
}

/// A big-endian number of eight bytes.
pub(super) fn be64(record: &'static str, bytes: &[u8]) -> Result<u64, RecordError> {
    let bytes =
        bytes.try_into().map_err(|_| RecordError::new(record, format!("{} bytes instead of 8", bytes.len())))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Text that must be UTF-8.
pub(super) fn text<'a>(record: &'static str, bytes: &'a [u8]) -> Result<&'a str, RecordError> {
    std::str::from_utf8(bytes).map_err(|error| RecordError::new(record, error))
}
