//! Changes records. Each function is one step within a transaction that the caller commits.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::extents;
use super::forget::{IDLE, forget_with_thumbnails};
use super::insert::insert;
use super::jobs;
use super::join;
use super::parts;
use super::pictures::{self, Older};
use super::room;
use super::rows;
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, UploadId};
use crate::metadata::jobs::{Job, JobKind, NewJob, PERIODIC};
use crate::metadata::packed::{EXPIRED, pack, pack_embedded, pack_patches};
use crate::metadata::quota::Quota;
use crate::metadata::{
    Begun, Caps, Finalizing, Generation, LinkKey, NewFile, NewPart, NewSingle, NewUpload, Recorded,
    Role, Snapshot, Stored,
};
use crate::part::{Part, PartIndex};

pub(super) fn begin_upload(
    tx: &Connection,
    new: &NewUpload,
    caps: Caps,
    now: u64,
) -> rusqlite::Result<Begun> {
    if rows::is_used(tx, new.id)? {
        return Ok(Begun::Exists);
    }
    let files = u64::from(!new.is_partial());
    if let Err(over) = caps.quota.check(room::usage(tx, &new.user)?, new.reserved, files) {
        return Ok(Begun::Over(over));
    }
    let unfinished: u32 = tx
        .prepare_cached("SELECT count(*) FROM uploads WHERE user_id = ? AND state = 0")?
        .query_row([&new.user], |row| row.get(0))?;
    let mut evicted = None;
    if unfinished >= caps.max_unfinished {
        let idle: Option<UploadId> = tx
            .prepare_cached(&format!(
                "SELECT id FROM uploads u WHERE user_id = :user AND {IDLE}
                 ORDER BY created_at LIMIT 1"
            ))?
            .query_row(named_params! {":user": new.user, ":idle_since": caps.idle_since}, |row| {
                row.get(0)
            })
            .optional()?;
        let Some(id) = idle else {
            return Ok(Begun::TooMany);
        };
        forget_with_thumbnails(tx, id, EXPIRED, now)?;
        evicted = Some(id);
    }
    insert(tx, new, Role::Media, now)?;
    Ok(Begun::Begun { evicted })
}

pub(super) fn record_part(
    tx: &Connection,
    of: Generation,
    new: &NewPart,
    now: u64,
) -> rusqlite::Result<Recorded> {
    // Inserts a row of values, not of a SELECT, which would need a statement journal. Without the upload its number is
    // NULL, and the row is ignored. Only its two neighbours can overlap with the part, because offsets ascend with
    // indexes.
    let inserted = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO parts (upload, idx, offset, size, crc32, stored_at)
             VALUES ((SELECT seq FROM uploads
                      WHERE id = ?1 AND generation = ?7 AND state = 0 AND append = 0 AND total_parts > ?2
                        AND (even_size IS NULL OR even_size = ?4 OR ?2 = total_parts - 1)
                        AND (total_size IS NULL OR ?3 + ?4 <= total_size)
                        AND coalesce((SELECT offset + size FROM parts
                                      WHERE upload = seq AND idx < ?2 ORDER BY idx DESC LIMIT 1) <= ?3, 1)
                        AND coalesce((SELECT offset FROM parts
                                      WHERE upload = seq AND idx > ?2 ORDER BY idx LIMIT 1) >= ?3 + ?4, 1)),
                     ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            of.upload,
            new.index,
            new.part.offset,
            new.part.size,
            new.part.crc32,
            now,
            of.id
        ])?;
    if inserted == 0 || !record_totals(tx, of.upload, new)? {
        return Ok(Recorded::Refused);
    }
    if let Some(extents) = &new.extents {
        extents::add(tx, of.upload, new.part.offset, extents)?;
    }
    Ok(Recorded::Stored)
}

