//! Leases: grants, renewals, expiry, checkpoints; time is an argument.
//!
//! Two halves. [`Lessor`] is replicated: only apply changes it, equally on every member, and it
//! knows no time. [`Expiry`] is each member's own: it follows the lessor's [`Change`]s, and on the
//! leader says which leases have run out. The leader then proposes to revoke them, so that losing a
//! lease is again an ordered entry. `Expiry` never touches the state.
#![forbid(unsafe_code)]

mod attached_keys;
mod error;
mod expiry;
mod lease_record;
mod lessor;
mod rate_limiter;

pub use attached_keys::{Sealed, stored_keys};
pub use error::LeaseError;
pub use expiry::{Checkpoint, Expired, Expiry, ExpirySettings, Renewal, TimeToLive};
pub use lease_record::Terms;
pub use lessor::{Change, Lessor, Persist, TTL_SECONDS_MAX, minimum_ttl_seconds};
