//! Flags of the commands for recovery.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// Show the contents of stopped members' data directories, the most up to date first
    Inspect {
        #[arg(required = true)]
        data_dirs: Vec<PathBuf>,
    },
    /// Choose the data directory to recover from, and write a plan
    Plan(PlanArgs),
    /// Execute a plan step by step; resumes after an interruption
    Apply {
        plan: PathBuf,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
    },
    /// Compare the running cluster with the recovered data
    Verify { plan: PathBuf },
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Surviving data directories
    #[arg(required = true)]
    pub(crate) data_dirs: Vec<PathBuf>,
    /// Members of the new cluster: NAME=PEER-URL, separated by commas
    #[arg(long, required = true, value_name = "NAME=URL,…")]
    pub(crate) initial_cluster: String,
    /// Token of the new cluster [default: random, so that no old member belongs to it]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) initial_cluster_token: Option<String>,
    /// Directory for the new members' data directories, each in NAME
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: PathBuf,
    /// Plan file
    #[arg(long, value_name = "FILE", default_value = "recovery-plan.json")]
    pub(crate) plan: PathBuf,
    /// Number of revisions to skip
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) bump_revision: i64,
}
