//! Flags of the commands for recovery.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// Tells what the data directories of members that do not run hold, the best first
    Inspect {
        #[arg(required = true)]
        data_dirs: Vec<PathBuf>,
    },
    /// Chooses the data directory to go on from, and writes down what is to be done
    Plan(PlanArgs),
    /// Does what a plan says, one step after another; goes on where it was interrupted
    Apply {
        plan: PathBuf,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
    /// Compares the cluster that runs with what was recovered
    Verify { plan: PathBuf },
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Data directories that survived
    #[arg(required = true)]
    pub(crate) data_dirs: Vec<PathBuf>,
    /// Members of the new cluster: NAME=PEER-URL, separated by commas
    #[arg(long, required = true, value_name = "NAME=URL,…")]
    pub(crate) initial_cluster: String,
    /// Token of the new cluster; made up if not said, so that no old member belongs to it
    #[arg(long, value_name = "TOKEN")]
    pub(crate) initial_cluster_token: Option<String>,
    /// Directory for the data directories of the new members, each under its name
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: PathBuf,
    /// File for the plan
    #[arg(long, value_name = "FILE", default_value = "recovery-plan.json")]
    pub(crate) plan: PathBuf,
    /// How far the revision is raised
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) bump_revision: i64,
}
