//! What to overwrite in a file.

/// Bytes to overwrite others of the same length with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where.
    pub offset: u64,
    /// With these,
    pub bytes: Vec<u8>,
    /// and so many zeros behind them.
    pub zeros: u64,
}

impl Patch {
    /// The first byte behind what it overwrites.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + self.zeros
    }

    /// What it overwrites that with, in pieces and where each begins.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        const ZEROS: &[u8] = &[0; 64 * 1024];
        let zeros = self.offset + self.bytes.len() as u64..self.end();
        let pieces = zeros.clone().step_by(ZEROS.len()).map(move |at| {
            let length = usize::try_from(zeros.end - at).unwrap_or(usize::MAX).min(ZEROS.len());
            (at, &ZEROS[..length])
        });
        std::iter::once((self.offset, &self.bytes[..])).chain(pieces)
    }
}
