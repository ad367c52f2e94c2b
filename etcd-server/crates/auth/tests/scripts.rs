//! The stories in `tests/scripts`. After each command the state is read back from the tables and
//! compared with the one in memory.

use crate::script::Script;

#[test]
fn stories_end_as_recorded() {
    ::script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), Script::new, Script::run);
}
