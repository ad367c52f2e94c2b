//! Arguments of `ca`, `cert` and `crl`.

use crate::ui::passphrase::PassphraseSource;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Makes the CAs
    Init(CaInit),
    /// Shows the CAs, and what they have issued
    Show {
        /// Every certificate that was issued
        #[arg(long)]
        issued: bool,
    },
    /// Exchanges a CA without a gap: start, switch, finish
    Rotate(CaRotate),
    /// Brings back a cluster whose certificates have all run out: new ones for the keys that the
    /// hosts have
    Rescue(CaRescue),
}

#[derive(Debug, Args)]
pub(crate) struct CaRescue {
    /// The certificates that have run out, as the hosts have them
    #[arg(required = true, value_name = "FILE")]
    pub(crate) certs: Vec<PathBuf>,
    /// New directory for everything that is to be brought to the hosts
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Days that the new certificates live
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Days that a CA lives that has to be made anew
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) ca_days: i64,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaInit {
    /// Which of the two; both if not said
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Common name, to which the kind is appended
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewCaArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NewCaArgs {
    /// Days that the CA lives
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of its key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Domain or network that it may issue for, such as example.org or 10.0.0.0/8; may be given
    /// again
    #[arg(long, value_name = "NAME")]
    pub(crate) constrain: Vec<String>,
    /// Leaves the key unprotected
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) no_passphrase: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaRotate {
    #[arg(value_enum)]
    pub(crate) step: RotateStep,
    /// Which CA
    #[arg(long, value_enum)]
    pub(crate) kind: Kind,
    /// Common name of the next CA, at the start
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewCaArgs,
    /// Address of a member's /metrics saved to a file, at the end: live connections of the old CA
    /// are a reason not to go on
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Vec<PathBuf>,
    /// Drops the old CA although certificates of it are still good
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotateStep {
    /// Makes the next CA; both are to be trusted
    Start,
    /// Lets the next CA issue
    Switch,
    /// Drops the old CA
    Finish,
    /// Says how far it has come
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Makes a key and a certificate on this machine
    Issue(CertIssue),
    /// Makes a key that stays here, and a request to be signed elsewhere
    Request(CertRequest),
    /// Signs a request
    Sign(CertSign),
    /// Puts a signed certificate, bundles and lists in place, all at once
    Install(CertInstall),
    /// Makes a new key and certificate in the place of one that runs out
    Renew(CertRenew),
    /// Notes that a certificate is not to be trusted any more
    Revoke(CertRevoke),
    /// Shows what is in certificate files
    Inspect {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Checks the files of a host: chain, usages, names, key, dates, modes
    Verify(CertVerify),
    /// Shows the time left of certificates
    Status(CertStatus),
    /// Ends with 0 when it is time to renew, 1 when not, 255 when nobody can tell: fits
    /// ExecCondition of systemd
    NeedsRenewal(CertNeedsRenewal),
}

#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// What the certificate is for
    #[arg(value_enum)]
    pub(crate) profile: CertProfile,
    /// Hosts, addresses or URLs by which its bearer is reached
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Common name: a client's user; else the first host
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CertIssue {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Days that the certificate lives
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of its key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Directory for the files
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// For a server that only its own machine shall reach
    #[arg(long)]
    pub(crate) loopback_only: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertRequest {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Directory of this host's certificates
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Kind of the key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Forgets a request that has not been answered
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CertSign {
    /// The request
    pub(crate) request: PathBuf,
    /// What the certificate is for
    #[arg(long, value_enum)]
    pub(crate) profile: CertProfile,
    /// A name that the request may ask for; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Signs whatever names the request asks for
    #[arg(long, conflicts_with = "san")]
    pub(crate) any_names: bool,
    /// The common name that the request has to have
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// File for the certificate; the answer goes there if not said
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[arg(long)]
    pub(crate) loopback_only: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertInstall {
    /// Directory of this host's certificates
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// A signed certificate for a request made here; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<PathBuf>,
    /// Bundle of the CA of clients
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Bundle of the CA of members
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_ca: Option<PathBuf>,
    /// List of revoked certificates of clients
    #[arg(long, value_name = "FILE")]
    pub(crate) client_crl: Option<PathBuf>,
    /// List of revoked certificates of members
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_crl: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CertRenew {
    /// Certificate, beside which its key lies
    pub(crate) cert: PathBuf,
    /// Its key; default the certificate's file with the ending .key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Kind of the new key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Renews although it is not time yet
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertRevoke {
    /// Serial number, or a file with the certificate
    pub(crate) certificate: String,
    /// Whose it is, when it is given by its number
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
pub(crate) struct CertVerify {
    /// Directory of this host's certificates: all of them are checked
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key_file", "ca", "crl", "profile"])]
    pub(crate) dir: Option<PathBuf>,
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Bundle of those who are trusted
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) ca: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "server")]
    pub(crate) profile: CertProfile,
    /// A name or URL that server and peer have to stand for; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Days before the end from which on to warn
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertStatus {
    /// Certificate files, or directories with them
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Days before the end from which on to warn, and to end with 3
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertNeedsRenewal {
    /// Certificate
    pub(crate) cert: PathBuf,
    /// Days before the end at which it is time; two thirds of its life if not said
    #[arg(long)]
    pub(crate) days: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrlCommand {
    /// Signs the list of what has been revoked
    Publish {
        #[arg(long, value_enum)]
        kind: Kind,
        /// Days for which the list can be relied upon; members refuse everybody when they are over
        #[arg(long, default_value_t = certs::files::LIST_DAYS, value_parser = clap::value_parser!(i64).range(1..=3_650))]
        days: i64,
        /// Publish only if a list is missing, two thirds through its life, or lacks a revoked
        /// certificate
        #[arg(long)]
        if_due: bool,
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Shows what is in a list
    Show { file: PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Client,
    Peer,
}

impl From<Kind> for certs::CaKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Client => Self::Client,
            Kind::Peer => Self::Peer,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa2048,
    Rsa4096,
}

impl From<KeyKind> for certs::KeyAlgorithm {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::P256,
            KeyKind::P384 => Self::P384,
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::Rsa2048 => Self::Rsa2048,
            KeyKind::Rsa4096 => Self::Rsa4096,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertProfile {
    /// Serves clients
    Server,
    /// Shown to other members
    Peer,
    /// A user, by its common name
    Client,
    /// The user root
    Admin,
    /// Reads metrics
    Metrics,
}

impl From<CertProfile> for certs::Profile {
    fn from(arg: CertProfile) -> Self {
        match arg {
            CertProfile::Server => Self::Server,
            CertProfile::Peer => Self::Peer,
            CertProfile::Client => Self::Client,
            CertProfile::Admin => Self::Admin,
            CertProfile::Metrics => Self::Metrics,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

impl From<Reason> for certs::RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}
