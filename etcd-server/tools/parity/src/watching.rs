//! Watch steps: both servers get the same requests, then each watcher's events are compared as one
//! sequence.
//!
//! Answers come when the server likes, batched as it likes, so nothing is compared until a state is
//! reached in which all must be there: the recorder has seen the newest revision, progress was
//! answered on streams that caught up, and each watcher has as many events as the recorder's
//! history says. Requests whose effect would depend on timing wait for that state first.

use std::time::Duration;

use prost::Message as _;
use proto::{
    etcdserverpb::{
        WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
        watch_request::RequestUnion,
    },
    mvccpb::Event,
};
use serde_json::Value;

use crate::{
    accepted::{CATCH_UP_HEADER, EMPTY_WATCH_KEY, INVERTED_RANGE, UNLIKE_HISTORY},
    compare::comparable_reply,
    pair::connect,
    run::Run,
    side::Side,
    watch_stream::{WatchStream, Watcher},
    wire::WireError,
};

/// The stream for watchers that start below the compacted or above the present revision: with one
/// of them a server answers no progress request, so they would keep a whole stream from being
/// settled.
pub(crate) const ODD_STREAM: usize = 3;

/// Longest wait for a reply or event that must come.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for events that the history predicts. Shorter, since after a compaction it may
/// predict too much.
const EVENT_LIMIT: Duration = Duration::from_secs(3);
/// A progress request that finds a watcher still catching up is dropped, so it is asked again this
/// often.
const PROGRESS_AGAIN: Duration = Duration::from_millis(25);