/// Records what a new part declares about the whole file. If that contradicts earlier parts, deletes the part and
/// returns `false`.
fn record_totals(tx: &Connection, id: UploadId, new: &NewPart) -> rusqlite::Result<bool> {
    if new.total_size.is_none() && new.even_size.is_none() {
        return Ok(true);
    }
    // The declaration is recorded only if it agrees with all earlier declarations and parts.
    let agrees = tx
        .prepare_cached(
            "UPDATE uploads SET total_size = coalesce(?2, total_size), even_size = coalesce(?3, even_size)
             WHERE id = ?1 AND coalesce(total_size = ?2, 1) AND coalesce(even_size = ?3, 1)
               AND NOT EXISTS (SELECT 1 FROM parts WHERE upload = uploads.seq
                   AND (offset + size > ?2 OR (size <> ?3 AND idx < uploads.total_parts - 1)))",
        )?
        .execute(params![id, new.total_size, new.even_size])?;
    if agrees == 1 {
        return Ok(true);
    }
    tx.prepare_cached(
        "DELETE FROM parts WHERE idx = ?2 AND upload = (SELECT seq FROM uploads WHERE id = ?1)",
    )?
    .execute(params![id, new.index])?;
    Ok(false)
}

pub(super) fn finish_upload(
    tx: &Connection,
    of: Snapshot,
    file: &NewFile,
    synced: bool,
    now: u64,
) -> rusqlite::Result<bool> {
    if !can_finish(tx, of, &file.received)? {
        return Ok(false);
    }
    let id = of.generation.upload;
    make_file(tx, id, file, synced, now)?;
    join::add_packing(tx, id, &file.extents)?;
    parts::forget(tx, id)?;
    jobs::forget(tx, JobKind::Finish, id.to_bytes(), None)?;
    Ok(true)
}

pub(super) fn finalize_upload(
    tx: &Connection,
    of: Snapshot,
    finalizing: &Finalizing,
    leased_until: u64,
) -> rusqlite::Result<Option<(Job, Snapshot)>> {
    if !can_finish(tx, of, &finalizing.file.received)? {
        return Ok(None);
    }
    let id = of.generation.upload;
    let epoch: Option<u32> = tx
        .prepare_cached(
            "UPDATE uploads SET patches = ?2, epoch = epoch + 1 WHERE id = ?1 AND patches IS NULL
             RETURNING epoch",
        )?
        .query_row(params![id, pack_patches(&finalizing.patches)], |row| row.get(0))
        .optional()?;
    let Some(epoch) = epoch else {
        return Ok(None);
    };
    describe(tx, id, &finalizing.file)?;
    jobs::forget(tx, JobKind::Finish, id.to_bytes(), None)?; // if bytes arrived in order, there is one already
    jobs::add(tx, &NewJob::at_once(JobKind::Finish, id.to_bytes()))?;
    let job = jobs::lease(tx, JobKind::Finish, id.to_bytes(), leased_until)?;
    Ok(job.map(|job| (job, Snapshot { epoch, ..of })))
}

/// Whether an upload still matches the snapshot from which a File is to be made, and has exactly these parts. Refuses a
/// suspect upload, unless its bytes are being overwritten: then whoever finishes it compares the whole file.
fn can_finish(tx: &Connection, of: Snapshot, received: &[Part]) -> rusqlite::Result<bool> {
    let (count, size) = (received.len(), received.iter().map(|part| part.size).sum::<u64>());
    tx.prepare_cached(
        "SELECT 1 FROM uploads
         WHERE id = ?1 AND generation = ?2 AND state = 0 AND epoch = ?3 AND (suspect = 0 OR patches IS NOT NULL)
           AND (append = 1 OR total_parts = ?4)
           AND (SELECT count(*) = ?4 AND sum(size) = ?5 FROM parts WHERE upload = uploads.seq)",
    )?
    .exists(params![of.generation.upload, of.generation.id, of.epoch, count, size])
}

/// Turns a row into a File. Adds the job that makes its thumbnail, if one can be made.
fn make_file(
    tx: &Connection,
    id: UploadId,
    file: &NewFile,
    synced: bool,
    now: u64,
) -> rusqlite::Result<()> {
    describe(tx, id, file)?;
    let (user, lacks_picture) = tx
        .prepare_cached(
            "UPDATE uploads SET state = 1, generation = NULL, reserved = size, patches = NULL, suspect = 0, unsynced = ?3,
                    changed_at = ?2
             WHERE id = ?1 RETURNING user_id, role = 1 OR thumbnail IS NULL",
        )?
        .query_row(params![id, now, !synced], |row| Ok((row.get(0)?, row.get(1)?)))?;
    extents::replace(tx, id, &file.extents)?;
    if file.drawable && lacks_picture {
        jobs::add(tx, &NewJob::thumbnail(id, user))?;
    }
    Ok(())
}

