//! One watch stream of one server: its requests, and its responses sorted by watcher.
//!
//! Nothing is read except while a step waits for a state, so a program's order is kept.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use proto::{
    etcdserverpb::{
        WatchCreateRequest, WatchRequest, WatchResponse, watch_create_request::FilterType, watch_request::RequestUnion,
    },
    mvccpb::{Event, event::EventType},
};
use tokio::{sync::mpsc, time::Instant};
use tonic::{Status, Streaming, transport::Channel};

use crate::wire::Wire;

/// Requests waiting for the connection. We send one and wait, so a few are plenty.
const REQUESTS_MAX: usize = 16;

/// One watcher on a stream.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) id: i64,
    /// Events are delivered from this revision on.
    pub(crate) from_revision: i64,
    /// The start that was asked for; 0 for the present.
    start_revision: i64,
    key: Bytes,
    range_end: Bytes,
    puts: bool,
    deletes: bool,
    /// False once the server cancelled it.
    pub(crate) live: bool,
    /// All that came, in order.
    pub(crate) delivered: Vec<Event>,
    /// Number of `delivered` events that were compared with the other side.
    pub(crate) compared: usize,
    /// Number of examined events of the recorder, and of those that this watcher must have got.
    history_seen: usize,
    pub(crate) expected: usize,
    last_revision: i64,
    in_fragments: bool,
}

impl Watcher {
    pub(crate) fn new(id: i64, request: &WatchCreateRequest, revision: i64, history_seen: usize) -> Self {
        let filtered = |filter: FilterType| request.filters.contains(&i32::from(filter));
        Self {
            id,
            from_revision: if request.start_revision > 0 { request.start_revision } else { revision + 1 },
            start_revision: request.start_revision,
            key: if request.key.is_empty() { Bytes::from_static(b"\0") } else { request.key.clone() },
            range_end: request.range_end.clone(),
            puts: !filtered(FilterType::Noput),
            deletes: !filtered(FilterType::Nodelete),
            live: true,
            delivered: Vec::new(),
            compared: 0,
            history_seen: if request.start_revision > 0 { 0 } else { history_seen },
            expected: 0,
            last_revision: 0,
            in_fragments: false,
        }
    }

    /// Counts the events of `history` that must be delivered here.
    pub(crate) fn expect_from(&mut self, history: &[Event]) {
        let fresh = history.get(self.history_seen..).unwrap_or_default();
        self.expected += fresh.iter().filter(|event| self.wants(event)).count();
        self.history_seen = history.len();
    }

    /// Returns `true` if all expected events came; from here on the received ones are taken for
    /// right, since both sides are compared.
    pub(crate) fn correct_expectation(&mut self) -> bool {
        let correct = !self.live || self.expected == self.delivered.len();
        self.expected = self.delivered.len();
        correct
    }

    pub(crate) fn last_revision(&self) -> i64 {
        self.last_revision
    }

    fn wants(&self, event: &Event) -> bool {
        let Some(kv) = &event.kv else { return false };
        let in_range = match &self.range_end[..] {
            b"" => kv.key == self.key,
            b"\0" => kv.key >= self.key,
            end => kv.key >= self.key && &kv.key[..] < end,
        };
        let wanted_kind = if event.r#type == i32::from(EventType::Delete) { self.deletes } else { self.puts };
        in_range && wanted_kind && kv.mod_revision >= self.from_revision
    }

    /// Takes events in; returns a violation of the watch API's promises.
    fn take(&mut self, response: &WatchResponse) -> Option<String> {
        let first = event_revision(response.events.first()?);
        let split = first <= self.last_revision && !(self.in_fragments && first == self.last_revision);
        let before = self.last_revision;
        self.in_fragments = response.fragment;
        let mut ordered = true;
        for event in &response.events {
            ordered &= event_revision(event) >= self.last_revision || split;
            self.last_revision = event_revision(event);
        }
        self.delivered.extend(response.events.iter().cloned());
        let header_revision = response.header.as_ref().map_or(0, |header| header.revision);
        let broken = if split {
            format!("answer starts at revision {first} after {before}: a revision is split or repeated")
        } else if !ordered {
            "events out of order".to_owned()
        } else if header_revision < self.last_revision {
            format!("header of revision {header_revision} with an event of revision {}", self.last_revision)
        } else {
            return None;
        };
        Some(format!("watcher {}: {broken}", self.id))
    }
}

fn event_revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// An open watch stream.
#[derive(Debug)]
pub(crate) struct WatchStream {
    requests: mpsc::Sender<Bytes>,
    responses: Streaming<Bytes>,
    pub(crate) watchers: Vec<Watcher>,
    /// Replies that carry no events: created, cancelled.
    pub(crate) controls: VecDeque<WatchResponse>,
    /// Revisions of progress responses that were not compared yet.
    pub(crate) progress: Vec<i64>,
    /// Broken promises.
    pub(crate) faults: Vec<String>,
    /// The end of the stream, if it ended.
    pub(crate) ended: Option<String>,
    /// Some watcher may still be catching up.
    pub(crate) catching_up: bool,
}

