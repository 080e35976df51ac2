//! A replacement of bytes within a file.

/// Bytes that replace others of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Offset in the file.
    pub offset: u64,
    /// The bytes to write,
    pub bytes: Vec<u8>,
    /// and the number of zeros to write after them.
    pub zeros: u64,
}

impl Patch {
    /// The offset after the last byte that is overwritten.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + self.zeros
    }

    /// The bytes to write in pieces, each with its offset.
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
