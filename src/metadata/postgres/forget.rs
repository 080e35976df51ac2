//! Forgetting: turns records into tombstones, and tombstones into nothing or into bare uuids.

use tokio_postgres::Error;

use super::attempts::Pg;
use super::locked::{self, Locked};
use super::values::{N, number};
use super::{extents, jobs, parts, query};
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{JobKind, NewJob};
use crate::metadata::packed::{EXPIRED, REMOVED};
use crate::metadata::{Generation, Removed, Role};

/// Condition for an unfinished upload in which nothing was stored since `$1`, and that isn't being finalized.
pub(super) const IDLE: &str = "state = 0 AND patches IS NULL AND touched_at < $1";

/// Condition for an unfinished upload that never had a chunk and to which nothing else belongs.
const UNUSED: &str = "u.state = 0 AND NOT u.append AND u.epoch = 0 AND u.parts = 0
    AND NOT EXISTS (SELECT 1 FROM uploads t WHERE t.parent = u.id AND t.role = 1)";

pub(super) async fn remove(
    pg: &Pg,
    id: UploadId,
    even_attached: bool,
    now: u64,
    holder: jobs::Holder<'_>,
) -> Result<Removed, Error> {
    let Some(found) = locked::record(pg, id).await?.filter(Locked::is_alive) else {
        return Ok(Removed::Nothing);
    };
    if !even_attached && (found.attached || is_shown_with_its_media(pg, &found).await?) {
        return Ok(Removed::Attached);
    }
    let Forgotten { deletions, thumbnails, thumbnail_bytes } =
        with_thumbnails(pg, &found, REMOVED, now).await?;
    let mut held = Vec::new();
    for deletion in deletions {
        held.extend(jobs::lease(pg, deletion.kind, deletion.subject, holder).await?);
    }
    Ok(Removed::Removed { deletions: held, thumbnails, thumbnail_bytes })
}

async fn is_shown_with_its_media(pg: &Pg, found: &Locked) -> Result<bool, Error> {
    if found.role != Role::Thumbnail {
        return Ok(false);
    }
    let attached = "SELECT 1 FROM uploads WHERE id = $1 AND attached";
    query::exists(pg, attached, &[&found.parent]).await
}

/// What was forgotten of an upload and its thumbnails.
pub(super) struct Forgotten {
    deletions: Vec<NewJob>,
    thumbnails: u64,
    /// Bytes of the thumbnails that counted against the quota.
    thumbnail_bytes: u64,
}

/// Forgets a locked upload and its thumbnails. If it is a thumbnail, also removes it from its parent.
pub(super) async fn with_thumbnails(
    pg: &Pg,
    found: &Locked,
    state: i64,
    now: u64,
) -> Result<Forgotten, Error> {
    let hide = "UPDATE uploads SET thumbnail = NULL WHERE id = $1 AND thumbnail = $2";
    query::execute(pg, hide, &[&found.parent, &found.id]).await?;
    let thumbnails = locked::thumbnails(pg, found.id, "state IN (1, 4)").await?;
    let mut forgotten = Forgotten {
        deletions: forget_bytes(pg, found, state, now).await?,
        thumbnails: 0,
        thumbnail_bytes: if found.role == Role::Thumbnail { found.reserved } else { 0 },
    };
    for thumbnail in thumbnails {
        let deletions = forget_bytes(pg, &thumbnail, REMOVED, now).await?;
        forgotten.thumbnails += u64::from(!deletions.is_empty());
        forgotten.thumbnail_bytes += thumbnail.reserved;
        forgotten.deletions.extend(deletions);
    }
    Ok(forgotten)
}

/// Turns a locked record into a tombstone with this `state`, without bytes and everything known of them. Their deletion
/// becomes a job, which is returned; other jobs on them are forgotten.
pub(super) async fn forget_bytes(
    pg: &Pg,
    of: &Locked,
    state: i64,
    now: u64,
) -> Result<Vec<NewJob>, Error> {
    parts::forget(pg, of.seq).await?;
    let blobs = extents::forget(pg, of.number(), of.blob).await?;
    let forget = "
        UPDATE uploads
        SET state = $2, changed_at = $3, blob = NULL, generation = NULL, thumbnail = NULL, filename = NULL,
            declared_type = NULL, media_type = NULL, embedded = NULL, received_parts = NULL, received_md5 = NULL,
            crc32 = NULL, total_size = NULL, even_size = NULL, size = NULL, duration_secs = NULL, width = NULL,
            height = NULL, patches = NULL, wanted_md5 = NULL, partials = NULL, suspect = false, unsynced = false,
            reserved = 0, parts = 0, received = 0, max_end = 0, min_even = NULL, max_even = NULL
        WHERE seq = $1";
    query::execute(pg, forget, &[&of.number(), &number(state), &N(now)]).await?;
    jobs::forget(pg, JobKind::Finish, of.id.to_bytes(), None).await?;
    for kind in [JobKind::Thumbnail, JobKind::Pack] {
        jobs::forget_unheld(pg, kind, of.id.to_bytes(), now).await?;
    }
    let deletions: Vec<NewJob> = NewJob::deletions(&blobs, of.id).collect();
    for job in &deletions {
        jobs::add(pg, job).await?;
    }
    Ok(deletions)
}

