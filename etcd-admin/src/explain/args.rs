//! Arguments of `explain`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Text of an error or a part of it, an exit status, an alarm, or the name of a finding
    /// [default: all]
    #[arg(value_name = "WHAT")]
    pub(crate) what: Vec<String>,
}
