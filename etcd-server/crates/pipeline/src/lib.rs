//! The decisions of one member, between consensus, log, state and clients: inputs come in, actions
//! come out.
//!
//! ```text
//!              NodeInput                    ApplyCommand
//! requests ──▶ NodePipeline ──(committed)──▶ ApplyPipeline ──▶ ApplyAction: readers, watchers,
//! messages       │     ▲                        │              responses
//!                │     └── Applied, ConfChanged ┘
//!                └─ NodeAction: log, messages to peers
//! ```
//! Both machines are pure: no thread, file, clock or randomness. The daemon's threads (crate
//! `replica`) and the simulator (crate `sim`) carry out the same actions, each with its own queues
//! and disks. [`NodeAction`] and [`ApplyAction`] document for each action what must be durable or
//! visible before it, and what it must precede.
#![forbid(unsafe_code)]

mod apply_action;
mod apply_pipeline;
mod deferred_messages;
mod early_election;
mod forwarded_messages;
mod held_proposals;
mod keep_alive;
mod node_action;
mod node_input;
mod node_pipeline;
mod own_requests;
mod pending_table;

pub use apply_action::{ApplyAction, BatchResults};
pub use apply_pipeline::{ApplyPipeline, ApplySettings, EntryHooks};
pub use keep_alive::{KeepAliveRound, Renewed};
pub use node_action::{NodeAction, NodeFault, Refusal, StalledLog};
pub use node_input::{NodeInput, Proposal, ProposalKind};
pub use node_pipeline::{NodePipeline, NodeSettings};
pub use own_requests::{checkpoint_leases, raise_alarm, reset_checkpoints, revoke_lease};
pub use pending_table::{Lost, PendingTable};
