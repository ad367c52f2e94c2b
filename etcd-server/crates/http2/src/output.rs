//! Bytes that are ready to be written to the socket.
//!
//! Small frames are gathered in one buffer, which is kept; large payloads stay where they are. The
//! socket gets all of it with one vectored write.

use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Payloads up to this size are copied, which costs less than a slice of their own.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// A gathering buffer that grew beyond this is not kept.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Written before `gathered`.
    chunks: VecDeque<Bytes>,
    gathered: BytesMut,
    bytes: usize,
}

impl Output {
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Appends what `write` writes.
    pub(crate) fn gather<R>(&mut self, write: impl FnOnce(&mut BytesMut) -> R) -> R {
        let before = self.gathered.len();
        let result = write(&mut self.gathered);
        self.bytes += self.gathered.len() - before;
        result
    }

    /// Appends the payload of a frame.
    pub(crate) fn push(&mut self, payload: Bytes) {
        self.bytes += payload.len();
        if payload.len() <= COPIED_BYTES_MAX {
            self.gathered.put_slice(&payload);
            return;
        }
        if !self.gathered.is_empty() {
            self.chunks.push_back(self.gathered.split().freeze());
        }
        self.chunks.push_back(payload);
    }

    /// Fills `slices` with the first bytes, and returns the number of slices.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.gathered[..]]);
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    /// Removes the first `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                return chunk.advance(written);
            }
            written -= chunk.len();
            self.chunks.pop_front();
        }
        if written < self.gathered.len() {
            return self.gathered.advance(written);
        }
        // Clearing keeps the memory, where advancing would consume it.
        if self.gathered.capacity() > KEPT_BYTES_MAX {
            self.gathered = BytesMut::new();
        } else {
            self.gathered.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn keeps_order_however_much_is_written_at_a_time() {
        let large = Bytes::from(vec![b'l'; COPIED_BYTES_MAX + 1]);
        for at_a_time in [1, 3, 1000, usize::MAX] {
            let (mut output, mut expected, mut written) = (Output::default(), Vec::new(), Vec::new());
            for number in 0..3_u8 {
                output.gather(|gathered| gathered.put_slice(&[number; 5]));
                output.push(Bytes::from_static(b"small"));
                output.push(large.clone());
                expected.extend([&[number; 5][..], b"small", &large].concat());
            }
            while output.len() > 0 {
                let bytes = all(&output);
                let taken = at_a_time.min(bytes.len());
                written.extend_from_slice(&bytes[..taken]);
                output.advance(taken);
            }
            assert!(written == expected && all(&output).is_empty());
        }
    }
}
