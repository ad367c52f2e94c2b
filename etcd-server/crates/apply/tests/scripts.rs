//! The stories in `tests/scripts`.

use crate::commands;
use crate::member::Member;

#[test]
fn scripts_tell_what_was_recorded() {
    script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), Member::new, commands::run);
}
