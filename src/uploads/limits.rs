//! What one user may send, and what of a request is over it: pure.

use std::time::Duration;

use super::Refusal;
use crate::metadata::quota::Quota;
use crate::part::{self, Declaration};

/// What one user may send, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file.
    pub max_file_size: u64,
    /// Bytes of a chunk.
    pub max_chunk_size: u64,
    /// Chunks of a file.
    pub max_parts: u32,
    /// Unfinished uploads of one user.
    pub max_unfinished: u32,
    /// Bytes and files of one user, and bytes of all.
    pub quota: Quota,
    /// Bytes that take longer to come in are not put on record.
    pub max_age: Duration,
    /// An unfinished upload lives so long after its last stored chunk.
    pub upload_ttl: Duration,
    /// Whether files keep what they say of where, when and by whom they were made.
    pub keep_metadata: bool,
}

impl Limits {
    /// Refuses a file whose declared size is over the limit.
    pub(super) fn check_total(&self, declared: Option<u64>) -> Result<(), Refusal> {
        let max = self.max_file_size;
        match declared {
            Some(size) if size > max => Err(Refusal::FileTooLarge { size, max }),
            _ => Ok(()),
        }
    }

    /// Refuses bytes behind the end that a file may have at most.
    pub(super) fn check_end(&self, end: u64) -> Result<(), Refusal> {
        let max = self.max_file_size;
        if end > max { Err(Refusal::FileTooLong { max }) } else { Ok(()) }
    }

    /// Refuses a chunk that what is said of it, or its size once that is known, takes over a limit.
    pub(super) fn check_limits(
        &self,
        declared: &Declaration,
        size: Option<u64>,
    ) -> Result<(), Refusal> {
        let Limits { max_chunk_size, max_parts, .. } = *self;
        if let Some(sent) = declared.total_parts.filter(|sent| *sent > max_parts) {
            return Err(Refusal::TooManyParts { sent: sent.into(), max: max_parts });
        }
        self.check_total(part::declared_total(declared))?;
        let size = size.or_else(|| part::declared_size(declared));
        let end = part::declared_offset(declared).unwrap_or(0).saturating_add(size.unwrap_or(0));
        self.check_end(end)?;
        if size.is_some_and(|size| size > max_chunk_size) {
            return Err(Refusal::ChunkTooLarge { max: max_chunk_size });
        }
        Ok(())
    }
}
