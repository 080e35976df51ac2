//! Steps that make a File, and change one.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::locked::{self, Locked};
use super::pictures::{self, Older};
use super::values::N;
use super::{begin, extents, jobs, join, parts, query, room, rows};
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, JobKind, NewJob};
use crate::metadata::packed::{pack, pack_embedded, pack_patches};
use crate::metadata::quota::Quota;
use crate::metadata::{Finalizing, NewFile, NewSingle, Role, Snapshot, Stored};
use crate::part::Part;

pub(super) async fn finish_upload(
    pg: &Pg,
    of: Snapshot,
    file: &NewFile,
    synced: bool,
    now: u64,
) -> Result<bool, Error> {
    let Some(upload) = lock_if_current(pg, of, &file.received).await? else {
        return Ok(false);
    };
    make_file(pg, upload.id, upload.number(), upload.blob, file, synced, now).await?;
    join::add_packing(pg, &upload, &file.extents).await?;
    parts::forget(pg, upload.seq).await?;
    jobs::forget(pg, JobKind::Finish, upload.id.to_bytes(), None).await?;
    Ok(true)
}

pub(super) async fn finalize_upload(
    pg: &Pg,
    of: Snapshot,
    finalizing: &Finalizing,
    holder: jobs::Holder<'_>,
) -> Result<Option<(Job, Snapshot)>, Error> {
    let Some(upload) = lock_if_current(pg, of, &finalizing.file.received).await? else {
        return Ok(None);
    };
    let keep =
        "UPDATE uploads SET patches = $2, epoch = epoch + 1 WHERE seq = $1 AND patches IS NULL";
    let patches = pack_patches(&finalizing.patches);
    if query::execute(pg, keep, &[&upload.number(), &patches]).await? == 0 {
        return Ok(None);
    }
    describe(pg, upload.number(), &finalizing.file).await?;
    let subject = upload.id.to_bytes();
    jobs::forget(pg, JobKind::Finish, subject, None).await?; // if bytes arrived in order, there is one already
    jobs::add(pg, &NewJob::at_once(JobKind::Finish, subject)).await?;
    let job = jobs::lease(pg, JobKind::Finish, subject, holder).await?;
    Ok(job.map(|job| (job, Snapshot { epoch: of.epoch + 1, ..of })))
}

/// Locks an upload if it still matches the snapshot from which a File is to be made, and has exactly these parts.
/// Refuses a suspect upload, unless its bytes are being overwritten: then whoever finishes it compares the whole file.
async fn lock_if_current(
    pg: &Pg,
    of: Snapshot,
    received: &[Part],
) -> Result<Option<Locked>, Error> {
    let Some(upload) = locked::receiving(pg, of.generation).await? else {
        return Ok(None);
    };
    let condition = "SELECT 1 FROM uploads
              WHERE seq = $1 AND epoch = $2 AND (NOT suspect OR patches IS NOT NULL)
                AND (append OR total_parts = $3) AND parts = $3 AND received = $4";
    let (count, size) = (received.len() as u64, received.iter().map(|part| part.size).sum());
    let values: query::Values<'_> = &[&upload.number(), &N::from(of.epoch), &N(count), &N(size)];
    Ok(query::exists(pg, condition, values).await?.then_some(upload))
}

/// Turns a locked row into a File. Adds the job that makes its thumbnail, if one can be made.
async fn make_file(
    pg: &Pg,
    id: UploadId,
    seq: N,
    blob: Option<crate::ids::BlobId>,
    file: &NewFile,
    synced: bool,
    now: u64,
) -> Result<(), Error> {
    describe(pg, seq, file).await?;
    let made = "UPDATE uploads
                SET state = 1, generation = NULL, reserved = size, patches = NULL, suspect = false, unsynced = $3,
                    changed_at = $2
                WHERE seq = $1 RETURNING user_id, role = 1 OR thumbnail IS NULL AS lacks_picture";
    let row: Row = query::one(pg, made, &[&seq, &N(now), &!synced]).await?;
    let (user, lacks_picture): (UserId, bool) = (row.try_get(0)?, row.try_get(1)?);
    extents::replace(pg, id, seq, blob, &file.extents).await?;
    if file.drawable && lacks_picture {
        jobs::add(pg, &NewJob::thumbnail(id, user)).await?;
    }
    Ok(())
}

