//! The keys of signed tokens change under a running daemon.

use crate::calls::Call;
use crate::daemon::SOON;
use crate::pki::Pki;
use crate::suspect::{Suspect, ours};
use auth::{Identity, Jwt, JwtOptions, SignMethod};
use prost::Message as _;
use proto::etcdserverpb::{AuthStatusRequest, AuthStatusResponse, MemberListRequest};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};
use tonic::transport::Endpoint;

fn token(key: &[u8], revision: u64) -> String {
    let sign_method = SignMethod::named("HS256").unwrap();
    let options = JwtOptions { sign_method, ttl: Duration::from_secs(3600) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Jwt::new(&options, None, Some(key)).unwrap().make(&Identity::new("root", revision), now).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_tokens_are_exchanged_and_bad_ones_change_nothing() {
    let pki = Pki::new();
    pki.write("token.key", b"the first key of this test, long enough");
    let path = pki.path("token.key");
    let setting = format!("jwt,sign-method=HS256,priv-key={}", path.display());
    let suspect = Suspect::start(ours(&["--auth-token", &setting, "--strict-file-checks"])).await;
    let status = suspect.ask(None, "Auth", "AuthStatus", &AuthStatusRequest {}).await.unwrap();
    let revision = AuthStatusResponse::decode(status).unwrap().auth_revision;
    let channel = Endpoint::from_shared(suspect.server.endpoint()).unwrap().connect().await.unwrap();
    let call = Call {
        service: "etcdserverpb.Cluster",
        method: "MemberList",
        request: MemberListRequest::default().encode_to_vec(),
    };
    let is_taken = async |key: &[u8]| call.by_grpc(&channel, &[("token", token(key, revision))]).await.is_ok();
    let until = async |key: &[u8], taken: bool| {
        let begun = Instant::now();
        while is_taken(key).await != taken {
            assert!(begun.elapsed() < SOON, "{}", suspect.server.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (first, second) = (b"the first key of this test, long enough", b"the second key of this test, long enough");
    assert!(is_taken(first).await && !is_taken(second).await);
    pki.write("token.key", second);
    until(second, true).await;
    assert!(!is_taken(first).await);
    // A key that others can read is not taken, however good.
    pki.write("token.key", first);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let begun = Instant::now();
    while !suspect.server.log_tail().contains("changed keys of tokens cannot be used") {
        assert!(begun.elapsed() < SOON, "{}", suspect.server.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(suspect.server.log_tail().contains("can be read by others"), "{}", suspect.server.log_tail());
    pki.write("token.key", second);
    until(second, true).await;
}
