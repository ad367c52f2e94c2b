//! lock and elect: the server's services do the waiting, a lease of our own the holding.

use super::Ctl;
use super::session_lease::SessionLease;
use super::trouble::{Exit, Trouble};
use super::words::{ElectWords, LockWords};
use crate::client::{CallError, Repeat, Session};
use bytes::Bytes;
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use proto::v3electionpb::{CampaignRequest, LeaderRequest, ResignRequest};
use proto::v3lockpb::{LockRequest, UnlockRequest};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::Status;

const ELECTION_TTL_SECONDS: i64 = 60;

/// Either of the two signals by which an operator ends a command.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn new() -> Result<Self, Trouble> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn failed(session: &Session, status: Status) -> Trouble {
    CallError::Status { endpoint: session.endpoint().to_owned(), status }.into()
}

fn bytes(word: &OsString) -> Bytes {
    Bytes::from(word.clone().into_vec())
}

pub(super) async fn lock(ctl: &Ctl, words: &LockWords) -> Result<(), Trouble> {
    let Some((name, command)) = words.args.split_first() else {
        return Err(Trouble::arguments("lock takes a lock name argument and an optional command to execute"));
    };
    let mut ends = Ends::new()?;
    let mut lease = SessionLease::grant(&ctl.client, words.ttl).await?;
    let session = ctl.client.session().await?;
    let mut client = session.lock();
    let request = LockRequest { name: bytes(name), lease: lease.id };
    let locked = tokio::select! {
        locked = client.lock(request) => locked.map_err(|status| failed(&session, status))?.into_inner(),
        () = ends.wait() => {
            lease.revoke().await?;
            return Err(Trouble::error("context canceled"));
        }
        () = lease.lost() => return Err(Trouble::error("session expired")),
    };
    let unlock = async || {
        let unlocked = session.lock().unlock(UnlockRequest { key: locked.key.clone() }).await;
        let unlocked = unlocked.map_err(|status| failed(&session, status));
        // The lease has nothing to hold any more; where it cannot be revoked, it runs out.
        drop(lease.revoke().await);
        unlocked.map(drop)
    };
    if let Some((program, arguments)) = command.split_first() {
        let revision = locked.header.as_ref().map_or(0, |header| header.revision);
        let key = std::ffi::OsStr::from_bytes(&locked.key);
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .env("ETCD_LOCK_KEY", key)
            .env("ETCD_LOCK_REV", revision.to_string())
            .status();
        let ended = child.await;
        unlock().await?;
        return child_ended(ended);
    }
    show_key(ctl, &locked.key, "lock lost on init").await?;
    let mut lost = lease;
    tokio::select! {
        () = ends.wait() => {
            let unlocked = session.lock().unlock(UnlockRequest { key: locked.key }).await.map_err(|status| failed(&session, status));
            drop(lost.revoke().await);
            unlocked.map(drop)
        }
        () = lost.lost() => Err(Trouble::error("session expired")),
    }
}

/// The exit code of the command becomes ours.
fn child_ended(ended: std::io::Result<std::process::ExitStatus>) -> Result<(), Trouble> {
    let status = ended.map_err(|error| Trouble::error(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let text = code.map_or_else(|| format!("signal: {}", status.signal().unwrap_or(0)), |code| format!("exit status {code}"));
    Err(Trouble::new(Exit::Child(code.unwrap_or(255)), text))
}

async fn show_key(ctl: &Ctl, key: &Bytes, gone: &str) -> Result<(), Trouble> {
    let request = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let found = ctl.client.call(Repeat::Safe, async |session| session.kv().range(request.clone()).await).await?;
    if found.kvs.is_empty() {
        return Err(Trouble::error(gone));
    }
    ctl.printer.show(&found)
}

pub(super) async fn elect(ctl: &Ctl, words: &ElectWords) -> Result<(), Trouble> {
    let Some(name) = words.args.first().filter(|_| words.args.len() <= 2) else {
        return Err(Trouble::arguments("elect takes one election name argument and an optional proposal argument"));
    };
    match (words.args.get(1), words.listen) {
        (None, false) => Err(Trouble::arguments("no proposal argument but -l not set")),
        (Some(_), true) => Err(Trouble::arguments("proposal given but -l is set")),
        (None, true) => observe(ctl, name).await,
        (Some(proposal), false) => campaign(ctl, name, proposal).await,
    }
}

async fn observe(ctl: &Ctl, name: &OsString) -> Result<(), Trouble> {
    let mut ends = Ends::new()?;
    let session = ctl.client.session().await?;
    let mut client = session.election();
    let observed = client.observe(LeaderRequest { name: bytes(name) }).await;
    let mut leaders = observed.map_err(|status| failed(&session, status))?.into_inner();
    loop {
        tokio::select! {
            leader = leaders.message() => match leader.map_err(|status| failed(&session, status))? {
                Some(leader) => {
                    let kvs: Vec<_> = leader.kv.into_iter().collect();
                    let count = i64::try_from(kvs.len()).unwrap_or(0);
                    ctl.printer.show(&RangeResponse { header: leader.header, kvs, count, more: false })?;
                }
                None => return Err(Trouble::error("elect: observer lost")),
            },
            () = ends.wait() => return Ok(()),
        }
    }
}

async fn campaign(ctl: &Ctl, name: &OsString, proposal: &OsString) -> Result<(), Trouble> {
    let mut ends = Ends::new()?;
    let mut lease = SessionLease::grant(&ctl.client, ELECTION_TTL_SECONDS).await?;
    let session = ctl.client.session().await?;
    let mut client = session.election();
    let request = CampaignRequest { name: bytes(name), lease: lease.id, value: bytes(proposal) };
    let won = tokio::select! {
        won = client.campaign(request) => won.map_err(|status| failed(&session, status))?.into_inner(),
        () = ends.wait() => {
            lease.revoke().await?;
            return Err(Trouble::error("context canceled"));
        }
        () = lease.lost() => return Err(Trouble::error("elect: session expired")),
    };
    let leader = won.leader.unwrap_or_default();
    show_key(ctl, &leader.key, "no leader on init").await?;
    tokio::select! {
        () = ends.wait() => {
            let resigned = session.election().resign(ResignRequest { leader: Some(leader) }).await;
            drop(lease.revoke().await);
            resigned.map(drop).map_err(|status| failed(&session, status))
        }
        () = lease.lost() => Err(Trouble::error("elect: session expired")),
    }
}