impl WatchStream {
    /// Opens a stream with its first request, which must be one that is answered: a server may send
    /// nothing before.
    pub(crate) async fn open(
        wire: &Wire,
        channel: &Channel,
        token: Option<&str>,
        first: WatchCreateRequest,
    ) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let first = WatchRequest { request_union: Some(RequestUnion::CreateRequest(first)) };
        requests.try_send(first.encode_to_vec().into()).map_err(|error| Status::internal(error.to_string()))?;
        let opening = wire.open(channel, "Watch/Watch", token, tokio_stream::wrappers::ReceiverStream::new(receiver));
        let responses = tokio::time::timeout(crate::pair::ANSWER_LIMIT, opening)
            .await
            .map_err(|_| Status::deadline_exceeded("the server did not open the watch stream"))??;
        Ok(Self {
            requests,
            responses,
            watchers: Vec::new(),
            controls: VecDeque::new(),
            progress: Vec::new(),
            faults: Vec::new(),
            ended: None,
            catching_up: false,
        })
    }

    /// Sends a request. On a stream that has ended it is lost; `ended` shows that.
    pub(crate) async fn send(&self, request: RequestUnion) {
        let bytes = WatchRequest { request_union: Some(request) }.encode_to_vec();
        drop(self.requests.send(bytes.into()).await);
    }

    /// Reads until `done`, the end of the stream or the limit. Returns `true` if `done`.
    pub(crate) async fn read_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !done(self) {
            if self.ended.is_some() {
                return false;
            }
            match tokio::time::timeout_at(deadline, self.responses.message()).await {
                Err(_) => return false,
                Ok(Ok(Some(bytes))) => match WatchResponse::decode(bytes) {
                    Ok(response) => self.absorb(response),
                    Err(error) => self.ended = Some(error.to_string()),
                },
                Ok(Ok(None)) => self.ended = Some("ended without an error".to_owned()),
                Ok(Err(status)) => self.ended = Some(format!("{:?}: {}", status.code(), status.message())),
            }
        }
        true
    }

    /// The next reply of a kind, or why there is none.
    pub(crate) async fn control(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&WatchResponse) -> bool,
    ) -> Result<WatchResponse, String> {
        self.read_until(limit, |stream| stream.controls.iter().any(&wanted)).await;
        let position = self.controls.iter().position(wanted);
        position
            .and_then(|position| self.controls.remove(position))
            .ok_or_else(|| self.ended.clone().unwrap_or_else(|| "no reply".to_owned()))
    }

    fn absorb(&mut self, response: WatchResponse) {
        if response.created || response.canceled {
            if let Some(watcher) =
                self.watchers.iter_mut().rfind(|watcher| response.canceled && watcher.id == response.watch_id)
            {
                watcher.live = false;
            }
            self.controls.push_back(response);
        } else if response.events.is_empty() {
            self.progress.push(response.header.map_or(0, |header| header.revision));
        } else if let Some(watcher) = self.watchers.iter_mut().rfind(|watcher| watcher.id == response.watch_id) {
            self.faults.extend(watcher.take(&response));
        } else {
            self.faults.push(format!("events for watcher {}, which nobody made", response.watch_id));
        }
    }

    /// Returns `true` if the server has to answer a progress request: it does when there are
    /// watchers, none was cancelled for a compaction, and none starts in the future.
    pub(crate) fn answers_progress(&self, revision: i64) -> bool {
        !self.watchers.is_empty()
            && self.watchers.iter().all(|watcher| watcher.live && watcher.start_revision <= revision)
    }
}

#[cfg(test)]
mod tests {
    use proto::{etcdserverpb::ResponseHeader, mvccpb::KeyValue};

    use super::*;

    fn response(revisions: &[i64], fragment: bool) -> WatchResponse {
        let event = |revision: &i64| Event {
            kv: Some(KeyValue { mod_revision: *revision, ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse {
            header: Some(ResponseHeader { revision: 99, ..ResponseHeader::default() }),
            events: revisions.iter().map(event).collect(),
            fragment,
            ..WatchResponse::default()
        }
    }

    fn watcher() -> Watcher {
        Watcher::new(1, &WatchCreateRequest::default(), 5, 0)
    }

    #[test]
    fn a_revision_split_over_two_answers_is_a_fault() {
        let mut watcher = watcher();
        assert_eq!(watcher.take(&response(&[6, 6, 7], false)), None);
        assert!(watcher.take(&response(&[7], false)).is_some_and(|fault| fault.contains("split")));
    }

    #[test]
    fn fragments_may_share_a_revision() {
        let mut watcher = watcher();
        assert_eq!(watcher.take(&response(&[6, 6], true)), None);
        assert_eq!(watcher.take(&response(&[6, 7], false)), None);
        assert_eq!(watcher.delivered.len(), 4);
    }

    #[test]
    fn only_events_of_the_range_and_kind_from_the_start_on_are_expected() {
        let request = WatchCreateRequest {
            key: "b".into(),
            range_end: "d".into(),
            start_revision: 3,
            filters: vec![FilterType::Nodelete.into()],
            ..WatchCreateRequest::default()
        };
        let mut watcher = Watcher::new(1, &request, 9, 0);
        let event = |key: &'static str, mod_revision, kind: EventType| Event {
            r#type: kind.into(),
            kv: Some(KeyValue { key: key.into(), mod_revision, ..KeyValue::default() }),
            prev_kv: None,
        };
        let put = EventType::Put;
        watcher.expect_from(&[
            event("b", 2, put),
            event("b", 3, put),
            event("c", 4, EventType::Delete),
            event("d", 5, put),
        ]);
        assert_eq!(watcher.expected, 1);
    }
}
