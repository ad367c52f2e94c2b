//! The reasons why the daemon does not start, with their exit codes.
//!
//! Texts are etcd's where etcd has one; our additions stand in brackets behind it.

use std::path::PathBuf;

use thiserror::Error;

/// A setting or a combination that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    // Usage: the command line itself.
    #[error("flag provided but not defined: -{name}{hint}")]
    UnknownFlag { name: String, hint: String },
    #[error("bad flag syntax: {0}")]
    FlagSyntax(String),
    #[error("flag needs an argument: -{0}")]
    MissingArgument(String),
    #[error("invalid value {value:?} for flag -{flag}: {reason}")]
    FlagValue { flag: &'static str, value: String, reason: String },
    #[error("invalid boolean value {value:?} for -{flag}: parse error")]
    FlagBool { flag: &'static str, value: String },
    #[error("argument {0:?} is not valid UTF-8")]
    NotText(String),

    // Where values come from.
    #[error("{0:?} is not a valid flag")]
    Stray(String),
    #[error("subcommand {0:?} is not part of this daemon (it has gateway and grpc-proxy in no form)")]
    Subcommand(String),
    #[error(
        "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag)): {0}"
    )]
    Shadowed(String),
    #[error("invalid value {value:?} for {variable}: {reason}")]
    VariableValue { variable: String, value: String, reason: String },
    #[error("open {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    FileSyntax { path: PathBuf, reason: String },
    #[error("invalid {0}")]
    FileSection(String),
    #[error("--name must not be empty: give the name that this member has in --initial-cluster")]
    EmptyName,
    #[error(
        "{auto} with {auth} and without {ca} lets no one in: name the CA of the clients with {ca}, or leave {auth} out"
    )]
    AutoTlsWithoutCa { auto: &'static str, auth: &'static str, ca: &'static str },
    /// Found by `--check-config` alone.
    #[error("unknown keys in the configuration file: {0}")]
    UnknownKeys(String),
    #[error("setting {setting}: cannot unmarshal {found} into a value of type {wanted}")]
    FileShape { setting: String, found: String, wanted: &'static str },
    #[error("unexpected error setting up {setting}: {reason}")]
    FileValue { setting: String, reason: String },

    // Logs.
    #[error("--logger=capnslog is removed in v3.5")]
    Capnslog,
    #[error("unknown logger option {0:?}")]
    Logger(String),
    #[error("multi logoutput for \"default\" is not supported yet")]
    DefaultWithOthers,
    #[error(
        "running with systemd/journal but other '--log-outputs' values ({0}) are configured with 'default'; override 'default' value with something else"
    )]
    JournalWithOthers(String),
    #[error("open sink \"\": open : no such file or directory")]
    EmptyOutput,
    #[error("unknown log format: {0}, supported values json, console")]
    LogFormat(String),
    #[error("unrecognized level: {0:?}")]
    LogLevel(String),
    #[error("--log-outputs requires a single file path when --log-rotate-config-json is defined")]
    RotationWithoutFile,
    #[error("improperly formatted log rotation config: {0}")]
    RotationSyntax(String),
    #[error("invalid log rotation config: {0}")]
    RotationShape(String),

    // Addresses.
    #[error("no valid URLs given for --{0}")]
    NoUrls(&'static str),
    #[error("expected IP in URL for binding ({0})")]
    NotBindable(String),
    #[error("--initial-advertise-peer-urls {urls} must be \"host:port\" (unexpected empty host ({url}))")]
    AdvertisePeer { urls: String, url: String },
    #[error(
        "--advertise-client-urls {urls:?} must be in the format \"host:port\", \"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (unexpected empty host ({url}))"
    )]
    AdvertiseClient { urls: String, url: String },
    #[error("--advertise-client-urls is required when --listen-client-urls is set explicitly")]
    AdvertiseMissing,
    #[error("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {0}")]
    SameUrlTwice(String),

    // Cluster.
    #[error("unexpected clusterState {0:?}")]
    ClusterState(String),
    #[error(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\""
    )]
    ManyBootstraps,
    #[error("both --discovery-token and --discovery-endpoints must be set")]
    DiscoveryPair,
    #[error("--discovery-endpoints must not contain empty endpoints")]
    DiscoveryEmptyEndpoint,
    #[error("v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"")]
    DiscoveryProxy,
    #[error("error setting up initial cluster: {0}")]
    InitialCluster(String),
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    NameNotInCluster(String),
    #[error("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised} ({reason})")]
    NotAdvertised { missing: String, advertised: String, reason: String },
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={cluster}")]
    NotInCluster { missing: String, cluster: String },
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),

    // Timing, compaction, limits.
    #[error("--{flag} must be >0 (set to {milliseconds}ms)")]
    ZeroMilliseconds { flag: &'static str, milliseconds: u64 },
    #[error("--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]")]
    ElectionTooShort { election: u64, heartbeat: u64 },
    #[error("--election-timeout[{0}ms] is too long, and should be set less than 50000ms")]
    ElectionTooLong(u64),
    #[error("undefined auto-compaction-mode")]
    NoCompactionMode,
    #[error("unknown auto-compaction-mode {0:?}")]
    CompactionMode(String),
    #[error("error parsing CompactionRetention: {0}")]
    CompactionRetention(String),
    #[error("distributed tracing configurition is not valid: (tracing sampling rate must be {0})")]
    SamplingRate(&'static str),
    #[error("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")]
    CheckpointPersistAlone,
    #[error("--compact-hash-check-time must be >0 (set to {0})")]
    CompactHashCheckTime(String),

    // Security.
    #[error("unexpected TLS version {0:?} (must be one of: TLS1.2, TLS1.3)")]
    TlsVersion(String),
    #[error("min version ({min}) is greater than max version ({max})")]
    TlsVersionOrder { min: String, max: String },
    #[error("cipher suites cannot be configured when only TLS1.3 is enabled")]
    CiphersWithTls13,
    #[error("unexpected TLS cipher suite {0:?}")]
    Cipher(String),
    #[error("TLS key/cert ({flags}) must be provided for {what} url {url} with HTTPS scheme")]
    NoCertificate { flags: &'static str, what: &'static str, url: String },
    #[error("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url")]
    NoMetricsCertificate,
    #[error("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")]
    KeyPair { key: String, cert: String },
    #[error("ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {cert}]")]
    ClientKeyPair { key: String, cert: String },
    #[error("AllowedCNs and AllowedHostnames are mutually exclusive (cns={names}, hostnames={hosts})")]
    NamesAndHosts { names: String, hosts: String },
    #[error("selfSignedCertValidity is invalid,it should be greater than 0")]
    CertificateValidity,
    #[error("auth: invalid auth options ({0})")]
    AuthToken(String),
}

impl ConfigError {
    /// Returns `true` if the same settings may be right a moment later: names that could not be
    /// looked up look as if they differed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotAdvertised { .. } | Self::NotInCluster { .. })
    }

    /// 2 when the command line could not be read (etcd's, and Go's, code for it), else 1.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "a new variant is about values, and those exit with 1")]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownFlag { .. }
            | Self::FlagSyntax(_)
            | Self::MissingArgument(_)
            | Self::FlagValue { .. }
            | Self::FlagBool { .. }
            | Self::NotText(_) => 2,
            _ => 1,
        }
    }
}

/// A list as Go's `%q` prints it.
pub(crate) fn quoted<T: ToString>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(|item| format!("{:?}", item.to_string())).collect::<Vec<_>>().join(" "))
}