/// Writes the columns that describe the File that an upload becomes.
fn describe(tx: &Connection, id: UploadId, file: &NewFile) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE uploads SET filename = CASE WHEN ?13 THEN coalesce(filename, ?2) ELSE ?2 END,
                named = ?3, media_type = ?4, duration_secs = ?5, width = ?6,
                height = ?7, size = ?8, crc32 = ?9, received = ?10, received_md5 = ?11, embedded = ?12
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        file.filename.as_str(),
        file.named,
        file.facts.media_type.as_str(),
        file.facts.duration_secs,
        file.facts.width,
        file.facts.height,
        file.size,
        file.crc32,
        pack(&file.received),
        file.received_md5,
        pack_embedded(file.embedded),
        file.made_up,
    ])?;
    Ok(())
}

pub(super) fn store_single(
    tx: &Connection,
    new: &NewSingle,
    quota: Quota,
    synced: bool,
    now: u64,
) -> rusqlite::Result<Stored> {
    if rows::is_used(tx, new.id)? {
        return Ok(Stored::Exists);
    }
    let mut older = Vec::new();
    if let (Role::Thumbnail, Some(parent)) = (new.role, new.parent) {
        match pictures::is_attached(tx, parent, &new.user)? {
            Some(false) => {}
            Some(true) => return Ok(Stored::Attached),
            None => return Ok(Stored::NoParent),
        }
        // If no picture can be made of it, it replaces the shown thumbnail at once, too.
        let which = if new.file.drawable { Older::SentAndHidden } else { Older::Sent };
        older = pictures::older(tx, parent, new.id, which)?;
    }
    let freed = older.iter().map(|thumbnail| thumbnail.counted).sum();
    let usage = room::usage(tx, &new.user)?.without(freed);
    let files = u64::from(new.role == Role::Media);
    if let Err(over) = quota.check(usage, new.file.size, files) {
        return Ok(Stored::Over(over));
    }
    pictures::replace(tx, &older, now)?;
    let upload = new.upload();
    insert(tx, &upload, new.role, now)?;
    make_file(tx, new.id, &new.file, synced, now)?;
    Ok(Stored::Stored)
}

pub(super) fn name_upload(
    tx: &Connection,
    of: Generation,
    filename: &Filename,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE uploads SET filename = ?3 WHERE id = ?1 AND generation = ?2 AND state = 0 AND filename IS NULL",
    )?
    .execute(params![of.upload, of.id, filename.as_str()])?;
    Ok(())
}

pub(super) fn name_file(
    tx: &Connection,
    id: UploadId,
    filename: &Filename,
) -> rusqlite::Result<bool> {
    let attached = "SELECT 1 FROM uploads WHERE id = ? AND named = 0 AND attached = 1";
    if tx.prepare_cached(attached)?.exists([id])? {
        return Ok(false);
    }
    tx.prepare_cached(
        "UPDATE uploads SET filename = ?2, named = 1 WHERE id = ?1 AND named = 0 AND state = 1",
    )?
    .execute(params![id, filename.as_str()])?;
    Ok(true)
}

pub(super) fn restart_upload(
    tx: &Connection,
    of: Generation,
    next: GenerationId,
    blob: Option<BlobId>,
) -> rusqlite::Result<bool> {
    let is_of = "SELECT 1 FROM uploads WHERE id = ? AND generation = ? AND state = 0";
    if !tx.prepare_cached(is_of)?.exists(params![of.upload, of.id])? {
        return Ok(false);
    }
    let before = extents::forget(tx, of.upload)?;
    extents::delete(tx, &before, of.upload)?;
    parts::forget_all(tx, of.upload)?;
    // No client can send the bytes of a joined upload again: the job that finishes it removes it.
    let is_joined = "SELECT 1 FROM uploads WHERE id = ? AND partials IS NOT NULL";
    if !tx.prepare_cached(is_joined)?.exists([of.upload])? {
        jobs::forget(tx, JobKind::Finish, of.upload.to_bytes(), None)?;
    }
    tx.prepare_cached(
        "UPDATE uploads SET generation = ?2, blob = ?3, epoch = epoch + 1, even_size = NULL, named = 0, media_type = NULL, received = NULL,
                received_md5 = NULL, patches = NULL, suspect = 0
         WHERE id = ?1",
    )?
    .execute(params![of.upload, next, blob])?;
    Ok(true)
}

