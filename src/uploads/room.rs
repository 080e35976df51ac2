//! Room for what is to come: reserved once when an upload begins, and before the bytes of a part that needs more.
//!
//! What counts is decided by the records, in the transaction that begins an upload or makes a file. What is asked
//! here before any byte is read spares senders bytes that would be refused.

use super::claims::Entry;
use super::{Refusal, Spool, Uploads};
use crate::ids::{UploadId, UserId};
use crate::metadata::quota::{OverQuota, Usage};
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

    /// A spool for a chunk of this user's whose place isn't known yet. `id`: its upload, if that is known.
    pub(super) async fn spool_of_chunk(
        &self,
        user: UserId,
        id: Option<UploadId>,
    ) -> Result<Spool, Refusal> {
        Ok(Spool::of_chunk(self).within(self.allowance(user, id).await?))
    }

    /// A spool for what may be a whole file of this user's, of at least so many bytes. `id`: its uuid, if that is
    /// known.
    pub(super) async fn spool_of_file(
        &self,
        user: UserId,
        id: Option<UploadId>,
        at_least: u64,
    ) -> Result<Spool, Refusal> {
        match self.allowance(user, id).await? {
            Some((limit, over)) if at_least > limit => Err(over.into()),
            allowance => Ok(Spool::of_file(self).within(allowance)),
        }
    }

    /// The most bytes of one request of this user's that could be put on record, and why no more; `None` where
    /// quotas leave that open.
    async fn allowance(
        &self,
        user: UserId,
        id: Option<UploadId>,
    ) -> Result<Option<(u64, OverQuota)>, Refusal> {
        let quota = self.limits.quota;
        if quota.is_none() {
            return Ok(None);
        }
        let usage = self.metadata.usage(user).await?;
        let held = self.held(user, id, usage).await?;
        let limit = quota.left(usage).saturating_add(held);
        let over = quota.check(usage, limit.saturating_add(1), 0).err();
        Ok(over.map(|over| (limit, over)))
    }

    /// Bytes that a request takes no room for, because its uuid has it already: what its upload has reserved, or
    /// those of the file that it repeats. A uuid that follows its file may be any of the user's; such a file is
    /// taken only if it is no longer than a chunk.
    async fn held(&self, user: UserId, id: Option<UploadId>, usage: Usage) -> Result<u64, Refusal> {
        let Some(id) = id else {
            return Ok(usage.user_bytes.min(self.limits.max_chunk_size));
        };
        let record = self.metadata.load(id).await?.filter(|record| record.user == Some(user));
        Ok(match record.map(|record| record.state) {
            Some(State::Receiving(upload)) => upload.reserved,
            Some(State::Finished(_)) => {
                let parts = self.metadata.received_parts(id).await?.unwrap_or_default();
                parts.iter().map(|part| part.size).sum()
            }
            _ => 0,
        })
    }

    /// Refuses bytes for which the store has no room; also none at all when it is full.
    pub async fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        let room = self.blobs.room().await?;
        if room == 0 || bytes > room { Err(Refusal::StorageFull) } else { Ok(()) }
    }
}
