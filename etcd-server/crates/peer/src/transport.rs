//! All members that this one talks to.

use crate::ask::{PeerCallError, Target};
use crate::connect::Connect;
use crate::frame::{StreamKind, kind};
use crate::handshake::PeerIdentity;
use crate::link::Link;
use crate::local::{Local, Observer};
use crate::peer_sender::PeerSender;
use crate::shared::Shared;
use crate::{dial, post, probe, state_sender};
use arc_swap::ArcSwap;
use http::Uri;
use membership::{Member, Membership};
use parking_lot::Mutex;
use proto::raftpb::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use types::MemberId;

/// Members outside of the configuration that are remembered, so that they can be answered.
const REMOTES_MAX: usize = 64;

/// The connections to all other members. Cheap to clone.
#[derive(Clone)]
pub struct Transport(pub(crate) Arc<Peers>);

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("own", &self.0.shared.own).finish_non_exhaustive()
    }
}

/// The other members and the known senders, each with its tasks.
pub(crate) struct Peers {
    pub(crate) shared: Arc<Shared>,
    runtime: Handle,
    members: ArcSwap<BTreeMap<u64, Arc<Peer>>>,
    /// Senders that are no members here: they are answered by POST alone.
    remotes: Mutex<BTreeMap<u64, Arc<Peer>>>,
    removed: ArcSwap<BTreeSet<u64>>,
}

/// Another member and the tasks that serve it.
pub(crate) struct Peer {
    pub(crate) peer_sender: Arc<PeerSender>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.peer_sender.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Transport {
    /// Without peers yet. `election_timeout` lengthens the time that making a connection may take,
    /// as in etcd.
    pub fn new(
        own: PeerIdentity,
        connect: Arc<dyn Connect>,
        election_timeout: Duration,
        observer: Arc<dyn Observer>,
        runtime: Handle,
    ) -> Self {
        let dial_timeout = Duration::from_secs(1) + election_timeout;
        Self(Arc::new(Peers {
            shared: Arc::new(Shared::new(own, connect, dial_timeout, observer)),
            runtime,
            members: ArcSwap::default(),
            remotes: Mutex::default(),
            removed: ArcSwap::default(),
        }))
    }

    /// From now on messages that come in go to `local`.
    pub fn attach(&self, local: Arc<dyn Local>) {
        self.0.shared.attach(local);
        for peer in self.0.members.load().values() {
            peer.peer_sender.report_fencing(|id, honours| self.0.shared.fencing(id, honours));
        }
    }

    /// Sends messages as far as possible, and drops the rest; never waits.
    pub fn send(&self, messages: Vec<Message>) {
        for message in messages {
            self.0.send(message);
        }
    }

    /// Follows the members: connects to new ones, disconnects removed ones. Other known senders
    /// stay: a member that joins learns the members only by and by, from those that it must
    /// continue to talk to.
    pub fn follow(&self, membership: &Membership) {
        self.0.removed.store(Arc::new(membership.removed().map(|id| id.0).collect()));
        self.0.connect_to(membership.members());
    }

    /// Connects to members that this one has not heard of from the log yet.
    pub fn meet(&self, members: &[Member]) {
        self.0.connect_to(members.iter());
    }

    /// Returns the members that this member reaches, and the time since which without a break.
    pub fn active(&self) -> BTreeMap<MemberId, Instant> {
        let peers = self.0.members.load();
        peers.iter().filter_map(|(id, peer)| Some((MemberId(*id), peer.peer_sender.active_since()?))).collect()
    }

    /// Returns the state of the connections to every other member, ascending by id.
    pub fn links(&self) -> Vec<Link> {
        self.0.members.load().values().map(|peer| peer.peer_sender.link()).collect()
    }

    /// Returns `true` unless every other member is known to run this server: a member that was
    /// never reached may be a real etcd.
    pub fn may_have_etcd_members(&self) -> bool {
        self.0.members.load().values().any(|peer| peer.peer_sender.may_be_etcd())
    }

    /// The addresses of a member as destinations of requests; none if it is not known.
    pub fn targets(&self, id: MemberId) -> Vec<Target> {
        let Some(peer) = self.0.peer(id.0) else { return Vec::new() };
        let target = |url| Target { url, peer: Arc::clone(&peer.peer_sender), shared: Arc::clone(&self.0.shared) };
        let urls = peer.peer_sender.urls.lock().clone();
        urls.into_iter().map(target).collect()
    }

    /// Sends a request to each address of a member until one responds; calls `failed` for each that
    /// does not.
    pub async fn ask<T, F>(
        &self,
        member: MemberId,
        request: impl Fn(Target) -> F,
        failed: impl Fn(&PeerCallError),
    ) -> Option<T>
    where
        F: Future<Output = Result<T, PeerCallError>>,
    {
        for target in self.targets(member) {
            match request(target.clone()).await {
                Ok(response) => return Some(response),
                Err(error) => {
                    target.report(&error);
                    failed(&error);
                }
            }
        }
        None
    }

    /// Returns the connector.
    pub fn connect(&self) -> &dyn Connect {
        &*self.0.shared.connect
    }

    /// Ends all connections. Attached parts live on with the transport, so this also ends its work
    /// at the end of a process.
    pub fn stop(&self) {
        self.0.members.store(Arc::default());
        self.0.remotes.lock().clear();
    }
}

impl Peers {
    pub(crate) fn peer(&self, id: u64) -> Option<Arc<Peer>> {
        self.members.load().get(&id).cloned()
    }

