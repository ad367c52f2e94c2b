//! An answer to Range that is too large to be held: sent while it is read.
//!
//! The length of a gRPC message stands in front of it, so the range is measured first and then read again, part by part, from a snapshot of
//! the store; memory is a few parts, whatever the size. Each such answer occupies a thread for as long as the client takes, so their number
//! is bounded, further ones wait for their turn, and a client that stops reading is given up.

use crate::Server;
use crate::hot::Outgoing;
use crate::http2::PREFIX_BYTES;
use crate::status::{self, ToStatus as _};
use bytes::{BufMut as _, Bytes, BytesMut};
use mvcc::{Parts, RangeOptions, RangeResult, ReadPoint};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::etcdserverpb::ResponseHeader;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use types::Fault;

/// Answers up to this size are put together in memory.
pub(crate) const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Answers that are sent while they are read, at a time.
pub(crate) const STREAMED_MAX: usize = 16;

/// Bytes of a part, and parts that wait to be sent; who does not take them stops the reading.
const PART_BYTES: usize = 256 << 10;
const PARTS_WAITING: usize = 2;

/// The largest message that etcd sends.
const MESSAGE_BYTES_MAX: u64 = i32::MAX as u64;

/// What is known of an answer before it is read.
pub(crate) struct Measured {
    pub(crate) revision: i64,
    pub(crate) kvs_bytes: u64,
    pub(crate) more: bool,
    pub(crate) count: u64,
    pub(crate) parts: mpsc::Receiver<Result<Bytes, Status>>,
}

type Told = Result<Result<Option<(i64, Parts)>, mvcc::Refusal>, Fault>;

impl Server {
    /// Reads a range that is larger than [`WHOLE_BYTES_MAX`].
    pub(crate) async fn read_large_range(&self, options: RangeOptions) -> Result<Measured, Status> {
        let permit = Arc::clone(&self.large_answers).acquire_owned().await;
        let permit = permit.map_err(|_| status::faulted())?;
        let (told, measured) = oneshot::channel();
        let (sender, parts) = mpsc::channel(PARTS_WAITING);
        let server = self.clone();
        tokio::task::spawn_blocking(move || {
            server.send_parts(&options, told, &sender);
            drop(permit);
        });
        let measured = measured.await.map_err(|_| status::faulted())?;
        let measured = measured.map_err(|fault| self.faulted(fault))?.map_err(|refusal| refusal.to_status())?;
        let Some((revision, plan)) = measured else { return Err(Status::internal("etcdserver: range cannot be read in parts")) };
        Ok(Measured { revision, kvs_bytes: plan.bytes, more: plan.more, count: plan.count, parts })
    }

    /// Runs on a thread of its own until the last part is taken or nobody wants it any more.
    fn send_parts(&self, options: &RangeOptions, told: oneshot::Sender<Told>, parts: &mpsc::Sender<Result<Bytes, Status>>) {
        loop {
            let (point, store) = match self.engine.read(|point, _| Ok((point.clone(), self.engine.store()))) {
                Ok(found) => found,
                Err(fault) => return drop(told.send(Err(fault))),
            };
            let view = store.snapshot();
            // Else compaction may have taken away already what the read point promises.
            if self.published().read_point().compacted == point.compacted {
                return self.send_from(&point, &view, options, told, parts);
            }
        }
    }

    fn send_from(
        &self,
        point: &ReadPoint,
        view: &storage::Snapshot<'_>,
        options: &RangeOptions,
        told: oneshot::Sender<Told>,
        parts: &mpsc::Sender<Result<Bytes, Status>>,
    ) {
        let measured = point.measure(view, options).map(|plan| plan.map(|plan| plan.map(|plan| (point.current, plan))));
        let plan = measured.as_ref().ok().and_then(|plan| plan.as_ref().ok()).and_then(Clone::clone);
        if told.send(measured).is_err() {
            return;
        }
        let Some((_, mut plan)) = plan else { return };
        loop {
            let part = plan.next(point, view, PART_BYTES).map_err(|fault| self.faulted(fault));
            let goes_on = match part {
                Ok(part) if part.is_empty() => false,
                Ok(part) => parts.blocking_send(Ok(part)).is_ok(),
                Err(status) => {
                    drop(parts.blocking_send(Err(status)));
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }
}

/// The answer around the parts. Refused where etcd refuses it: a message has less than two GiB.
pub(crate) fn outgoing(header: ResponseHeader, measured: Measured) -> Result<Outgoing, Status> {
    let mut head = BytesMut::new();
    encode_key(1, WireType::LengthDelimited, &mut head);
    encode_varint(header.encoded_len() as u64, &mut head);
    header.encode_raw(&mut head);
    let behind = RangeResult { more: measured.more, count: measured.count, ..RangeResult::default() };
    let tail = crate::hot::encode_behind_kvs(&behind);
    let bytes = head.len() as u64 + measured.kvs_bytes + tail.len() as u64;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MESSAGE_BYTES_MAX);
    let Some(length) = length else {
        return Err(Status::resource_exhausted(format!("grpc: trying to send message larger than max ({bytes} vs. {MESSAGE_BYTES_MAX})")));
    };
    let mut prefixed = BytesMut::with_capacity(PREFIX_BYTES + head.len());
    prefixed.put_u8(0);
    prefixed.put_u32(length);
    prefixed.put_slice(&head);
    Ok(Outgoing::Streamed { head: prefixed.freeze(), parts: measured.parts, tail, bytes: length as usize })
}
