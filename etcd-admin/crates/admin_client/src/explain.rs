//! The reason for which a connected member does not answer.

use crate::broken::alert_remedy;
use crate::call_error::{CallError, transport};
use crate::client::Client;
use crate::http::PageError;
use crate::member_page::Account;
use admin_ui::error::CliError;
use proto::etcdserverpb::StatusRequest;
use std::error::Error;
use std::time::Duration;
use tonic::Status;

/// Time for the request that looks for the reason.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the TLS alert in the chain of a failed call.
fn alert(status: &Status) -> Option<rustls::AlertDescription> {
    let mut current: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = current {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(rustls::Error::AlertReceived(alert)) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Some(*alert);
        }
        current = error.source();
    }
    None
}

impl Client {
    /// Returns the known or discoverable reasons of a failure, a line for each endpoint.
    pub async fn explain(&self, error: &CallError) -> Vec<String> {
        match error {
            CallError::Unreachable(broken) => broken.iter().map(ToString::to_string).collect(),
            CallError::TimedOut { endpoint, limit } => {
                let cause = format!("no response within {limit:?}");
                vec![silence(self, endpoint, cause, None).await]
            }
            CallError::Status { endpoint, status } | CallError::Login { endpoint, status } => match transport(status) {
                Some(cause) => vec![silence(self, endpoint, cause, Some(status)).await],
                None => Vec::new(),
            },
        }
    }
}

/// Returns one line about the reason for which no response came from `endpoint`.
async fn silence(client: &Client, endpoint: &str, cause: String, status: Option<&Status>) -> String {
    if let Some(remedy) = status.and_then(alert).map(alert_remedy).filter(|remedy| !remedy.is_empty()) {
        return format!("{endpoint}: certificate: {cause} ({remedy})");
    }
    let Ok(probe) = client.at(endpoint) else { return format!("{endpoint}: {cause}") };
    let limit = PROBE_TIMEOUT.max(client.settings.dial_timeout);
    // HTTP/1.1 first: a member that refuses the certificate or the scheme says so there, and HTTP/2
    // only breaks off.
    match tokio::time::timeout(limit, probe.account()).await {
        Ok(Account::None(PageError::Broken(broken))) => return broken.to_string(),
        Ok(Account::None(PageError::Status(400))) if client.tls.is_none() => {
            return format!("{endpoint}: TLS: the member serves TLS: write https:// and give --cacert");
        }
        Ok(Account::Own(page)) if page.leader.is_none() => {
            return format!(
                "{endpoint}: RPC: {cause} (the member is up and knows no leader: etcd-admin status lists what every member reports)"
            );
        }
        Ok(_) | Err(_) => {}
    }
    let asked = async {
        let session = probe.session().await?;
        let asked = session.maintenance().status(StatusRequest {}).await;
        asked.map_err(|status| CallError::Status { endpoint: endpoint.to_owned(), status })
    };
    let remedy = match tokio::time::timeout(limit, asked).await {
        Ok(Ok(status)) if status.get_ref().leader == 0 => {
            "the member is up and knows no leader: etcd-admin status lists what every member reports"
        }
        Ok(Ok(_)) => "the member is up and responds to other requests: it may be overloaded; raise --command-timeout",
        Ok(Err(CallError::Unreachable(broken))) => {
            return broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        }
        Ok(Err(_)) if client.tls.is_none() => {
            "the member closed the connection: if it serves TLS, write https:// and give --cacert"
        }
        Ok(Err(_)) => "the member closed the connection: check that this is a client URL of a member",
        Err(_) => {
            "the member accepts connections and does not respond: the process may be stopped, or its disk may hang"
        }
    };
    // HTTP/2 takes the response of a TLS listener for a frame, which says nothing to an operator.
    let cause = if cause.contains("frame with invalid size") { "the response is not HTTP/2".to_owned() } else { cause };
    format!("{endpoint}: RPC: {cause} ({remedy})")
}

/// Returns a failure with the step that broke.
pub async fn explained(client: &Client, error: CallError) -> CliError {
    let lines = match &error {
        CallError::Unreachable(_) => Vec::new(),
        CallError::Status { .. } | CallError::Login { .. } | CallError::TimedOut { .. } => client.explain(&error).await,
    };
    let mut text = error.to_string();
    for line in lines {
        text += &format!("\n  {line}");
    }
    if matches!(error, CallError::Unreachable(_)) {
        text += &format!("\n  (the endpoints are from {})", client.settings.origin);
    }
    CliError::new(error.exit_status(), text)
}