/// Returns uploads that may have to be expired.
pub(super) async fn idle_uploads(
    pg: &Pg,
    idle_since: u64,
    limit: u32,
) -> Result<Vec<UploadId>, Error> {
    let sql = format!("SELECT id FROM uploads WHERE {IDLE} ORDER BY created_at LIMIT $2");
    let rows = query::rows(pg, &sql, &[&N(idle_since), &N::from(limit)]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Expires an upload, unless a chunk was stored since it was found. Returns whether it expired.
pub(super) async fn expire(
    pg: &Pg,
    id: UploadId,
    idle_since: u64,
    now: u64,
) -> Result<bool, Error> {
    let condition = format!("{IDLE} AND id = $2");
    let Some(idle) = locked::first_free(pg, &condition, &[&N(idle_since), &id]).await? else {
        return Ok(false);
    };
    with_thumbnails(pg, &idle, EXPIRED, now).await?;
    Ok(true)
}

/// Returns the tombstones of a user.
pub(super) async fn tombstones(pg: &Pg, user: &UserId) -> Result<Vec<UploadId>, Error> {
    let sql = "SELECT id FROM uploads WHERE user_id = $1 AND state NOT IN (0, 1)";
    query::rows(pg, sql, &[user]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Keeps only the uuids of these tombstones. An expired upload may have begun again since it was found.
pub(super) async fn forget_tombstones(
    pg: &Pg,
    user: &UserId,
    tombstones: &[UploadId],
) -> Result<(), Error> {
    // Held in the order in which everybody holds several rows.
    let sql = "WITH held AS MATERIALIZED (
                   SELECT seq FROM uploads WHERE id = ANY ($1) AND user_id = $2 AND state NOT IN (0, 1)
                   ORDER BY role, seq FOR UPDATE),
               forgotten AS (DELETE FROM uploads USING held WHERE uploads.seq = held.seq RETURNING id)
               INSERT INTO erased (id) SELECT id FROM forgotten ON CONFLICT DO NOTHING";
    query::execute(pg, sql, &[&tombstones, user]).await.map(drop)
}

/// Forgets the user's row of used quota, unless something still counts, and the user's remaining jobs.
pub(super) async fn forget_usage(pg: &Pg, user: &UserId) -> Result<(), Error> {
    let sql = "DELETE FROM usage WHERE user_id = $1 AND bytes = 0 AND files = 0 AND unfinished = 0";
    query::execute(pg, sql, &[user]).await?;
    jobs::forget_user(pg, user).await
}

pub(super) async fn forget_expired(pg: &Pg, id: UploadId) -> Result<(), Error> {
    let sql = "DELETE FROM uploads WHERE id = $1 AND state = 3";
    query::execute(pg, sql, &[&id]).await.map(drop)
}

/// Forgets an upload that never had a chunk. Steps that add a chunk or a thumbnail lock the same row.
pub(super) async fn withdraw_upload(pg: &Pg, of: Generation, now: u64) -> Result<bool, Error> {
    let Some(upload) = locked::receiving(pg, of).await? else {
        return Ok(false);
    };
    let is_unused = format!("SELECT 1 FROM uploads u WHERE u.seq = $1 AND {UNUSED}");
    if !query::exists(pg, &is_unused, &[&upload.number()]).await? {
        return Ok(false);
    }
    forget_bytes(pg, &upload, EXPIRED, now).await?;
    forget_expired(pg, of.upload).await?;
    Ok(true)
}

pub(super) async fn unused_uploads(
    pg: &Pg,
    begun_before: u64,
    limit: u32,
) -> Result<Vec<UploadId>, Error> {
    let sql = format!(
        "SELECT id FROM uploads u WHERE {UNUSED} AND u.created_at < $1 ORDER BY u.created_at LIMIT $2"
    );
    let rows = query::rows(pg, &sql, &[&N(begun_before), &N::from(limit)]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