/// Writes the columns that describe the File that an upload becomes.
async fn describe(pg: &Pg, seq: N, file: &NewFile) -> Result<(), Error> {
    let sql = "
        UPDATE uploads
        SET filename = CASE WHEN $13 THEN coalesce(filename, $2) ELSE $2 END, named = $3, media_type = $4,
            duration_secs = $5, width = $6, height = $7, size = $8, crc32 = $9, received_parts = $10, received_md5 = $11,
            embedded = $12
        WHERE seq = $1";
    let embedded = pack_embedded(file.embedded).and_then(|number| i16::try_from(number).ok());
    let md5 = file.received_md5.as_ref().map(<[u8; 16]>::as_slice);
    query::execute(
        pg,
        sql,
        &[
            &seq,
            &file.filename.as_str(),
            &file.named,
            &file.facts.media_type.as_str(),
            &file.facts.duration_secs.map(N),
            &file.facts.width.map(N::from),
            &file.facts.height.map(N::from),
            &N(file.size),
            &N::from(file.crc32),
            &pack(&file.received),
            &md5,
            &embedded,
            &file.made_up,
        ],
    )
    .await
    .map(drop)
}

pub(super) async fn store_single(
    pg: &Pg,
    new: &NewSingle,
    quota: Quota,
    synced: bool,
    now: u64,
) -> Result<Stored, Error> {
    if rows::is_used(pg, new.id).await? {
        return Ok(Stored::Exists);
    }
    let mut older = Vec::new();
    if let (Role::Thumbnail, Some(parent)) = (new.role, new.parent) {
        let media = locked::record(pg, parent).await?;
        let is_theirs =
            |media: &Locked| media.user == new.user && media.is_media && media.is_alive();
        match media.filter(is_theirs) {
            Some(media) if media.attached => return Ok(Stored::Attached),
            Some(_) => {}
            None => return Ok(Stored::NoParent),
        }
        // If no picture can be made of it, it replaces the shown thumbnail at once, too.
        let which = if new.file.drawable { Older::SentAndHidden } else { Older::Sent };
        older = pictures::older(pg, parent, new.id, which).await?;
    }
    let freed = older.iter().map(|thumbnail| thumbnail.reserved).sum();
    let usage = room::lock_usage(pg, &new.user).await?.usage.without(freed);
    let files = u64::from(new.role == Role::Media);
    if let Err(over) = quota.check(usage, new.file.size, files) {
        return Ok(Stored::Over(over));
    }
    let upload = new.upload();
    let Some(seq) = begin::insert(pg, &upload, new.role, now).await? else {
        return Ok(Stored::Exists); // another transaction has used the uuid meanwhile
    };
    pictures::replace(pg, &older, now).await?;
    make_file(pg, new.id, seq, upload.blob, &new.file, synced, now).await?;
    Ok(Stored::Stored)
}

pub(super) async fn name_file(pg: &Pg, id: UploadId, filename: &Filename) -> Result<bool, Error> {
    let sql = "UPDATE uploads SET filename = $2, named = true
               WHERE id = $1 AND NOT named AND NOT attached AND state = 1";
    if query::execute(pg, sql, &[&id, &filename.as_str()]).await? > 0 {
        return Ok(true);
    }
    let attached = "SELECT 1 FROM uploads WHERE id = $1 AND NOT named AND attached";
    Ok(!query::exists(pg, attached, &[&id]).await?)
}

/// Marks Files as shown. Locks the rows in the same order as every step that locks several: media before their
/// thumbnails.
pub(super) async fn attach(pg: &Pg, ids: &[UploadId]) -> Result<(), Error> {
    let sql = "UPDATE uploads SET attached = true WHERE id IN
                   (SELECT id FROM uploads WHERE id = ANY ($1) AND state = 1 AND NOT attached ORDER BY role, seq FOR UPDATE)";
    query::execute(pg, sql, &[&ids]).await.map(drop)
}