impl Run<'_> {
    /// Starts the recorders, before there is anything to record.
    pub(crate) async fn record(&mut self) {
        let (a, b) = tokio::join!(self.a.record(), self.b.record());
        if a.is_err() || b.is_err() {
            self.differ("open a watch stream".to_owned(), format!("{a:?}"), format!("{b:?}"));
        }
    }

    pub(crate) async fn watch(&mut self, stream: usize, identity: &str, request: &Value) -> Result<(), WireError> {
        let bytes = self.b.wire.encode_request("Watch/Watch", &self.b.scope.resolve(request))?;
        let Ok(WatchRequest { request_union: Some(request) }) = WatchRequest::decode(bytes) else { return Ok(()) };
        let open = self.b.streams.contains_key(&stream);
        match request {
            RequestUnion::CreateRequest(request) => self.create(stream, identity, request).await,
            RequestUnion::CancelRequest(request) if open => self.cancel(stream, request.watch_id).await,
            RequestUnion::ProgressRequest(_) if open => self.progress(stream).await,
            RequestUnion::CancelRequest(_) | RequestUnion::ProgressRequest(_) => {}
        }
        Ok(())
    }

    async fn create(&mut self, stream: usize, identity: &str, mut request: WatchCreateRequest) {
        if self.auth_enabled && (request.key.is_empty() || *request.range_end == [0]) {
            return self.accept(EMPTY_WATCH_KEY);
        }
        let inverted = *request.range_end != [0] && !request.range_end.is_empty() && request.range_end <= request.key;
        if self.auth_enabled && inverted && identity != "root" {
            return self.accept(INVERTED_RANGE);
        }
        let (start, revision, compacted) = (request.start_revision, self.b.revision, self.b.scope.compacted);
        let stream = if start > revision { ODD_STREAM } else { stream };
        if stream == ODD_STREAM && (compacted..=revision).contains(&start) {
            request.start_revision = 0;
        }
        let (a, b) = tokio::join!(self.a.create(stream, identity, &request), self.b.create(stream, identity, &request));
        let Some(reply) = self.same_reply(&format!("create on stream {stream} {request:?}"), &a, &b) else { return };
        if reply.canceled || request.start_revision <= 0 || request.start_revision >= compacted {
            return;
        }
        let id = reply.watch_id;
        let (a, b) = tokio::join!(self.a.canceled(stream, id), self.b.canceled(stream, id));
        let same = self.same_reply(&format!("compacted watcher {id} on stream {stream} {request:?}"), &a, &b);
        if same.is_some() && stream != ODD_STREAM {
            self.cancel(stream, id).await;
        }
    }

    async fn cancel(&mut self, stream: usize, id: i64) {
        self.settle().await;
        let request = RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id });
        let (Some(a), Some(b)) = (self.a.streams.get_mut(&stream), self.b.streams.get_mut(&stream)) else { return };
        let known = b.watchers.iter().any(|watcher| watcher.id == id);
        tokio::join!(a.send(request.clone()), b.send(request));
        if known {
            let (a, b) = tokio::join!(self.a.canceled(stream, id), self.b.canceled(stream, id));
            self.same_reply(&format!("cancel {id} on stream {stream}"), &a, &b);
            for side in [&mut self.a, &mut self.b] {
                side.streams
                    .get_mut(&stream)
                    .into_iter()
                    .for_each(|stream| stream.watchers.retain(|watcher| watcher.id != id));
            }
        }
    }

    async fn progress(&mut self, stream: usize) {
        self.settle().await;
        let revision = self.b.revision;
        let (Some(a), Some(b)) = (self.a.streams.get_mut(&stream), self.b.streams.get_mut(&stream)) else { return };
        if b.answers_progress(revision) {
            let (a, b) = tokio::join!(a.ask_progress(), b.ask_progress());
            if a != b {
                self.differ(format!("progress of stream {stream}"), format!("{a:?}"), format!("{b:?}"));
            }
        } else {
            let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
            tokio::join!(a.send(request.clone()), b.send(request));
        }
    }

    fn same_reply(
        &mut self,
        what: &str,
        a: &Result<WatchResponse, String>,
        b: &Result<WatchResponse, String>,
    ) -> Option<WatchResponse> {
        let (text_a, text_b) = (comparable_reply(a), comparable_reply(b));
        if text_a != text_b {
            self.differ(format!("watch: {what}"), text_a, text_b);
            return None;
        }
        b.clone().ok()
    }

    /// Waits until all expected events are there, and compares those of each watcher.
    pub(crate) async fn settle(&mut self) {
        let (a, b) = tokio::join!(self.a.settle(), self.b.settle());
        if a != b {
            return self.differ("watch streams come to rest".to_owned(), format!("{a:?}"), format!("{b:?}"));
        }
        if a == Ok(false) {
            self.accept(UNLIKE_HISTORY);
        }
        let (a, b) = (self.a.fresh_history(), self.b.fresh_history());
        if a != b {
            return self.differ("watch: all events since the last rest".to_owned(), format!("{a:?}"), format!("{b:?}"));
        }
        let streams: Vec<usize> = self.b.streams.keys().copied().collect();
        for stream in streams {
            self.compare_stream(stream);
        }
    }

    fn compare_stream(&mut self, number: usize) {
        let (a_names, b_names) = (self.a.names(), self.b.names());
        let (Some(a), Some(b)) = (self.a.streams.get(&number), self.b.streams.get(&number)) else { return };
        let mut found = None;
        let mut compared = 0_u64;
        for (of_a, of_b) in a.watchers.iter().zip(&b.watchers) {
            let fresh = |watcher: &Watcher, names: &crate::compare::Names<'_>| -> Vec<Event> {
                watcher.delivered.iter().skip(watcher.compared).map(|event| names.event(event)).collect()
            };
            let (events_a, events_b) = (fresh(of_a, &a_names), fresh(of_b, &b_names));
            compared += events_b.len() as u64;
            if events_a != events_b || of_a.live != of_b.live {
                let what = format!(
                    "watch: events of watcher {} on stream {number} from revision {}",
                    of_b.id, of_b.from_revision
                );
                found = Some((
                    what,
                    format!("live {} {events_a:?}", of_a.live),
                    format!("live {} {events_b:?}", of_b.live),
                ));
                break;
            }
        }
        let rest = |stream: &WatchStream| {
            let replies: Vec<_> = stream.controls.iter().map(|reply| comparable_reply(&Ok(reply.clone()))).collect();
            format!("faults {:?}, replies nobody waited for {replies:?}, end {:?}", stream.faults, stream.ended)
        };
        let (rest_a, rest_b) = (rest(a), rest(b));
        if found.is_none() && rest_a != rest_b {
            found = Some((format!("watch: stream {number}"), rest_a, rest_b));
        }
        if let Some((what, a, b)) = found {
            return self.differ(what, a, b);
        }
        if compared > 0 {
            self.accept(CATCH_UP_HEADER);
        }
        self.outcome.coverage.entry("Watch events compared".to_owned()).or_default().0 += compared;
        for side in [&mut self.a, &mut self.b] {
            side.streams.get_mut(&number).into_iter().for_each(WatchStream::forget_compared);
        }
    }
}

