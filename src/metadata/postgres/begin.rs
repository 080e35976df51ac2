//! Steps that begin, restart or name an upload.

use tokio_postgres::Error;

use super::attempts::{Failure, Pg};
use super::values::{N, number};
use super::{extents, forget, jobs, locked, parts, query, room, rows};
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId};
use crate::metadata::jobs::JobKind;
use crate::metadata::packed::{EXPIRED, pack_role};
use crate::metadata::{Begun, Caps, Generation, NewUpload, Role};

pub(super) async fn begin_upload(
    pg: &Pg,
    new: &NewUpload,
    caps: Caps,
    now: u64,
) -> Result<Begun, Failure> {
    if rows::is_used(pg, new.id).await? {
        return Ok(Begun::Exists);
    }
    let used = room::lock_usage(pg, &new.user).await?;
    if let Err(over) = caps.quota.check(used.usage, new.reserved, u64::from(!new.is_partial())) {
        return Ok(Begun::Over(over));
    }
    let mut evicted = None;
    if used.unfinished >= u64::from(caps.max_unfinished) {
        // An upload that another transaction has locked isn't idle. The user's sums are locked here, so nothing may
        // wait.
        let condition = format!("user_id = $1 AND {}", forget::IDLE.replace("$1", "$2"));
        let Some(idle) =
            locked::first_free(pg, &condition, &[&new.user, &N(caps.idle_since)]).await?
        else {
            return Ok(Begun::TooMany);
        };
        evicted = Some(idle.id);
        forget::with_thumbnails(pg, &idle, EXPIRED, now).await?;
    }
    match insert(pg, new, Role::Media, now).await? {
        Some(_) => Ok(Begun::Begun { evicted }),
        None if evicted.is_none() => Ok(Begun::Exists),
        // Another transaction has used the uuid meanwhile, so nothing should have been evicted: retry the whole step.
        None => Err(Failure::Contended),
    }
}

/// Inserts an upload, or the record of a file that was sent in one request. Returns its number, or `None` if the uuid
/// is already used.
pub(super) async fn insert(
    pg: &Pg,
    new: &NewUpload,
    role: Role,
    now: u64,
) -> Result<Option<N>, Error> {
    let sql = "INSERT INTO uploads (id, user_id, state, role, blob, parent, total_parts, reserved, filename,
                                    declared_type, created_at, changed_at, touched_at, generation, append, total_size,
                                    wanted_md5)
               VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $11, $12, $13, $14)
               ON CONFLICT (id) DO NOTHING RETURNING seq";
    let append = new.append.as_ref();
    let row = query::row(
        pg,
        sql,
        &[
            &new.id,
            &new.user,
            &number(pack_role(role, new.is_partial())),
            &new.blob,
            &new.parent,
            &N::from(new.total_parts),
            &N(new.reserved),
            &new.filename.as_ref().map(Filename::as_str),
            &new.declared_type,
            &N(now),
            &new.generation,
            &append.is_some(),
            &append.and_then(|append| append.total_size).map(N),
            &append.and_then(|append| append.md5.as_ref().map(<[u8; 16]>::as_slice)),
        ],
    )
    .await?;
    row.map(|row| row.try_get("seq")).transpose()
}

pub(super) async fn restart_upload(
    pg: &Pg,
    of: Generation,
    next: GenerationId,
    blob: Option<BlobId>,
) -> Result<bool, Error> {
    let Some(upload) = locked::receiving(pg, of).await? else {
        return Ok(false);
    };
    let before = extents::forget(pg, upload.number(), upload.blob).await?;
    extents::delete(pg, &before, of.upload).await?;
    parts::forget_all(pg, upload.number()).await?;
    // No client can send the bytes of a joined upload again: the job that finishes it removes it.
    let is_joined = "SELECT 1 FROM uploads WHERE seq = $1 AND partials IS NOT NULL";
    if !query::exists(pg, is_joined, &[&upload.number()]).await? {
        jobs::forget(pg, JobKind::Finish, of.upload.to_bytes(), None).await?;
    }
    let restart = "
        UPDATE uploads
        SET generation = $2, blob = $3, epoch = epoch + 1, even_size = NULL, parts = 0, received = 0, max_end = 0,
            min_even = NULL, max_even = NULL, named = false, media_type = NULL, received_parts = NULL, received_md5 = NULL, patches = NULL,
            suspect = false
        WHERE seq = $1";
    query::execute(pg, restart, &[&upload.number(), &next, &blob]).await?;
    Ok(true)
}

pub(super) async fn name_upload(pg: &Pg, of: Generation, filename: &Filename) -> Result<(), Error> {
    let sql = "UPDATE uploads SET filename = $3
               WHERE id = $1 AND generation = $2 AND state = 0 AND filename IS NULL";
    query::execute(pg, sql, &[&of.upload, &of.id, &filename.as_str()]).await.map(drop)
}
