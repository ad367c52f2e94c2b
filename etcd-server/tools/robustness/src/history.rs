//! The requests and responses of clients, the events of watchers, and the faults of members
//! meanwhile.

use proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRevokeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, TxnRequest, TxnResponse, WatchCreateRequest, WatchResponse,
};
use std::fmt::Write as _;

/// Microseconds since the beginning of the run, on one clock for all.
pub type Micros = u64;

/// A request of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Reads.
    Range(RangeRequest),
    /// Writes a key.
    Put(PutRequest),
    /// Deletes keys.
    Delete(DeleteRangeRequest),
    /// Compares, then reads and writes.
    Txn(TxnRequest),
    /// A new lease.
    Grant(LeaseGrantRequest),
    /// A lease's full time again.
    KeepAlive(i64),
    /// A lease ends.
    Revoke(i64),
    /// Old revisions are forgotten.
    Compact(CompactionRequest),
    /// Disk space is given back.
    Defragment,
}

/// A response to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To [`Request::Range`].
    Range(RangeResponse),
    /// To [`Request::Put`].
    Put(PutResponse),
    /// To [`Request::Delete`].
    Delete(DeleteRangeResponse),
    /// To [`Request::Txn`].
    Txn(TxnResponse),
    /// To [`Request::Grant`].
    Grant(LeaseGrantResponse),
    /// To [`Request::KeepAlive`].
    KeepAlive(LeaseKeepAliveResponse),
    /// To [`Request::Revoke`].
    Revoke(LeaseRevokeResponse),
    /// To [`Request::Compact`].
    Compact(CompactionResponse),
    /// To [`Request::Defragment`].
    Defragment,
}

impl Response {
    fn header(&self) -> Option<&ResponseHeader> {
        match self {
            Self::Range(response) => response.header.as_ref(),
            Self::Put(response) => response.header.as_ref(),
            Self::Delete(response) => response.header.as_ref(),
            Self::Txn(response) => response.header.as_ref(),
            Self::Grant(response) => response.header.as_ref(),
            Self::KeepAlive(response) => response.header.as_ref(),
            Self::Revoke(response) => response.header.as_ref(),
            Self::Compact(response) => response.header.as_ref(),
            Self::Defragment => None,
        }
    }

    /// Returns the revision of the member at its response; 0 where there is none.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.header().map_or(0, |header| header.revision)
    }
}

/// The end of a request for the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was done.
    Answered(Response),
    /// It was not done, and never will be.
    Refused(String),
    /// It may have been done, may be done later, or never.
    Unknown(String),
}

/// One request of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The client.
    pub client: usize,
    /// The member that received the request.
    pub member: usize,
    /// The process of that member: it counts up with every start.
    pub life: u64,
    /// When it was asked.
    pub invoked: Micros,
    /// The time of the response, or of giving up.
    pub returned: Micros,
    /// The request.
    pub request: Request,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Operation {
    /// The answer, if there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Refused(_) | Outcome::Unknown(_) => None,
        }
    }

    /// Returns `true` if it may have taken effect without an acknowledgement.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown(_))
    }
}

/// A response on a watch stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// When it came.
    pub at: Micros,
    /// Its content.
    pub response: WatchResponse,
}

/// One watch, alone on its stream, at one member.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The watcher.
    pub watcher: usize,
    /// The member that received the request.
    pub member: usize,
    /// When it was asked.
    pub invoked: Micros,
    /// The request.
    pub request: WatchCreateRequest,
    /// The responses, in order.
    pub deliveries: Vec<Delivery>,
    /// The watcher waited for everything up to the end of the history, after all faults.
    pub to_the_end: bool,
    /// The reason why the stream ended, if not by the watcher's wish.
    pub ended: Option<String>,
}

/// Something done to the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When it was done.
    pub at: Micros,
    /// The event.
    pub what: String,
}

/// Everything that happened in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Requests, of each client in its order.
    pub operations: Vec<Operation>,
    /// Watches.
    pub streams: Vec<Stream>,
    /// Faults and their ends.
    pub deeds: Vec<Deed>,
    /// The revision of the last write, which was acknowledged when everything else had ended.
    pub last_revision: i64,
}

impl History {
    /// All of it as lines in the order of time, to be read by people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for operation in &self.operations {
            let Operation { client, member, life, invoked, returned, request, outcome } = operation;
            lines.push((
                *invoked,
                format!("client {client} at {member}.{life} until {returned}: {request:?} -> {outcome:?}"),
            ));
        }
        for (number, stream) in self.streams.iter().enumerate() {
            let Stream { watcher, member, request, ended, to_the_end, .. } = stream;
            let end = ended.as_deref().unwrap_or(if *to_the_end { "the end" } else { "left" });
            lines.push((
                stream.invoked,
                format!("stream {number} of watcher {watcher} at {member} until {end}: {request:?}"),
            ));
            lines.extend(
                stream
                    .deliveries
                    .iter()
                    .map(|deliveries| (deliveries.at, format!("stream {number}: {:?}", deliveries.response))),
            );
        }
        lines.extend(self.deeds.iter().map(|deed| (deed.at, format!("--- {}", deed.what))));
        lines.sort_by_key(|(at, _)| *at);
        lines.iter().fold(format!("last revision {}\n", self.last_revision), |mut text, (at, line)| {
            // Writing to a string does not fail.
            writeln!(text, "{at:>10} {line}").unwrap_or_default();
            text
        })
    }
}
