//! The state of a stopped member as a backup: a way to its data without a network.

use crate::inspect::InspectError;
use crate::state_dir;
use backend_file::bolt::{Plan, Trailer};
use backend_file::image;
use schema::meta;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use storage::{Store, StoreOptions};
use types::Fault;

/// Writes the state in `dir`, the member's own below its data directory, with a digest at its
/// end. `scratch` is a temporary file. Entries of the log behind the state are not in it: a member
/// that was stopped cleanly has none.
///
/// # Errors
/// When the data belongs to no member, is damaged, or cannot be read or written.
pub fn export(dir: &Path, scratch: &File, out: &mut dyn Write) -> Result<(), InspectError> {
    let looking = |error| Fault::io(format!("look into {}", dir.display()), error);
    let state = state_dir::current(dir).map_err(looking)?;
    let store = Store::look(&state, &StoreOptions::default())?.ok_or(InspectError::Empty)?;
    if meta::read_u64(&store, meta::MEMBER_ID)?.is_none() {
        return Err(InspectError::Empty);
    }
    let buckets = image::buckets(&store, scratch)?;
    let plan = Plan::measure(&buckets)?;
    for chunk in plan.write(Trailer::Sha256) {
        out.write_all(&chunk?).map_err(|error| Fault::io("write a backup", error))?;
    }
    Ok(())
}
