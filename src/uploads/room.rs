//! Room for what is to come: reserved once when an upload begins, and before the bytes of a part that needs more.
//!
//! What counts is decided by the records, in the transaction that begins an upload or makes a file. What is asked
//! here before any byte is read spares senders bytes that would be refused.

use super::claims::Entry;
use super::slot::TooLong;
use super::{Refusal, Spool, Uploads};
use crate::ids::UserId;
use crate::metadata::{Reserved, State};
use crate::part::{self, Declaration};

impl Uploads {
    /// Bytes that a new upload reserves: its file's declared size, else as many parts as it has, each as large
    /// as this one. `None` when nothing tells, and it matters.
    pub(super) fn reservation(&self, declared: &Declaration, size: Option<u64>) -> Option<u64> {
        let size = size.or_else(|| part::declared_size(declared));
        let guess = || Some(u64::from(declared.total_parts?).saturating_mul(size?));
        let all = part::declared_total(declared).or_else(guess);
        if all.is_none() && self.limits.quota.is_none() {
            return Some(0);
        }
        Some(all?.min(self.limits.max_file_size))
    }

    /// Reserves what a part from `start` on takes beyond what its upload has reserved. `false` when that depends
    /// on its size, which isn't known; then it has `limit` bytes at most.
    pub(super) async fn reserve(
        &self,
        entry: &Entry,
        declared: &Declaration,
        start: u64,
        size: Option<u64>,
        limit: u64,
    ) -> Result<bool, Refusal> {
        if self.limits.quota.is_none() {
            return Ok(true);
        }
        let end = start.saturating_add(size.unwrap_or(limit));
        let all = part::declared_total(declared).unwrap_or(0).max(end);
        let reserved = entry.look(|record| match &record.state {
            State::Receiving(upload) => upload.reserved,
            _ => 0,
        });
        if reserved.is_some_and(|reserved| all <= reserved) {
            return Ok(true);
        }
        if size.is_none() {
            return Ok(false);
        }
        match self.metadata.reserve(entry.id, all, self.limits.quota).await? {
            Reserved::Reserved => {
                entry.reserved(all);
                Ok(true)
            }
            Reserved::NotReceiving => {
                entry.forget();
                Err(Refusal::Raced)
            }
            Reserved::Over(over) => Err(over.into()),
        }
    }

    /// Refuses a new upload of so many bytes that would be refused at its first record.
    pub(super) async fn check_quota(&self, user: UserId, bytes: u64) -> Result<(), Refusal> {
        let quota = self.limits.quota;
        if quota.is_none() {
            return Ok(());
        }
        Ok(quota.check(self.metadata.usage(user).await?, bytes, 1)?)
    }

    /// A spool for what may be a whole file of this user's, of at least so many bytes. It has room for a chunk in
    /// any case: that may belong to an upload which has its bytes reserved.
    pub(super) async fn spool_within_quota(
        &self,
        user: UserId,
        at_least: u64,
    ) -> Result<Spool, Refusal> {
        let (quota, max) = (self.limits.quota, self.limits.max_file_size);
        if quota.is_none() {
            return Ok(Spool::of_file(self));
        }
        let usage = self.metadata.usage(user).await?;
        let limit = quota.left(usage).max(self.limits.max_chunk_size);
        match quota.check(usage, limit.saturating_add(1), 0) {
            Err(over) if limit < max && at_least > limit => Err(over.into()),
            Err(over) if limit < max => Ok(Spool::new(self, limit, TooLong::Over(over))),
            _ => Ok(Spool::of_file(self)),
        }
    }

    /// Refuses bytes for which the store has no room; also none at all when it is full.
    pub async fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        let room = self.blobs.room().await?;
        if room == 0 || bytes > room { Err(Refusal::StorageFull) } else { Ok(()) }
    }
}
