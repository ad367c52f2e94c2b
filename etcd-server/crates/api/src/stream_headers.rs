//! Headers of records in a passing stream: frames of HTTP/2, messages of gRPC. Only headers are
//! held.

/// The position among the records; `BYTES` is the length of a header.
#[derive(Debug)]
pub(crate) struct StreamHeaders<const BYTES: usize> {
    /// Bytes that are no header, to be passed over.
    skip: usize,
    header: [u8; BYTES],
    header_bytes: usize,
}

impl<const BYTES: usize> StreamHeaders<BYTES> {
    /// Begins behind so many bytes that belong to nothing.
    pub(crate) fn behind(skip: usize) -> Self {
        Self { skip, header: [0; BYTES], header_bytes: 0 }
    }

    /// Returns `true` if nothing is under way.
    pub(crate) fn is_between(&self) -> bool {
        self.skip == 0 && self.header_bytes == 0
    }

    /// Continues over `data`. `begun` receives every header and returns the bytes behind it that
    /// belong to it; its error ends the scan.
    pub(crate) fn pass<E>(
        &mut self,
        mut data: &[u8],
        mut begun: impl FnMut([u8; BYTES]) -> Result<usize, E>,
    ) -> Result<(), E> {
        while !data.is_empty() {
            let skipped = self.skip.min(data.len());
            self.skip -= skipped;
            data = &data[skipped..];
            let taken = (BYTES - self.header_bytes).min(data.len());
            self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&data[..taken]);
            self.header_bytes += taken;
            data = &data[taken..];
            if self.header_bytes == BYTES {
                self.skip = begun(self.header)?;
                self.header_bytes = 0;
            }
        }
        Ok(())
    }
}
