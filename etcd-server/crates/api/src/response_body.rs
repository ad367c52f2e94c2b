//! The encoded response of a call, whole or in parts.

use crate::grpc_frame::PREFIX_BYTES;
use crate::kv::Held;
use crate::streamed_range::{MeasuredRange, PartReader};
use bytes::{BufMut as _, Bytes, BytesMut};
use mvcc::RangeResult;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use proto::etcdserverpb::ResponseHeader;
use tonic::Status;

/// The largest message that etcd sends.
const MESSAGE_BYTES_MAX: u64 = i32::MAX as u64;

/// An answer on its way, prefix included.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    Whole {
        message: Bytes,
        held: Option<Held>,
    },
    /// Too large for memory: its beginning, the parts read while it is sent, its end, and the bytes
    /// of all without the prefix.
    Streamed {
        head: Bytes,
        parts: Box<PartReader>,
        tail: Bytes,
        bytes: usize,
    },
}

impl ResponseBody {
    /// The response, or as much of it as is known before it is sent.
    pub(crate) fn described(&self) -> &[u8] {
        match self {
            Self::Whole { message, .. } => &message[PREFIX_BYTES..],
            Self::Streamed { tail, .. } => tail,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Whole { message, .. } => message.len() - PREFIX_BYTES,
            Self::Streamed { bytes, .. } => *bytes,
        }
    }
}

/// The response around the parts. Refused where etcd refuses it: a message has less than two GiB.
pub(crate) fn streamed(header: ResponseHeader, measured: MeasuredRange) -> Result<ResponseBody, Status> {
    let mut head = BytesMut::new();
    encode_key(1, WireType::LengthDelimited, &mut head);
    encode_varint(header.encoded_len() as u64, &mut head);
    header.encode_raw(&mut head);
    let behind = RangeResult { more: measured.more, count: measured.count, ..RangeResult::default() };
    let tail = encode_behind_kvs(&behind);
    let bytes = head.len() as u64 + measured.kvs_bytes + tail.len() as u64;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MESSAGE_BYTES_MAX);
    let Some(length) = length else {
        return Err(Status::resource_exhausted(format!(
            "grpc: trying to send message larger than max ({bytes} vs. {MESSAGE_BYTES_MAX})"
        )));
    };
    let mut prefixed = BytesMut::with_capacity(PREFIX_BYTES + head.len());
    prefixed.put_u8(0);
    prefixed.put_u32(length);
    prefixed.put_slice(&head);
    Ok(ResponseBody::Streamed { head: prefixed.freeze(), parts: measured.parts, tail, bytes: length as usize })
}

/// Encodes a message with its prefix.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + length);
    push_prefix(&mut out, length);
    message.encode_raw(&mut out);
    out.freeze()
}

fn push_prefix(out: &mut BytesMut, length: usize) {
    out.put_u8(0);
    // An answer of more than four GiB cannot be sent by gRPC at all; the client will find it cut.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// A `RangeResponse`: header 1, kvs 2, more 3, count 4.
pub(crate) fn encode_range(header: ResponseHeader, found: &RangeResult) -> Bytes {
    let header_length = header.encoded_len();
    let mut length = key_len(1) + encoded_len_varint(header_length as u64) + header_length + found.encoded_kvs.len();
    let behind = encode_behind_kvs(found);
    length += behind.len();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + length);
    push_prefix(&mut out, length);
    encode_key(1, WireType::LengthDelimited, &mut out);
    encode_varint(header_length as u64, &mut out);
    header.encode_raw(&mut out);
    out.put_slice(&found.encoded_kvs);
    out.put_slice(&behind);
    out.freeze()
}

/// Encodes the fields of a `RangeResponse` behind its `kvs`.
fn encode_behind_kvs(found: &RangeResult) -> Bytes {
    let mut out = BytesMut::new();
    if found.more {
        prost::encoding::bool::encode(3, &true, &mut out);
    }
    if found.count > 0 {
        prost::encoding::uint64::encode(4, &found.count, &mut out);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::etcdserverpb::RangeResponse;
    use proto::mvccpb::KeyValue;

    #[test]
    fn a_range_is_encoded_as_prost_would() {
        let header = ResponseHeader { cluster_id: 7, member_id: 8, revision: 300, raft_term: 2 };
        let kvs: Vec<_> =
            (0..3).map(|n| KeyValue { key: vec![n; 3].into(), version: 1, ..KeyValue::default() }).collect();
        let bare = RangeResponse { kvs: kvs.clone(), ..RangeResponse::default() };
        for (more, count) in [(false, 0), (true, 500), (false, 3)] {
            let found = RangeResult {
                encoded_kvs: bare.encode_to_vec().into(),
                keys: 3,
                more,
                count,
                ..RangeResult::default()
            };
            let whole =
                RangeResponse { header: Some(header), kvs: kvs.clone(), more, count: i64::try_from(count).unwrap() };
            assert_eq!(encode_range(header, &found), encode(&whole));
        }
    }
}
