//! The way to the other members, as the pipeline sees it.

use membership::Membership;
use proto::raftpb::Message;

/// Carries messages to other members. Neither call may wait.
pub trait Outbound: Send + Sync {
    /// Sends as many messages as possible, in order for each member; raft allows the rest to be
    /// dropped.
    fn send(&self, messages: Vec<Message>);

    /// The members have changed.
    fn follow(&self, members: &Membership);
}
