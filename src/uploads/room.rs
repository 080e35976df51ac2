//! Reserves room for bytes to come: once when an upload begins, and before the bytes of a part that needs more.
//!
//! The records enforce the limits, in the transaction that begins an upload or makes a file. The checks here come
//! before any byte is read, so that senders don't send bytes that would be refused.

use super::entries::Entry;
use super::shared::Shared;
use super::{NoRoom, Refusal, Spool};
use crate::ids::{UploadId, UserId};
use crate::metadata::quota::{OverQuota, Usage};
use crate::metadata::{Generation, Reserved, State};
use crate::part::{self, Declaration};

/// Number of bytes that a new upload reserves: the declared size of its file, or else as many parts as it has, each as
/// large as this one. Returns `None` if nothing tells and it matters.
pub(super) fn reservation(
    shared: &Shared,
    declared: &Declaration,
    size: Option<u64>,
) -> Option<u64> {
    let size = size.or_else(|| part::declared_size(declared));
    let guess = || Some(u64::from(declared.total_parts?).saturating_mul(size?));
    let all = part::declared_total(declared).or_else(guess);
    if all.is_none() && shared.limits.quota.is_none() {
        return Some(0);
    }
    Some(all?.min(shared.limits.max_file_size))
}

/// Reserves what a part starting at `start` needs beyond what its upload has reserved. Returns `false` if that depends
/// on the part's size, which isn't known, with `limit` bytes at most.
pub(super) async fn reserve(
    shared: &Shared,
    entry: &Entry,
    of: Generation,
    declared: &Declaration,
    start: u64,
    size: Option<u64>,
    limit: u64,
) -> Result<bool, Refusal> {
    if shared.limits.quota.is_none() {
        return Ok(true);
    }
    let end = start.saturating_add(size.unwrap_or(limit));
    let all = part::declared_total(declared).unwrap_or(0).max(end);
    if all <= reserved(entry) {
        return Ok(true);
    }
    if size.is_none() {
        return Ok(false);
    }
    reserve_all(shared, entry, of, all).await?;
    Ok(true)
}

/// Reserves this many bytes for the whole upload, unless it already has them.
pub(super) async fn reserve_all(
    shared: &Shared,
    entry: &Entry,
    of: Generation,
    all: u64,
) -> Result<(), Refusal> {
    if shared.limits.quota.is_none() || all <= reserved(entry) {
        return Ok(());
    }
    match shared.metadata.reserve(of, all, shared.limits.quota).await? {
        Reserved::Reserved => {
            entry.reserved(all);
            Ok(())
        }
        Reserved::NotReceiving => {
            entry.forget();
            Err(Refusal::Raced)
        }
        Reserved::Over(over) => Err(over.into()),
    }
}

/// Reserves as many bytes of an upload from `at` to `wanted` as there is room for, although it isn't known whether they
/// will come. Returns where the room ends, and, if that is before `wanted`, why.
pub(super) async fn reserve_some(
    shared: &Shared,
    user: &UserId,
    entry: &Entry,
    of: Generation,
    at: u64,
    wanted: u64,
) -> Result<(u64, Option<OverQuota>), Refusal> {
    let (quota, held) = (shared.limits.quota, reserved(entry));
    if quota.is_none() || wanted <= held {
        return Ok((wanted, None));
    }
    let usage = shared.metadata.usage(user.clone()).await?;
    let end = wanted.min(held.saturating_add(quota.left(usage)));
    let over = quota.check(usage, wanted - held, 0).err();
    match over {
        Some(over) if end <= at => Err(over.into()),
        over => {
            reserve_all(shared, entry, of, end).await?;
            Ok((end, over))
        }
    }
}

/// The cached number of bytes that an upload has reserved.
fn reserved(entry: &Entry) -> u64 {
    let reserved = entry.look(|record| match &record.state {
        State::Receiving(upload) => upload.reserved,
        _ => 0,
    });
    reserved.unwrap_or(0)
}

/// Refuses a new upload of this size if its first record would be refused.
pub(super) async fn check_quota(shared: &Shared, user: &UserId, bytes: u64) -> Result<(), Refusal> {
    let quota = shared.limits.quota;
    if quota.is_none() {
        return Ok(());
    }
    Ok(quota.check(shared.metadata.usage(user.clone()).await?, bytes, 1)?)
}

/// Creates a spool for this user's chunk whose place isn't known yet. `id` is its upload, if that is known.
pub(super) async fn spool_of_chunk(
    shared: &Shared,
    user: &UserId,
    id: Option<UploadId>,
) -> Result<Spool, Refusal> {
    Ok(Spool::of_chunk(shared).within(allowance(shared, user, id).await?))
}

/// Creates a spool for what may be a whole file of this user's, of at least this many bytes. `id` is its uuid, if that
/// is known.
pub(super) async fn spool_of_file(
    shared: &Shared,
    user: &UserId,
    id: Option<UploadId>,
    at_least: u64,
) -> Result<Spool, Refusal> {
    match allowance(shared, user, id).await? {
        Some((limit, over)) if at_least > limit => Err(over.into()),
        allowance => Ok(Spool::of_file(shared).within(allowance)),
    }
}

/// Maximum number of bytes of one request of this user's that could be recorded, and the limit that this comes from;
/// `None` if quotas set no limit.
async fn allowance(
    shared: &Shared,
    user: &UserId,
    id: Option<UploadId>,
) -> Result<Option<(u64, OverQuota)>, Refusal> {
    let quota = shared.limits.quota;
    if quota.is_none() {
        return Ok(None);
    }
    let usage = shared.metadata.usage(user.clone()).await?;
    let held = held(shared, user, id, usage).await?;
    let limit = quota.left(usage).saturating_add(held);
    let over = quota.check(usage, limit.saturating_add(1), 0).err();
    Ok(over.map(|over| (limit, over)))
}

/// Number of bytes for which a request needs no new room because its uuid already has it: what its upload has reserved,
/// or the size of the file that it repeats. A uuid that follows its file may be any of the user's; such a file is
/// accepted only if it is no longer than a chunk.
async fn held(
    shared: &Shared,
    user: &UserId,
    id: Option<UploadId>,
    usage: Usage,
) -> Result<u64, Refusal> {
    let Some(id) = id else {
        return Ok(usage.user_bytes.min(shared.limits.max_chunk_size));
    };
    let record =
        shared.metadata.load(id).await?.filter(|record| record.user.as_ref() == Some(user));
    Ok(match record.map(|record| record.state) {
        Some(State::Receiving(upload)) => upload.reserved,
        Some(State::Finished(_)) => {
            let parts = shared.metadata.received_parts(id).await?.unwrap_or_default();
            parts.iter().map(|part| part.size).sum()
        }
        _ => 0,
    })
}

/// Refuses bytes for which the store has no room. If the store is full, it refuses even zero bytes.
pub(super) async fn check_room(shared: &Shared, bytes: u64) -> Result<(), Refusal> {
    let room = shared.blobs.room().await?;
    if room == 0 || bytes > room { Err(Refusal::StorageFull(NoRoom::MinFree)) } else { Ok(()) }
}
