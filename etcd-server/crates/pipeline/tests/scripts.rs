//! The stories in `tests/scripts`.

use crate::stage::Stage;

#[test]
fn scripts_answer_as_recorded() {
    script::run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"), Stage::default, Stage::run);
}
