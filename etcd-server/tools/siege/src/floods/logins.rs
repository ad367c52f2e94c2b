//! Floods of logins, on a server with users.

use super::calls::at_a_time;
use crate::measure::{Bounds, FloodReport};
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest, AuthUserGrantRoleRequest, AuthenticateRequest,
};
use rpc::etcdserverpb::auth_client::AuthClient;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::Server;
use tonic::transport::{Channel, Endpoint};

const LOGINS_AT_A_TIME: usize = 64;
/// Logins by which the time for a user that exists is compared with that for one that does not.
const COMPARED: usize = 100;

async fn connect(server: &Server) -> io::Result<AuthClient<Channel>> {
    let endpoint = Endpoint::from_shared(server.endpoint()).map_err(io::Error::other)?;
    Ok(AuthClient::new(endpoint.connect().await.map_err(io::Error::other)?))
}

/// Makes the one user, root, switches authentication on, and returns a token.
pub async fn set_up(server: &Server) -> io::Result<String> {
    let mut auth = connect(server).await?;
    let name = || "root".to_owned();
    let failed = |status: tonic::Status| io::Error::other(status.to_string());
    auth.user_add(AuthUserAddRequest { name: name(), password: name(), ..Default::default() }).await.map_err(failed)?;
    auth.role_add(AuthRoleAddRequest { name: name() }).await.map_err(failed)?;
    auth.user_grant_role(AuthUserGrantRoleRequest { user: name(), role: name() }).await.map_err(failed)?;
    auth.auth_enable(AuthEnableRequest {}).await.map_err(failed)?;
    let login = AuthenticateRequest { name: name(), password: name() };
    Ok(auth.authenticate(login).await.map_err(failed)?.into_inner().token)
}

async fn log_in(mut auth: AuthClient<Channel>, user: &str, password: &str) -> bool {
    let login = AuthenticateRequest { name: user.to_owned(), password: password.to_owned() };
    auth.authenticate(login).await.is_ok()
}

/// Sends wrong passwords, for a user that exists and for ones that do not; then compares their
/// times.
pub async fn wrong_passwords(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let auth = connect(server).await?;
    let sent = at_a_time(bounds, LOGINS_AT_A_TIME, |number| {
        let auth = auth.clone();
        async move {
            let user = if number % 2 == 0 { "root".to_owned() } else { format!("nobody{number}") };
            log_in(auth, &user, "wrong").await;
        }
    })
    .await;
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..COMPARED * 2 {
        // Neither name may have to wait for its turn: a right password clears the one, the other
        // was never tried.
        let user = if number % 2 == 0 { "root".to_owned() } else { format!("stranger{number}") };
        if number % 2 == 0 {
            log_in(auth.clone(), &user, &user).await;
        }
        let begun = Instant::now();
        log_in(auth.clone(), &user, "wrong").await;
        took[number % 2].push(begun.elapsed());
    }
    let [known, unknown] = took.map(median);
    let difference = (known.as_secs_f64() / unknown.as_secs_f64() - 1.0) * 100.0;
    Ok(FloodReport {
        sent,
        answer: format!("median of a user that exists {known:.1?}, that does not {unknown:.1?} ({difference:+.1} %)"),
    })
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

/// Right passwords: a token each.
pub async fn logins(server: &Server, bounds: Bounds) -> io::Result<FloodReport> {
    let (auth, granted) = (connect(server).await?, AtomicU64::new(0));
    let sent = at_a_time(bounds, LOGINS_AT_A_TIME, |_| {
        let auth = auth.clone();
        let granted = &granted;
        async move {
            if log_in(auth, "root", "root").await {
                granted.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    Ok(FloodReport { sent, answer: format!("{} tokens", granted.load(Ordering::Relaxed)) })
}
