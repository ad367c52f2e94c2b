//! Messages that wait for one member, and whether it can be reached.

use crate::frame::{Encoder, StreamKind, kind};
use crate::link::{Link, Problem};
use crate::local::PeerObserver;
use crate::log_limit::LogLimit;
use bytes::{Bytes, BytesMut};
use http::Uri;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use proto::raftpb::Message;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use types::{ClusterId, MemberId};

/// Messages that wait for one stream; more are dropped and the member reported as unreachable
/// (etcd: streamBufSize).
const STREAM_MESSAGES_MAX: usize = 4096;
/// Messages that wait to be posted (etcd: pipelineBufSize).
pub(crate) const POSTS_MAX: usize = 64;
/// Messages written together.
const MESSAGES_PER_WRITE: usize = 256;
/// Bytes after which collected messages are written.
const BYTES_PER_WRITE: usize = 256 << 10;
/// Between two signs of life on a stream: a third of the time after which silence ends it.
const KEEP_ALIVE: Duration = Duration::from_millis(5000 / 3);
/// The kinds of members.
const KIND_UNKNOWN: u8 = 0;
const KIND_OURS: u8 = 1;
const KIND_ETCD: u8 = 2;

/// The present channels to another member.
#[derive(Debug)]
pub(crate) struct PeerSender {
    pub(crate) id: u64,
    pub(crate) urls: Mutex<Vec<Uri>>,
    /// The writing ends of the streams that the member has opened to us, by [`StreamKind`].
    streams: [Mutex<Option<mpsc::Sender<Message>>>; 2],
    posts: mpsc::Sender<Message>,
    activity: Mutex<Option<Instant>>,
    /// The addresses that the streams which this member has opened come from, by [`StreamKind`].
    sources: [Mutex<Option<Uri>>; 2],
    mismatch_logs: LogLimit,
    /// The member runs this server, or a real etcd, by its last stream; see
    /// [`PeerSender::set_kind`].
    kind: AtomicU8,
    /// The member honours the fences of proposals, as it said last.
    fencing: Mutex<bool>,
    /// The errors of the last attempts to open a stream, by [`StreamKind`].
    problems: [Mutex<Option<Problem>>; 2],
    problem_logs: LogLimit,
    /// The result of the last probe that was answered.
    probe: Mutex<Option<(Duration, Option<time::Duration>)>>,
    pub(crate) observer: Arc<dyn PeerObserver>,
}

impl PeerSender {
    pub(crate) fn new(id: u64, urls: Vec<Uri>, observer: Arc<dyn PeerObserver>) -> (Self, mpsc::Receiver<Message>) {
        let (posts, waiting) = mpsc::channel(POSTS_MAX);
        let peer_sender = Self {
            id,
            urls: Mutex::new(urls),
            streams: [Mutex::new(None), Mutex::new(None)],
            posts,
            activity: Mutex::new(None),
            sources: [Mutex::new(None), Mutex::new(None)],
            mismatch_logs: LogLimit::default(),
            kind: AtomicU8::new(KIND_UNKNOWN),
            fencing: Mutex::new(false),
            problems: [Mutex::new(None), Mutex::new(None)],
            problem_logs: LogLimit::default(),
            probe: Mutex::new(None),
            observer,
        };
        (peer_sender, waiting)
    }

