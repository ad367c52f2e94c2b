//! The kind of run of a seed: drawn once, because mixtures of everything hide faults that only show
//! when much of one kind happens.

use crate::client::{KINDS, Kind};
use crate::schedule::{MILLISECOND, SECOND, Time};
use fastrand::Rng;

/// Ticks without a leader after which a member campaigns.
pub(crate) const ELECTION_TICKS: usize = 10;
/// One tick of a member whose clock is right.
pub(crate) const TICK: Time = 10 * MILLISECOND;
/// Maximum error of clocks, in thousandths.
pub(crate) const DRIFT_MAX: u64 = 200;

/// Kinds of faults, as bits of [`Plan::faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash,
    CrashAll,
    Pause,
    Partition,
    Reset,
    SlowDisk,
    HungDisk,
    FailedSync,
    Transfer,
    Membership,
    Wipe,
}

pub(crate) const FAULTS: [Fault; 11] = [
    Fault::Crash,
    Fault::CrashAll,
    Fault::Pause,
    Fault::Partition,
    Fault::Reset,
    Fault::SlowDisk,
    Fault::HungDisk,
    Fault::FailedSync,
    Fault::Transfer,
    Fault::Membership,
    Fault::Wipe,
];

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) initial_members: u64,
    /// End of the faults; the run continues until everything works again.
    pub(crate) faults_until: Time,
    /// Mean pause between two faults.
    pub(crate) fault_pause: Time,
    pub(crate) faults: Vec<Fault>,
    /// Mean delay of a message.
    pub(crate) delay: Time,
    /// Messages lost and doubled, per thousand.
    pub(crate) loss: u64,
    pub(crate) doubled: u64,
    /// `true` if messages overtake each other freely, not only across the two connections of a
    /// pair.
    pub(crate) overtaking: bool,
    /// Mean time of a sync, and of applying a batch.
    pub(crate) sync: Time,
    pub(crate) apply: Time,
    pub(crate) batch_entries: usize,
    /// Mean pause between two looks of housekeeping, and how often of ten a look flushes.
    pub(crate) duty_pause: Time,
    pub(crate) flushes: u8,
    /// Entries kept in memory and in the log behind the applied and flushed indexes.
    pub(crate) kept_entries: u64,
    pub(crate) clients: usize,
    pub(crate) watchers: usize,
    pub(crate) think: Time,
    pub(crate) drift: bool,
    pub(crate) pre_vote: bool,
    /// `true` if members honour the fences of proposals, as all of this program do.
    pub(crate) fencing: bool,
    /// `true` if authentication is switched on, and clients have names.
    pub(crate) auth: bool,
    /// Mean length of a pause of a process.
    pub(crate) sleep: Time,
    /// Weight of each kind of operation, of a hundred.
    pub(crate) weights: Vec<u32>,
    /// `true` if all faults hit the leader, and all operations go to it.
    pub(crate) at_leader: bool,
    /// `true` if members crash right after they have voted.
    pub(crate) voters_blink: bool,
    /// `true` if members propose requests about the cluster.
    pub(crate) publishes: bool,
}