pub(super) fn attach(tx: &Connection, ids: &[UploadId]) -> rusqlite::Result<()> {
    let mut attach = tx.prepare_cached(
        "UPDATE uploads SET attached = 1 WHERE state = 1 AND attached = 0 AND id = ?",
    )?;
    for id in ids {
        attach.execute([id])?;
    }
    Ok(())
}

pub(super) fn store_id(tx: &Connection, fresh: BlobId) -> rusqlite::Result<BlobId> {
    tx.execute("INSERT INTO store (id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM store)", [fresh])?;
    tx.query_row("SELECT id FROM store", (), |row| row.get(0))
}

pub(super) fn begin_boot(tx: &Connection, boot: &str) -> rusqlite::Result<()> {
    let changed = tx.execute("UPDATE store SET boot = ?1 WHERE boot IS NOT ?1", [boot])?;
    if changed > 0 {
        tx.execute("UPDATE uploads SET suspect = 1 WHERE state = 0 OR unsynced = 1", ())?;
        jobs::add(tx, &NewJob::at_once(JobKind::Compare, PERIODIC))?;
    }
    Ok(())
}

pub(super) fn doubt(tx: &Connection, of: Generation) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE uploads SET suspect = 1 WHERE id = ? AND generation = ? AND state = 0",
    )?
    .execute(params![of.upload, of.id])?;
    jobs::add(tx, &NewJob::at_once(JobKind::Compare, PERIODIC))
}

pub(super) fn believe_upload(
    tx: &Connection,
    of: Generation,
    lost: &[(PartIndex, Part)],
) -> rusqlite::Result<()> {
    let suspect: Option<(i64, bool)> = tx
        .prepare_cached(
            "UPDATE uploads SET suspect = 0 WHERE id = ? AND generation = ? AND state = 0 AND suspect = 1
             RETURNING seq, patches IS NOT NULL",
        )?
        .query_row(params![of.upload, of.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, false)) = suspect else {
        return Ok(());
    };
    let mut forget = tx.prepare_cached(
        "DELETE FROM parts WHERE upload = ? AND idx = ? AND offset = ? AND crc32 = ?",
    )?;
    let mut blobs = Vec::new();
    for (index, part) in lost {
        if forget.execute(params![seq, index, part.offset, part.crc32])? > 0 {
            blobs.extend(extents::take(tx, seq, part.range())?);
        }
    }
    extents::delete(tx, &blobs, of.upload)?;
    if !lost.is_empty() {
        tx.prepare_cached("UPDATE uploads SET epoch = epoch + 1 WHERE seq = ?")?.execute([seq])?;
    }
    Ok(())
}

pub(super) fn believe_file(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE uploads SET suspect = 0, unsynced = 0 WHERE id = ? AND state <> 0 AND suspect = 1",
    )?
    .execute([id])?;
    Ok(())
}

pub(super) fn link_keys(
    tx: &Connection,
    first: [u8; 32],
    now: u64,
) -> rusqlite::Result<Vec<LinkKey>> {
    let read = |tx: &Connection| {
        tx.prepare_cached(
            "SELECT id, secret, accepted_until FROM link_keys
             WHERE coalesce(accepted_until > ?, 1) ORDER BY id DESC",
        )?
        .query_map([now], |row| {
            let (id, secret, accepted_until) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(LinkKey { id, secret, accepted_until })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()
    };
    let keys = read(tx)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    tx.execute("INSERT INTO link_keys (secret, created_at) VALUES (?, ?)", params![first, now])?;
    read(tx)
}

pub(super) fn rotate_link_key(
    tx: &Connection,
    new: [u8; 32],
    accept_old_until: u64,
    now: u64,
) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM link_keys WHERE accepted_until <= ?", [now])?;
    tx.execute(
        "UPDATE link_keys SET accepted_until = min(coalesce(accepted_until, ?1), ?1)",
        [accept_old_until],
    )?;
    tx.execute("INSERT INTO link_keys (secret, created_at) VALUES (?, ?)", params![new, now])?;
    Ok(())
}

pub(super) fn check(tx: &Connection) -> rusqlite::Result<()> {
    // Changes nothing, but takes the lock and opens the file like any writer.
    tx.prepare_cached("UPDATE link_keys SET created_at = created_at WHERE 0")?.execute(())?;
    Ok(())
}