    /// Sends a message by the best channel there is. Returns `false` if it had to be dropped.
    pub(crate) fn send(&self, message: Message) -> bool {
        let order: &[StreamKind] = if message.r#type == kind::APPEND {
            &[StreamKind::Append, StreamKind::Message]
        } else {
            &[StreamKind::Message]
        };
        let mut message = message;
        for kind in order {
            let stream = self.slot(*kind).lock();
            let Some(sender) = stream.as_ref() else { continue };
            match sender.try_send(message) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(returned)) => message = returned,
                // To go around a full stream would only put messages out of order.
                Err(mpsc::error::TrySendError::Full(_)) => {
                    self.observer.send_failed();
                    return false;
                }
            }
        }
        let sent = self.posts.try_send(message).is_ok();
        if !sent {
            self.observer.send_failed();
        }
        sent
    }

    /// Opens a stream to the member; one of the same kind that was open before ends.
    pub(crate) fn open(&self, kind: StreamKind) -> StreamBody {
        let (sender, messages) = mpsc::channel(STREAM_MESSAGES_MAX);
        *self.slot(kind).lock() = Some(sender);
        let mut keep_alive = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        StreamBody {
            messages,
            encoder: Encoder::new(kind),
            keep_alive,
            taken: Vec::with_capacity(MESSAGES_PER_WRITE),
            buffer: BytesMut::new(),
            observer: Arc::clone(&self.observer),
        }
    }

    /// Ends both streams.
    pub(crate) fn close(&self) {
        for kind in StreamKind::ALL {
            self.slot(kind).lock().take();
        }
    }

    /// Something came from the member or reached it.
    pub(crate) fn seen(&self) {
        let mut activity = self.activity.lock();
        if activity.is_none() {
            *activity = Some(Instant::now());
            tracing::info!(remote_peer_id = %MemberId(self.id), "peer became active");
            self.observer.active(true);
        }
    }

    /// The member could not be reached.
    pub(crate) fn lost(&self, why: &dyn std::fmt::Display) {
        if self.activity.lock().take().is_some() {
            tracing::warn!(remote_peer_id = %MemberId(self.id), error = %why, "peer became inactive (message send to peer failed)");
            self.observer.active(false);
        }
    }

    /// Since when the member has been reached without a break.
    pub(crate) fn active_since(&self) -> Option<Instant> {
        *self.activity.lock()
    }

    /// Notes that a stream of the member comes from `url`, or that it has ended.
    pub(crate) fn set_source(&self, kind: StreamKind, url: Option<Uri>) {
        if url.is_some() {
            self.problems[index(kind)].lock().take();
        }
        *self.sources[index(kind)].lock() = url;
    }

    /// Notes why a stream of the member could not be opened, and logs it once a minute with the
    /// remedy.
    pub(crate) fn report_problem(&self, kind: StreamKind, problem: Problem) {
        if self.problem_logs.allows(&problem.text, Instant::now()) {
            tracing::warn!(
                remote_peer_id = %MemberId(self.id), reason = problem.cause.label(), error = problem.text, remedy = problem.cause.remedy(),
                "failed to open a stream from a peer"
            );
        }
        *self.problems[index(kind)].lock() = Some(problem);
    }

    /// Notes the round trip of a probe, and the clock of the member minus this one's.
    pub(crate) fn set_probe(&self, round_trip: Duration, clock_drift: Option<time::Duration>) {
        *self.probe.lock() = Some((round_trip, clock_drift));
    }

    /// Returns the state of the connections.
    pub(crate) fn link(&self) -> Link {
        let is_out = |stream: &Mutex<Option<mpsc::Sender<Message>>>| {
            stream.lock().as_ref().is_some_and(|stream| !stream.is_closed())
        };
        let mut missing = (0..2).filter(|kind| self.sources[*kind].lock().is_none());
        let probe = *self.probe.lock();
        Link {
            member: MemberId(self.id),
            urls: self.urls.lock().iter().map(crate::connect::text).collect(),
            streams_in: self.sources.iter().filter(|source| source.lock().is_some()).count(),
            streams_out: self.streams.iter().filter(|stream| is_out(stream)).count(),
            problem: missing.find_map(|kind| self.problems[kind].lock().clone()),
            is_etcd: self.is_etcd(),
            round_trip: probe.map(|(round_trip, _)| round_trip),
            clock_drift: probe.and_then(|(_, drift)| drift),
        }
    }

    /// Sets whether the member runs this server: a real etcd does not name itself in its responses.
    pub(crate) fn set_kind(&self, is_ours: bool) {
        self.kind.store(if is_ours { KIND_OURS } else { KIND_ETCD }, Ordering::Relaxed);
    }

    /// Records whether the member honours the fences of proposals, and calls `report` if that is new.
    pub(crate) fn set_fencing(&self, honours: bool, report: impl FnOnce(u64, bool)) {
        let mut fencing = self.fencing.lock();
        if *fencing != honours {
            *fencing = honours;
            report(self.id, honours);
        }
    }

    /// Reports whether the member honours the fences of proposals.
    pub(crate) fn report_fencing(&self, report: impl FnOnce(u64, bool)) {
        report(self.id, *self.fencing.lock());
    }

    /// Returns `true` if the member is a real etcd; `None` before the first stream from it.
    fn is_etcd(&self) -> Option<bool> {
        let kind = self.kind.load(Ordering::Relaxed);
        (kind != KIND_UNKNOWN).then_some(kind == KIND_ETCD)
    }

    /// Returns `true` unless the member is known to run this server.
    pub(crate) fn may_be_etcd(&self) -> bool {
        self.is_etcd() != Some(false)
    }

    /// Returns `true` if a stream of the member comes from `url`: then the server there has checked
    /// that the stream was meant for it.
    pub(crate) fn streams_from(&self, url: &Uri) -> bool {
        self.sources.iter().any(|source| source.lock().as_ref() == Some(url))
    }

    /// Logs, at most once a minute, that another server than the member responds at one of its
    /// addresses.
    pub(crate) fn report_mismatch(&self, own_cluster: ClusterId, mismatch: &dyn std::fmt::Display) {
        if self.mismatch_logs.allows(&mismatch.to_string(), Instant::now()) {
            tracing::warn!(
                remote_peer_id = %MemberId(self.id), local_member_cluster_id = %own_cluster, error = %mismatch,
                "request sent was ignored by remote peer"
            );
        }
    }

    fn slot(&self, kind: StreamKind) -> &Mutex<Option<mpsc::Sender<Message>>> {
        &self.streams[index(kind)]
    }
}

fn index(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Append => 0,
        StreamKind::Message => 1,
    }
}

/// The endless body of a stream: messages as they come, and signs of life.
#[derive(Debug)]
pub(crate) struct StreamBody {
    messages: mpsc::Receiver<Message>,
    encoder: Encoder,
    keep_alive: Interval,
    taken: Vec<Message>,
    buffer: BytesMut,
    observer: Arc<dyn PeerObserver>,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        // A keep-alive leaves on time regardless of other messages: the other side looks for
        // silence, not for idleness.
        while this.keep_alive.poll_tick(context).is_ready() {
            this.encoder.keep_alive(&mut this.buffer);
        }
        while this.buffer.len() < BYTES_PER_WRITE {
            match this.messages.poll_recv_many(context, &mut this.taken, MESSAGES_PER_WRITE) {
                Poll::Ready(0) => return Poll::Ready(None),
                Poll::Ready(_) => {
                    for message in this.taken.drain(..) {
                        this.encoder.message(&message, &mut this.buffer);
                    }
                }
                Poll::Pending if this.buffer.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        this.observer.sent(this.buffer.len());
        Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))))
    }
}
