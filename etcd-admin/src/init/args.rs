//! Flags of the commands that make hosts.

use crate::cluster_config::DocumentArgs;
use admin_ui::go_flags::duration;
use admin_ui::passphrase::PassphraseSource;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Print a new cluster.yaml with a random token
    New(NewArgs),
    /// Create a three-member cluster with TLS on this machine, for a first look and for tests
    Local(LocalArgs),
    /// Print all settings of cluster.yaml, with units and defaults
    #[command(after_long_help = crate::cluster_config::SCHEMA)]
    Schema,
    /// Write the configuration of every host to a directory
    Render {
        #[command(flatten)]
        document: DocumentArgs,
        /// Output directory; each member gets one below it, laid out like its host
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print what `init apply` would change on this host
    Plan(HostArgs),
    /// Write configuration, certificates and directories of this host; idempotent
    Apply(HostArgs),
    /// Sign the certificate requests of a host for its names in cluster.yaml
    Sign(SignArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the cluster
    pub(crate) name: String,
    /// Members: NAME=HOST, or NAME=HOST:CLIENT-PORT:PEER-PORT
    #[arg(required = true, value_name = "NAME=HOST")]
    pub(crate) members: Vec<String>,
    /// Directory for data, configuration and certificates of all members, each in NAME
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// Name of the cluster
    #[arg(default_value = "local")]
    pub(crate) name: String,
    /// Directory to create for the cluster
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Number of members
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    pub(crate) members: u16,
    /// First port; each member uses the next two
    #[arg(long, default_value_t = 12379, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub(crate) first_port: u16,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Member of this host [default: the member with the name of the host]
    #[arg(long, value_name = "NAME")]
    pub(crate) member: Option<String>,
    /// Directory with this host's server.crt, peer.crt, client-ca.crt and peer-ca.crt
    #[arg(long, value_name = "DIR")]
    pub(crate) signed: Option<PathBuf>,
    /// Write below this root directory, to build an image
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) document: DocumentArgs,
    /// Member that made the requests
    #[arg(long, value_name = "NAME")]
    pub(crate) member: String,
    /// Directory with server.csr and peer.csr
    #[arg(long, value_name = "DIR")]
    pub(crate) requests: PathBuf,
    /// Output directory; copy its files to the host
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Timeout for the new member to catch up
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) wait: Duration,
    /// Stop when the member may be started; run the same command again to continue
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// Configuration or environment file of the etcd on this host [default: the places of
    /// distributions]
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Configuration file to write
    #[arg(long, value_name = "FILE", default_value = "/etc/etcd/etcd.yaml")]
    pub(crate) to: PathBuf,
    /// Data directory of the new daemon, which cannot read etcd's own
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Setting without a counterpart to leave out; may be repeated
    #[arg(long, value_name = "SETTING")]
    pub(crate) leave_out: Vec<String>,
}

/// Returns a path of the host, below another root if there is one.
pub(super) fn placed(args: &HostArgs, path: &Path) -> PathBuf {
    args.root.as_ref().map_or_else(|| path.to_owned(), |root| root.join(path.strip_prefix("/").unwrap_or(path)))
}