    pub(crate) fn is_removed(&self, id: u64) -> bool {
        self.removed.load().contains(&id)
    }

    fn send(&self, message: Message) {
        let to = message.to;
        let Some(peer) = self.peer(to).or_else(|| self.remotes.lock().get(&to).cloned()) else {
            tracing::debug!(remote_peer_id = %MemberId(to), "dropped a message to a member that is not known");
            return;
        };
        if message.r#type == kind::SNAPSHOT {
            self.runtime.spawn(state_sender::send(Arc::clone(&self.shared), Arc::clone(&peer.peer_sender), message));
        } else if !peer.peer_sender.send(message) {
            self.shared.unreachable(to);
        }
    }

    fn connect_to<'a>(&self, members: impl Iterator<Item = &'a Member>) {
        let mut peers = BTreeMap::clone(&self.members.load());
        for member in members.filter(|member| member.id != self.shared.own.member) {
            let urls = parse_urls(&member.peer_urls);
            if urls.is_empty() {
                continue;
            }
            if let Some(known) = peers.get(&member.id.0) {
                *known.peer_sender.urls.lock() = urls;
            } else {
                tracing::info!(remote_peer_id = %member.id, remote_peer_urls = ?member.peer_urls, "added remote peer");
                let peer = self.start(member.id.0, urls, true);
                peer.peer_sender.observer.member(true);
                peers.insert(member.id.0, peer);
            }
        }
        let removed = self.removed.load();
        peers.retain(|id, peer| {
            let stays = !removed.contains(id);
            if !stays {
                peer.peer_sender.observer.member(false);
                tracing::info!(removed_remote_peer_id = %MemberId(*id), "removed remote peer");
            }
            stays
        });
        self.remotes.lock().retain(|id, _| !peers.contains_key(id));
        self.members.store(Arc::new(peers));
    }

    fn start(&self, id: u64, urls: Vec<Uri>, is_member: bool) -> Arc<Peer> {
        let (peer_sender, waiting) = PeerSender::new(id, urls, self.shared.observer.peer(id));
        let peer_sender = Arc::new(peer_sender);
        let mut tasks = vec![
            self.runtime.spawn(post::run(Arc::clone(&self.shared), Arc::clone(&peer_sender), waiting)).abort_handle(),
        ];
        if is_member {
            for kind in StreamKind::ALL {
                tasks.push(
                    self.runtime
                        .spawn(dial::run(Arc::clone(&self.shared), Arc::clone(&peer_sender), kind))
                        .abort_handle(),
                );
            }
            tasks.push(
                self.runtime.spawn(probe::run(Arc::clone(&self.shared), Arc::clone(&peer_sender))).abort_handle(),
            );
        }
        Arc::new(Peer { peer_sender, tasks })
    }

    /// Remembers where a sender that is not a member here can be answered: this member may lag
    /// behind.
    pub(crate) fn remember(&self, id: u64, urls: &str) {
        let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
        let urls = parse_urls(&urls);
        let mut remotes = self.remotes.lock();
        if id == 0
            || id == self.shared.own.member.0
            || urls.is_empty()
            || remotes.len() >= REMOTES_MAX
            || self.is_removed(id)
        {
            return;
        }
        remotes.entry(id).or_insert_with(|| self.start(id, urls, false));
    }
}

fn parse_urls(urls: &[String]) -> Vec<Uri> {
    urls.iter().filter_map(|url| crate::connect::uri(url)).collect()
}
