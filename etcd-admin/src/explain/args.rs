//! Arguments of `explain`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// An error's text or a part of it, an exit code, an alarm, or the word of a finding;
    /// everything if not said
    #[arg(value_name = "WHAT")]
    pub(crate) what: Vec<String>,
}
