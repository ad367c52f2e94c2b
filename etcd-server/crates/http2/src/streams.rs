//! The open streams of a connection.
//!
//! A stream lives in a slot, which the application gets with the stream's id, so that its calls
//! need no search. Frames are looked up by id: ids only grow, so the index is a sorted queue.

use crate::reason::Reason;
use bytes::Bytes;
use std::collections::VecDeque;

/// A removed entry of the index.
const REMOVED: u32 = u32::MAX;
/// Removed entries that are kept at least before the index is compacted.
const REMOVED_MIN: usize = 32;
/// A table of slots above this size is freed when all streams have ended.
const KEPT_SLOTS_MAX: usize = 1024;

/// The name of a stream for the application. Calls with the key of a stream that has ended do
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    pub(crate) slot: u32,
    pub(crate) id: u32,
}

impl StreamKey {
    /// A number that no other open stream of the connection has. Numbers of ended streams are used
    /// again.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    /// The id of the stream in frames.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }
}

/// The way in which the body of a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// The client may send what the window permits; more once the application has taken it.
    Taken,
    /// The client may send on while no more than so many bytes are kept.
    Gathered { bytes_max: usize },
    /// Dropped as it comes.
    Dropped,
}

/// The end of a response behind its data.
#[derive(Debug, Default)]
pub(crate) enum Tail {
    /// More is to come.
    #[default]
    None,
    /// END_STREAM on the last DATA frame.
    EndOfData,
    /// The trailers of a call that succeeded.
    StatusOk,
    /// An encoded block that refers to no table.
    Trailers(Vec<u8>),
}

/// The place of a stream in the queues of the sending side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Queued {
    #[default]
    No,
    /// In the queue of streams that have something to send.
    Ready,
    /// Waits for the client to widen its window.
    Blocked,
}

/// An open stream. `id` is 0 in a free slot.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// Bytes that the client may send.
    pub(crate) receive_window: i64,
    /// Bytes that it may send again, which it does not know of yet.
    pub(crate) unannounced: usize,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body that still take up the window.
    pub(crate) unreleased: usize,
    pub(crate) intake: Intake,
    /// The client has ended its side.
    pub(crate) remote_ended: bool,
    /// Bytes of the body that the head announced and that have not come.
    pub(crate) content_left: Option<u64>,
    /// The application was told of the stream.
    pub(crate) seen: bool,
    /// An event about the body is in the queue.
    pub(crate) body_signalled: bool,
    /// The window for data of ours is this much wider than the initial one; mostly negative.
    pub(crate) send_credit: i64,
    pub(crate) pending: VecDeque<Bytes>,
    pub(crate) pending_bytes: usize,
    pub(crate) tail: Tail,
    pub(crate) queued: Queued,
    /// In the list of streams that wait for a wider window, or were there a while ago.
    pub(crate) listed_as_blocked: bool,
    /// An event about sent data is in the queue.
    pub(crate) sent_signalled: bool,
    pub(crate) head_sent: bool,
    /// Our side has ended.
    pub(crate) local_ended: bool,
    /// A client that has not ended its side by the end of ours is reset with this reason.
    pub(crate) reset_after_end: Option<Reason>,
}

impl Stream {
    fn new(id: u32, receive_window: i64) -> Self {
        Self {
            id,
            receive_window,
            unannounced: 0,
            body: Vec::new(),
            unreleased: 0,
            intake: Intake::Taken,
            remote_ended: false,
            content_left: None,
            seen: false,
            body_signalled: false,
            send_credit: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            tail: Tail::None,
            queued: Queued::No,
            listed_as_blocked: false,
            sent_signalled: false,
            head_sent: false,
            local_ended: false,
            reset_after_end: None,
        }
    }
}

/// All open streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    /// Id and slot, sorted by id.
    index: VecDeque<(u32, u32)>,
    removed: usize,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds a stream; its id is larger than those of all before.
    pub(crate) fn insert(&mut self, id: u32, receive_window: i64) -> StreamKey {
        let stream = Stream::new(id, receive_window);
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = stream;
            slot
        } else {
            self.slots.push(stream);
            u32::try_from(self.slots.len() - 1).expect("there are less than 2^31 ids")
        };
        assert!(self.index.back().is_none_or(|(last, _)| *last < id), "ids of streams grow");
        self.index.push_back((id, slot));
        StreamKey { slot, id }
    }

    /// The stream with this id, if it is open.
    pub(crate) fn find(&self, id: u32) -> Option<StreamKey> {
        let place = match self.index.back() {
            // Mostly a frame belongs to the newest stream.
            Some((last, _)) if *last == id => self.index.len() - 1,
            Some(_) => self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?,
            None => return None,
        };
        let slot = self.index[place].1;
        (slot != REMOVED).then_some(StreamKey { slot, id })
    }

    pub(crate) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.slot()).filter(|stream| stream.id == key.id)
    }

    pub(crate) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.slot()).filter(|stream| stream.id == key.id)
    }

    /// Ends a stream and returns it.
    pub(crate) fn remove(&mut self, key: StreamKey) -> Option<Stream> {
        self.get(key)?;
        let place = self.index.binary_search_by_key(&key.id, |(id, _)| *id).ok()?;
        self.index[place].1 = REMOVED;
        self.removed += 1;
        while self.index.front().is_some_and(|(_, slot)| *slot == REMOVED) {
            self.index.pop_front();
            self.removed -= 1;
        }
        if self.removed > REMOVED_MIN && self.removed > self.index.len() / 2 {
            self.index.retain(|(_, slot)| *slot != REMOVED);
            self.removed = 0;
        }
        let removed = std::mem::replace(&mut self.slots[key.slot()], Stream::new(0, 0));
        self.free.push(key.slot);
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT_SLOTS_MAX {
            *self = Self::default();
        }
        Some(removed)
    }

    /// The keys of all streams, by id.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<StreamKey> {
        let open = self.index.iter().filter(|(_, slot)| *slot != REMOVED);
        open.map(|(id, slot)| StreamKey { slot: *slot, id: *id }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The naive twin is a map.
    #[test]
    fn agrees_with_a_map_after_random_operations() {
        for seed in 0..20_u8 {
            let mut random = fastrand::Rng::with_seed(seed.into());
            let (mut streams, mut model, mut next) = (Streams::default(), BTreeMap::new(), 1);
            for _ in 0..5_000 {
                // Growing, shrinking, and both.
                if random.u32(0..100) < [20, 50, 80][usize::from(seed) % 3] {
                    model.insert(next, streams.insert(next, 0));
                    next += 2 * random.u32(1..3);
                } else if let Some(key) = random.choice(model.values().copied().collect::<Vec<_>>()) {
                    assert_eq!(streams.remove(key).map(|stream| stream.id), Some(key.id));
                    assert!(streams.remove(key).is_none() && streams.get(key).is_none());
                    model.remove(&key.id);
                }
                let id = random.u32(0..=next);
                assert_eq!(streams.find(id), model.get(&id).copied());
                assert_eq!((streams.len(), streams.keys()), (model.len(), model.values().copied().collect()));
            }
        }
    }
}
