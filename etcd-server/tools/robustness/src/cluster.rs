//! The members: processes behind a switch, each on a disk of its own where that can be had.

mod clocks;
mod limit;
mod operator;

pub(crate) use clocks::{Clocks, WallClock};

use crate::shared_state::SharedState;
use crate::switch::{Link, Switch};
use crate::tracer::Tracer;
use clocks::{WallClocks, with_own_epoch};
use limit::Limit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testbed::{LoopDisk, Place, Server, Settings, StartError};

/// A file system holds two log segments of 64 MiB and the state many times over.
const DISK_BYTES: u64 = 512 << 20;
/// Time limit for becoming healthy, on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The reason why members could not be brought into the state that a scenario needs.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A process did not start, or does not answer.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No port, no directory, no process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No address.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// A call was refused.
    #[error("{0}")]
    Call(#[from] tonic::Status),
    /// A member does not do its part.
    #[error("{0}")]
    Unexpected(String),
    /// The machine lacks a requirement of the scenario.
    #[error("this needs {0}")]
    Unable(&'static str),
}

/// The settings by which members are started.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSettings {
    pub(crate) command: String,
    pub(crate) flags: Vec<String>,
    /// `true` if each has a file system of its own.
    pub(crate) disks: bool,
    /// `true` if members talk to each other by TLS.
    pub(crate) encrypted: bool,
    pub(crate) clocks: Clocks,
    /// Another build of the server, which a member can be started with.
    pub(crate) other_command: Option<String>,
}

/// The state of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    Up,
    /// Its process ended, by us or because of a fault.
    Down,
    /// Taken out of the group.
    Removed,
}

#[derive(Debug)]
pub(crate) struct Slot {
    tracer: Option<Tracer>,
    limit: Option<Limit>,
    server: Server,
    // Behind the server, which must have ended when it is unmounted.
    disk: Option<LoopDisk>,
    pub(crate) standing: MemberState,
    life: u64,
    entry: String,
    peer_url: String,
}

impl Slot {
    /// Ends the faults of its process.
    fn leave_alone(&mut self) {
        (self.tracer, self.limit) = (None, None);
    }
}

/// All members that ever were; positions stay.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) slots: Vec<Slot>,
    pub(crate) switch: Switch,
    pub(crate) shared_state: Arc<SharedState>,
    settings: ClusterSettings,
    clocks: Option<WallClocks>,
}

impl Cluster {
    /// Starts members that found a group; returns when all answer.
    pub(crate) async fn start(
        settings: ClusterSettings,
        size: usize,
        seed: u64,
        shared_state: Arc<SharedState>,
    ) -> Result<Self, ClusterError> {
        let clocks = if settings.clocks == Clocks::Wall { WallClocks::new()? } else { None };
        let mut cluster = Self { slots: Vec::new(), switch: Switch::new(seed), shared_state, settings, clocks };
        let mut founders = Vec::new();
        for member in 0..size {
            founders.push(cluster.place(member).await?);
        }
        let entries = founders.iter().map(|(_, entry, _)| entry.clone()).collect::<Vec<_>>().join(",");
        for (place, entry, peer_url) in founders {
            cluster.launch(place, entry, peer_url, &["--initial-cluster".to_owned(), entries.clone()])?;
        }
        for member in 0..size {
            cluster.healthy(member).await?;
        }
        Ok(cluster)
    }

    async fn place(&self, member: usize) -> Result<(Place, String, String), ClusterError> {
        let place = Place::free(format!("m{member}"))?;
        let port = self.switch.open(member, place.peer_port).await?;
        let peer_url = format!("{}://127.0.0.1:{port}", self.peer_scheme());
        Ok((place.clone(), format!("{}={peer_url}", place.name), peer_url))
    }

    fn launch(&mut self, place: Place, entry: String, peer_url: String, flags: &[String]) -> Result<(), ClusterError> {
        let member = self.slots.len();
        let mut settings = Settings::new(self.command(member, &self.settings.command)?);
        settings.flags.clone_from(&self.settings.flags);
        // The last of two equal flags counts: others reach the member through the switch, and its
        // data are on its own disk.
        settings.flags.push(format!("--initial-advertise-peer-urls={peer_url}"));
        if self.settings.encrypted {
            settings.flags.push(format!("--listen-peer-urls={}://127.0.0.1:{}", self.peer_scheme(), place.peer_port));
            settings.flags.push("--peer-auto-tls".to_owned());
        }
        let disk = if self.settings.disks { LoopDisk::new(DISK_BYTES)? } else { None };
        if let Some(disk) = &disk {
            settings.flags.push(format!("--data-dir={}", disk.path().join("data").display()));
        }
        let server = Server::launch(settings, place, flags.to_vec())?;
        self.slots.push(Slot {
            tracer: None,
            limit: None,
            server,
            disk,
            standing: MemberState::Up,
            life: 0,
            entry,
            peer_url,
        });
        self.seat(member)
    }

