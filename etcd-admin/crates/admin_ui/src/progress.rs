//! Progress: a bar on a terminal, a line for each tenth elsewhere. Both on the error output,
//! because it is no answer.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal as _;

/// One task with an end.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    what: String,
    /// The last tenth that was printed where there is no terminal.
    told: Cell<u64>,
    terminal: bool,
}

impl Progress {
    /// In bytes.
    pub fn of_bytes(what: &str) -> Self {
        Self::new(what, "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    /// In entries, keys or steps.
    pub fn of_steps(what: &str) -> Self {
        Self::new(what, "{msg} [{bar:30}] {pos}/{len}")
    }

    fn new(what: &str, template: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(0),
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self { bar, what: what.to_owned(), told: Cell::new(0), terminal }
    }

    #[expect(clippy::print_stderr, reason = "this is where the tool talks")]
    pub fn at(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let tenth = (done * 10).checked_div(total).unwrap_or(0).min(10);
        if !self.terminal && tenth > self.told.replace(tenth.max(self.told.get())) {
            eprintln!("{}: {}%", self.what, tenth * 10);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Prints a line about the progress.
#[expect(clippy::print_stderr, reason = "this is where the tool talks")]
pub fn note(text: &str) {
    eprintln!("{text}");
}
