//! The actions that follow a batch of applied entries.

use apply::{ApplyError, Effect, Ordered};
use consensus::ConfChangeKind;
use lease::Change;
use types::{Event, MainRevision};

/// An action that [`crate::ApplyPipeline`] asks for after a batch is written to the store. Actions
/// are carried out in order: a client that has its response finds all other effects of its request.
#[derive(Debug, PartialEq)]
pub enum ApplyAction {
    /// Show readers the state up to this entry; the batch is readable.
    Publish {
        /// The applied index.
        index: u64,
        /// The changes of leases, for their deadlines.
        lease_changes: Vec<Change>,
    },
    /// Give these events to watchers, in order. They can be read from the store.
    Events(Vec<Event>),
    /// Tokens of clients come or go.
    Tokens(Effect),
    /// History up to this revision is obsolete: refuse watchers below it, and remove it.
    Compacted(MainRevision),
    /// The quota is used up: propose the NOSPACE alarm for this member.
    RaiseNoSpace,
    /// Report this configuration change to the raft node, before the applied index.
    ConfChanged {
        /// The change.
        kind: ConfChangeKind,
        /// The member that it concerns.
        member: u64,
    },
    /// Send these outcomes to the callers that wait for them; other ids belong to other members.
    Respond(Vec<(u64, Result<Ordered, ApplyError>)>),
    /// Report this index to the raft node as applied. Behind the responses: a proposal that has none
    /// by then may be proposed again.
    Applied(u64),
    /// This member was removed from the cluster: fail all that still waits, and stop. Nothing else
    /// will be applied here.
    Removed,
}

/// The results of a batch that is not readable yet.
#[derive(Debug)]
pub struct BatchResults {
    pub(crate) responses: Vec<(u64, Result<Ordered, ApplyError>)>,
    pub(crate) events: Vec<Event>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) conf_changes: Vec<(ConfChangeKind, u64)>,
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) sealed: lease::Sealed,
}

impl BatchResults {
    /// Returns the events of the batch, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
