//! A few inputs for each decoder; `make fuzz` tries a million.

use fuzz::{run, targets};

const INPUTS: u64 = 5_000;

#[test]
fn no_decoder_panics_and_each_takes_something() {
    for (name, ready) in targets::ALL {
        let report = run(name, &mut *ready(), 0..INPUTS);
        assert!(
            report.panics.is_empty(),
            "{name} panicked: again with `make fuzz FUZZ=\"--target {name} --inputs 1 --seed {}\"`",
            report.panics[0]
        );
        assert!(report.taken > INPUTS / 100, "{name}: {} of {INPUTS} were good enough to be looked at", report.taken);
    }
}
