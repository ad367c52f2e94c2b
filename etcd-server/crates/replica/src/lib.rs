//! The pipeline of one member: threads that run consensus, log and apply, and the handle that
//! requests go in by.
//!
//! ```text
//! propose ─▶ node thread ─(entries)─▶ log thread: one append, one sync for all that waits
//!                ▲  │                      │
//!                │  └─(committed)─▶ apply thread: one batch ─▶ published state ─▶ answers, events
//!                └──── persisted, applied ─┘
//! ```
//! The threads exchange owned batches over queues. Requests in flight are bounded where they enter
//! ([`Replica::propose`]): a full pipeline gives the client "too many requests". Any
//! [`types::Fault`] ends the process through the owner's `on_fault`, and so does a panic.

mod apply_task;
mod clock;
mod compactor;
mod data_files;
mod error;
mod export;
mod fail_stop;
mod import;
mod inspect;
mod install;
mod leader_changes;
mod log_task;
mod member_lines;
mod message_quota;
mod messages;
mod node_task;
mod observer;
mod outbound;
mod overload;
mod pending_proposals;
mod published;
mod raft_lines;
mod replica;
mod request_id;
mod start;
mod state_dir;
mod under_way;
mod watches;

pub use apply_task::ApplyEvent;
pub use clock::Clock;
pub use error::RequestError;
pub use export::export;
pub use fail_stop::report_panics;
pub use import::{ImportError, ImportPlan, Imported, Raise, import};
pub use inspect::{InspectError, Inspected, inspect};
pub use install::{PrepareError, Prepared};
pub use leader_changes::{LeaderChange, LeaderChangeCause, LeaderChanges};
pub use observer::{AppliedRequest, Observer, Unobserved};
pub use outbound::Outbound;
pub use published::{Published, RaftStatus};
pub use replica::{Replica, Submitted};
pub use request_id::RequestIds;
pub use start::{OnTokens, OpenError, Opened, Options, Running};
pub use state_dir::is_used;
pub use under_way::{Begun, UnderWay};
pub use watches::{WatchFigures, WatchRequests, WatchResponses, Watches};
