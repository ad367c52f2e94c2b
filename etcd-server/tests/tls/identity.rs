//! Identities: the common name of a certificate is a user, where and only where etcd takes it as
//! one.

use crate::client::Client;
use crate::daemon::{Daemon, Ports};
use crate::pki::Pki;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest, RangeRequest,
};
use rpc::etcdserverpb::auth_client::AuthClient;
use rpc::etcdserverpb::kv_client::KvClient;
use tonic::transport::Channel;
use tonic::{Code, Request};

/// Enables authentication with root, and alice, a user with all permissions on keys from a to b.
async fn set_up(channel: Channel) {
    let mut auth = AuthClient::new(channel);
    for (name, password) in [("root", "root-password"), ("alice", "alice-password")] {
        auth.user_add(AuthUserAddRequest {
            name: name.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        })
        .await
        .unwrap();
        auth.role_add(AuthRoleAddRequest { name: name.to_owned() }).await.unwrap();
        auth.user_grant_role(AuthUserGrantRoleRequest { user: name.to_owned(), role: name.to_owned() }).await.unwrap();
    }
    let perm = Permission { perm_type: Type::Readwrite.into(), key: "a".into(), range_end: "b".into() };
    auth.role_grant_permission(AuthRoleGrantPermissionRequest { name: "alice".to_owned(), perm: Some(perm) })
        .await
        .unwrap();
    auth.auth_enable(AuthEnableRequest {}).await.unwrap();
}

async fn read(channel: &Channel, key: &str, metadata: &[(&'static str, &str)]) -> Result<(), (Code, String)> {
    let mut request = Request::new(RangeRequest { key: key.to_owned().into(), ..Default::default() });
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let response = KvClient::new(channel.clone()).range(request).await;
    response.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}

async fn write(channel: &Channel, key: &str) -> Result<(), Code> {
    let put = PutRequest { key: key.to_owned().into(), ..Default::default() };
    KvClient::new(channel.clone()).put(put).await.map(drop).map_err(|status| status.code())
}

const NOBODY: (Code, &str) = (Code::InvalidArgument, "etcdserver: user name is empty");
const DENIED: (Code, &str) = (Code::PermissionDenied, "etcdserver: permission denied");

fn refusal(outcome: &Result<(), (Code, String)>) -> (Code, &str) {
    outcome.as_ref().map_or_else(|(code, text)| (*code, text.as_str()), |()| (Code::Ok, ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_common_name_is_the_user() {
    let pki = Pki::new();
    let mut flags = pki.flags();
    flags.push("--client-cert-auth".to_owned());
    flags.extend(["--bcrypt-cost".to_owned(), "4".to_owned()]);
    let daemon = Daemon::start(&flags, Ports::Shared);
    let channel = |name: &str| {
        let client = Client::new(&pki, Some(&pki.user(name)));
        async move { client.channel(daemon.client).await.unwrap() }
    };
    let (root, alice, bob) = (channel("root").await, channel("alice").await, channel("bob").await);
    set_up(root.clone()).await;
    assert_eq!(read(&root, "z", &[]).await, Ok(()));
    assert_eq!(read(&alice, "a1", &[]).await, Ok(()));
    assert_eq!(refusal(&read(&alice, "z", &[]).await), DENIED);
    assert_eq!((write(&alice, "a1").await, write(&alice, "z").await), (Ok(()), Err(Code::PermissionDenied)));
    assert!(read(&bob, "a1", &[]).await.is_err(), "a name that no user has");
    // A gateway's certificate is not its clients' (CVE-2018-16886), and saying that one is a
    // gateway gains nothing.
    assert_eq!(refusal(&read(&root, "a1", &[("grpcgateway-accept", "application/json")]).await), NOBODY);
    // A token says more than a certificate, in both directions.
    let login = AuthenticateRequest { name: "alice".to_owned(), password: "alice-password".to_owned() };
    let token = AuthClient::new(root.clone()).authenticate(login).await.unwrap().into_inner().token;
    assert_eq!(refusal(&read(&root, "z", &[("token", &token)]).await), DENIED);
    assert_eq!(read(&bob, "a1", &[("token", &token)]).await, Ok(()));
    assert!(
        read(&root, "z", &[("token", "no-such-token")]).await.is_err(),
        "a bad token does not fall back to the certificate"
    );
    // Without encryption there is no certificate.
    let plain = format!("http://127.0.0.1:{}", daemon.plain);
    let plain = tonic::transport::Endpoint::from_shared(plain).unwrap().connect().await.unwrap();
    assert_eq!(refusal(&read(&plain, "a1", &[]).await), NOBODY);
    assert!(!daemon.log().contains("alice-password") && !daemon.log().contains(&token), "secrets stay out of the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_request_has_no_certificate() {
    let pki = Pki::new();
    let mut flags = pki.flags();
    flags.push("--client-cert-auth".to_owned());
    let daemon = Daemon::start(&flags, Ports::Shared);
    let root = Client::new(&pki, Some(&pki.user("root")));
    set_up(root.channel(daemon.client).await.unwrap()).await;
    let response = root.http(daemon.client, "POST", "/v3/kv/range", r#"{"key":"YQ=="}"#).await.unwrap();
    assert!(
        response.starts_with("HTTP/1.1 400")
            && response.contains("CommonName of client sending a request against gateway"),
        "{response}"
    );
    let login = r#"{"name":"alice","password":"alice-password"}"#;
    let response = root.http(daemon.client, "POST", "/v3/auth/authenticate", login).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400"), "etcd's rule is for every path below /v3: {response}");
    assert!(root.http(daemon.client, "GET", "/health", "").await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_merely_demanded_name_nobody() {
    let pki = Pki::new();
    let daemon = Daemon::start(&pki.flags(), Ports::Shared);
    let root = Client::new(&pki, Some(&pki.user("root"))).channel(daemon.client).await.unwrap();
    set_up(root.clone()).await;
    assert_eq!(refusal(&read(&root, "z", &[]).await), NOBODY);
}
