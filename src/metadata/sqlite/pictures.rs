//! Steps around thumbnails: which pictures are to be made, and which one a media shows.

use rusqlite::{Connection, params};

use super::rows::{self, REPLACED};
use super::steps::{forget_bytes, insert};
use crate::ids::{BlobId, UploadId};
use crate::metadata::{NewPicture, NewUpload, Role, State, StoredFile};

pub(super) fn undrawn(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<UploadId>> {
    connection
        .prepare_cached(
            "SELECT id FROM uploads WHERE drawing_tries IS NOT NULL AND state = 1 ORDER BY seq LIMIT ?",
        )?
        .query_map([limit], |row| row.get(0))?
        .collect()
}

pub(super) fn begin_drawing(
    tx: &Connection,
    id: UploadId,
    max_tries: u32,
) -> rusqlite::Result<Option<StoredFile>> {
    let wanted = tx
        .prepare_cached(
            "UPDATE uploads SET drawing_tries = drawing_tries + 1
             WHERE id = ?1 AND state = 1 AND drawing_tries < ?2 AND (role = 1 OR thumbnail IS NULL)",
        )?
        .execute(params![id, max_tries])?;
    if wanted == 0 {
        draw_no_more(tx, id)?;
        return Ok(None);
    }
    Ok(rows::load(tx, id)?.and_then(|record| match record.state {
        State::Finished(file) => Some(*file),
        _ => None,
    }))
}

pub(super) fn give_back_drawing(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE uploads SET drawing_tries = drawing_tries - 1 WHERE id = ? AND drawing_tries > 0",
    )?
    .execute([id])?;
    Ok(())
}

pub(super) fn end_drawing(
    tx: &Connection,
    id: UploadId,
    picture: Option<&NewPicture>,
    synced: bool,
    now: u64,
) -> rusqlite::Result<Vec<BlobId>> {
    let wanted = draw_no_more(tx, id)?;
    let Some(picture) = picture else { return Ok(Vec::new()) };
    let of = rows::load(tx, id)?.map(|record| record.state);
    match (wanted, of) {
        (true, Some(State::Finished(file))) => match (file.role, file.parent) {
            (Role::Media, _) if file.thumbnail.is_none() => {
                add_thumbnail(tx, &file, picture, synced, now)?;
                Ok(Vec::new())
            }
            (Role::Thumbnail, Some(parent)) => {
                Ok(Vec::from_iter(set_picture(tx, id, picture, synced)?)
                    .into_iter()
                    .chain(show_thumbnail(tx, id, parent, now)?)
                    .collect())
            }
            _ => Ok(vec![picture.blob]),
        },
        _ => Ok(vec![picture.blob]),
    }
}

/// Whether a picture was to be made until now.
fn draw_no_more(tx: &Connection, id: UploadId) -> rusqlite::Result<bool> {
    let stopped = tx
        .prepare_cached(
            "UPDATE uploads SET drawing_tries = NULL WHERE id = ? AND drawing_tries IS NOT NULL",
        )?
        .execute([id])?;
    Ok(stopped > 0)
}

/// Makes a thumbnail of its own of the picture of a media.
fn add_thumbnail(
    tx: &Connection,
    of: &StoredFile,
    picture: &NewPicture,
    synced: bool,
    now: u64,
) -> rusqlite::Result<()> {
    let upload = NewUpload {
        id: picture.id,
        user: of.user,
        blob: picture.blob,
        total_parts: 1,
        reserved: 0,
        filename: None,
        declared_type: None,
        parent: Some(of.id),
    };
    insert(tx, &upload, Role::Thumbnail, now)?;
    tx.prepare_cached("UPDATE uploads SET state = 1 WHERE id = ?")?.execute([picture.id])?;
    set_picture(tx, picture.id, picture, synced)?;
    tx.prepare_cached("UPDATE uploads SET thumbnail = ?2 WHERE id = ?1")?
        .execute(params![of.id, picture.id])?;
    Ok(())
}

/// Puts a picture in the place of a thumbnail's bytes; gives the blob that it had, if another.
fn set_picture(
    tx: &Connection,
    id: UploadId,
    picture: &NewPicture,
    synced: bool,
) -> rusqlite::Result<Option<BlobId>> {
    let before: BlobId = tx
        .prepare_cached("SELECT blob FROM uploads WHERE id = ?")?
        .query_row([id], |row| row.get(0))?;
    tx.prepare_cached(
        "UPDATE uploads SET blob = ?2, size = ?3, crc32 = ?4, media_type = ?5, width = ?6, height = ?7,
                unsynced = ?8, filename = NULL, reserved = 0
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        picture.blob,
        picture.size,
        picture.crc32,
        picture.facts.media_type.as_str(),
        picture.facts.width,
        picture.facts.height,
        !synced,
    ])?;
    Ok((before != picture.blob).then_some(before))
}

/// Lets a media show this thumbnail that a client sent, instead of all older ones and those made here;
/// gives their bytes. A newer one that it shows already stays.
fn show_thumbnail(
    tx: &Connection,
    id: UploadId,
    parent: UploadId,
    now: u64,
) -> rusqlite::Result<Vec<BlobId>> {
    let newer_is_shown = tx
        .prepare_cached(
            "SELECT 1 FROM uploads shown JOIN uploads media ON media.thumbnail = shown.id
             WHERE media.id = ?2 AND shown.received IS NOT NULL
               AND shown.seq > (SELECT seq FROM uploads WHERE id = ?1)",
        )?
        .exists(params![id, parent])?;
    if newer_is_shown {
        return Ok(Vec::from_iter(forget_bytes(tx, id, REPLACED, now)?));
    }
    let older = tx
        .prepare_cached(
            "SELECT id FROM uploads WHERE parent = ?2 AND role = 1 AND state = 1 AND id <> ?1
               AND (received IS NULL OR seq < (SELECT seq FROM uploads WHERE id = ?1))",
        )?
        .query_map(params![id, parent], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<UploadId>>>()?;
    let mut forgotten = Vec::new();
    for older in older {
        forgotten.extend(forget_bytes(tx, older, REPLACED, now)?);
    }
    tx.prepare_cached("UPDATE uploads SET thumbnail = ?2 WHERE id = ?1")?
        .execute(params![parent, id])?;
    Ok(forgotten)
}