impl Plan {
    pub(crate) fn draw(random: &mut Rng, members: Option<u64>) -> Self {
        let initial_members = members.unwrap_or_else(|| *random.choice(&[1, 3, 3, 3, 3, 5, 5, 2, 4, 7]).unwrap_or(&3));
        let mut faults: Vec<_> = FAULTS.into_iter().filter(|_| random.u8(..3) > 0).collect();
        if random.u8(..20) == 0 {
            faults.clear();
        }
        let (lossy, doubling) = (random.u8(..3) == 0, random.u8(..3) == 0);
        let mut plan = Self {
            initial_members,
            faults_until: random.u64(3..9) * SECOND,
            fault_pause: random.u64(50..800) * MILLISECOND,
            faults,
            delay: random.u64(100..6 * MILLISECOND),
            loss: if lossy { random.u64(1..200) } else { 0 },
            doubled: if doubling { random.u64(1..200) } else { 0 },
            overtaking: random.u8(..3) == 0,
            sync: random.u64(100..4 * MILLISECOND),
            apply: random.u64(50..2 * MILLISECOND),
            batch_entries: random.usize(1..40),
            duty_pause: random.u64(20..300) * MILLISECOND,
            flushes: random.u8(1..10),
            kept_entries: *random.choice(&[0, 3, 10, 50, 500, 5000]).unwrap_or(&50),
            clients: random.usize(2..10),
            watchers: random.usize(..8),
            think: random.u64(1..40) * MILLISECOND,
            drift: random.u8(..3) == 0,
            pre_vote: random.u8(..10) > 0,
            fencing: random.u8(..8) > 0,
            auth: random.u8(..4) == 0,
            weights: (0..KINDS).map(|_| if random.u8(..3) == 0 { 0 } else { random.u32(1..30) }).collect(),
            sleep: 400 * MILLISECOND,
            at_leader: false,
            voters_blink: false,
            publishes: false,
        };
        // A mixture seldom has the few steps of one rare fault in a row.
        match random.u8(..12) {
            0 => plan.draw_sleeping_leaders(random),
            1 => plan.draw_contested_votes(random),
            2 => plan.draw_late_read_indexes(random),
            3 => plan.draw_late_proposals(random),
            _ => {}
        }
        plan.publishes = random.u8(..3) == 0;
        plan
    }

    /// A leader sleeps while it is replaced, wakes up with the requests that have arrived, and does
    /// not know better for a moment. Few leases, so that the same one is seen again.
    fn draw_sleeping_leaders(&mut self, random: &mut Rng) {
        self.faults = vec![Fault::Pause];
        self.fault_pause = random.u64(400..1500) * MILLISECOND;
        self.sleep = random.u64(300..1500) * MILLISECOND;
        self.at_leader = true;
        self.auth = false;
        self.loss = 0;
        self.think = random.u64(10..100) * MILLISECOND;
        self.only(&[(Kind::Put, 3), (Kind::LeaseGrant, 5), (Kind::KeepAlive, 20)]);
    }

    /// Many members campaign at once, and voters crash right after they have voted, to be asked
    /// again in the same term.
    fn draw_contested_votes(&mut self, random: &mut Rng) {
        self.initial_members = self.initial_members.max(3);
        self.faults = vec![Fault::Partition, Fault::Transfer, Fault::Crash];
        self.fault_pause = random.u64(100..400) * MILLISECOND;
        self.pre_vote = false;
        self.delay = random.u64(2..7) * MILLISECOND;
        self.voters_blink = true;
    }

    /// Responses to the reads of an earlier life of a member arrive in a later one.
    fn draw_late_read_indexes(&mut self, random: &mut Rng) {
        self.faults = vec![Fault::Crash];
        self.fault_pause = random.u64(20..100) * MILLISECOND;
        self.delay = random.u64(4..10) * MILLISECOND;
        self.overtaking = true;
        self.think = random.u64(1..5) * MILLISECOND;
        self.only(&[(Kind::Put, 10), (Kind::LinearizableRange, 20)]);
    }

    /// Forwarded proposals arrive, some twice, when others lead than those that they were meant for.
    fn draw_late_proposals(&mut self, random: &mut Rng) {
        self.initial_members = self.initial_members.max(3);
        self.faults = vec![Fault::Transfer, Fault::Transfer, Fault::Crash];
        self.fault_pause = random.u64(20..80) * MILLISECOND;
        self.delay = random.u64(4..15) * MILLISECOND;
        self.overtaking = true;
        self.doubled = random.u64(50..200);
        self.fencing = true;
        self.auth = false;
        self.think = random.u64(1..5) * MILLISECOND;
        self.only(&[(Kind::Put, 1)]);
    }

    fn only(&mut self, weights: &[(Kind, u32)]) {
        self.weights = vec![0; KINDS];
        for (kind, weight) in weights {
            if let Some(entry) = self.weights.get_mut(*kind as usize) {
                *entry = *weight;
            }
        }
    }
}

/// Around `mean`, now and then far more.
pub(crate) fn spread(random: &mut Rng, mean: Time) -> Time {
    let usual = random.u64(..=2 * mean);
    if random.u8(..100) == 0 { usual * 10 } else { usual }
}
