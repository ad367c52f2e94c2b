//! Users and roles that change under load, while members crash and fall behind: all members have
//! the same permissions at the end, and no user keeps a revoked one.

use crate::support::{PATIENCE, all_equal, settings};
use proto::authpb::{Permission, permission::Type};
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthUserAddRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthenticateRequest, PutRequest,
};
use rpc::etcdserverpb::{auth_client::AuthClient, kv_client::KvClient};
use std::time::{Duration, Instant};
use testbed::Cluster;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const ROUNDS: usize = 12;
/// Entries of a round in which a member is away: more than the log keeps for it.
const FAR: usize = 120;

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().unwrap());
    request
}

/// Logs in at a member as soon as it is ready: health needs a user here.
async fn enter(cluster: &Cluster, member: usize, name: &str) -> (Channel, String) {
    let begun = Instant::now();
    loop {
        let request = AuthenticateRequest { name: name.to_owned(), password: "secret".to_owned() };
        let entered = match cluster.channel(member).await {
            Ok(channel) => AuthClient::new(channel.clone())
                .authenticate(request)
                .await
                .map(|response| (channel, response.into_inner().token)),
            Err(error) => Err(Status::unavailable(error.to_string())),
        };
        match entered {
            Ok(entered) => return entered,
            Err(status) => assert!(begun.elapsed() < PATIENCE, "member {member}: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Repeats a put when a permission changed in between, as etcd's clients do.
async fn put(cluster: &Cluster, member: usize, user: &str, key: &str) -> Result<(), Status> {
    let begun = Instant::now();
    loop {
        let (channel, token) = enter(cluster, member, user).await;
        let request = PutRequest { key: key.to_owned().into(), ..PutRequest::default() };
        match KvClient::new(channel).put(with_token(request, &token)).await {
            Err(status) if status.code() == Code::InvalidArgument || status.code() == Code::Unavailable => {
                assert!(begun.elapsed() < PATIENCE, "{status}");
            }
            response => return response.map(drop),
        }
    }
}

/// An administrator's session at one member.
struct Root {
    auth: AuthClient<Channel>,
    token: String,
}

impl Root {
    async fn at(cluster: &Cluster, member: usize) -> Self {
        let (channel, token) = enter(cluster, member, "root").await;
        Self { auth: AuthClient::new(channel), token }
    }

    /// Returns this member's knowledge as text: the auth revision, users with their roles, and
    /// roles with their permissions.
    async fn rights(&mut self) -> String {
        let status = self.auth.auth_status(with_token(AuthStatusRequest {}, &self.token)).await.unwrap().into_inner();
        let mut told = format!("revision {} enabled {}\n", status.auth_revision, status.enabled);
        let users =
            self.auth.user_list(with_token(AuthUserListRequest {}, &self.token)).await.unwrap().into_inner().users;
        for name in users {
            let user =
                self.auth.user_get(with_token(AuthUserGetRequest { name: name.clone() }, &self.token)).await.unwrap();
            told += &format!("{name}: {:?}\n", user.into_inner().roles);
        }
        let role = self
            .auth
            .role_get(with_token(AuthRoleGetRequest { role: "writer".to_owned() }, &self.token))
            .await
            .unwrap();
        told + &format!("writer: {:?}\n", role.into_inner().perm)
    }

    async fn grant(&mut self, key: &str) {
        let perm = Some(Permission { perm_type: Type::Write.into(), key: key.to_owned().into(), range_end: "".into() });
        let request = AuthRoleGrantPermissionRequest { name: "writer".to_owned(), perm };
        self.auth.role_grant_permission(with_token(request, &self.token)).await.unwrap();
    }

    async fn revoke(&mut self, key: &str) {
        let request = AuthRoleRevokePermissionRequest {
            role: "writer".to_owned(),
            key: key.to_owned().into(),
            range_end: "".into(),
        };
        self.auth.role_revoke_permission(with_token(request, &self.token)).await.unwrap();
    }

    async fn add_user(&mut self, name: &str) {
        let request = AuthUserAddRequest {
            name: name.to_owned(),
            password: "secret".to_owned(),
            ..AuthUserAddRequest::default()
        };
        self.auth.user_add(with_token(request, &self.token)).await.unwrap();
    }
}

/// Enables authentication with root, and alice, a user with the permissions of the role.
async fn enable(cluster: &Cluster) {
    let mut auth = AuthClient::new(cluster.channel(0).await.unwrap());
    for name in ["root", "alice"] {
        let request = AuthUserAddRequest {
            name: name.to_owned(),
            password: "secret".to_owned(),
            ..AuthUserAddRequest::default()
        };
        auth.user_add(request).await.unwrap();
    }
    for (user, role) in [("root", "root"), ("alice", "writer")] {
        auth.role_add(AuthRoleAddRequest { name: role.to_owned() }).await.unwrap();
        auth.user_grant_role(AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() }).await.unwrap();
    }
    auth.auth_enable(AuthEnableRequest {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_change_under_load_and_all_members_come_to_the_same() {
    let mut cluster =
        Cluster::start(settings(&["--snapshot-catchup-entries", "50", "--bcrypt-cost", "4"]), 3).await.unwrap();
    enable(&cluster).await;
    for round in 0..ROUNDS {
        let away = round % 3;
        let here = [(away + 1) % 3, (away + 2) % 3];
        let killed = round % 2 == 0;
        if killed {
            cluster.members[away].kill();
        }
        let (mut root, key) = (Root::at(&cluster, here[0]).await, format!("key{round}"));
        root.add_user(&format!("user{round}")).await;
        root.grant(&key).await;
        put(&cluster, here[1], "alice", &key).await.unwrap();
        if killed {
            // The log has none of these any more for the member that was away.
            let mut kv = KvClient::new(cluster.channel(here[0]).await.unwrap());
            for number in 0..FAR {
                let request = PutRequest { key: format!("far{number}").into(), ..PutRequest::default() };
                kv.put(with_token(request, &root.token)).await.unwrap();
            }
            cluster.members[away].relaunch().unwrap();
        }
        // Taken away while the third one is catching up.
        root.revoke(&key).await;
        if round > 0 {
            let request = AuthUserDeleteRequest { name: format!("user{}", round - 1) };
            root.auth.user_delete(with_token(request, &root.token)).await.unwrap();
        }
        for member in 0..3 {
            let refused = put(&cluster, member, "alice", &key).await.unwrap_err();
            assert_eq!(refused.message(), "etcdserver: permission denied", "round {round}, member {member}");
        }
    }
    assert!((0..3).any(|member| cluster.members[member].log_tail().contains("installed the state of another member")));
    let mut told = Vec::new();
    for member in 0..3 {
        told.push(Root::at(&cluster, member).await.rights().await);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
    assert!(told[0].contains(&format!("user{}: []", ROUNDS - 1)) && !told[0].contains("user0:"), "{}", told[0]);
    let mut root = Root::at(&cluster, 0).await;
    root.auth.auth_disable(with_token(proto::etcdserverpb::AuthDisableRequest {}, &root.token)).await.unwrap();
    assert!(all_equal(&cluster.hashes().await.unwrap()));
}
