//! Election timeouts from a seed, so that the same seed gives the same elections.

/// SplitMix64: every seed gives a full-period sequence, and neighbouring seeds give unrelated ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    /// For one member: members that share a seed draw differently.
    pub(crate) fn new(seed: u64, member: u64) -> Self {
        Self { state: seed ^ member.rotate_left(32) }
    }

    /// A timeout between one and two election timeouts, in ticks.
    pub(crate) fn timeout(&mut self, election_ticks: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let spread = u64::try_from(election_ticks).unwrap_or(u64::MAX).max(1);
        election_ticks + usize::try_from(mixed % spread).unwrap_or(0)
    }
}
