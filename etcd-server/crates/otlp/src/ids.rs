//! Random ids of traces and spans.
//!
//! They need not be unpredictable, only spread well, and one is drawn for every call: a generator
//! of its own for each thread, seeded by the system.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
}

/// Returns 64 random bits (SplitMix64).
pub(crate) fn random() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Returns the id of a span, which is never zero.
pub(crate) fn span_id() -> [u8; 8] {
    random().max(1).to_be_bytes()
}

/// Returns the id of a trace whose lower half is `lower`.
pub(crate) fn trace_id(lower: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random().max(1).to_be_bytes());
    id[8..].copy_from_slice(&lower.to_be_bytes());
    id
}
