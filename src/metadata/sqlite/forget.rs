//! Forgetting: turns records into tombstones, and tombstones into nothing or into bare uuids.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::extents;
use super::jobs;
use super::parts;
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, JobKind, NewJob};
use crate::metadata::packed::{EXPIRED, FINISHED, RECEIVING, REMOVED};
use crate::metadata::{Generation, Removed};

/// How long other writers wait at most while uploads expire, each of which may have very many parts to check.
const MAX_EXPIRE_TIME: Duration = Duration::from_millis(5);

/// Condition for an unfinished upload in which nothing was stored since `:idle_since`, and that isn't being finalized.
pub(super) const IDLE: &str =
    "u.state = 0 AND u.patches IS NULL AND u.created_at < :idle_since AND NOT EXISTS
    (SELECT 1 FROM parts p WHERE p.upload = u.seq AND p.stored_at >= :idle_since)";

/// Condition for an unfinished upload that never had a chunk and to which nothing else belongs.
const UNUSED: &str = "u.state = 0 AND u.append = 0 AND u.epoch = 0
    AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.upload = u.seq)
    AND NOT EXISTS (SELECT 1 FROM uploads t WHERE t.parent = u.id AND t.role = 1)";

pub(super) fn remove(
    tx: &Connection,
    id: UploadId,
    even_attached: bool,
    now: u64,
    leased_until: u64,
) -> rusqlite::Result<Removed> {
    let found: Option<(i64, bool)> = tx
        .prepare_cached(
            "SELECT state, attached OR (role = 1 AND EXISTS
                (SELECT 1 FROM uploads media WHERE media.id = thumb.parent AND media.attached = 1))
             FROM uploads thumb WHERE id = ?",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((RECEIVING | FINISHED, attached)) if attached && !even_attached => {
            return Ok(Removed::Attached);
        }
        Some((RECEIVING | FINISHED, _)) => {}
        _ => return Ok(Removed::Nothing),
    }
    let WithThumbnails { deletions, thumbnails, thumbnail_bytes } =
        forget_with_thumbnails(tx, id, REMOVED, now)?;
    let leased = deletions
        .into_iter()
        .map(|deletion| jobs::lease(tx, deletion.kind, deletion.subject, leased_until));
    let deletions: Vec<Option<Job>> = leased.collect::<rusqlite::Result<_>>()?;
    let deletions = deletions.into_iter().flatten().collect();
    Ok(Removed::Removed { deletions, thumbnails, thumbnail_bytes })
}

/// What was forgotten of an upload and its thumbnails.
pub(super) struct WithThumbnails {
    deletions: Vec<NewJob>,
    thumbnails: u64,
    /// Bytes of the thumbnails that counted against the quota.
    thumbnail_bytes: u64,
}

/// Forgets an upload and its thumbnails. If it is a thumbnail, also removes it from its parent.
pub(super) fn forget_with_thumbnails(
    tx: &Connection,
    id: UploadId,
    state: i64,
    now: u64,
) -> rusqlite::Result<WithThumbnails> {
    tx.prepare_cached(
        "UPDATE uploads SET thumbnail = NULL
         WHERE id = (SELECT parent FROM uploads WHERE id = ?1) AND thumbnail = ?1",
    )?
    .execute([id])?;
    let thumbnails = tx
        .prepare_cached("SELECT id FROM uploads WHERE parent = ? AND role = 1 AND state IN (1, 4)")?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<UploadId>>>()?;
    let mut forgotten = vec![forget_bytes(tx, id, state, now)?];
    for id in thumbnails {
        forgotten.push(forget_bytes(tx, id, REMOVED, now)?);
    }
    Ok(WithThumbnails {
        thumbnails: forgotten[1..].iter().filter(|bytes| !bytes.deletions.is_empty()).count()
            as u64,
        thumbnail_bytes: forgotten.iter().map(|bytes| bytes.thumbnail_bytes).sum(),
        deletions: forgotten.into_iter().flat_map(|bytes| bytes.deletions).collect(),
    })
}

/// The bytes that a record has forgotten.
#[derive(Default)]
pub(super) struct ForgottenBytes {
    /// The jobs that delete them.
    deletions: Vec<NewJob>,
    /// Bytes that counted against the user's quota, if it was a thumbnail.
    thumbnail_bytes: u64,
}

