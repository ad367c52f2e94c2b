//! Flags of the commands that make hosts.

use crate::client::duration;
use crate::ui::passphrase::PassphraseSource;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Print a new cluster document with a random token
    New(NewArgs),
    /// Create a three-member cluster with TLS on this machine, for a first look and for tests
    Local(LocalArgs),
    /// Prints what a document may hold, with units and defaults
    #[command(after_long_help = crate::cluster_config::SCHEMA)]
    Schema,
    /// Writes the configuration of every host into a directory, and nothing else
    Render {
        #[command(flatten)]
        document: DocumentArgs,
        /// Directory, with one below it for each member, laid out as the host is
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Says what `init apply` would change on this host
    Plan(HostArgs),
    /// Writes configuration, certificates and directories of this host; the second time nothing
    /// changes
    Apply(HostArgs),
    /// Signs the requests that `init apply` made on a host, for the names that the document has for
    /// it
    Sign(SignArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What people call the cluster
    pub(crate) name: String,
    /// Members: NAME=HOST, or NAME=HOST:CLIENT-PORT:PEER-PORT
    #[arg(required = true, value_name = "NAME=HOST")]
    pub(crate) members: Vec<String>,
    /// Directory for data, configuration and certificates of all members, each under its name
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// Name of the cluster
    #[arg(default_value = "local")]
    pub(crate) name: String,
    /// New directory for the cluster
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Number of members
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    pub(crate) members: u16,
    /// First port; the members take two each, one after the other
    #[arg(long, default_value_t = 12379, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub(crate) first_port: u16,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DocumentArgs {
    /// The cluster's document; else ./cluster.yaml, else /etc/etcd/cluster.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Which member this host is; else the one that has its name
    #[arg(long, value_name = "NAME")]
    pub(crate) member: Option<String>,
    /// Directory with what the CAs signed for this host: server.crt, peer.crt, client-ca.crt,
    /// peer-ca.crt
    #[arg(long, value_name = "DIR")]
    pub(crate) signed: Option<PathBuf>,
    /// Writes below this directory, as for an image
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Whose requests these are
    #[arg(long, value_name = "NAME")]
    pub(crate) member: String,
    /// Directory with server.csr and peer.csr
    #[arg(long, value_name = "DIR")]
    pub(crate) requests: PathBuf,
    /// Directory for what is to be brought to the host
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Time until the new member has to have caught up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Ends when the member may be started; the same command goes on
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// Configuration file or environment file of the etcd that runs here; else where distributions
    /// put them
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Our configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) to: PathBuf,
    /// Data directory for the new daemon, in place of etcd's own, which it cannot read
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Setting without a counterpart to leave out; may be repeated
    #[arg(long, value_name = "SETTING")]
    pub(crate) leave_out: Vec<String>,
}
