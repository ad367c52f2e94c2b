//! The shared state of a run's tasks: addresses of members, phase of the run, progress of
//! recorders.

use crate::history::{Deed, Micros};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Clients ask, watchers come and go.
    Load,
    /// Clients stop, watchers stay.
    Rest,
    /// Watchers stay until they have all events up to the last revision, or no longer than this.
    Until { last: i64, deadline: tokio::time::Instant },
}

/// The address of a member.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) member: usize,
    /// Counts its processes.
    pub(crate) life: u64,
    pub(crate) channel: Channel,
}

/// Shared by all tasks of a run.
#[derive(Debug)]
pub(crate) struct SharedState {
    begun: Instant,
    seats: Mutex<BTreeMap<usize, Seat>>,
    phase: watch::Sender<Phase>,
    /// Pause of clients between two requests, in microseconds.
    think: AtomicU64,
    answered: AtomicU64,
    /// The highest revision up to which one recorder has everything.
    recorded: AtomicI64,
    compacted: AtomicI64,
    deeds: Mutex<Vec<Deed>>,
}

/// Nothing panics while holding these locks; if something did, the data is still consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedState {
    pub(crate) fn new(think: Duration) -> Self {
        let shared_state = Self {
            begun: Instant::now(),
            seats: Mutex::default(),
            phase: watch::Sender::new(Phase::Load),
            think: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            recorded: AtomicI64::new(1),
            compacted: AtomicI64::new(0),
            deeds: Mutex::default(),
        };
        shared_state.set_think(think);
        shared_state
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Members that may be asked.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        lock(&self.seats).values().cloned().collect()
    }

    pub(crate) fn seat(&self, member: usize) -> Option<Seat> {
        lock(&self.seats).get(&member).cloned()
    }

    /// Adds a new process of a member; clients connect when they need to.
    pub(crate) fn seat_member(&self, member: usize, life: u64, endpoint: &str) -> Result<(), tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(endpoint.to_owned())?.connect_timeout(Duration::from_secs(1));
        lock(&self.seats).insert(member, Seat { member, life, channel: endpoint.connect_lazy() });
        Ok(())
    }

    pub(crate) fn unseat(&self, member: usize) {
        lock(&self.seats).remove(&member);
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(crate) fn is_loading(&self) -> bool {
        *self.phase.borrow() == Phase::Load
    }

    pub(crate) fn think(&self) -> Duration {
        Duration::from_micros(self.think.load(Ordering::Relaxed))
    }

    pub(crate) fn set_think(&self, think: Duration) {
        self.think.store(u64::try_from(think.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, revision: i64) {
        self.recorded.fetch_max(revision, Ordering::Relaxed);
    }

    pub(crate) fn recorded(&self) -> i64 {
        self.recorded.load(Ordering::Relaxed)
    }

    pub(crate) fn set_compacted(&self, revision: i64) {
        self.compacted.fetch_max(revision, Ordering::Relaxed);
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::Relaxed)
    }

    /// Notes something done to the members.
    pub(crate) fn note(&self, what: impl Into<String>) {
        let deed = Deed { at: self.now(), what: what.into() };
        lock(&self.deeds).push(deed);
    }

    pub(crate) fn deeds(&self) -> Vec<Deed> {
        lock(&self.deeds).clone()
    }
}
