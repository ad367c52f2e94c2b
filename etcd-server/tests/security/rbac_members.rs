//! Three members with users and roles, and clients with every identity.

use crate::calls::Call;
use crate::client::Client;
use crate::daemon::SOON;
use crate::pki::{Leaf, Pki};
use crate::rbac_rule::{Access, GRANTS, Verdict, Who};
use auth::{Identity, Jwt, JwtOptions, SignMethod};
use prost::Message as _;
use proto::authpb::{Permission, UserAddOptions, permission};
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthStatusRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, StatusRequest, WatchResponse,
};
use rpc::etcdserverpb::auth_client::AuthClient;
use rpc::etcdserverpb::maintenance_client::MaintenanceClient;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use testbed::{Place, Server, Settings};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

const TOKEN_KEY: &[u8] = b"a key that the members and this test share";
const USERS: [&str; 6] = ["root", "bare", "reader", "writer", "both", "pieces"];

/// The way in which a call reaches a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Grpc,
    Json,
}

/// A member and the connections to it.
struct Member {
    server: Server,
    secure_port: u16,
    plain: Channel,
    as_both: Channel,
    as_root: Channel,
}

/// The members, root's channel for set-up, and the tokens of all users.
pub(crate) struct Members {
    pki: Pki,
    members: Vec<Member>,
    of_both: Leaf,
    tokens: BTreeMap<&'static str, String>,
    /// The leader, and a member that is not.
    pub(crate) leader: usize,
    pub(crate) follower: usize,
}

fn jwt() -> Jwt {
    let sign_method = SignMethod::named("HS256").unwrap();
    let ttl = Duration::from_secs(3600);
    let options = JwtOptions { sign_method, ttl };
    Jwt::new(&options, None, Some(TOKEN_KEY)).unwrap()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

impl Members {
    /// Members of ours, or of whichever etcd.
    pub(crate) async fn start(member: Settings) -> Self {
        let pki = Pki::new();
        pki.write("token.key", TOKEN_KEY);
        let secure: [u16; 3] = testbed::free_ports().unwrap();
        let places: Vec<Place> = (1..=3).map(|number| Place::free(format!("m{number}")).unwrap()).collect();
        let entries = places.iter().map(Place::entry).collect::<Vec<_>>().join(",");
        let mut servers = Vec::new();
        for (place, secure) in places.into_iter().zip(secure) {
            let mut settings = member.clone();
            let urls = format!("http://127.0.0.1:{},https://127.0.0.1:{secure}", place.client_port);
            let token = format!("jwt,sign-method=HS256,ttl=1h,priv-key={}", pki.path("token.key").display());
            settings.flags.extend(pki.flags());
            settings.flags.extend(
                ["--client-cert-auth", "--listen-client-urls", &urls, "--auth-token", &token].map(str::to_owned),
            );
            servers
                .push(Server::launch(settings, place, vec!["--initial-cluster".to_owned(), entries.clone()]).unwrap());
        }
        let (of_both, of_root) = (pki.user("both"), pki.user("root"));
        let mut members = Vec::new();
        for (mut server, secure_port) in servers.into_iter().zip(secure) {
            server.healthy().await.unwrap();
            let plain = Endpoint::from_shared(server.endpoint()).unwrap().connect().await.unwrap();
            let as_both = Client::new(&pki, Some(&of_both)).channel(secure_port).await.unwrap();
            let as_root = Client::new(&pki, Some(&of_root)).channel(secure_port).await.unwrap();
            members.push(Member { server, secure_port, plain, as_both, as_root });
        }
        let leader = leader(&members).await;
        let revision = set_up(members[leader].plain.clone()).await;
        let jwt = jwt();
        let token = |user: &str, revision, at| jwt.make(&Identity::new(user, revision), at).unwrap();
        let mut tokens: BTreeMap<&str, String> =
            USERS.iter().map(|user| (*user, token(user, revision, unix_seconds()))).collect();
        tokens.insert("old", token("both", revision - 1, unix_seconds()));
        tokens.insert("expired", token("root", revision, unix_seconds() - 7200));
        Self { pki, members, of_both, tokens, leader, follower: (leader + 1) % 3 }
    }

    /// A call with root's rights.
    pub(crate) async fn as_root(&self, call: &Call) -> Result<bytes::Bytes, tonic::Status> {
        call.by_grpc(&self.members[self.leader].plain, &[("token", self.tokens["root"].clone())]).await
    }

    /// Returns the tokens, none of which may ever be returned.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &String> {
        self.tokens.values()
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.members.iter().map(|member| &member.server)
    }

    fn token(&self, who: Who) -> Option<String> {
        match who {
            Who::Nobody | Who::Certificate | Who::Gateway => None,
            Who::BadToken => Some("no.such.token".to_owned()),
            Who::ExpiredToken => Some(self.tokens["expired"].clone()),
            Who::OldToken => Some(self.tokens["old"].clone()),
            Who::Bare | Who::Reader | Who::Writer | Who::Both | Who::Pieces | Who::Root | Who::CertificateAndToken => {
                who.user().map(|user| self.tokens[user].clone())
            }
        }
    }

    /// Makes a call; returns its verdict and text.
    pub(crate) async fn ask(&self, member: usize, door: Door, who: Who, call: &Call) -> (Verdict, String) {
        let member = &self.members[member];
        let answered = async {
            match door {
                Door::Grpc => self.by_grpc(member, who, call).await,
                Door::Json => self.by_json(member, who, call).await,
            }
        };
        let text =
            tokio::time::timeout(SOON, answered).await.unwrap_or_else(|_| panic!("no answer to {who:?}: {call:?}"));
        (verdict_in(&text), text)
    }

    async fn by_grpc(&self, member: &Member, who: Who, call: &Call) -> String {
        let channel = if who == Who::Certificate {
            &member.as_both
        } else if matches!(who, Who::CertificateAndToken | Who::Gateway) {
            &member.as_root
        } else {
            &member.plain
        };
        let mut metadata: Vec<_> = self.token(who).into_iter().map(|token| ("token", token)).collect();
        if who == Who::Gateway {
            metadata.push(("grpcgateway-accept", "application/json".to_owned()));
        }
        match call.by_grpc(channel, &metadata).await {
            // A refused watch gets a response with the reason.
            Ok(response) if call.method == "Watch" => WatchResponse::decode(response).unwrap().cancel_reason,
            Ok(_) => String::new(),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        }
    }

    async fn by_json(&self, member: &Member, who: Who, call: &Call) -> String {
        let headers: Vec<_> = self.token(who).into_iter().map(|token| ("Authorization", token)).collect();
        if who == Who::Certificate {
            let stream =
                Client::new(&self.pki, Some(&self.of_both)).stream(member.secure_port, b"http/1.1").await.unwrap();
            return call.by_json(stream, &headers).await;
        }
        let stream = TcpStream::connect(("127.0.0.1", member.server.place().client_port)).await.unwrap();
        call.by_json(stream, &headers).await
    }
}

