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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn timeouts_lie_between_one_and_two_election_timeouts() {
        let mut jitter = Jitter::new(7, 1);
        let drawn: BTreeSet<usize> = (0..1000).map(|_| jitter.timeout(10)).collect();
        assert_eq!(drawn, (10..20).collect());
        assert_eq!(jitter.timeout(0), 0);
    }

    #[test]
    fn sequence_is_that_of_splitmix64() {
        // The published outputs for the seed 1234567.
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423_u64];
        let election_ticks = 1 << 40;
        let mut jitter = Jitter::new(1_234_567, 0);
        for output in published {
            assert_eq!(jitter.timeout(election_ticks) as u64 - (1 << 40), output % (1 << 40));
        }
    }

    #[test]
    fn members_with_one_seed_draw_differently() {
        let draws = |seed, member| {
            let mut jitter = Jitter::new(seed, member);
            std::iter::repeat_with(move || jitter.timeout(1000)).take(8).collect::<Vec<_>>()
        };
        assert_eq!(draws(7, 1), draws(7, 1));
        let all: BTreeSet<_> = (0..20).flat_map(|seed| (1..=7).map(move |member| draws(seed, member))).collect();
        assert_eq!(all.len(), 140);
    }
}
