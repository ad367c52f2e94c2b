//! Arguments of `top`.

use admin_ui::go_flags::duration;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print the screen once and exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Refresh interval
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub(crate) interval: Duration,
}
