//! One connection to one member, and the services on it.

use crate::broken::{Broken, Step};
use crate::dial::Connector;
use crate::settings::{Credentials, Settings};
use proto::etcdserverpb::AuthenticateRequest;
use rpc::etcdserverpb::{
    auth_client::AuthClient, cluster_client::ClusterClient, kv_client::KvClient, lease_client::LeaseClient,
    maintenance_client::MaintenanceClient, watch_client::WatchClient,
};
use rpc::v3electionpb::election_client::ElectionClient;
use rpc::v3lockpb::lock_client::LockClient;
use std::error::Error as _;
use std::time::Duration;
use tonic::metadata::{AsciiMetadataValue, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Pings that come faster are taken for an attack by every etcd.
const PING_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// Adds the user's token to every call.
#[derive(Clone, Debug)]
pub struct Token(Option<AsciiMetadataValue>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

type Transport = InterceptedService<Channel, Token>;

/// A connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {
    endpoint: String,
    channel: Channel,
    token: Token,
    request_bytes_max: usize,
    answer_bytes_max: usize,
}

/// The reason why there is no session.
pub(crate) enum ConnectError {
    Broken(Broken),
    /// The user is not let in.
    Refused(Status),
}

macro_rules! service {
    ($name:ident, $client:ident) => {
        pub fn $name(&self) -> $client<Transport> {
            let client = $client::with_interceptor(self.channel.clone(), self.token.clone());
            client.max_decoding_message_size(self.answer_bytes_max).max_encoding_message_size(self.request_bytes_max)
        }
    };
}

impl Session {
    service!(kv, KvClient);
    service!(lease, LeaseClient);
    service!(watch, WatchClient);
    service!(cluster, ClusterClient);
    service!(maintenance, MaintenanceClient);
    service!(auth, AuthClient);
    service!(lock, LockClient);
    service!(election, ElectionClient);

    pub(super) async fn connect(connector: Connector, settings: &Settings) -> Result<Self, ConnectError> {
        let address = connector.address.clone();
        let odd = |error: tonic::transport::Error| {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
            while let Some(inner) = cause {
                if let Some(broken) = inner.downcast_ref::<Broken>() {
                    return ConnectError::Broken(broken.clone());
                }
                cause = inner.source();
            }
            ConnectError::Broken(Broken::new(
                &address,
                Step::Rpc,
                error.to_string(),
                "is this a client URL of a member?",
            ))
        };
        let endpoint = Endpoint::from_shared(format!("http://{}", address.authority())).map_err(odd)?;
        let endpoint = endpoint
            .http2_keep_alive_interval(settings.keepalive_time.max(PING_INTERVAL_MIN))
            .keep_alive_timeout(settings.keepalive_timeout)
            .user_agent("etcd-admin")
            .map_err(odd)?;
        let channel = endpoint.connect_with_connector(connector).await.map_err(odd)?;
        let mut session = Self {
            endpoint: address.to_string(),
            channel,
            token: Token(None),
            request_bytes_max: settings.request_bytes_max,
            answer_bytes_max: settings.answer_bytes_max,
        };
        session.token = session.log_in(settings).await.map_err(ConnectError::Refused)?;
        Ok(session)
    }

    async fn log_in(&self, settings: &Settings) -> Result<Token, Status> {
        let token = match &settings.credentials {
            None => return Ok(Token(None)),
            Some(Credentials::Token(token)) => token.clone(),
            Some(Credentials::Password { name, password }) => {
                let request = AuthenticateRequest { name: name.clone(), password: password.clone() };
                let asked =
                    tokio::time::timeout(settings.command_timeout, async { self.auth().authenticate(request).await });
                match asked.await.map_err(|_| Status::deadline_exceeded("the login was not answered in time"))? {
                    Ok(response) => response.into_inner().token,
                    // As etcd's client: a user name is ignored where authentication is off.
                    Err(status) if status.message() == "etcdserver: authentication is not enabled" => {
                        return Ok(Token(None));
                    }
                    Err(status) => return Err(status),
                }
            }
        };
        let token =
            MetadataValue::try_from(token).map_err(|_| Status::unauthenticated("etcdserver: invalid auth token"))?;
        Ok(Token(Some(token)))
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// A call that a member without a leader is to refuse or end.
pub fn require_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", AsciiMetadataValue::from_static("true"));
    request
}
