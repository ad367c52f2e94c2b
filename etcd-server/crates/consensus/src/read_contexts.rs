//! The names of reads that wait for an index.
//!
//! Invariant: a context is never used twice, not even for the same read asked again, not by another
//! member, not after a restart: raft-rs would answer the second use with the index of the first,
//! and the read would be stale.

/// Gives out contexts.
#[derive(Clone, Copy, Debug)]
pub struct ReadContexts {
    member: u64,
    incarnation: u64,
    counter: u64,
}

impl ReadContexts {
    /// `incarnation` is one that this member never had before: a number that grows with every
    /// start, or a random one.
    pub fn new(member: u64, incarnation: u64) -> Self {
        Self { member, incarnation, counter: 0 }
    }

    /// A new context and the number by which [`ReadContexts::number_of`] knows it again; numbers
    /// grow.
    pub fn fresh(&mut self) -> (u64, Vec<u8>) {
        self.counter += 1;
        (self.counter, [self.member, self.incarnation, self.counter].map(u64::to_be_bytes).concat())
    }

    /// The number of a context that was given out here, nothing for any other.
    pub fn number_of(&self, context: &[u8]) -> Option<u64> {
        let (owner, number) = context.split_last_chunk::<8>()?;
        let own = [self.member, self.incarnation].map(u64::to_be_bytes).concat();
        (owner == own).then(|| u64::from_be_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_known_again_by_its_owner_alone() {
        let mut contexts = ReadContexts::new(7, 1);
        let (first, context) = contexts.fresh();
        let (second, other) = contexts.fresh();
        assert!(first < second && context != other);
        assert_eq!(contexts.number_of(&context), Some(first));
        assert_eq!(ReadContexts::new(7, 2).number_of(&context), None);
        assert_eq!(ReadContexts::new(8, 1).number_of(&context), None);
        assert_eq!(contexts.number_of(b"etcd's 8"), None);
    }
}
