//! lock and elect: the server's services do the waiting, a lease of our own the holding.

use crate::args::{ElectArgs, LockArgs};
use crate::context::Ctl;
use crate::error::{CtlError, Exit};
use crate::session_lease::SessionLease;
use admin_client::{CallError, RECONNECT_PAUSE, Repeat, Session};
use bytes::Bytes;
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use proto::v3electionpb::{CampaignRequest, LeaderRequest, ResignRequest};
use proto::v3lockpb::{LockRequest, UnlockRequest};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::{Code, Response, Status};

const ELECTION_TTL_SECONDS: i64 = 60;

/// Either of the two signals by which an operator ends a command.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn new() -> Result<Self, CtlError> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn failed(session: &Session, status: Status) -> CtlError {
    CallError::Status { endpoint: session.endpoint().to_owned(), status }.into()
}

fn bytes(arg: &OsString) -> Bytes {
    Bytes::from(arg.clone().into_vec())
}

pub(super) async fn lock(ctl: &Ctl, args: &LockArgs) -> Result<(), CtlError> {
    let Some((name, command)) = args.args.split_first() else {
        return Err(CtlError::arguments("lock takes a lock name argument and an optional command to execute"));
    };
    let mut ends = Ends::new()?;
    let lease = SessionLease::grant(&ctl.client, args.ttl).await?;
    let request = LockRequest { name: bytes(name), lease: lease.id };
    let locked = tokio::select! {
        locked = persistent(ctl, async |session| session.lock().lock(request.clone()).await) => locked?,
        () = ends.wait() => {
            lease.revoke(&ctl.client).await?;
            return Err(CtlError::error("context canceled"));
        }
        () = lease.keep(&ctl.client) => return Err(CtlError::error("session expired")),
    };
    if let Some((program, arguments)) = command.split_first() {
        let revision = locked.header.as_ref().map_or(0, |header| header.revision);
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .env("ETCD_LOCK_KEY", std::ffi::OsStr::from_bytes(&locked.key))
            .env("ETCD_LOCK_REV", revision.to_string())
            .status();
        let ended = alongside(child, lease.keep(&ctl.client)).await;
        unlock(ctl, &lease, locked.key).await?;
        return child_ended(ended);
    }
    show_key(ctl, &locked.key, "lock lost on init").await?;
    tokio::select! {
        () = ends.wait() => unlock(ctl, &lease, locked.key).await,
        () = lease.keep(&ctl.client) => Err(CtlError::error("session expired")),
    }
}

/// Sends a request that waits for its turn, again whenever its connection is lost. The key is named
/// after the lease, so a second request finds the place of the first.
async fn persistent<T>(ctl: &Ctl, ask: impl AsyncFn(Session) -> Result<Response<T>, Status>) -> Result<T, CtlError> {
    loop {
        match ctl.client.call_within(None, Repeat::Safe, &ask).await {
            Err(error) if error.code() == Code::Unavailable => tokio::time::sleep(RECONNECT_PAUSE).await,
            ended => return ended.map_err(CtlError::from),
        }
    }
}

/// Runs `work` to its end. Meanwhile `keeper` runs, which may end earlier.
async fn alongside<T>(work: impl Future<Output = T>, keeper: impl Future<Output = ()>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = keeper => work.await,
    }
}

async fn unlock(ctl: &Ctl, lease: &SessionLease, key: Bytes) -> Result<(), CtlError> {
    let request = UnlockRequest { key };
    let unlocked = ctl.client.call(Repeat::Safe, async |session| session.lock().unlock(request.clone()).await).await;
    // The lease has nothing to hold any more; where it cannot be revoked, it runs out.
    drop(lease.revoke(&ctl.client).await);
    unlocked.map(drop).map_err(CtlError::from)
}

