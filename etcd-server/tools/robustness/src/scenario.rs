//! The faults of a run.

use crate::cluster::Clocks;
use fastrand::Rng;

/// A kind of fault, and how it is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scenario {
    /// None: violations here occur without faults.
    Quiet,
    /// SIGKILL of one member after another.
    KillMember,
    /// SIGKILL of the leader.
    KillLeader,
    /// SIGKILL of all at once.
    KillAll,
    /// SIGTERM of one member after another.
    Terminate,
    /// SIGSTOP and SIGCONT of any members.
    Pause,
    /// SIGSTOP of the leader until another one leads, and SIGCONT.
    PauseLeader,
    /// SIGSTOP and SIGCONT of all.
    PauseAll,
    /// The power of one member.
    PowerCut,
    /// The power of all members at once.
    PowerCutAll,
    /// Syncs that fail.
    FailedSync,
    /// Writes that fail.
    FailedWrite,
    /// Syncs that take long.
    SlowSync,
    /// A disk that hangs.
    HungDisk,
    /// A disk without space.
    FullDisk,
    /// A disk that turns read-only.
    ReadOnlyDisk,
    /// The leader is cut off.
    IsolateLeader,
    /// A follower is cut off.
    IsolateFollower,
    /// Every member is cut off from every other.
    Shatter,
    /// A link, or all of one member, in one direction.
    OneWay,
    /// Two members that do not see each other, and others that see both.
    Bridge,
    /// Every member sees a majority, each another one.
    Ring,
    /// Lost bytes and broken connections.
    Loss,
    /// Slow links, jitter.
    Delay,
    /// Narrow links.
    Throttle,
    /// All connections break, again and again.
    BreakConnections,
    /// Bytes that arrive as other ones, on encrypted links.
    DamagedBytes,
    /// A follower is cut off until it needs a snapshot.
    FallBehind,
    /// The same, with its process killed while it takes the snapshot.
    FallBehindKilled,
    /// Cut off and not, again and again.
    Flapping,
    /// Leadership goes round.
    MoveLeader,
    /// A member for another one.
    ReplaceMember,
    /// The leader is taken out.
    RemoveLeader,
    /// A learner, promoted when it has caught up.
    Learner,
    /// One, two, three, two, one.
    GrowAndShrink,
    /// The group changes while one of five is down.
    ChangeWhileAway,
    /// Reads of files that fail.
    FailedRead,
    /// A small part of one processor.
    Starve,
    /// No more memory.
    OutOfMemory,
    /// Wall clocks that are days off.
    WallClockJump,
    /// Wall clocks that run fast or slow.
    WallClockRate,
    /// Monotonic clocks that began at different times, and a leader that is paused.
    ClockEpochs,
    /// Members go over to another build one by one, and some back, while others are killed.
    OtherBuild,
    /// Compactions without pause, and SIGKILL.
    CompactAndKill,
    /// Defragmentation without pause, and SIGKILL.
    DefragmentAndKill,
}

/// A requirement of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any machine will do.
    Nothing,
    /// Root and loop mounts.
    Disks,
    /// A strace that may trace.
    Tracing,
    /// Resources that the scenario requests when it is in progress; it is left out where they are
    /// not available.
    Asked,
}

impl Scenario {
    /// The rows of the fault matrix that it stands for.
    #[must_use]
    pub fn rows(self) -> &'static str {
        match self {
            Self::Quiet => "–",
            Self::KillMember => "F01",
            Self::KillLeader => "F02",
            Self::KillAll => "F03",
            Self::Terminate => "F08",
            Self::Pause | Self::PauseLeader => "F04",
            Self::PauseAll => "F04, F05",
            Self::PowerCut | Self::PowerCutAll => "F11",
            Self::FailedSync => "F13",
            Self::FailedWrite => "F14",
            Self::SlowSync => "F18",
            Self::HungDisk => "F19",
            Self::FullDisk => "F15",
            Self::ReadOnlyDisk => "F17",
            Self::IsolateLeader | Self::IsolateFollower | Self::Shatter => "F30",
            Self::OneWay => "F31",
            Self::Bridge => "F32",
            Self::Ring => "F33",
            Self::Loss => "F34",
            Self::Delay => "F35",
            Self::Throttle => "F36",
            Self::BreakConnections => "F37",
            Self::DamagedBytes => "F41",
            Self::FallBehind => "F38",
            Self::FallBehindKilled => "F38, F40",
            Self::Flapping => "F39",
            Self::MoveLeader => "F61",
            Self::ReplaceMember => "F60",
            Self::RemoveLeader => "F61, F64",
            Self::Learner => "F62",
            Self::GrowAndShrink => "F63",
            Self::ChangeWhileAway => "F65",
            Self::FailedRead => "F24",
            Self::Starve => "F06",
            Self::OutOfMemory => "F07",
            Self::WallClockJump => "F50",
            Self::WallClockRate => "F51",
            Self::ClockEpochs => "F53",
            Self::OtherBuild => "F67",
            Self::CompactAndKill => "F70",
            Self::DefragmentAndKill => "F71",
        }
    }

    /// Returns its requirement.
    #[must_use]
    pub fn need(self) -> Need {
        const DISKS: [Scenario; 5] =
            [Scenario::PowerCut, Scenario::PowerCutAll, Scenario::HungDisk, Scenario::FullDisk, Scenario::ReadOnlyDisk];
        const TRACING: [Scenario; 4] =
            [Scenario::FailedSync, Scenario::FailedWrite, Scenario::FailedRead, Scenario::SlowSync];
        const ASKED: [Scenario; 6] = [
            Scenario::Starve,
            Scenario::OutOfMemory,
            Scenario::WallClockJump,
            Scenario::WallClockRate,
            Scenario::ClockEpochs,
            Scenario::OtherBuild,
        ];
        if DISKS.contains(&self) {
            Need::Disks
        } else if TRACING.contains(&self) {
            Need::Tracing
        } else if ASKED.contains(&self) {
            Need::Asked
        } else {
            Need::Nothing
        }
    }

    /// Returns `true` if members use TLS: without it only TCP's own checksum, which the switch
    /// terminates, detects damaged bytes.
    pub(crate) fn is_encrypted(self) -> bool {
        self == Self::DamagedBytes
    }

    pub(crate) fn clocks(self) -> Clocks {
        if matches!(self, Self::WallClockJump | Self::WallClockRate) {
            Clocks::Wall
        } else if self == Self::ClockEpochs {
            Clocks::Epochs
        } else {
            Clocks::TheMachines
        }
    }

    /// Returns the number of initial members: one is enough where only the member itself is
    /// affected.
    pub(crate) fn members(self, random: &mut Rng) -> usize {
        const ALONE: [Scenario; 8] = [
            Scenario::Quiet,
            Scenario::KillMember,
            Scenario::KillAll,
            Scenario::Terminate,
            Scenario::Pause,
            Scenario::PauseAll,
            Scenario::CompactAndKill,
            Scenario::DefragmentAndKill,
        ];
        let drawn = random.u8(..8);
        let fits_one = (self.need() != Need::Nothing && self != Self::ClockEpochs) || ALONE.contains(&self);
        if self == Self::GrowAndShrink || (fits_one && drawn < 3) {
            1
        } else if [Self::Ring, Self::ChangeWhileAway].contains(&self) || (!fits_one && drawn == 0) {
            5
        } else {
            3
        }
    }

    /// Returns its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        use clap::ValueEnum as _;
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