impl Side<'_> {
    async fn record(&mut self) -> Result<(), String> {
        let request = WatchCreateRequest { key: "\0".into(), range_end: "\0".into(), ..WatchCreateRequest::default() };
        let opening = WatchStream::open(self.wire, &connect(self.server), None, request.clone()).await;
        let mut stream = opening.map_err(|status| status.to_string())?;
        let created = stream.control(REPLY_LIMIT, |reply| reply.created).await?;
        stream.watchers.push(Watcher::new(created.watch_id, &request, self.revision, 0));
        self.recorder = Some(stream);
        Ok(())
    }

    fn history(&self) -> &[Event] {
        self.recorder.as_ref().and_then(|stream| stream.watchers.first()).map_or(&[], |watcher| &watcher.delivered)
    }

    /// The events that were recorded since the last time this was asked.
    fn fresh_history(&mut self) -> Vec<Event> {
        let names = self.names();
        let Some(all) = self.recorder.as_ref().and_then(|stream| stream.watchers.first()) else { return Vec::new() };
        let fresh = all.delivered.iter().skip(all.compared).map(|event| names.event(event)).collect();
        self.recorder.as_mut().into_iter().for_each(WatchStream::forget_compared);
        fresh
    }

    async fn create(
        &mut self,
        number: usize,
        identity: &str,
        request: &WatchCreateRequest,
    ) -> Result<WatchResponse, String> {
        if let Some(stream) = self.streams.get(&number) {
            stream.send(RequestUnion::CreateRequest(request.clone())).await;
        } else {
            let opened =
                WatchStream::open(self.wire, &connect(self.server), self.token(identity), request.clone()).await;
            self.streams.insert(number, opened.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?);
        }
        let history_seen = self.history().len();
        let Some(stream) = self.streams.get_mut(&number) else { return Err("the stream is not open".to_owned()) };
        let reply = stream.control(REPLY_LIMIT, |reply| reply.created).await?;
        if !reply.canceled {
            stream.watchers.push(Watcher::new(reply.watch_id, request, self.revision, history_seen));
            stream.catching_up |= request.start_revision > 0;
        }
        Ok(reply)
    }

    async fn canceled(&mut self, number: usize, id: i64) -> Result<WatchResponse, String> {
        let Some(stream) = self.streams.get_mut(&number) else { return Err("the stream is not open".to_owned()) };
        stream.control(REPLY_LIMIT, |reply| reply.canceled && !reply.created && reply.watch_id == id).await
    }

    /// Reads until nothing more must come. `Ok(false)`: a watcher got fewer events than the history
    /// predicts, or more.
    async fn settle(&mut self) -> Result<bool, String> {
        let revision = self.revision;
        let Some(recorder) = &mut self.recorder else { return Ok(true) };
        let seen = |stream: &WatchStream| stream.watchers.first().is_some_and(|all| all.last_revision() >= revision);
        if revision > 1 && !recorder.read_until(REPLY_LIMIT, seen).await {
            return Err(format!("the recorder did not reach revision {revision}: {:?}", recorder.ended));
        }
        let history: &[Event] = recorder.watchers.first().map_or(&[], |watcher| &watcher.delivered);
        let mut as_predicted = true;
        for stream in self.streams.values_mut() {
            if stream.catching_up && stream.answers_progress(revision) {
                stream.ask_progress().await?;
                stream.catching_up = false;
            }
            stream.watchers.iter_mut().for_each(|watcher| watcher.expect_from(history));
            as_predicted &= stream.read_until(EVENT_LIMIT, WatchStream::is_complete).await || stream.ended.is_some();
            as_predicted &= stream.watchers.iter_mut().fold(true, |all, watcher| watcher.correct_expectation() & all);
        }
        Ok(as_predicted)
    }
}

impl WatchStream {
    fn is_complete(&self) -> bool {
        self.watchers.iter().all(|watcher| !watcher.live || watcher.delivered.len() >= watcher.expected)
    }

    /// Asks until there is an answer. A second answer, to a request that was not dropped after all,
    /// is the same and forgotten.
    async fn ask_progress(&mut self) -> Result<i64, String> {
        self.progress.clear();
        let attempts = REPLY_LIMIT.as_millis() / PROGRESS_AGAIN.as_millis();
        for _ in 0..attempts {
            self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
            if self.read_until(PROGRESS_AGAIN, |stream| !stream.progress.is_empty()).await {
                return Ok(self.progress.iter().copied().max().unwrap_or(0));
            }
        }
        Err("progress was not answered".to_owned())
    }

    fn forget_compared(&mut self) {
        self.watchers.iter_mut().for_each(|watcher| watcher.compared = watcher.delivered.len());
    }
}
