//! The connection to a cluster: settings, one connection at a time, fail-over to the next endpoint,
//! and the reason of a failure.
//!
//! Knows nothing of commands. A failure names its endpoint and the step that broke;
//! [`Client::explain`] gives more.

mod address;
mod args;
mod broken;
mod dial;
pub(crate) mod download;
mod explain;
mod http;
mod member_config;
mod member_page;
mod session;
mod settings;
mod trust;

pub(crate) use address::Address;
pub(crate) use args::ConnectionArgs;
pub(crate) use broken::Broken;
pub(crate) use explain::explained;
pub(crate) use http::PageError;
pub(crate) use member_config::{own_name, settings as settings_of_file, settings_of_text};
pub(crate) use member_page::{Account, Disk, LeaderChange, MemberPage, PageMember, PagePeer};
#[cfg(test)]
pub(crate) use member_page::{PageCertificate, PageProblem};
pub(crate) use session::{Session, require_leader};
pub(crate) use settings::{Local, SHADOWED, Settings, SettingsError};
pub(crate) use trust::TlsFiles;

use address::AddressError;
use admin_ui::error::{self, CliError};
use dial::Connector;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Response, Status};

/// The choice of whether a request may be sent again when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing.
    Safe,
    /// It may have been done.
    Unsafe,
}

/// Time between the loss of a connection and the next attempt of a command that goes on.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Settings, and the connection that is in use.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: Settings,
    addresses: Vec<Address>,
    tls: Option<Arc<rustls::ClientConfig>>,
    current: RefCell<Option<Session>>,
    /// The endpoint to try first.
    next: Cell<usize>,
}

/// The reason why there is no client at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Trust(#[from] trust::TrustError),
}

/// The reason why a call has no response.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    /// No endpoint could be reached.
    Unreachable(Vec<Broken>),
    /// A member answered, or its connection broke.
    Status { endpoint: String, status: Status },
    /// The user was not let in.
    Login { endpoint: String, status: Status },
    /// No endpoint responded in time.
    TimedOut { endpoint: String, limit: Duration },
}

impl CallError {
    /// Returns the code of the response; unreachable endpoints and timeouts have one too.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Unreachable(_) => Code::Unavailable,
            Self::Status { status, .. } | Self::Login { status, .. } if is_lost(status) => Code::Unavailable,
            Self::Status { status, .. } | Self::Login { status, .. } => status.code(),
            Self::TimedOut { .. } => Code::DeadlineExceeded,
        }
    }

    /// Returns the exit status of a command that this call ends.
    pub(crate) fn exit_status(&self) -> u8 {
        match (self, self.code()) {
            (Self::Unreachable(_), _) => error::UNREACHABLE,
            (Self::Login { .. }, _) => error::DENIED,
            (_, Code::Unauthenticated | Code::PermissionDenied) => error::DENIED,
            (_, Code::DeadlineExceeded) => error::TIMED_OUT,
            (_, Code::Unavailable) => error::UNREACHABLE,
            _ => error::FAILED,
        }
    }

    /// Returns the text of etcd's own client.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } => "context deadline exceeded".to_owned(),
            Self::Status { status, .. } | Self::Login { status, .. }
                if status.message().starts_with("etcdserver: ") =>
            {
                status.message().to_owned()
            }
            Self::Status { status, .. } | Self::Login { status, .. } => {
                format!("rpc error: code = {} desc = {}", go_name(self.code()), status.message())
            }
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(broken) => {
                write!(f, "no endpoint could be reached")?;
                broken.iter().try_for_each(|broken| write!(f, "\n  {broken}"))
            }
            Self::Status { endpoint, status } => write!(f, "{endpoint}: {}", status.message()),
            Self::Login { endpoint, status } => write!(f, "{endpoint}: the user was not let in: {}", status.message()),
            Self::TimedOut { endpoint, limit } => write!(f, "{endpoint}: RPC: no response within {limit:?}"),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        Self::new(error.exit_status(), error.to_string())
    }
}

impl Client {
    /// Returns a client without a connection yet.
    pub(crate) fn new(settings: Settings) -> Result<Self, ClientError> {
        let addresses: Vec<Address> =
            settings.endpoints.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>()?;
        let wanted = addresses.iter().any(|address| address.encryption == address::Encryption::Always);
        let tls = if wanted || settings.tls.any() || !settings.insecure_transport {
            Some(trust::client_config(&settings.tls)?)
        } else {
            None
        };
        Ok(Self { settings, addresses, tls, current: RefCell::default(), next: Cell::new(0) })
    }

