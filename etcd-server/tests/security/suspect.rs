//! A server under test, ours or an old etcd, with users of few permissions and secrets that they
//! must not learn.

use crate::calls::Call;
use crate::daemon::SOON;
use bytes::Bytes;
use prost::Message;
use proto::authpb::{Permission, permission};
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, AuthenticateResponse, LeaseGrantRequest, PutRequest,
};
use std::collections::BTreeMap;
use testbed::{Server, Settings};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A lease that holds a key which only root may see.
pub(crate) const HIDDEN_LEASE: i64 = 4711;

/// Found nowhere but where a secret was kept.
pub(crate) const CANARY: &str = "canary-7f3a9c";

pub(crate) struct Suspect {
    pub(crate) server: Server,
    channel: Channel,
    pub(crate) tokens: BTreeMap<&'static str, String>,
}

/// The permission of each user and its key; root is besides them.
const USERS: [(&str, Option<(permission::Type, &str)>); 3] = [
    ("reader", Some((permission::Type::Read, "foo"))),
    ("writer", Some((permission::Type::Write, "foo"))),
    ("bare", None),
];

pub(crate) fn password(user: &str) -> String {
    format!("{CANARY}-password-of-{user}")
}

/// The etcd of 3.4 that has the holes; says in one line when there is none.
pub(crate) fn old_etcd() -> Option<Settings> {
    let Some(dir) = std::env::var_os("ETCD_OLD_BIN_DIR") else {
        skip::report("set ETCD_OLD_BIN_DIR to a directory with an etcd of 3.4");
        return None;
    };
    let mut settings = Settings::new(std::path::Path::new(&dir).join("etcd").to_str().unwrap());
    settings.flags = ["--bcrypt-cost", "4", "--logger", "zap"].map(str::to_owned).to_vec();
    Some(settings)
}

pub(crate) fn ours(flags: &[&str]) -> Settings {
    let mut settings = Settings::new(env!("CARGO_BIN_EXE_etcd-server"));
    settings.flags = [&["--bcrypt-cost", "4"], flags].concat().into_iter().map(str::to_owned).collect();
    settings
}

impl Suspect {
    pub(crate) async fn start(settings: Settings) -> Self {
        let server = Server::start(settings).await.unwrap();
        let channel = Endpoint::from_shared(server.endpoint()).unwrap().timeout(SOON).connect().await.unwrap();
        let mut suspect = Self { server, channel, tokens: BTreeMap::new() };
        suspect.set_up().await;
        suspect
    }

    async fn set_up(&mut self) {
        for (user, permission) in [("root", None)].into_iter().chain(USERS) {
            let name = || user.to_owned();
            self.must(
                "Auth",
                "UserAdd",
                &AuthUserAddRequest { name: name(), password: password(user), ..Default::default() },
            )
            .await;
            if user == "bare" {
                continue;
            }
            self.must("Auth", "RoleAdd", &AuthRoleAddRequest { name: name() }).await;
            self.must("Auth", "UserGrantRole", &AuthUserGrantRoleRequest { user: name(), role: name() }).await;
            if let Some((kind, key)) = permission {
                let perm = Permission { perm_type: kind.into(), key: key.into(), range_end: Bytes::new() };
                self.must(
                    "Auth",
                    "RoleGrantPermission",
                    &AuthRoleGrantPermissionRequest { name: name(), perm: Some(perm) },
                )
                .await;
            }
        }
        self.must("Lease", "LeaseGrant", &LeaseGrantRequest { ttl: 3600, id: HIDDEN_LEASE }).await;
        for (key, lease) in [("foo", 0), ("other", 0), ("hidden", HIDDEN_LEASE)] {
            self.must(
                "KV",
                "Put",
                &PutRequest { key: key.into(), value: "secret".into(), lease, ..Default::default() },
            )
            .await;
        }
        self.must("Auth", "AuthEnable", &AuthEnableRequest {}).await;
        for (user, _) in [("root", None)].into_iter().chain(USERS) {
            let login = AuthenticateRequest { name: user.to_owned(), password: password(user) };
            let response = self.must("Auth", "Authenticate", &login).await;
            self.tokens.insert(user, AuthenticateResponse::decode(response).unwrap().token);
        }
    }

    async fn must(&self, service: &'static str, method: &'static str, request: &impl Message) -> Bytes {
        self.ask(None, service, method, request).await.unwrap()
    }

    /// Makes a call as a user, or without one.
    pub(crate) async fn ask(
        &self,
        user: Option<&str>,
        service: &'static str,
        method: &'static str,
        request: &impl Message,
    ) -> Result<Bytes, Status> {
        self.ask_encoded(user, service, method, request.encode_to_vec()).await
    }

    /// Returns `true` if it was let through.
    pub(crate) async fn passes(
        &self,
        user: Option<&str>,
        service: &'static str,
        method: &'static str,
        request: &impl Message,
    ) -> bool {
        was_let_through(&self.ask(user, service, method, request).await)
    }

    pub(crate) async fn ask_encoded(
        &self,
        user: Option<&str>,
        service: &'static str,
        method: &'static str,
        request: Vec<u8>,
    ) -> Result<Bytes, Status> {
        let service = match service {
            "KV" => "etcdserverpb.KV",
            "Watch" => "etcdserverpb.Watch",
            "Lease" => "etcdserverpb.Lease",
            "Auth" => "etcdserverpb.Auth",
            "Cluster" => "etcdserverpb.Cluster",
            _ => "etcdserverpb.Maintenance",
        };
        let metadata: Vec<_> = user.map(|user| ("token", self.tokens[user].clone())).into_iter().collect();
        Call { service, method, request }.by_grpc(&self.channel, &metadata).await
    }
}

/// Returns `true` if permission was granted, even if the state refused the request.
pub(crate) fn was_let_through(response: &Result<Bytes, Status>) -> bool {
    let refusals = ["permission denied", "user name is empty", "invalid auth token"];
    response.as_ref().map_or_else(|status| !refusals.iter().any(|words| status.message().contains(words)), |_| true)
}
