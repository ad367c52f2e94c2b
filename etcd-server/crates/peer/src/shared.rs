//! The context of the tasks that serve other members: identity, connector, reports to this member.

use crate::connect::Connect;
use crate::handshake::{self, PeerIdentity};
use crate::local::{Local, Observer};
use crate::log_limit::LogLimit;
use crate::peer_sender::PeerSender;
use http::{HeaderMap, Uri};
use proto::raftpb::Message;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The context of every task that serves another member.
pub(crate) struct Shared {
    pub(crate) own: PeerIdentity,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) dial_timeout: Duration,
    pub(crate) observer: Arc<dyn Observer>,
    local: OnceLock<Arc<dyn Local>>,
    pub(crate) refusal_logs: LogLimit,
}

impl Shared {
    /// Without a local member yet.
    pub(crate) fn new(
        own: PeerIdentity,
        connect: Arc<dyn Connect>,
        dial_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { own, connect, dial_timeout, observer, local: OnceLock::new(), refusal_logs: LogLimit::default() }
    }

    /// From now on messages that come in go to `local`.
    pub(crate) fn attach(&self, local: Arc<dyn Local>) {
        drop(self.local.set(local));
    }

    pub(crate) fn local(&self) -> Option<&Arc<dyn Local>> {
        self.local.get()
    }

    /// Hands a message to this member; one for which there is no room is dropped, which raft
    /// allows.
    pub(crate) fn deliver(&self, message: Message) {
        if let Some(local) = self.local() {
            local.step(message);
        }
    }

    pub(crate) fn unreachable(&self, member: u64) {
        if let Some(local) = self.local() {
            local.unreachable(member);
        }
    }

    /// A member has sent these headers, in a request or a response.
    pub(crate) fn heard(&self, peer: &PeerSender, headers: &HeaderMap) {
        peer.set_fencing(handshake::honours_fences(headers), |id, honours| self.fencing(id, honours));
    }

    pub(crate) fn fencing(&self, member: u64, honours: bool) {
        if let Some(local) = self.local() {
            local.fencing(member, honours);
        }
    }

    pub(crate) fn gone(&self, member: u64) {
        if let Some(local) = self.local() {
            local.gone(member);
        }
    }

    pub(crate) fn snapshot_sent(&self, member: u64, success: bool) {
        if let Some(local) = self.local() {
            local.snapshot_sent(member, success);
        }
    }

    pub(crate) fn told_removed(&self) {
        if let Some(local) = self.local() {
            local.told_removed();
        }
    }

    /// One of a member's addresses; another one each second, so that a dead one is not tried for
    /// ever.
    pub(crate) fn pick(&self, peer: &PeerSender) -> Uri {
        let urls = peer.urls.lock();
        let seconds =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        urls[usize::try_from(seconds).unwrap_or(0) % urls.len()].clone()
    }
}
