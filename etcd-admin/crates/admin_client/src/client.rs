//! The client: settings, one connection at a time, fail-over to the next endpoint.

use crate::address::{Address, AddressError, Encryption};
use crate::call_error::{CallError, is_lost};
use crate::dial::{Connector, Protocol};
use crate::session::{ConnectError, Session};
use crate::settings::Settings;
use crate::trust::{TrustError, client_config};
use admin_ui::error::CliError;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Response, Status};

/// The choice of whether a request may be sent again when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing.
    Safe,
    /// It may have been done.
    Unsafe,
}

/// Time between the loss of a connection and the next attempt of a command that goes on.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Settings, and the connection that is in use.
#[derive(Debug)]
pub struct Client {
    pub settings: Settings,
    pub(crate) addresses: Vec<Address>,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    current: RefCell<Option<Session>>,
    /// The endpoint to try first.
    next: Cell<usize>,
}

/// The reason why there is no client at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::usage(error.to_string())
    }
}

impl Client {
    /// Returns a client without a connection yet.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let addresses: Vec<Address> =
            settings.endpoints.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>()?;
        let wanted = addresses.iter().any(|address| address.encryption == Encryption::Always);
        let tls = if wanted || settings.tls.any() || !settings.insecure_transport {
            Some(client_config(&settings.tls)?)
        } else {
            None
        };
        Ok(Self { settings, addresses, tls, current: RefCell::default(), next: Cell::new(0) })
    }

    /// The same settings, another place. Connections are not shared.
    pub fn at(&self, endpoint: &str) -> Result<Self, ClientError> {
        let address = Address::parse(endpoint)?;
        let wanted = address.encryption == Encryption::Always && self.tls.is_none();
        let tls = if wanted { Some(client_config(&self.settings.tls)?) } else { self.tls.clone() };
        Ok(Self {
            settings: self.settings.at(endpoint),
            addresses: vec![address],
            tls,
            current: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// A connection to the first endpoint that can be had, kept until it breaks.
    pub async fn session(&self) -> Result<Session, CallError> {
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
                Err(ConnectError::Broken(one)) => broken.push(one),
                Err(ConnectError::Refused(status)) => {
                    return Err(CallError::Login { endpoint: self.addresses[position].to_string(), status });
                }
            }
        }
        Err(CallError::Unreachable(broken))
    }

    pub(crate) fn connector(&self, address: &Address) -> Connector {
        let server_name = self.settings.server_name.clone();
        let (tls, timeout) = (self.tls.clone(), self.settings.dial_timeout);
        Connector { address: address.clone(), tls, server_name, timeout, protocol: Protocol::Http2 }
    }

    /// Asks within the time for short commands.
    pub async fn call<T>(
        &self,
        repeat: Repeat,
        ask: impl AsyncFn(Session) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        self.call_within(Some(self.settings.command_timeout), repeat, ask).await
    }

    /// Sends a request to one endpoint after another until one of them responds. A request that may
    /// have been executed is not repeated.
    pub async fn call_within<T>(
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
    pub fn leave(&self) {
        self.current.replace(None);
        self.next.set((self.next.get() + 1) % self.addresses.len().max(1));
    }

    /// Returns a session for a stream. If the stream `was_open` before, endpoints are tried one after
    /// the other until one responds.
    pub async fn session_of_stream(&self, was_open: bool) -> Result<Session, CallError> {
        loop {
            match self.session().await {
                Err(_) if was_open => self.leave_and_pause().await,
                session => return session,
            }
        }
    }

    /// Gives the present connection up, and pauses before the next one.
    pub async fn leave_and_pause(&self) {
        self.leave();
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}