/// By the words alone: codes differ by service, and JSON has its own.
fn verdict_in(text: &str) -> Verdict {
    let told = [
        ("etcdserver: user name is empty", Verdict::Nobody),
        ("etcdserver: invalid auth token", Verdict::BadToken),
        ("etcdserver: revision of auth store is old", Verdict::OldToken),
        ("etcdserver: permission denied", Verdict::Denied),
        ("etcdserver: key is not provided", Verdict::Malformed),
        ("CommonName of client sending a request against gateway", Verdict::NotByGateway),
    ];
    told.iter().find(|(words, _)| text.contains(words)).map_or(Verdict::Passes, |(_, verdict)| *verdict)
}

async fn leader(members: &[Member]) -> usize {
    let begun = Instant::now();
    loop {
        for (index, member) in members.iter().enumerate() {
            let status =
                MaintenanceClient::new(member.plain.clone()).status(StatusRequest {}).await.unwrap().into_inner();
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                return index;
            }
        }
        assert!(begun.elapsed() < SOON, "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Users, roles of the same names, and the switch; returns the auth revision.
async fn set_up(channel: Channel) -> u64 {
    let mut auth = AuthClient::new(channel);
    for user in USERS {
        let name = user.to_owned();
        let options = Some(UserAddOptions { no_password: true });
        auth.user_add(AuthUserAddRequest { name: name.clone(), options, ..AuthUserAddRequest::default() })
            .await
            .unwrap();
        if user != "bare" {
            auth.role_add(AuthRoleAddRequest { name: name.clone() }).await.unwrap();
            auth.user_grant_role(AuthUserGrantRoleRequest { user: name.clone(), role: name }).await.unwrap();
        }
    }
    for (role, access, (start, end)) in GRANTS {
        let kind = match access {
            [Access::Read] => permission::Type::Read,
            [Access::Write] => permission::Type::Write,
            _ => permission::Type::Readwrite,
        };
        let perm = Some(Permission { perm_type: kind.into(), key: start.into(), range_end: end.into() });
        auth.role_grant_permission(AuthRoleGrantPermissionRequest { name: role.to_owned(), perm }).await.unwrap();
    }
    // Switching it on is no change of users.
    let revision = match auth.auth_status(AuthStatusRequest {}).await {
        Ok(status) => status.into_inner().auth_revision,
        // An etcd of 3.4 does not return it: it begins at 1, and each change adds one.
        Err(_) => (USERS.len() + 2 * (USERS.len() - 1) + GRANTS.len() + 1) as u64,
    };
    auth.auth_enable(AuthEnableRequest {}).await.unwrap();
    revision
}
