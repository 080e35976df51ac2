//! Changing records: each function is one step within a transaction that the caller commits.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::pictures::{self, Older};
use super::room;
use super::rows::{self, EXPIRED, FINISHED, RECEIVING, REMOVED, pack, pack_embedded, pack_patches};
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::quota::Quota;
use crate::metadata::{
    Begun, Caps, Finalizing, Forgotten, LinkKey, NewFile, NewPart, NewSingle, NewUpload, Recorded,
    Removed, Role, Stored,
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
    if let Err(over) = caps.quota.check(room::usage(tx, new.user)?, new.reserved, 1) {
        return Ok(Begun::Over(over));
    }
    let unfinished: u32 = tx
        .prepare_cached("SELECT count(*) FROM uploads WHERE user_id = ? AND state = 0")?
        .query_row([new.user.0], |row| row.get(0))?;
    let mut evicted = None;
    if unfinished >= caps.max_unfinished {
        let idle: Option<UploadId> = tx
            .prepare_cached(&format!(
                "SELECT id FROM uploads u WHERE user_id = :user AND {IDLE}
                 ORDER BY created_at LIMIT 1"
            ))?
            .query_row(named_params! {":user": new.user.0, ":idle_since": caps.idle_since}, |row| {
                row.get(0)
            })
            .optional()?;
        let Some(id) = idle else {
            return Ok(Begun::TooMany);
        };
        evicted = Some((id, forget_with_thumbnails(tx, id, EXPIRED, now)?.blobs));
    }
    insert(tx, new, Role::Media, now)?;
    Ok(Begun::Begun { evicted })
}

pub(super) fn insert(
    tx: &Connection,
    new: &NewUpload,
    role: Role,
    now: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO uploads (id, user_id, state, role, blob, parent, total_parts, reserved, filename,
                              declared_type, created_at, changed_at)
         VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
    )?
    .execute(params![
        new.id,
        new.user.0,
        i64::from(role == Role::Thumbnail),
        new.blob,
        new.parent,
        new.total_parts,
        new.reserved,
        new.filename.as_ref().map(Filename::as_str),
        new.declared_type,
        now,
    ])?;
    Ok(())
}

/// An unfinished upload in which nothing was stored since `:idle_since`, and which is not about to be a File.
const IDLE: &str = "u.state = 0 AND u.patches IS NULL AND u.created_at < :idle_since AND NOT EXISTS
    (SELECT 1 FROM parts p WHERE p.upload = u.seq AND p.stored_at >= :idle_since)";

pub(super) fn record_part(
    tx: &Connection,
    id: UploadId,
    new: &NewPart,
    now: u64,
) -> rusqlite::Result<Recorded> {
    // Of one row, not of a SELECT: that would take a journal of its own. No upload: a NULL, which is ignored.
    let inserted = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO parts (upload, idx, offset, size, crc32, stored_at)
             VALUES ((SELECT seq FROM uploads
                      WHERE id = ?1 AND state = 0 AND total_parts > ?2
                        AND (even_size IS NULL OR even_size = ?4 OR ?2 = total_parts - 1)
                        AND (total_size IS NULL OR ?3 + ?4 <= total_size)),
                     ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, new.index, new.part.offset, new.part.size, new.part.crc32, now])?;
    if inserted == 0 {
        return Ok(Recorded::Refused);
    }
    if new.total_size.is_none() && new.even_size.is_none() {
        return Ok(Recorded::Stored);
    }
    // What this part says of the whole stands only beside what earlier ones said and are.
    let agrees = tx
        .prepare_cached(
            "UPDATE uploads SET total_size = coalesce(?2, total_size), even_size = coalesce(?3, even_size)
             WHERE id = ?1 AND coalesce(total_size = ?2, 1) AND coalesce(even_size = ?3, 1)
               AND NOT EXISTS (SELECT 1 FROM parts WHERE upload = uploads.seq
                   AND (offset + size > ?2 OR (size <> ?3 AND idx < uploads.total_parts - 1)))",
        )?
        .execute(params![id, new.total_size, new.even_size])?;
    if agrees == 1 {
        return Ok(Recorded::Stored);
    }
    tx.prepare_cached(
        "DELETE FROM parts WHERE idx = ?2 AND upload = (SELECT seq FROM uploads WHERE id = ?1)",
    )?
    .execute(params![id, new.index])?;
    Ok(Recorded::Refused)
}

pub(super) fn finish_upload(
    tx: &Connection,
    id: UploadId,
    file: &NewFile,
    synced: bool,
    now: u64,
) -> rusqlite::Result<bool> {
    if !describe(tx, id, file)? {
        return Ok(false);
    }
    tx.prepare_cached(
        "UPDATE uploads SET state = 1, reserved = size, patches = NULL, suspect = 0, unsynced = ?3, changed_at = ?2
         WHERE id = ?1",
    )?
    .execute(params![id, now, !synced])?;
    drop_parts(tx, id)?;
    Ok(true)
}

