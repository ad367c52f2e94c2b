//! Answers of a stream, holding shared event bytes until they are written to the socket.

use crate::encode::EventSlice;
use crate::watcher::WatchId;
use bytes::BufMut;
use prost::Message as _;
use proto::etcdserverpb::{ResponseHeader, WatchResponse};
use std::borrow::Cow;
use types::{ClusterId, MainRevision, MemberId};

/// More than any answer's bytes beside its events and its cancel reason.
pub(crate) const ENVELOPE_BYTES_MAX: usize = 96;
/// The id in answers that concern no watcher.
pub(crate) const NO_WATCHER: WatchId = -1;

/// The part of an answer's header that the hub does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster answering.
    pub cluster_id: ClusterId,
    /// The member answering.
    pub member_id: MemberId,
    /// The member's raft term at the time of sending.
    pub raft_term: u64,
}

/// One `WatchResponse` of a stream.
#[derive(Clone, Debug)]
pub struct Output {
    pub(crate) watch_id: WatchId,
    pub(crate) revision: MainRevision,
    pub(crate) body: Body,
}

/// The content of a response.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Created,
    Refused(Cow<'static, str>),
    Canceled,
    /// The requested revision lies below this compacted revision.
    Compacted(MainRevision),
    Progress,
    Events {
        events: EventSlice,
        more_fragments: bool,
    },
}

impl Output {
    /// Returns the size of this response in the bounds of the hub, to be passed to
    /// [`crate::WatcherHub::drained`] once it is sent.
    pub fn queued_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Events { events, .. } => events.bytes(),
            Body::Refused(reason) => reason.len(),
            Body::Created | Body::Canceled | Body::Compacted(_) | Body::Progress => 0,
        };
        ENVELOPE_BYTES_MAX + body
    }

    /// Number of events in this response.
    pub fn event_count(&self) -> usize {
        self.events().map_or(0, EventSlice::len)
    }

    /// The watcher that this response is about; negative when it is about none.
    pub fn watch_id(&self) -> WatchId {
        self.watch_id
    }

    /// Returns `true` if this responds to a request to create a watcher, which may be refused.
    pub fn is_creation(&self) -> bool {
        matches!(self.body, Body::Created | Body::Refused(_))
    }

    /// Returns `true` if the watcher is at its end.
    pub fn is_end(&self) -> bool {
        matches!(self.body, Body::Canceled | Body::Compacted(_) | Body::Refused(_))
    }

    /// Returns `true` if this is a progress notification.
    pub fn is_progress(&self) -> bool {
        matches!(self.body, Body::Progress)
    }

    /// Returns the number of bytes that [`Output::encode_into`] appends.
    pub fn encoded_len(&self, header: Header) -> usize {
        self.envelope(header).encoded_len() + self.events().map_or(0, EventSlice::bytes)
    }

    /// Appends the encoded `WatchResponse`.
    pub fn encode_into(&self, header: Header, out: &mut impl BufMut) {
        self.envelope(header).encode_raw(out);
        // The events are the last field of the message, so their bytes follow all other fields.
        for event in self.events().into_iter().flat_map(EventSlice::encoded) {
            out.put_slice(event);
        }
    }

    fn events(&self) -> Option<&EventSlice> {
        match &self.body {
            Body::Events { events, .. } => Some(events),
            Body::Created | Body::Refused(_) | Body::Canceled | Body::Compacted(_) | Body::Progress => None,
        }
    }

    /// The message without its events.
    fn envelope(&self, header: Header) -> WatchResponse {
        let header = ResponseHeader {
            cluster_id: header.cluster_id.0,
            member_id: header.member_id.0,
            revision: self.revision,
            raft_term: header.raft_term,
        };
        let empty = WatchResponse { header: Some(header), watch_id: self.watch_id, ..WatchResponse::default() };
        match &self.body {
            Body::Created => WatchResponse { created: true, ..empty },
            Body::Refused(reason) => {
                WatchResponse { created: true, canceled: true, cancel_reason: reason.to_string(), ..empty }
            }
            Body::Canceled => WatchResponse { canceled: true, ..empty },
            Body::Compacted(at) => WatchResponse { canceled: true, compact_revision: *at, ..empty },
            Body::Progress => empty,
            Body::Events { more_fragments, .. } => WatchResponse { fragment: *more_fragments, ..empty },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_envelope_is_larger_than_what_is_counted_for_it() {
        let widest = Header { cluster_id: ClusterId(u64::MAX), member_id: MemberId(u64::MAX), raft_term: u64::MAX };
        for body in [Body::Created, Body::Canceled, Body::Compacted(-1), Body::Progress] {
            assert!(Output { watch_id: -5, revision: -1, body }.encoded_len(widest) < ENVELOPE_BYTES_MAX);
        }
    }
}