    fn peer_scheme(&self) -> &'static str {
        if self.settings.encrypted { "https" } else { "http" }
    }

    /// The command that starts a member under the clocks that it has.
    fn command(&self, member: usize, command: &str) -> Result<String, ClusterError> {
        match (self.settings.clocks, &self.clocks) {
            (Clocks::TheMachines, _) => Ok(command.to_owned()),
            (Clocks::Wall, Some(clocks)) => Ok(clocks.command(member, command)?),
            (Clocks::Wall, None) => Err(ClusterError::Unable("a C compiler")),
            (Clocks::Epochs, _) => Ok(with_own_epoch(member, command)),
        }
    }

    /// Starts a member with the other build from its next start on, or with its own again.
    pub(crate) fn choose_build(&mut self, member: usize, other: bool) -> Result<(), ClusterError> {
        self.shared_state.note(format!("member {member} gets {} build", if other { "the other" } else { "its own" }));
        let other_command =
            self.settings.other_command.as_deref().ok_or(ClusterError::Unable("another build: --other-server"))?;
        let command = self.command(member, if other { other_command } else { &self.settings.command })?;
        self.slots[member].server.set_command(command);
        Ok(())
    }

    pub(crate) fn set_wall_clock(&self, member: usize, clock: WallClock) -> Result<(), ClusterError> {
        self.shared_state.note(format!("member {member}: {clock:?}"));
        let clocks = self.clocks.as_ref().ok_or(ClusterError::Unable("a C compiler"))?;
        Ok(clocks.set(member, clock)?)
    }

    /// Publishes a new process to all tasks.
    fn seat(&mut self, member: usize) -> Result<(), ClusterError> {
        let slot = &mut self.slots[member];
        slot.standing = MemberState::Up;
        slot.life += 1;
        self.switch.set_process(member, slot.server.pid());
        Ok(self.shared_state.seat_member(member, slot.life, &slot.server.endpoint())?)
    }

    pub(crate) fn up(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|member| self.slots[*member].standing == MemberState::Up).collect()
    }

    pub(crate) fn has_disk(&self, member: usize) -> bool {
        self.slots[member].disk.is_some()
    }

    pub(crate) fn log_tail(&self, member: usize) -> String {
        self.slots[member].server.log_tail()
    }

    pub(crate) fn is_running(&mut self, member: usize) -> bool {
        self.slots[member].server.is_running()
    }

    pub(crate) async fn healthy(&mut self, member: usize) -> Result<(), ClusterError> {
        Ok(self.slots[member].server.healthy().await?)
    }

    pub(crate) fn kill(&mut self, member: usize) {
        self.shared_state.note(format!("kill member {member}"));
        let slot = &mut self.slots[member];
        slot.leave_alone();
        slot.server.kill();
        slot.standing = MemberState::Down;
    }

    /// Asks it to end, and expects it to.
    pub(crate) fn terminate(&mut self, member: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("terminate member {member}"));
        let slot = &mut self.slots[member];
        slot.standing = MemberState::Down;
        let ended = tokio::task::block_in_place(|| slot.server.terminate(Duration::from_secs(30)));
        match ended {
            Some(_) => Ok(()),
            None => Err(ClusterError::Unexpected(format!("member {member} still runs 30 s after SIGTERM"))),
        }
    }

    /// Waits for it to end by itself, for the reason that we gave it.
    pub(crate) fn wait_for_end(&mut self, member: usize, limit: Duration) -> bool {
        let slot = &mut self.slots[member];
        let ended = tokio::task::block_in_place(|| slot.server.wait_for_end(limit)).is_some();
        if ended {
            self.shared_state.note(format!("member {member} has ended"));
            slot.standing = MemberState::Down;
        }
        ended
    }

    pub(crate) fn relaunch(&mut self, member: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("start member {member}"));
        let slot = &mut self.slots[member];
        slot.leave_alone();
        slot.server.relaunch()?;
        self.seat(member)
    }

    pub(crate) fn freeze(&mut self, member: usize, frozen: bool) -> Result<(), ClusterError> {
        self.shared_state.note(format!("{} member {member}", if frozen { "pause" } else { "continue" }));
        Ok(self.slots[member].server.freeze(frozen)?)
    }

    /// The disk of a member, where it has one of its own.
    pub(crate) fn disk(&mut self, member: usize) -> Result<&mut LoopDisk, ClusterError> {
        self.slots[member].disk.as_mut().ok_or(ClusterError::Unable("root and loop mounts"))
    }

    pub(crate) fn disk_path(&self, member: usize) -> Result<PathBuf, ClusterError> {
        self.slots[member].disk.as_ref().map(LoopDisk::path).ok_or(ClusterError::Unable("root and loop mounts"))
    }

    /// Everything unsynced is lost; the process is ended, and the disk is there again.
    pub(crate) fn cut_power(&mut self, member: usize) -> Result<(), ClusterError> {
        self.shared_state.note(format!("power cut at member {member}"));
        let failed = || ClusterError::Unable("the power of a loop file system to be cut");
        if !self.disk(member)?.cut_power() {
            return Err(failed());
        }
        self.kill(member);
        let disk = self.disk(member)?;
        if disk.unmount() && disk.mount() { Ok(()) } else { Err(failed()) }
    }

    /// Makes calls of a member fail or take long, until it ends or [`Cluster::release`].
    pub(crate) fn trace(&mut self, member: usize, calls: &str, injection: &str) -> Result<(), ClusterError> {
        self.shared_state.note(format!("member {member}: {calls} {injection}"));
        let slot = &mut self.slots[member];
        slot.tracer = Tracer::attach(slot.server.pid(), calls, injection)?;
        if slot.tracer.is_some() { Ok(()) } else { Err(ClusterError::Unable("a strace that may trace")) }
    }

    pub(crate) fn release(&mut self, member: usize) {
        self.shared_state.note(format!("member {member}: calls as they are"));
        self.slots[member].tracer = None;
    }

    /// Leaves a member so many hundredths of a processor, until [`Cluster::unlimit`].
    pub(crate) fn limit_processor(&mut self, member: usize, percent: u32) -> Result<(), ClusterError> {
        self.shared_state.note(format!("member {member} gets {percent} % of a processor"));
        let limit = Limit::processor(self.slots[member].server.pid(), percent);
        self.limit(member, limit)
    }

    /// Gives a member so much more memory and no more, until [`Cluster::unlimit`].
    pub(crate) fn limit_memory(&mut self, member: usize, bytes: u32) -> Result<(), ClusterError> {
        self.shared_state.note(format!("member {member} gets {bytes} more bytes of memory"));
        let limit = Limit::memory(self.slots[member].server.pid(), bytes);
        self.limit(member, limit)
    }

    fn limit(&mut self, member: usize, limit: Option<Limit>) -> Result<(), ClusterError> {
        self.slots[member].limit =
            Some(limit.ok_or(ClusterError::Unable("control groups of the first version that may be changed"))?);
        Ok(())
    }

    pub(crate) fn unlimit(&mut self, member: usize) {
        self.shared_state.note(format!("member {member} has all of the machine"));
        self.slots[member].limit = None;
    }

    /// Disturbs a link in one direction.
    pub(crate) fn link(&self, from: usize, to: usize, link: Link) {
        self.switch.set(from, to, link);
    }

    /// Ends the process of a member that was taken out, and says how it ended if it did so by
    /// itself.
    pub(crate) fn retire(&mut self, member: usize, limit: Duration) -> Option<i32> {
        let slot = &mut self.slots[member];
        let ended = tokio::task::block_in_place(|| slot.server.wait_for_end(limit));
        slot.server.kill();
        ended.and_then(|status| status.code())
    }

    /// Everything that was broken is whole again, and every member runs.
    pub(crate) async fn heal(&mut self) -> Result<(), ClusterError> {
        self.switch.clear();
        self.shared_state.note("all links are well");
        for member in 0..self.slots.len() {
            self.slots[member].leave_alone();
            let standing = self.slots[member].standing;
            match standing {
                MemberState::Removed => {}
                MemberState::Down => self.relaunch(member)?,
                MemberState::Up if self.is_running(member) => {}
                MemberState::Up => {
                    let log = self.log_tail(member);
                    return Err(ClusterError::Unexpected(format!(
                        "member {member} ended by itself; its last lines:\n{log}"
                    )));
                }
            }
        }
        for member in self.up() {
            self.healthy(member).await?;
        }
        Ok(())
    }
}