pub(super) fn finalize_upload(
    tx: &Connection,
    id: UploadId,
    finalizing: &Finalizing,
) -> rusqlite::Result<bool> {
    if !describe(tx, id, &finalizing.file)? {
        return Ok(false);
    }
    tx.prepare_cached("UPDATE uploads SET patches = ?2 WHERE id = ?1")?
        .execute(params![id, pack_patches(&finalizing.patches)])?;
    Ok(true)
}

/// Writes down what an upload becomes; `false` when it isn't receiving.
fn describe(tx: &Connection, id: UploadId, file: &NewFile) -> rusqlite::Result<bool> {
    let described = tx
        .prepare_cached(
            "UPDATE uploads SET filename = ?2, named = ?3, media_type = ?4, duration_secs = ?5, width = ?6,
                    height = ?7, size = ?8, crc32 = ?9, received = ?10, received_md5 = ?11,
                    drawing_tries = ?12, embedded = ?13
             WHERE id = ?1 AND state = 0",
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
            file.drawable.then_some(0),
            pack_embedded(file.embedded),
        ])?;
    Ok(described > 0)
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
        match pictures::is_attached(tx, parent, new.user)? {
            Some(false) => {}
            Some(true) => return Ok(Stored::Attached),
            None => return Ok(Stored::NoParent),
        }
        // Without a picture in sight it takes the place of the shown one, too.
        let which = if new.file.drawable { Older::SentAndHidden } else { Older::Sent };
        older = pictures::older(tx, parent, new.id, which)?;
    }
    let freed = older.iter().map(|thumbnail| thumbnail.counted).sum();
    let usage = room::usage(tx, new.user)?.without(freed);
    let files = u64::from(new.role == Role::Media);
    if let Err(over) = quota.check(usage, new.file.size, files) {
        return Ok(Stored::Over(over));
    }
    let replaced = pictures::replace(tx, &older, now)?;
    let upload = NewUpload {
        id: new.id,
        user: new.user,
        blob: new.blob,
        total_parts: 1,
        reserved: new.file.size,
        filename: None,
        declared_type: new.declared_type.clone(),
        parent: new.parent,
    };
    insert(tx, &upload, new.role, now)?;
    finish_upload(tx, new.id, &new.file, synced, now)?;
    Ok(Stored::Stored { replaced })
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
        "UPDATE uploads SET filename = ?2, named = (state = 1)
         WHERE id = ?1 AND named = 0 AND (state = 1 OR (state = 0 AND filename IS NULL))",
    )?
    .execute(params![id, filename.as_str()])?;
    Ok(true)
}

pub(super) fn remove(
    tx: &Connection,
    id: UploadId,
    even_attached: bool,
    now: u64,
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
    let WithThumbnails { blobs, thumbnail_bytes } = forget_with_thumbnails(tx, id, REMOVED, now)?;
    Ok(Removed::Removed { blobs, thumbnail_bytes })
}

/// The bytes to delete of an upload and its thumbnails.
struct WithThumbnails {
    blobs: Vec<BlobId>,
    /// What of the thumbnails counted against the quota.
    thumbnail_bytes: u64,
}

/// Forgets an upload and its thumbnails; a thumbnail is also taken from its parent.
fn forget_with_thumbnails(
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
        blobs: forgotten.iter().filter_map(|bytes| bytes.blob).collect(),
        thumbnail_bytes: forgotten.iter().map(|bytes| bytes.of_thumbnail).sum(),
    })
}

pub(super) fn restart_upload(
    tx: &Connection,
    id: UploadId,
    blob: BlobId,
) -> rusqlite::Result<Option<BlobId>> {
    let before: Option<BlobId> = tx
        .prepare_cached("SELECT blob FROM uploads WHERE id = ? AND state = 0")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if before.is_some() {
        drop_parts(tx, id)?;
        tx.prepare_cached(
            "UPDATE uploads SET blob = ?2, even_size = NULL, named = 0, media_type = NULL, received = NULL,
                    received_md5 = NULL, patches = NULL, drawing_tries = NULL, suspect = 0
             WHERE id = ?1",
        )?
        .execute(params![id, blob])?;
    }
    Ok(before)
}

