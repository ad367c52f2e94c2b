//! Settings of the connection, from flags, variables and a member's own configuration.
//!
//! A flag comes before its variable; giving both is refused, as in etcdctl. Where neither names an
//! endpoint, the configuration of a member on this machine does, if there is one.

use crate::args::ConnectionArgs;
use crate::member_config::{self, PageListener};
use crate::trust::TlsFiles;
use admin_ui::error::CliError;
use admin_ui::go_flags::{Kind, boolean, duration, read_value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const PREFIX: &str = "ETCDCTL_";
/// The origin of the endpoints that are given on the command line.
const FLAGS: &str = "the flags";
const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";
/// grpc-go waits this long for the answer to a ping where it is given no time.
const KEEPALIVE_TIMEOUT_OF_NONE: Duration = Duration::from_secs(20);
/// Variables that `watch` reads.
const WATCH_VARIABLES: [&str; 2] = ["ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];

/// The credentials of the user.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password { name: String, password: String },
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { name, .. } => f.debug_struct("Password").field("name", name).finish_non_exhaustive(),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// All of the connection.
#[derive(Clone, Debug)]
pub struct Settings {
    pub endpoints: Vec<String>,
    /// The origin of the endpoints: the flags, a variable, or a member's configuration file.
    pub origin: String,
    /// `true` if a flag or a variable names the endpoints.
    pub endpoints_given: bool,
    pub tls: TlsFiles,
    /// Endpoints without a scheme are reached without TLS unless files are given.
    pub insecure_transport: bool,
    /// In place of the endpoint's host in its certificate.
    pub server_name: Option<String>,
    /// Where members serve HTTP, if not where they serve gRPC.
    pub pages: Option<PageListener>,
    pub credentials: Option<Credentials>,
    pub dial_timeout: Duration,
    pub command_timeout: Duration,
    /// `true` if somebody asked for that very time.
    pub command_timeout_given: bool,
    pub keepalive_time: Duration,
    pub keepalive_timeout: Duration,
    pub request_bytes_max: usize,
    pub answer_bytes_max: usize,
    pub write_out: Option<String>,
    pub hex: bool,
    pub debug: bool,
}

/// etcd's text of a variable beside its flag.
pub const SHADOWED: &str = "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))";

/// Settings that contradict each other or mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{}: {variable}", SHADOWED)]
    Shadowed { variable: String },
    #[error("invalid value {value:?} for {variable}: {reason}")]
    Variable { variable: String, value: String, reason: String },
    #[error("empty string is passed to --{0} option")]
    Empty(&'static str),
    #[error("{0}")]
    Password(String),
    #[error("{0}")]
    MemberConfig(String),
    #[error("--discovery-srv is not served: name the members with --endpoints")]
    Discovery,
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Use of a member's own configuration in place of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// As the operator's tool does.
    Used,
    /// As etcdctl does.
    Ignored,
}

/// The variables of the process, read one by one.
struct Variables<'a> {
    all: &'a BTreeMap<String, String>,
}

/// Returns the variable of a flag: `ETCDCTL_DIAL_TIMEOUT` for `dial-timeout`.
fn variable_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

impl Variables<'_> {
    /// Returns the value of a flag's variable. An empty one counts as none, but not beside its flag
    /// (etcd: pkg/flags, verifyEnv).
    fn text(&self, flag: &str, given: bool) -> Result<Option<String>, SettingsError> {
        let variable = variable_of(flag);
        match self.all.get(&variable) {
            Some(_) if given => Err(SettingsError::Shadowed { variable }),
            value => Ok(value.filter(|value| !value.is_empty()).cloned()),
        }
    }

    fn parsed<T>(
        &self,
        flag: &str,
        given: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        match self.text(flag, given.is_some())? {
            None => Ok(given),
            Some(value) => {
                let variable = variable_of(flag);
                parse(&value).map(Some).map_err(|reason| SettingsError::Variable { variable, value, reason })
            }
        }
    }

    fn path(&self, flag: &'static str, given: Option<&PathBuf>) -> Result<Option<PathBuf>, SettingsError> {
        if given.is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(SettingsError::Empty(flag));
        }
        Ok(given.cloned().or(self.text(flag, given.is_some())?.map(PathBuf::from)))
    }
}