/// Turns a record into a tombstone with this `state`, without bytes and everything known of them. Their deletion
/// becomes a job; other jobs on them are forgotten.
pub(super) fn forget_bytes(
    tx: &Connection,
    id: UploadId,
    state: i64,
    now: u64,
) -> rusqlite::Result<ForgottenBytes> {
    parts::forget(tx, id)?;
    let blobs = extents::forget(tx, id)?;
    let thumbnail_bytes = tx
        .prepare_cached("SELECT reserved * (role = 1) FROM uploads WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    tx.prepare_cached(
        "UPDATE uploads SET state = ?2, changed_at = ?3, blob = NULL, generation = NULL, thumbnail = NULL, filename = NULL,
                declared_type = NULL, media_type = NULL, embedded = NULL, received = NULL, received_md5 = NULL, crc32 = NULL,
                total_size = NULL, even_size = NULL, size = NULL, duration_secs = NULL, width = NULL, height = NULL,
                patches = NULL, suspect = 0, unsynced = 0, reserved = 0, wanted_md5 = NULL, partials = NULL
         WHERE id = ?1",
    )?
    .execute(params![id, state, now])?;
    jobs::forget(tx, JobKind::Finish, id.to_bytes(), None)?;
    for kind in [JobKind::Thumbnail, JobKind::Pack] {
        jobs::forget_unheld(tx, kind, id.to_bytes(), now)?;
    }
    let deletions: Vec<NewJob> = NewJob::deletions(&blobs, id).collect();
    deletions.iter().try_for_each(|job| jobs::add(tx, job))?;
    Ok(ForgottenBytes { deletions, thumbnail_bytes: thumbnail_bytes.unwrap_or_default() })
}

pub(super) fn idle_uploads(
    connection: &Connection,
    idle_since: u64,
    limit: u32,
) -> rusqlite::Result<Vec<UploadId>> {
    connection
        .prepare_cached(&format!("SELECT id FROM uploads u WHERE {IDLE} LIMIT :limit"))?
        .query_map(named_params! {":idle_since": idle_since, ":limit": limit}, |row| row.get(0))?
        .collect()
}

/// Expires those of these uploads that are still idle, for at most [`MAX_EXPIRE_TIME`]. Returns which ones expired, and
/// how many were checked.
pub(super) fn expire(
    tx: &Connection,
    found: &[UploadId],
    idle_since: u64,
    now: u64,
) -> rusqlite::Result<(Vec<UploadId>, usize)> {
    let began = Instant::now();
    // Check again: a chunk may have been stored since they were found.
    let mut still_idle =
        tx.prepare_cached(&format!("SELECT 1 FROM uploads u WHERE u.id = :id AND {IDLE}"))?;
    let (mut expired, mut checked) = (Vec::new(), 0);
    for id in found {
        if checked > 0 && began.elapsed() > MAX_EXPIRE_TIME {
            break;
        }
        checked += 1;
        if still_idle.exists(named_params! {":id": id, ":idle_since": idle_since})? {
            forget_with_thumbnails(tx, *id, EXPIRED, now)?;
            expired.push(*id);
        }
    }
    Ok((expired, checked))
}

pub(super) fn forget_tombstones(
    tx: &Connection,
    user: &UserId,
    tombstones: &[UploadId],
) -> rusqlite::Result<()> {
    // An expired upload may have begun again since it was found.
    let mut remember = tx.prepare_cached(
        "INSERT OR IGNORE INTO erased (id)
         SELECT id FROM uploads WHERE id = ? AND user_id = ? AND state NOT IN (0, 1)",
    )?;
    let mut forget = tx.prepare_cached(
        "DELETE FROM uploads WHERE id = ? AND user_id = ? AND state NOT IN (0, 1)",
    )?;
    for id in tombstones {
        remember.execute(params![id, user])?;
        forget.execute(params![id, user])?;
    }
    Ok(())
}

/// Forgets the user's row of used quota, unless something still counts, and the user's remaining jobs.
pub(super) fn forget_usage(tx: &Connection, user: &UserId) -> rusqlite::Result<()> {
    jobs::forget_user(tx, user)?;
    tx.prepare_cached("DELETE FROM usage WHERE user_id = ? AND bytes = 0 AND files = 0")?
        .execute([user])?;
    Ok(())
}

pub(super) fn forget_expired(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM uploads WHERE id = ? AND state = 3")?.execute([id])?;
    Ok(())
}

pub(super) fn withdraw_upload(tx: &Connection, of: Generation, now: u64) -> rusqlite::Result<bool> {
    let is_unused =
        format!("SELECT 1 FROM uploads u WHERE u.id = ? AND u.generation = ? AND {UNUSED}");
    if !tx.prepare_cached(&is_unused)?.exists(params![of.upload, of.id])? {
        return Ok(false);
    }
    forget_bytes(tx, of.upload, EXPIRED, now)?;
    forget_expired(tx, of.upload)?;
    Ok(true)
}

pub(super) fn unused_uploads(
    connection: &Connection,
    begun_before: u64,
    limit: u32,
) -> rusqlite::Result<Vec<UploadId>> {
    connection
        .prepare_cached(&format!(
            "SELECT id FROM uploads u WHERE {UNUSED} AND u.created_at < ? LIMIT ?"
        ))?
        .query_map(params![begun_before, limit], |row| row.get(0))?
        .collect()
}