/// The exit code of the command becomes ours.
fn child_ended(ended: std::io::Result<std::process::ExitStatus>) -> Result<(), CtlError> {
    let status = ended.map_err(|error| CtlError::error(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let text =
        code.map_or_else(|| format!("signal: {}", status.signal().unwrap_or(0)), |code| format!("exit status {code}"));
    Err(CtlError::new(Exit::Child(code.unwrap_or(255)), text))
}

async fn show_key(ctl: &Ctl, key: &Bytes, gone: &str) -> Result<(), CtlError> {
    let request = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let found = ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?;
    if found.kvs.is_empty() {
        return Err(CtlError::error(gone));
    }
    ctl.printer.show(&found)
}

pub(super) async fn elect(ctl: &Ctl, args: &ElectArgs) -> Result<(), CtlError> {
    let Some(name) = args.args.first().filter(|_| args.args.len() <= 2) else {
        return Err(CtlError::arguments("elect takes one election name argument and an optional proposal argument"));
    };
    match (args.args.get(1), args.listen) {
        (None, false) => Err(CtlError::arguments("no proposal argument but -l not set")),
        (Some(_), true) => Err(CtlError::arguments("proposal given but -l is set")),
        (None, true) => observe(ctl, name).await,
        (Some(proposal), false) => campaign(ctl, name, proposal).await,
    }
}

/// Prints every leader until a signal comes. A stream that breaks is opened again, at any member.
async fn observe(ctl: &Ctl, name: &OsString) -> Result<(), CtlError> {
    let mut ends = Ends::new()?;
    let mut last = None;
    loop {
        let session = match ctl.client.session().await {
            Ok(session) => session,
            Err(_) if last.is_some() => {
                ctl.client.leave();
                tokio::select! {
                    () = tokio::time::sleep(RECONNECT_PAUSE) => continue,
                    () = ends.wait() => return Ok(()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            observed = follow(ctl, &session, name, &mut last) => match observed {
                Ok(()) => return Err(CtlError::error("elect: observer lost")),
                Err(ctl_error) if ctl_error.call.as_ref().is_some_and(|call| call.code() == Code::Unavailable) => {}
                Err(ctl_error) => return Err(ctl_error),
            },
            () = ends.wait() => return Ok(()),
        }
        ctl.client.leave();
        tokio::select! {
            () = tokio::time::sleep(RECONNECT_PAUSE) => {}
            () = ends.wait() => return Ok(()),
        }
    }
}

/// Prints the leaders of one stream. Nothing comes, not even headers, while there is none.
async fn follow(
    ctl: &Ctl,
    session: &Session,
    name: &OsString,
    last: &mut Option<(Bytes, i64)>,
) -> Result<(), CtlError> {
    let mut client = session.election();
    let observed = client.observe(LeaderRequest { name: bytes(name) }).await;
    let mut leaders = observed.map_err(|status| failed(session, status))?.into_inner();
    while let Some(leader) = leaders.message().await.map_err(|status| failed(session, status))? {
        let now = leader.kv.as_ref().map(|kv| (kv.key.clone(), kv.mod_revision));
        if now == *last {
            continue;
        }
        *last = now;
        let kvs: Vec<_> = leader.kv.into_iter().collect();
        let count = i64::try_from(kvs.len()).unwrap_or(0);
        ctl.printer.show(&RangeResponse { header: leader.header, kvs, count, more: false })?;
    }
    Ok(())
}

async fn campaign(ctl: &Ctl, name: &OsString, proposal: &OsString) -> Result<(), CtlError> {
    let mut ends = Ends::new()?;
    let lease = SessionLease::grant(&ctl.client, ELECTION_TTL_SECONDS).await?;
    let request = CampaignRequest { name: bytes(name), lease: lease.id, value: bytes(proposal) };
    let won = tokio::select! {
        won = persistent(ctl, async |session| session.election().campaign(request.clone()).await) => won?,
        () = ends.wait() => {
            lease.revoke(&ctl.client).await?;
            return Err(CtlError::error("context canceled"));
        }
        () = lease.keep(&ctl.client) => return Err(CtlError::error("elect: session expired")),
    };
    let leader = won.leader.unwrap_or_default();
    show_key(ctl, &leader.key, "no leader on init").await?;
    tokio::select! {
        () = ends.wait() => {
            let request = ResignRequest { leader: Some(leader) };
            let resigned = ctl.client.call(Repeat::Safe, async |session| session.election().resign(request.clone()).await).await;
            drop(lease.revoke(&ctl.client).await);
            resigned.map(drop).map_err(CtlError::from)
        }
        () = lease.keep(&ctl.client) => Err(CtlError::error("elect: session expired")),
    }
}
