//! Limits on what one user may send, and checks of requests against them. Pure functions.

use std::time::Duration;

use super::Refusal;
use crate::metadata::quota::Quota;
use crate::part::{self, Declaration};

/// Limits on what one user may send, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum size of a file in bytes.
    pub max_file_size: u64,
    /// Maximum size of a chunk in bytes.
    pub max_chunk_size: u64,
    /// Maximum number of chunks of a file.
    pub max_parts: u32,
    /// Maximum number of unfinished uploads per user.
    pub max_unfinished: u32,
    /// Limits on the bytes and files of one user, and on the bytes of all.
    pub quota: Quota,
    /// Bytes that take longer than this to arrive are not recorded.
    pub max_age: Duration,
    /// How long an unfinished upload lives after its last stored chunk.
    pub upload_ttl: Duration,
    /// Whether files keep metadata about where, when and by whom they were made.
    pub keep_metadata: bool,
}

impl Limits {
    /// Refuses a file whose declared size exceeds the limit.
    pub(super) fn check_total(&self, declared: Option<u64>) -> Result<(), Refusal> {
        let max = self.max_file_size;
        match declared {
            Some(size) if size > max => Err(Refusal::FileTooLarge { size, max }),
            _ => Ok(()),
        }
    }

    /// Refuses bytes beyond the maximum size of a file.
    pub(super) fn check_end(&self, end: u64) -> Result<(), Refusal> {
        let max = self.max_file_size;
        if end > max { Err(Refusal::FileTooLong { max }) } else { Ok(()) }
    }

    /// Refuses a chunk that exceeds a limit by what it declares, or by its size once that is known.
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
