//! Why a connected member does not answer.

use super::Client;
use proto::etcdserverpb::StatusRequest;
use std::error::Error as _;
use std::time::Duration;
use tonic::Status;

/// For the question that is asked to find out more.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What broke below the call, when the status is not a member's answer.
pub(super) fn transport(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}

/// One line of why nobody answered at `endpoint`.
pub(super) async fn silence(client: &Client, endpoint: &str, cause: String) -> String {
    let Ok(probe) = client.at(endpoint) else { return format!("{endpoint}: {cause}") };
    let asked = async {
        let session = probe.session().await?;
        let asked = session.maintenance().status(StatusRequest {}).await;
        asked.map_err(|status| super::CallError::Status { endpoint: endpoint.to_owned(), status })
    };
    let cure = match tokio::time::timeout(PROBE_TIMEOUT.max(client.settings.dial_timeout), asked).await {
        Ok(Ok(status)) if status.get_ref().leader == 0 => {
            "the member is up and knows no leader: most members are down or cut off; look at each with etcd-admin status"
        }
        Ok(Ok(_)) => "the member is up and answers other questions: it may be overloaded; --command-timeout gives it more time",
        Ok(Err(super::CallError::Unreachable(broken))) => return broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Ok(Err(_)) if client.tls.is_none() => "it hangs up: it may want TLS: write https:// and give --cacert",
        Ok(Err(_)) => "it hangs up: is this a client URL of a member?",
        Err(_) => "it takes connections and answers nothing: the process may be stopped, or its disk may hang",
    };
    format!("{endpoint}: RPC: {cause} ({cure})")
}
