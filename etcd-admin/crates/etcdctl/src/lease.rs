//! lease grant, revoke, timetolive, list, keep-alive.

use crate::args::LeaseCommand;
use crate::context::{Ctl, one};
use crate::error::{CtlError, Exit};
use crate::keys::lease_id;
use crate::print::{Format, Granted, KeptAlive, Leases, Revoked, TimeToLive, say};
use crate::session_lease::Renewals;
use admin_client::{CallError, Repeat};
use admin_ui::go_flags::signed;
use proto::etcdserverpb::{LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest};
use std::time::Duration;

/// Assumed time to live of an unknown lease until its first renewal.
const FIRST_RESPONSE_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(ctl: &Ctl, command: LeaseCommand) -> Result<(), CtlError> {
    match command {
        LeaseCommand::Grant(args) => grant(ctl, one(&args.args, "lease grant command needs TTL argument")?).await,
        LeaseCommand::Revoke(args) => revoke(ctl, one(&args.args, "lease revoke command needs 1 argument")?).await,
        LeaseCommand::Timetolive { args, keys } => {
            time_to_live(ctl, one(&args, "lease timetolive command needs lease ID as argument")?, keys).await
        }
        LeaseCommand::List => list(ctl).await,
        LeaseCommand::KeepAlive { args, once } => {
            keep_alive(ctl, one(&args, "lease keep-alive command needs lease ID as argument")?, once).await
        }
    }
}

async fn grant(ctl: &Ctl, ttl: &str) -> Result<(), CtlError> {
    let ttl = signed(ttl, 10).map_err(|error| CtlError::arguments(format!("bad TTL ({error})")))?;
    let request = LeaseGrantRequest { ttl, id: 0 };
    let granted = ctl.client.call(Repeat::Unsafe, async |session| session.lease().lease_grant(request).await).await;
    let granted =
        granted.map_err(|error| CtlError::from(error).wrapped(|text| format!("failed to grant lease ({text})")))?;
    ctl.printer.show(&Granted(granted))
}

async fn revoke(ctl: &Ctl, id: &str) -> Result<(), CtlError> {
    let id = lease_id(id)?;
    let request = LeaseRevokeRequest { id };
    let revoked = ctl.client.call(Repeat::Unsafe, async |session| session.lease().lease_revoke(request).await).await;
    let response =
        revoked.map_err(|error| CtlError::from(error).wrapped(|text| format!("failed to revoke lease ({text})")))?;
    ctl.printer.show(&Revoked { id, response })
}

async fn time_to_live(ctl: &Ctl, id: &str, keys: bool) -> Result<(), CtlError> {
    let request = LeaseTimeToLiveRequest { id: lease_id(id)?, keys };
    let response = ctl
        .client
        .call_within(None, Repeat::Safe, async |session| session.lease().lease_time_to_live(request).await)
        .await;
    let response = response.map_err(|error| CtlError::from(error).with(Exit::BadConnection))?;
    ctl.printer.show(&TimeToLive { response, keys })
}

async fn list(ctl: &Ctl) -> Result<(), CtlError> {
    let asked = ctl
        .client
        .call_within(None, Repeat::Safe, async |session| session.lease().lease_leases(LeaseLeasesRequest {}).await)
        .await;
    ctl.printer.show(&Leases(asked.map_err(|error| CtlError::from(error).with(Exit::BadConnection))?))
}

async fn keep_alive(ctl: &Ctl, id: &str, once: bool) -> Result<(), CtlError> {
    let id = lease_id(id)?;
    let failed = |error: CallError| CtlError::from(error).with(Exit::BadConnection);
    ctl.client.session().await.map_err(failed)?;
    let mut renewals = Renewals::new(id, FIRST_RESPONSE_MAX);
    while let Some(response) = renewals.next(&ctl.client).await.map_err(failed)? {
        ctl.printer.show(&KeptAlive(response))?;
        if once {
            return Ok(());
        }
    }
    if once {
        return Err(CtlError::new(Exit::BadConnection, "etcdserver: requested lease not found"));
    }
    if ctl.printer.format == Format::Simple {
        say(format!("lease {id:016x} expired or revoked.\n").as_bytes())
    } else {
        Ok(())
    }
}