    /// The same settings, another place. Connections are not shared.
    pub(crate) fn at(&self, endpoint: &str) -> Result<Self, ClientError> {
        let address = Address::parse(endpoint)?;
        let wanted = address.encryption == address::Encryption::Always && self.tls.is_none();
        let tls = if wanted { Some(trust::client_config(&self.settings.tls)?) } else { self.tls.clone() };
        Ok(Self {
            settings: self.settings.at(endpoint),
            addresses: vec![address],
            tls,
            current: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// A connection to the first endpoint that can be had, kept until it breaks.
    pub(crate) async fn session(&self) -> Result<Session, CallError> {
        if let Some(session) = self.current.borrow().clone() {
            return Ok(session);
        }
        let mut broken = Vec::new();
        for step in 0..self.addresses.len() {
            let position = (self.next.get() + step) % self.addresses.len();
            let connector = self.connector(&self.addresses[position]);
            match Session::connect(connector, &self.settings).await {
                Ok(session) => {
                    self.next.set(position);
                    self.current.replace(Some(session.clone()));
                    return Ok(session);
                }
                Err(session::ConnectError::Broken(one)) => broken.push(one),
                Err(session::ConnectError::Refused(status)) => {
                    return Err(CallError::Login { endpoint: self.addresses[position].to_string(), status });
                }
            }
        }
        Err(CallError::Unreachable(broken))
    }

    fn connector(&self, address: &Address) -> Connector {
        let server_name = self.settings.server_name.clone();
        let (tls, timeout) = (self.tls.clone(), self.settings.dial_timeout);
        Connector { address: address.clone(), tls, server_name, timeout, protocol: dial::Protocol::Http2 }
    }

    /// Asks within the time for short commands.
    pub(crate) async fn call<T>(
        &self,
        repeat: Repeat,
        ask: impl AsyncFn(Session) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        self.call_within(Some(self.settings.command_timeout), repeat, ask).await
    }

    /// Sends a request to one endpoint after another until one of them responds. A request that may
    /// have been executed is not repeated.
    pub(crate) async fn call_within<T>(
        &self,
        limit: Option<Duration>,
        repeat: Repeat,
        ask: impl AsyncFn(Session) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let mut tries = self.addresses.len();
        loop {
            let session = match limit {
                // A connection without a limit of its own shall not outlast the command.
                Some(limit) if self.settings.dial_timeout.is_zero() => {
                    let late = |_| CallError::TimedOut { endpoint: self.addresses[self.next.get()].to_string(), limit };
                    tokio::time::timeout(limit, self.session()).await.map_err(late)??
                }
                _ => self.session().await?,
            };
            let endpoint = session.endpoint().to_owned();
            let asked = ask(session);
            let response = match limit {
                Some(limit) => match tokio::time::timeout(limit, asked).await {
                    Ok(response) => response,
                    Err(_) => return Err(CallError::TimedOut { endpoint, limit }),
                },
                None => asked.await,
            };
            tries = tries.saturating_sub(1);
            match response {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if is_lost(&status) => {
                    self.leave();
                    if repeat == Repeat::Unsafe || tries == 0 {
                        return Err(CallError::Status { endpoint, status });
                    }
                }
                Err(status) => return Err(CallError::Status { endpoint, status }),
            }
        }
    }

    /// Gives the present connection up: the next one is to the next endpoint.
    pub(crate) fn leave(&self) {
        self.current.replace(None);
        self.next.set((self.next.get() + 1) % self.addresses.len().max(1));
    }

    /// Returns a session for a stream. If the stream `was_open` before, endpoints are tried one after
    /// the other until one responds.
    pub(crate) async fn session_of_stream(&self, was_open: bool) -> Result<Session, CallError> {
        loop {
            match self.session().await {
                Err(_) if was_open => self.leave_and_pause().await,
                session => return session,
            }
        }
    }

    /// Gives the present connection up, and pauses before the next one.
    pub(crate) async fn leave_and_pause(&self) {
        self.leave();
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }

    /// Returns the known or discoverable reasons of a failure, a line for each endpoint.
    pub(crate) async fn explain(&self, error: &CallError) -> Vec<String> {
        match error {
            CallError::Unreachable(broken) => broken.iter().map(ToString::to_string).collect(),
            CallError::TimedOut { endpoint, limit } => {
                let cause = format!("no response within {limit:?}");
                vec![explain::silence(self, endpoint, cause, None).await]
            }
            CallError::Status { endpoint, status } | CallError::Login { endpoint, status } => {
                match explain::transport(status) {
                    Some(cause) => vec![explain::silence(self, endpoint, cause, Some(status)).await],
                    None => Vec::new(),
                }
            }
        }
    }
}

/// Returns `true` if the connection was lost or the member cannot serve: another member may.
/// grpc-go calls both Unavailable; tonic reports a lost connection under several codes, with the
/// cause as the source.
pub(crate) fn is_lost(status: &Status) -> bool {
    let may_be_transport = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    status.code() == Code::Unavailable || (may_be_transport && explain::transport(status).is_some())
}

/// Go's name of a code.
fn go_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
