//! etcdctl's global flags.

use admin_ui::go_flags::{boolean, duration};
use std::path::PathBuf;
use std::time::Duration;

// No doc comment: clap would take it for the help of every command that has these flags.
// How to reach the cluster. Each flag has a variable: `--dial-timeout` is `ETCDCTL_DIAL_TIMEOUT`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// gRPC endpoints, separated by commas
    #[arg(long, global = true, value_delimiter = ',', value_name = "URLS")]
    pub endpoints: Option<Vec<String>>,
    /// CA bundle that verifies the members' certificates
    #[arg(long, global = true, value_parser = path(), value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Client certificate
    #[arg(long, global = true, value_parser = path(), value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Key of the client certificate
    #[arg(long, global = true, value_parser = path(), value_name = "FILE")]
    pub key: Option<PathBuf>,
    #[arg(
        help = "username[:password]; the password is asked for if it is missing",
        long,
        global = true,
        value_name = "USER"
    )]
    pub user: Option<String>,
    /// Password for --user, which is then given without one
    #[arg(long, global = true, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Token to use in place of a user name and password
    #[arg(long, global = true, value_name = "TOKEN")]
    pub auth_jwt_token: Option<String>,
    /// Timeout for connecting [default: 2s]
    #[arg(long, global = true, value_parser = duration, value_name = "DURATION")]
    pub dial_timeout: Option<Duration>,
    /// Timeout for short commands [default: 5s]
    #[arg(long, global = true, value_parser = duration, value_name = "DURATION")]
    pub command_timeout: Option<Duration>,
    /// Interval between pings of an idle connection [default: 2s]
    #[arg(long, global = true, value_parser = duration, value_name = "DURATION")]
    pub keepalive_time: Option<Duration>,
    /// Timeout for the response to a ping [default: 6s]
    #[arg(long, global = true, value_parser = duration, value_name = "DURATION")]
    pub keepalive_timeout: Option<Duration>,
    /// Largest request, in bytes [default: 2097152]
    #[arg(long, global = true, value_name = "BYTES")]
    pub max_request_bytes: Option<i64>,
    /// Largest response, in bytes [default: 2147483647]
    #[arg(long, global = true, value_name = "BYTES")]
    pub max_recv_bytes: Option<i64>,
    /// Connect to endpoints without a scheme without TLS [default: true]
    #[arg(long, global = true, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub insecure_transport: Option<bool>,
    /// Connect to endpoints found by DNS without TLS [default: true]
    #[arg(long, global = true, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub insecure_discovery: Option<bool>,
    /// Skip verification of the members' certificates (for tests only)
    #[arg(long, global = true, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Domain to query for SRV records that name the endpoints
    #[arg(short = 'd', long, global = true, value_name = "DOMAIN")]
    pub discovery_srv: Option<String>,
    /// Service name in the SRV records
    #[arg(long, global = true, value_name = "NAME")]
    pub discovery_srv_name: Option<String>,
    /// Output format of etcdctl's commands: fields, json, protobuf, simple, table
    #[arg(short = 'w', long, global = true, value_name = "FORMAT")]
    pub write_out: Option<String>,
    /// Print bytes as hexadecimal digits
    #[arg(long, global = true, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub hex: Option<bool>,
    /// Print the settings of the connection
    #[arg(long, global = true, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = boolean, value_name = "BOOL")]
    pub debug: Option<bool>,
}

/// Reads a path; an empty one is refused with etcdctl's text.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::TypedValueParser as _;
    clap::builder::OsStringValueParser::new().map(PathBuf::from)
}