impl Settings {
    /// Merges all sources. `ask` prompts for the password if only the user is given.
    pub fn of(
        args: &ConnectionArgs,
        variables: &BTreeMap<String, String>,
        local: Local,
        ask: impl FnOnce() -> Result<String, String>,
    ) -> Result<Self, SettingsError> {
        let from = Variables { all: variables };
        let number = |text: &str| {
            let read = read_value(Kind::Integer, text.as_ref())?;
            Ok(read.iter().find_map(|number| number.to_str()?.parse::<i64>().ok()).unwrap_or_default())
        };
        let bytes = |given: Option<i64>, default| {
            given.and_then(|max| usize::try_from(max).ok()).filter(|max| *max > 0).unwrap_or(default)
        };
        let list = |text: &str| Ok(text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let endpoints = from.parsed("endpoints", args.endpoints.clone(), list)?;
        if from.text("discovery-srv", args.discovery_srv.is_some())?.or_else(|| args.discovery_srv.clone()).is_some() {
            return Err(SettingsError::Discovery);
        }
        let skip_verify =
            from.parsed("insecure-skip-tls-verify", args.insecure_skip_tls_verify, boolean)?.unwrap_or(false);
        let mut tls = TlsFiles {
            cacert: from.path("cacert", args.cacert.as_ref())?,
            cert: from.path("cert", args.cert.as_ref())?,
            key: from.path("key", args.key.as_ref())?,
            skip_verify,
        };
        let endpoints_given = endpoints.is_some();
        let mut origin = if args.endpoints.is_some() { FLAGS.to_owned() } else { variable_of("endpoints") };
        let (mut server_name, mut pages) = (None, None);
        let endpoints = match endpoints {
            Some(endpoints) => endpoints,
            None => match if local == Local::Used {
                member_config::look(variables).map_err(SettingsError::MemberConfig)?
            } else {
                None
            } {
                Some(member) => {
                    origin = member.path.display().to_string();
                    server_name = member.server_name;
                    pages = member.pages;
                    if !tls.any() {
                        tls = TlsFiles { skip_verify, ..member.tls };
                    }
                    member.endpoints
                }
                None => {
                    origin = "no setting at all".to_owned();
                    vec![DEFAULT_ENDPOINT.to_owned()]
                }
            },
        };
        let command_timeout = from.parsed("command-timeout", args.command_timeout, duration)?;
        let second = Duration::from_secs;
        Ok(Self {
            endpoints,
            origin,
            endpoints_given,
            tls,
            server_name,
            pages,
            insecure_transport: from.parsed("insecure-transport", args.insecure_transport, boolean)?.unwrap_or(true),
            credentials: credentials(args, &from, ask)?,
            dial_timeout: from.parsed("dial-timeout", args.dial_timeout, duration)?.unwrap_or(second(2)),
            command_timeout: command_timeout.unwrap_or(second(5)),
            command_timeout_given: command_timeout.is_some(),
            keepalive_time: from.parsed("keepalive-time", args.keepalive_time, duration)?.unwrap_or(second(2)),
            keepalive_timeout: from
                .parsed("keepalive-timeout", args.keepalive_timeout, duration)?
                .map_or(second(6), |timeout| if timeout.is_zero() { KEEPALIVE_TIMEOUT_OF_NONE } else { timeout }),
            request_bytes_max: bytes(from.parsed("max-request-bytes", args.max_request_bytes, number)?, 2 << 20),
            answer_bytes_max: bytes(from.parsed("max-recv-bytes", args.max_recv_bytes, number)?, i32::MAX as usize),
            write_out: from.text("write-out", args.write_out.is_some())?.or_else(|| args.write_out.clone()),
            hex: from.parsed("hex", args.hex, boolean)?.unwrap_or(false),
            debug: from.parsed("debug", args.debug, boolean)?.unwrap_or(false),
        })
    }

    /// Returns the names of variables that begin as those of the flags do and belong to none.
    pub fn unrecognized(variables: &BTreeMap<String, String>) -> Vec<String> {
        let flags = <ConnectionArgs as clap::Args>::augment_args(clap::Command::new(""));
        let of_flags = flags.get_arguments().filter_map(|flag| flag.get_long().map(variable_of));
        let known: BTreeSet<String> = of_flags.chain(WATCH_VARIABLES.map(str::to_owned)).collect();
        variables.keys().filter(|name| name.starts_with(PREFIX) && !known.contains(*name)).cloned().collect()
    }

    /// Returns settings for one endpoint that no flag or variable has changed.
    pub fn plain(endpoint: &str, tls: TlsFiles) -> Self {
        let second = Duration::from_secs;
        Self {
            endpoints: vec![endpoint.to_owned()],
            endpoints_given: false,
            origin: "cluster.yaml".to_owned(),
            tls,
            insecure_transport: true,
            server_name: None,
            pages: None,
            credentials: None,
            dial_timeout: second(2),
            command_timeout: second(5),
            command_timeout_given: false,
            keepalive_time: second(2),
            keepalive_timeout: second(6),
            request_bytes_max: 2 << 20,
            answer_bytes_max: i32::MAX as usize,
            write_out: None,
            hex: false,
            debug: false,
        }
    }

    /// The same for one endpoint.
    pub(crate) fn at(&self, endpoint: &str) -> Self {
        Self { endpoints: vec![endpoint.to_owned()], ..self.clone() }
    }
}

fn credentials(
    args: &ConnectionArgs,
    from: &Variables<'_>,
    ask: impl FnOnce() -> Result<String, String>,
) -> Result<Option<Credentials>, SettingsError> {
    let token = from.text("auth-jwt-token", args.auth_jwt_token.is_some())?.or_else(|| args.auth_jwt_token.clone());
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Token(token)));
    }
    let user = from.text("user", args.user.is_some())?.or_else(|| args.user.clone());
    let password = from.text("password", args.password.is_some())?.or_else(|| args.password.clone());
    let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(None) };
    let (name, password) = match (password.filter(|password| !password.is_empty()), user.split_once(':')) {
        (Some(password), _) => (user, password),
        (None, Some((name, password))) => (name.to_owned(), password.to_owned()),
        (None, None) => (user, ask().map_err(SettingsError::Password)?),
    };
    // etcd's client does not authenticate without a password.
    let is_whole = !name.is_empty() && !password.is_empty();
    Ok(is_whole.then_some(Credentials::Password { name, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &ConnectionArgs, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::of(args, &variables, Local::Ignored, || Ok("asked".to_owned()))
    }

    #[test]
    fn a_flag_or_its_variable_but_not_both() {
        let args = ConnectionArgs { endpoints: Some(vec!["a:1".to_owned()]), ..ConnectionArgs::default() };
        assert_eq!(settings(&args, &[]).unwrap().endpoints, ["a:1"]);
        let variables = [("ETCDCTL_ENDPOINTS", "b:1,c:1"), ("ETCDCTL_DIAL_TIMEOUT", "1m30s"), ("ETCDCTL_HEX", "true")];
        let found = settings(&ConnectionArgs::default(), &variables).unwrap();
        assert_eq!(
            (found.endpoints.join(" "), found.dial_timeout.as_secs(), found.hex),
            ("b:1 c:1".to_owned(), 90, true)
        );
        for value in ["b:1", ""] {
            let shadowed = settings(&args, &[("ETCDCTL_ENDPOINTS", value)]).unwrap_err().to_string();
            assert!(shadowed.contains("shadowed") && shadowed.ends_with(": ETCDCTL_ENDPOINTS"), "{shadowed}");
        }
        assert_eq!(settings(&args, &[]).unwrap().origin, FLAGS);
        assert_eq!((found.origin.as_str(), found.endpoints_given), ("ETCDCTL_ENDPOINTS", true));
        assert_eq!(settings(&ConnectionArgs::default(), &[]).unwrap().endpoints, [DEFAULT_ENDPOINT]);
        let wrong = settings(&ConnectionArgs::default(), &[("ETCDCTL_DIAL_TIMEOUT", "soon")]).unwrap_err();
        assert!(wrong.to_string().contains("ETCDCTL_DIAL_TIMEOUT"), "{wrong}");
    }

    #[test]
    fn recognizes_the_variables_of_every_flag() {
        let variables = [
            "ETCDCTL_API",
            "ETCDCTL_WATCH_KEY",
            "ETCDCTL_WRITE_OUT",
            "ETCDCTL_DISCOVERY_SRV_NAME",
            "ETCD_NAME",
            "ETCDCTL_PASWORD",
        ];
        let variables = variables.iter().map(|name| ((*name).to_owned(), "secret".to_owned())).collect();
        assert_eq!(Settings::unrecognized(&variables), ["ETCDCTL_API", "ETCDCTL_PASWORD"]);
    }

    #[test]
    fn reads_numbers_and_durations_of_variables_as_go_does() {
        let of = |variables: &[(&str, &str)]| settings(&ConnectionArgs::default(), variables);
        let found = of(&[
            ("ETCDCTL_MAX_REQUEST_BYTES", "0x10"),
            ("ETCDCTL_MAX_RECV_BYTES", "-1"),
            ("ETCDCTL_DIAL_TIMEOUT", "-1s"),
        ])
        .unwrap();
        assert_eq!(
            (found.request_bytes_max, found.answer_bytes_max, found.dial_timeout),
            (16, i32::MAX as usize, Duration::ZERO)
        );
        assert_eq!(of(&[("ETCDCTL_KEEPALIVE_TIMEOUT", "0")]).unwrap().keepalive_timeout, KEEPALIVE_TIMEOUT_OF_NONE);
        for (name, value, cause) in [
            ("ETCDCTL_MAX_RECV_BYTES", "much", "strconv.ParseInt: parsing \"much\": invalid syntax"),
            ("ETCDCTL_HEX", "maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax"),
            ("ETCDCTL_DIAL_TIMEOUT", "5", "time: missing unit in duration \"5\""),
        ] {
            assert_eq!(
                of(&[(name, value)]).unwrap_err().to_string(),
                format!("invalid value {value:?} for {name}: {cause}")
            );
        }
    }

    #[test]
    fn a_password_comes_by_flag_with_the_name_or_by_asking() {
        let of = |user: &str, password: Option<&str>| {
            let args = ConnectionArgs {
                user: Some(user.to_owned()),
                password: password.map(str::to_owned),
                ..ConnectionArgs::default()
            };
            match settings(&args, &[]).unwrap().credentials {
                Some(Credentials::Password { name, password }) => (name, password),
                other => panic!("{other:?}"),
            }
        };
        let pair = |name: &str, password: &str| (name.to_owned(), password.to_owned());
        assert_eq!(of("root:a:b", None), pair("root", "a:b"));
        assert_eq!(of("root:x", Some("secret")), pair("root:x", "secret"));
        assert_eq!(of("root", None), pair("root", "asked"));
        assert!(
            !format!("{:?}", settings(&ConnectionArgs { user: Some("a:canary".into()), ..Default::default() }, &[]))
                .contains("canary")
        );
    }
}
