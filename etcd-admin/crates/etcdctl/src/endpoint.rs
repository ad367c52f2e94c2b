//! endpoint health, status, hashkv.

use crate::args::{EndpointArgs, EndpointCommand};
use crate::context::Ctl;
use crate::error::{CtlError, Exit};
use crate::print::{Hashes, Health, Healths, Statuses, tell};
use admin_client::{CallError, Client, Repeat};
use futures::future::join_all;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmRequest, HashKvRequest, MemberListRequest, RangeRequest, StatusRequest};
use std::time::Instant;
use tonic::Code;

pub(super) async fn run(ctl: &Ctl, args: EndpointArgs) -> Result<(), CtlError> {
    // None of them looks at its arguments.
    match args.command {
        EndpointCommand::Health(_) => health(ctl, args.cluster).await,
        EndpointCommand::Status(_) => status(ctl, args.cluster).await,
        EndpointCommand::Hashkv { rev, .. } => hash(ctl, args.cluster, rev).await,
    }
}

/// Those that were given, or all of the members'.
pub(super) async fn endpoints(ctl: &Ctl, cluster: bool) -> Result<Vec<String>, CtlError> {
    if !cluster {
        return Ok(ctl.client.settings.endpoints.clone());
    }
    let request = MemberListRequest { linearizable: true };
    let listed = ctl.client.call(Repeat::Safe, async |session| session.cluster().member_list(request).await).await;
    let listed = listed.map_err(|error| {
        CtlError::from(error).wrapped(|text| format!("failed to fetch endpoints from etcd cluster member list: {text}"))
    })?;
    Ok(listed.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

/// Sends a request to one endpoint, independent of the others.
pub(super) async fn at<T>(
    ctl: &Ctl,
    endpoint: &str,
    ask: impl AsyncFn(&Client) -> Result<T, CallError>,
) -> Result<T, CtlError> {
    let client = ctl.client.at(endpoint)?;
    match ask(&client).await {
        Ok(response) => Ok(response),
        Err(error) => {
            let explained = client.explain(&error).await;
            Err(CtlError::from(error).wrapped(|text| [vec![text.to_owned()], explained].concat().join("; ")))
        }
    }
}

async fn health(ctl: &Ctl, cluster: bool) -> Result<(), CtlError> {
    let endpoints = endpoints(ctl, cluster).await?;
    let healths = join_all(endpoints.into_iter().map(|endpoint| async move {
        let begun = Instant::now();
        let error =
            at(ctl, &endpoint, async |client| look(client).await).await.unwrap_or_else(|ctl_error| ctl_error.text);
        Health { endpoint, took: begun.elapsed(), error }
    }))
    .await;
    let unhealthy = healths.iter().any(|health| !health.error.is_empty());
    ctl.printer.show(&Healths(healths))?;
    if unhealthy { Err(CtlError::error("unhealthy cluster")) } else { Ok(()) }
}

/// The alarms of an endpoint that serves, as a complaint; empty when there are none.
async fn look(client: &Client) -> Result<String, CallError> {
    let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
    match client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await {
        Ok(_) => {}
        // A refused permission is a response of the cluster, which therefore works.
        Err(error) if error.code() == Code::PermissionDenied => return Ok(String::new()),
        Err(error) => return Err(error),
    }
    let request = AlarmRequest { action: AlarmAction::Get.into(), ..AlarmRequest::default() };
    match client.call(Repeat::Safe, async |session| session.maintenance().alarm(request).await).await {
        Ok(response) if response.alarms.is_empty() => Ok(String::new()),
        Ok(response) => {
            let alarms: String =
                response.alarms.iter().map(|alarm| format!("{} ", alarm.alarm().as_str_name())).collect();
            Ok(format!("Active Alarm(s): {alarms}"))
        }
        Err(_) => Ok("Unable to fetch the alarm list".to_owned()),
    }
}

async fn status(ctl: &Ctl, cluster: bool) -> Result<(), CtlError> {
    let mut statuses = Vec::new();
    let mut failed = false;
    for endpoint in endpoints(ctl, cluster).await? {
        let asked = at(ctl, &endpoint, async |client| {
            client.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await
        });
        match asked.await {
            Ok(status) => statuses.push((endpoint, status)),
            Err(error) => {
                failed = true;
                tell(&format!("Failed to get the status of endpoint {endpoint} ({error})"));
            }
        }
    }
    ctl.printer.show(&Statuses(statuses))?;
    if failed { Err(CtlError::new(Exit::Error, "")) } else { Ok(()) }
}

async fn hash(ctl: &Ctl, cluster: bool, revision: i64) -> Result<(), CtlError> {
    let mut hashes = Vec::new();
    let mut error = None;
    for endpoint in endpoints(ctl, cluster).await? {
        let asked = at(ctl, &endpoint, async |client| {
            client
                .call(Repeat::Safe, async |session| session.maintenance().hash_kv(HashKvRequest { revision }).await)
                .await
        });
        match asked.await {
            Ok(hash) => hashes.push((endpoint, hash)),
            Err(ctl_error) => {
                tell(&format!("Failed to get the hash of endpoint {endpoint} ({ctl_error})"));
                error = Some(ctl_error);
            }
        }
    }
    ctl.printer.show(&Hashes(hashes))?;
    error.map_or(Ok(()), Err)
}
