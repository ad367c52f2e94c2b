//! alarm, defrag, move-leader, downgrade.

use crate::args::{AlarmCommand, ClusterFlag, DowngradeCommand};
use crate::context::{Ctl, none, one};
use crate::endpoint::{at, endpoints};
use crate::error::{CtlError, Exit};
use crate::print::{Alarms, Downgraded, Moved, duration, say, tell};
use admin_client::Repeat;
use admin_ui::go_flags::unsigned;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DowngradeRequest, MoveLeaderRequest, StatusRequest,
};
use std::time::Instant;

pub(super) async fn alarm(ctl: &Ctl, command: &AlarmCommand) -> Result<(), CtlError> {
    let get = AlarmRequest { action: AlarmAction::Get.into(), ..AlarmRequest::default() };
    let listed = async || ctl.client.call(Repeat::Safe, async |session| session.maintenance().alarm(get).await).await;
    match command {
        AlarmCommand::List(args) => {
            none(&args.args, "alarm list command accepts no arguments")?;
            ctl.printer.show(&Alarms(listed().await?))
        }
        AlarmCommand::Disarm(args) => {
            none(&args.args, "alarm disarm command accepts no arguments")?;
            let mut disarmed = AlarmResponse::default();
            for alarm in listed().await?.alarms {
                let request = AlarmRequest {
                    action: AlarmAction::Deactivate.into(),
                    member_id: alarm.member_id,
                    alarm: alarm.alarm,
                };
                let response =
                    ctl.client.call(Repeat::Unsafe, async |session| session.maintenance().alarm(request).await).await?;
                disarmed.alarms.extend(response.alarms);
            }
            ctl.printer.show(&Alarms(disarmed))
        }
    }
}

pub(super) async fn defragment(ctl: &Ctl, args: &ClusterFlag) -> Result<(), CtlError> {
    let mut failed = false;
    for endpoint in endpoints(ctl, args.cluster).await? {
        let begun = Instant::now();
        let asked = at(ctl, &endpoint, async |client| {
            client
                .call(Repeat::Unsafe, async |session| session.maintenance().defragment(DefragmentRequest {}).await)
                .await
        });
        let (ended, took) = (asked.await, duration(begun.elapsed()));
        match ended {
            Ok(_) => say(format!("Finished defragmenting etcd member[{endpoint}]. took {took}\n").as_bytes())?,
            Err(error) => {
                tell(&format!("Failed to defragment etcd member[{endpoint}]. took {took}. ({error})"));
                failed = true;
            }
        }
    }
    if failed { Err(CtlError::new(Exit::Error, "")) } else { Ok(()) }
}

pub(super) async fn move_leader(ctl: &Ctl, args: &[String]) -> Result<(), CtlError> {
    let target = unsigned(one(args, "move-leader command needs 1 argument")?, 16).map_err(CtlError::arguments)?;
    let all = &ctl.client.settings.endpoints;
    for endpoint in all {
        let client = ctl.client.at(endpoint)?;
        let status =
            client.call(Repeat::Safe, async |session| session.maintenance().status(StatusRequest {}).await).await?;
        let member = status.header.as_ref().map_or(0, |header| header.member_id);
        if member == status.leader {
            let request = MoveLeaderRequest { target_id: target };
            let response =
                client.call(Repeat::Unsafe, async |session| session.maintenance().move_leader(request).await).await?;
            return ctl.printer.show(&Moved { from: member, to: target, response });
        }
    }
    Err(CtlError::arguments(format!("no leader endpoint given at [{}]", all.join(" "))))
}

pub(super) async fn downgrade(ctl: &Ctl, command: &DowngradeCommand) -> Result<(), CtlError> {
    let target = |args: &[String]| match args {
        [] => Err(CtlError::arguments("TARGET_VERSION not provided")),
        [empty] if empty.is_empty() => Err(CtlError::arguments("target version not provided")),
        [one] => Ok(one.clone()),
        _ => Err(CtlError::arguments("too many arguments")),
    };
    let (action, version, done) = match command {
        DowngradeCommand::Validate(args) => (DowngradeAction::Validate, target(&args.args)?, "validate"),
        DowngradeCommand::Enable(args) => (DowngradeAction::Enable, target(&args.args)?, "enable"),
        DowngradeCommand::Cancel(_) => (DowngradeAction::Cancel, String::new(), "cancel"),
    };
    let request = DowngradeRequest { action: action.into(), version };
    let response =
        ctl.client.call(Repeat::Unsafe, async |session| session.maintenance().downgrade(request.clone()).await).await?;
    ctl.printer.show(&Downgraded { done, response })
}
