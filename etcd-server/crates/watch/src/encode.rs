//! Events in the form of a `WatchResponse`: encoded once, with and without the previous version,
//! and shared by all receivers.

use bytes::{BufMut as _, Bytes, BytesMut};
use mvcc::ReadPoint;
use mvcc::record::Fields;
use prost::Message as _;
use prost::encoding::{encode_varint, encoded_len_varint};
use proto::mvccpb::KeyValue;
use schema::View;
use std::ops::Range;
use std::sync::Arc;
use types::{Event, Fault, MainRevision};

// Tags of length-delimited fields: `WatchResponse.events` = 11, `Event.kv` = 2, `Event.prev_kv` =
// 3.
const EVENTS_TAG: u8 = 0x5a;
const KV_TAG: u8 = 0x12;
const PREV_KV_TAG: u8 = 0x1a;
/// `Event.type` = DELETE; PUT is the default and is left out.
const TYPE_DELETE: [u8; 2] = [0x08, 0x01];

/// One event as the field of a `WatchResponse`.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    main: MainRevision,
    bytes: Bytes,
}

/// Encoded events of whole revisions, in order, for one answer.
#[derive(Debug)]
pub(crate) struct Run {
    events: Vec<Encoded>,
    bytes: usize,
}

/// Neighbouring events of a run.
#[derive(Clone, Debug)]
pub(crate) struct EventSlice {
    run: Arc<Run>,
    range: Range<usize>,
    bytes: usize,
}

impl EventSlice {
    /// The events of `run` at or above `from`; nothing when there are none.
    pub(crate) fn starting_at(run: &Arc<Run>, from: MainRevision) -> Option<Self> {
        let start = run.events.partition_point(|event| event.main < from);
        let all = Self { run: run.clone(), range: 0..run.events.len(), bytes: run.bytes };
        (start < run.events.len()).then(|| if start == 0 { all.clone() } else { all.slice(start..run.events.len()) })
    }

    fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start < range.end, "a response has events, and {range:?} are none");
        let bytes = self.run.events[range.clone()].iter().map(|event| event.bytes.len()).sum();
        Self { run: self.run.clone(), range, bytes }
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Length of the encoded events.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn first_revision(&self) -> MainRevision {
        self.run.events[self.range.start].main
    }

    pub(crate) fn last_revision(&self) -> MainRevision {
        self.run.events[self.range.end - 1].main
    }

    pub(crate) fn encoded(&self) -> impl Iterator<Item = &Bytes> {
        self.run.events[self.range.clone()].iter().map(|event| &event.bytes)
    }

    /// Pieces of at most `bytes_max`, or of a single event.
    pub(crate) fn pieces(&self, bytes_max: usize) -> Vec<Self> {
        if self.bytes <= bytes_max {
            return vec![self.clone()];
        }
        let mut pieces = Vec::new();
        let (mut start, mut bytes) = (self.range.start, 0);
        for (at, event) in self.range.clone().zip(self.encoded()) {
            if at > start && bytes + event.len() > bytes_max {
                pieces.push(self.slice(start..at));
                (start, bytes) = (at, 0);
            }
            bytes += event.len();
        }
        pieces.push(self.slice(start..self.range.end));
        pieces
    }
}

/// Encodes the events of one publication or pass, each at most once in each of the two forms.
#[derive(Debug)]
pub(crate) struct Encoder<'a, V> {
    view: &'a V,
    events: &'a [Event],
    compacted: MainRevision,
    response_bytes_max: usize,
    plain: Vec<Option<Bytes>>,
    with_prev: Vec<Option<Bytes>>,
}

impl<'a, V: View> Encoder<'a, V> {
    pub(crate) fn new(view: &'a V, events: &'a [Event], compacted: MainRevision, response_bytes_max: usize) -> Self {
        let (plain, with_prev) = (vec![None; events.len()], vec![None; events.len()]);
        Self { view, events, compacted, response_bytes_max, plain, with_prev }
    }

    /// The events at `positions`, in order, cut at ends of revisions into runs of about the largest
    /// answer.
    pub(crate) fn runs(&mut self, positions: &[usize], prev_kv: bool) -> Result<Vec<Arc<Run>>, Fault> {
        let mut runs = Vec::new();
        let mut run = Run { events: Vec::new(), bytes: 0 };
        for &position in positions {
            let main = self.events[position].revision.main;
            let last = run.events.last().map_or(main, |last| last.main);
            assert!(last <= main, "an event of revision {main} comes behind one of {last}");
            let new_revision = last != main;
            if new_revision && run.bytes >= self.response_bytes_max {
                runs.push(Arc::new(std::mem::replace(&mut run, Run { events: Vec::new(), bytes: 0 })));
            }
            let bytes = self.encoded(position, prev_kv)?;
            run.bytes += bytes.len();
            run.events.push(Encoded { main, bytes });
        }
        if !run.events.is_empty() {
            runs.push(Arc::new(run));
        }
        Ok(runs)
    }

    fn encoded(&mut self, position: usize, prev_kv: bool) -> Result<Bytes, Fault> {
        let made = if prev_kv { &self.with_prev } else { &self.plain };
        if let Some(bytes) = &made[position] {
            return Ok(bytes.clone());
        }
        let event = &self.events[position];
        let prev = if prev_kv { self.previous(event)? } else { None };
        let bytes = encode(event, prev.as_deref());
        let made = if prev_kv { &mut self.with_prev } else { &mut self.plain };
        made[position] = Some(bytes.clone());
        Ok(bytes)
    }

    /// Returns the version before the event. Compaction removes older versions first, so the result
    /// is correct or absent.
    fn previous(&self, event: &Event) -> Result<Option<Bytes>, Fault> {
        let before = event.revision.main - 1;
        if before < self.compacted || is_create(event)? {
            return Ok(None);
        }
        ReadPoint::empty().record_at(self.view, &event.key, before)
    }
}

fn is_create(event: &Event) -> Result<bool, Fault> {
    if event.is_delete() {
        return Ok(false);
    }
    let fields = Fields::parse(&event.record)?;
    Ok(fields.create_revision == fields.mod_revision)
}

fn encode(event: &Event, prev: Option<&[u8]>) -> Bytes {
    if event.is_delete() {
        let kv = KeyValue { key: event.key.clone(), mod_revision: event.revision.main, ..KeyValue::default() };
        return encode_parts(&TYPE_DELETE, &kv.encode_to_vec(), prev);
    }
    encode_parts(&[], &event.record, prev)
}

fn encode_parts(kind: &[u8], kv: &[u8], prev: Option<&[u8]>) -> Bytes {
    let length = kind.len() + field_length(kv) + prev.map_or(0, field_length);
    let mut out = BytesMut::with_capacity(1 + encoded_len_varint(length as u64) + length);
    out.put_u8(EVENTS_TAG);
    encode_varint(length as u64, &mut out);
    out.put_slice(kind);
    put_field(&mut out, KV_TAG, kv);
    if let Some(prev) = prev {
        put_field(&mut out, PREV_KV_TAG, prev);
    }
    out.freeze()
}

fn field_length(content: &[u8]) -> usize {
    1 + encoded_len_varint(content.len() as u64) + content.len()
}

fn put_field(out: &mut BytesMut, tag: u8, content: &[u8]) {
    out.put_u8(tag);
    encode_varint(content.len() as u64, out);
    out.put_slice(content);
}