pub(super) fn forget_user(
    tx: &Connection,
    user: UserId,
    tombstones: &[UploadId],
) -> rusqlite::Result<()> {
    // An expired one may have begun anew since it was found.
    let mut keep = tx.prepare_cached(
        "INSERT OR IGNORE INTO erased (id)
         SELECT id FROM uploads WHERE id = ? AND user_id = ? AND state NOT IN (0, 1)",
    )?;
    let mut forget = tx.prepare_cached(
        "DELETE FROM uploads WHERE id = ? AND user_id = ? AND state NOT IN (0, 1)",
    )?;
    for id in tombstones {
        keep.execute(params![id, user.0])?;
        forget.execute(params![id, user.0])?;
    }
    tx.prepare_cached("DELETE FROM usage WHERE user_id = ? AND bytes = 0 AND files = 0")?
        .execute([user.0])?;
    Ok(())
}

pub(super) fn forget_expired(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM uploads WHERE id = ? AND state = 3")?.execute([id])?;
    Ok(())
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

pub(super) fn expire(
    tx: &Connection,
    found: &[UploadId],
    idle_since: u64,
    now: u64,
) -> rusqlite::Result<Vec<Forgotten>> {
    // Looked at again: a chunk may have come in since they were found.
    let mut still_idle =
        tx.prepare_cached(&format!("SELECT 1 FROM uploads u WHERE u.id = :id AND {IDLE}"))?;
    let mut expired = Vec::new();
    for id in found {
        if still_idle.exists(named_params! {":id": id, ":idle_since": idle_since})? {
            expired.push((*id, forget_with_thumbnails(tx, *id, EXPIRED, now)?.blobs));
        }
    }
    Ok(expired)
}

pub(super) fn store_id(tx: &Connection, fresh: BlobId) -> rusqlite::Result<BlobId> {
    tx.execute("INSERT INTO store (id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM store)", [fresh])?;
    tx.query_row("SELECT id FROM store", (), |row| row.get(0))
}

pub(super) fn begin_boot(tx: &Connection, boot: &str) -> rusqlite::Result<()> {
    let changed = tx.execute("UPDATE store SET boot = ?1 WHERE boot IS NOT ?1", [boot])?;
    if changed > 0 {
        tx.execute("UPDATE uploads SET suspect = 1 WHERE state = 0 OR unsynced = 1", ())?;
    }
    Ok(())
}

pub(super) fn doubt(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE uploads SET suspect = 1 WHERE id = ? AND state = 0")?
        .execute([id])?;
    Ok(())
}

pub(super) fn believe(
    tx: &Connection,
    id: UploadId,
    lost: &[(PartIndex, Part)],
) -> rusqlite::Result<()> {
    let suspect = tx
        .prepare_cached(
            "UPDATE uploads SET suspect = 0, unsynced = 0 WHERE id = ? AND suspect = 1",
        )?
        .execute([id])?;
    if suspect == 0 {
        return Ok(());
    }
    let mut forget = tx.prepare_cached(
        "DELETE FROM parts WHERE upload = (SELECT seq FROM uploads WHERE id = ?) AND idx = ?
           AND offset = ? AND crc32 = ?",
    )?;
    for (index, part) in lost {
        forget.execute(params![id, index, part.offset, part.crc32])?;
    }
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
    // Dirties nothing, but needs the lock and the file as every writer does.
    tx.prepare_cached("UPDATE link_keys SET created_at = created_at WHERE 0")?.execute(())?;
    Ok(())
}

/// Bytes that a record forgot.
#[derive(Default)]
pub(super) struct ForgottenBytes {
    /// Where they are, to be deleted now.
    pub(super) blob: Option<BlobId>,
    /// How many a thumbnail took of its user's quota.
    of_thumbnail: u64,
}

/// Turns a record into the tombstone `state`: without bytes, and whatever was known of them.
pub(super) fn forget_bytes(
    tx: &Connection,
    id: UploadId,
    state: i64,
    now: u64,
) -> rusqlite::Result<ForgottenBytes> {
    drop_parts(tx, id)?;
    let forgotten = tx
        .prepare_cached("SELECT blob, reserved * (role = 1) FROM uploads WHERE id = ?")?
        .query_row([id], |row| Ok(ForgottenBytes { blob: row.get(0)?, of_thumbnail: row.get(1)? }))
        .optional()?;
    tx.prepare_cached(
        "UPDATE uploads SET state = ?2, changed_at = ?3, blob = NULL, thumbnail = NULL, filename = NULL,
                declared_type = NULL, media_type = NULL, received = NULL, received_md5 = NULL, crc32 = NULL,
                total_size = NULL, even_size = NULL, size = NULL, duration_secs = NULL, width = NULL, height = NULL,
                patches = NULL, drawing_tries = NULL, suspect = 0, unsynced = 0, reserved = 0
         WHERE id = ?1",
    )?
    .execute(params![id, state, now])?;
    Ok(forgotten.unwrap_or_default())
}

fn drop_parts(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM parts WHERE upload = (SELECT seq FROM uploads WHERE id = ?)")?
        .execute([id])?;
    Ok(())
}
