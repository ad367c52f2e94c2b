//! Notifications for systemd: readiness, status, watchdog, and stopping.
//!
//! A member is ready when its ports are bound and its log is replayed, with or without a quorum:
//! the first of three that start would wait for ever for the others, which are started after it.
//! The watchdog depends on local progress, never on a quorum: a restart does not bring one back.

use consensus::Role;
use peer::Transport;
use replica::Replica;
use sd_notify::NotifyState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Interval between two updates of the status.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The start may take this much longer, said every half of it while it goes on.
const EXTENSION: Duration = Duration::from_secs(30);

/// Notifies systemd, if it started this process.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "failed to notify systemd");
    }
}

/// The phases of a process, for systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Replaying,
    Serving,
    Stopping,
}

/// The status line of `systemctl status`. The start, the stop and a task that runs through both
/// write it: the phase decides whose text counts, and a text is sent while the phase is held.
struct StatusLine(Mutex<(Phase, String)>);

static STATUS_LINE: StatusLine = StatusLine::new();

impl StatusLine {
    const fn new() -> Self {
        Self(Mutex::new((Phase::Replaying, String::new())))
    }

    /// Begins a phase, and sends what begins it.
    fn enter(&self, phase: Phase, send: impl FnOnce()) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The next text of the new phase is sent, whatever was sent before.
        *line = (phase, String::new());
        send();
    }

    /// Sends a text about a member that serves, if it is another one than the last.
    fn update(&self, text: &str, send: impl FnOnce(&str)) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.0 == Phase::Serving && line.1 != text {
            text.clone_into(&mut line.1);
            send(text);
        }
    }
}

/// The member can be asked from now on.
pub(crate) fn ready() {
    STATUS_LINE.enter(Phase::Serving, || tell(&[NotifyState::Ready]));
}

/// The member goes on its own accord, and says why.
pub(crate) fn stopping(why: &str) {
    STATUS_LINE.enter(Phase::Stopping, || tell(&[NotifyState::Stopping, NotifyState::Status(why)]));
}

/// While this lives, a start that takes long is not given up: replaying a log is progress.
pub(crate) struct LongStart(Arc<AtomicBool>);

impl LongStart {
    pub(crate) fn begin() -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&goes_on);
        STATUS_LINE.enter(Phase::Replaying, || tell(&[NotifyState::Status("replaying the log")]));
        let extending = move || {
            while told.load(Ordering::Acquire) {
                let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
                tell(&[NotifyState::ExtendTimeoutUsec(extension)]);
                std::thread::park_timeout(EXTENSION / 2);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("long-start".to_owned()).spawn(extending) {
            tracing::warn!(%error, "a start that takes long may be given up by systemd");
        }
        Self(goes_on)
    }
}

impl Drop for LongStart {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Keeps the status line of `systemctl status` right for as long as the process lives.
pub(crate) async fn tell_status(replica: Arc<Replica>, transport: Transport) {
    let mut look = tokio::time::interval(STATUS_INTERVAL);
    loop {
        look.tick().await;
        STATUS_LINE.update(&status(&replica, &transport), |status| tell(&[NotifyState::Status(status)]));
    }
}

fn status(replica: &Replica, transport: &Transport) -> String {
    let published = replica.published();
    let (raft_status, members) = (published.raft_status(), published.members());
    let voters = members.voters().count();
    if raft_status.leader == 0 {
        let reached = transport.active();
        let answering =
            members.voters().filter(|voter| voter.id == replica.member_id() || reached.contains_key(&voter.id)).count();
        return format!("waiting for quorum {answering}/{voters}");
    }
    let role = match raft_status.role {
        Role::Leader => "leader",
        Role::Learner => "learner",
        Role::Follower | Role::PreCandidate | Role::Candidate => "follower",
    };
    format!("{role}, term {}, revision {}, voters {voters}", raft_status.term, published.read_point().current)
}

/// Says that the member is alive as often as systemd wants to hear it, for as long as its threads
/// get on with their work.
pub(crate) async fn feed_watchdog(replica: Arc<Replica>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut progress = Progress::default();
    let mut look = tokio::time::interval(limit / 4);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        match progress.look(&replica, limit).await {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(stuck) => {
                tracing::error!(stuck, "this member makes no progress; systemd will restart it if this continues")
            }
        }
    }
}

/// The applied index of the last check, and the time since which it is unchanged.
#[derive(Default)]
struct Progress {
    applied: Option<(u64, Instant)>,
}

impl Progress {
    /// Checks the progress of each part; the error names the one that is stuck.
    async fn look(&mut self, replica: &Replica, limit: Duration) -> Result<(), &'static str> {
        let answered = tokio::time::timeout(limit / 4, replica.progress()).await;
        answered.map_err(|_| "the raft thread does not respond")?;
        if replica.published().log_waits_since().is_some_and(|since| since.elapsed() > limit) {
            return Err("the log is not being synced");
        }
        let raft_status = replica.published().raft_status();
        match self.applied {
            Some((applied, since)) if applied == raft_status.applied && applied < raft_status.commit => {
                if since.elapsed() > limit { Err("committed entries are not being applied") } else { Ok(()) }
            }
            _ => {
                self.applied = Some((raft_status.applied, Instant::now()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn status_of_a_member_is_sent_in_its_phase_alone() {
        let (line, sent) = (StatusLine::new(), RefCell::new(Vec::new()));
        let enter = |phase, text: &str| line.enter(phase, || sent.borrow_mut().push(text.to_owned()));
        let update = |text: &str| line.update(text, |text| sent.borrow_mut().push(text.to_owned()));
        // The member may have found its leader before the replay is announced.
        update("follower");
        enter(Phase::Replaying, "replaying the log");
        update("follower");
        enter(Phase::Serving, "ready");
        update("follower");
        update("follower");
        update("leader");
        enter(Phase::Stopping, "shutting down");
        update("follower");
        assert_eq!(*sent.borrow(), ["replaying the log", "ready", "follower", "leader", "shutting down"]);
    }
}
