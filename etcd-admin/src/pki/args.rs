//! Arguments of `ca`, `cert` and `crl`.

use admin_ui::passphrase::PassphraseSource;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Create the CAs
    Init(CaInit),
    /// Show the CAs
    Show {
        /// List all issued certificates
        #[arg(long)]
        issued: bool,
    },
    /// Replace a CA without downtime: start, switch, finish
    Rotate(CaRotate),
    /// Issue new certificates for the existing keys of a cluster whose certificates have all
    /// expired
    Rescue(CaRescue),
}

#[derive(Debug, Args)]
pub(crate) struct CaRescue {
    /// Expired certificates, copied from the hosts
    #[arg(required = true, value_name = "FILE")]
    pub(crate) certs: Vec<PathBuf>,
    /// Directory to create; copy its files to the hosts
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Validity of the new certificates in days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Validity in days of a CA that has to be created again
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) ca_days: i64,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaInit {
    /// CA to create [default: both]
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    /// Common name; the kind is appended
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewCaArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NewCaArgs {
    /// Validity of the CA in days
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Key algorithm
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Name constraint: domain or network to issue for, such as example.org or 10.0.0.0/8; may be
    /// repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) constrain: Vec<String>,
    /// Do not encrypt the key
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) no_passphrase: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CaRotate {
    #[arg(value_enum)]
    pub(crate) step: RotateStep,
    /// CA to replace
    #[arg(long, value_enum)]
    pub(crate) kind: Kind,
    /// Common name of the next CA (start only)
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) new: NewCaArgs,
    /// File with a member's saved /metrics page (finish only); refuse while connections use the old
    /// CA
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Vec<PathBuf>,
    /// Remove the old CA although certificates that it issued are still valid
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotateStep {
    /// Create the next CA; publish a bundle with both
    Start,
    /// Issue from the next CA
    Switch,
    /// Remove the old CA
    Finish,
    /// Show the phase of the rotation
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Create a key and a certificate on this machine
    Issue(CertIssue),
    /// Create a key, and a request to be signed elsewhere
    Request(CertRequest),
    /// Sign a request
    Sign(CertSign),
    /// Install signed certificates, CA bundles and CRLs in one step
    Install(CertInstall),
    /// Replace a key and certificate before they expire
    Renew(CertRenew),
    /// Revoke a certificate
    Revoke(CertRevoke),
    /// Show the contents of certificate files
    Inspect {
        /// Certificate files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Verify the files of a host: chain, usages, names, key, dates, permissions
    Verify(CertVerify),
    /// Show the time until certificates expire
    Status(CertStatus),
    /// Check whether a certificate is due for renewal (exit status 0 due, 1 not due, 255 unknown)
    NeedsRenewal(CertNeedsRenewal),
}

#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// Profile of the certificate
    #[arg(value_enum)]
    pub(crate) profile: CertProfile,
    /// Host names, addresses or URLs of the subject
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Common name: the user of a client [default: the first host]
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CertIssue {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Validity of the certificate in days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Key algorithm
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Output directory
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Allow a server certificate with loopback names only
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
    /// Key algorithm
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Replace a pending request
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CertSign {
    /// Request file
    pub(crate) request: PathBuf,
    /// Profile of the certificate
    #[arg(long, value_enum)]
    pub(crate) profile: CertProfile,
    /// Subject alternative name that the request may contain; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Sign all names in the request
    #[arg(long, conflicts_with = "san")]
    pub(crate) any_names: bool,
    /// Required common name of the request
    #[arg(long, value_name = "NAME")]
    pub(crate) cn: Option<String>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Certificate file [default: standard output]
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
    /// Signed certificate for a request made here; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<PathBuf>,
    /// Bundle of the client CA
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Bundle of the peer CA
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_ca: Option<PathBuf>,
    /// CRL of the client CA
    #[arg(long, value_name = "FILE")]
    pub(crate) client_crl: Option<PathBuf>,
    /// CRL of the peer CA
    #[arg(long, value_name = "FILE")]
    pub(crate) peer_crl: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CertRenew {
    /// Certificate file; the key is expected beside it
    pub(crate) cert: PathBuf,
    /// Key file [default: the certificate file with extension .key]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    pub(crate) days: i64,
    /// Key algorithm of the new key
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key: KeyKind,
    /// Renew before the certificate is due
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
}

#[derive(Debug, Args)]
pub(crate) struct CertRevoke {
    /// Serial number or certificate file
    pub(crate) certificate: String,
    /// Kind of the CA, for a serial number
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(crate) reason: Reason,
}

#[derive(Debug, Args)]
pub(crate) struct CertVerify {
    /// Directory of this host's certificates; verify all of them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key_file", "ca", "crl", "profile"])]
    pub(crate) dir: Option<PathBuf>,
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Bundle of trusted CAs
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(crate) ca: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "server")]
    pub(crate) profile: CertProfile,
    /// Name or URL that must be in server and peer certificates; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) san: Vec<String>,
    /// Warn this many days before expiry
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertStatus {
    /// Certificate files, or directories with them
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Warn this many days before expiry, with exit status 3
    #[arg(long, default_value_t = 30)]
    pub(crate) warn_days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct CertNeedsRenewal {
    /// Certificate file
    pub(crate) cert: PathBuf,
    /// Days before expiry at which it is due [default: after two thirds of its validity]
    #[arg(long)]
    pub(crate) days: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrlCommand {
    /// Sign and publish the CRL of a CA
    Publish {
        #[arg(long, value_enum)]
        kind: Kind,
        /// Validity of the CRL in days; members refuse all clients of the CA when it has expired
        #[arg(long, default_value_t = certs::files::LIST_DAYS, value_parser = clap::value_parser!(i64).range(1..=3_650))]
        days: i64,
        /// Publish only if a CRL is missing, past two thirds of its validity, or incomplete
        #[arg(long)]
        if_due: bool,
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Show the contents of a CRL
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
    /// Server for clients
    Server,
    /// Member, as server and client of its peers
    Peer,
    /// User named by the common name
    Client,
    /// User root
    Admin,
    /// Client that reads metrics
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
