//! Choices by a seed: numbers and texts around interesting ones, and ways to spoil good input.

/// The source of an input's choices.
#[derive(Clone, Debug)]
pub struct Dice(fastrand::Rng);

/// Texts that have been trouble somewhere.
const TEXTS: [&str; 18] = [
    "",
    "\0",
    "a",
    "/",
    "root",
    "foo",
    "ä",
    "\u{feff}",
    "null",
    "true",
    "-1",
    "1e999",
    "0x10",
    "http://127.0.0.1:2380",
    "unix://x",
    "NaN",
    "%00",
    "{{}}",
];

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// Returns `true` if something happens that does so once in `times`.
    pub fn once_in(&mut self, times: u8) -> bool {
        self.0.u8(..times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A number at an edge, near one, or anywhere.
    pub fn number(&mut self) -> u64 {
        match self.0.u8(..8) {
            0 => 0,
            1 => u64::MAX - self.0.u64(..3),
            2 => i64::MAX.cast_unsigned().wrapping_add(self.0.u64(..3)),
            3 => u64::from(u32::MAX).wrapping_add(self.0.u64(..3)),
            4 => 1 << self.0.u8(..64),
            5 => self.0.u64(..),
            _ => self.0.u64(..20),
        }
    }

    pub fn text(&mut self) -> String {
        match self.0.u8(..6) {
            0 => "x".repeat(self.below(300)),
            1 => self.number().to_string(),
            2 => std::iter::repeat_with(|| self.0.char(..)).take(4).collect(),
            _ => (*self.pick(&TEXTS)).to_owned(),
        }
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        if self.0.bool() {
            return self.text().into_bytes();
        }
        let count = self.below(12);
        std::iter::repeat_with(|| self.0.u8(..)).take(count).collect()
    }

    /// Does up to three harms to bytes that were good.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let byte = self.0.u8(..);
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.extend_from_within(at..),
                3 => bytes.splice(at..at, self.bytes()).for_each(drop),
                4 => bytes.drain(at..(at + self.below(8)).min(bytes.len()).max(at)).for_each(drop),
                kind if at < bytes.len() => {
                    bytes[at] = match kind {
                        5 => [0, 0x7f, 0x80, 0xff, 0x30][self.below(5)],
                        6 => bytes[at] ^ (1 << self.below(8)),
                        _ => byte,
                    }
                }
                _ => {}
            }
        }
    }
}
