//! Steps of thumbnails: which ones are to be made, and which one a media shows.

use rusqlite::{Connection, OptionalExtension, params};

use super::extents;
use super::forget::forget_bytes;
use super::insert::insert;
use super::jobs;
use super::rows;
use crate::ids::{BlobId, LeaseId, UploadId, UserId};
use crate::media::privacy::EmbeddedMetadata;
use crate::metadata::jobs::JobKind;
use crate::metadata::packed::{REPLACED, pack_embedded};
use crate::metadata::{NewPicture, Role, State, StoredFile};

pub(super) fn end_drawing(
    tx: &Connection,
    id: UploadId,
    lease: LeaseId,
    picture: Option<&NewPicture>,
    synced: bool,
    now: u64,
) -> rusqlite::Result<bool> {
    if !jobs::forget(tx, JobKind::Thumbnail, id.to_bytes(), Some(lease))? {
        delete_picture(tx, picture)?;
        return Ok(false);
    }
    let Some(State::Finished(file)) = rows::load(tx, id)?.map(|record| record.state) else {
        delete_picture(tx, picture)?;
        return Ok(true);
    };
    match (file.role, file.parent, picture) {
        (Role::Thumbnail, Some(parent), _) => finish_sent(tx, id, parent, picture, synced, now)?,
        (Role::Media, _, Some(picture)) if file.thumbnail.is_none() => {
            add_thumbnail(tx, &file, picture, synced, now)?;
        }
        _ => delete_picture(tx, picture)?,
    }
    Ok(true)
}

/// Replaces older thumbnails with one that a client sent. If a picture was made of it, the media shows the picture
/// instead of any earlier thumbnail. Otherwise only thumbnails that were sent before it are replaced. If a message
/// shows the media with a thumbnail, that stays, and the sent one is removed.
fn finish_sent(
    tx: &Connection,
    id: UploadId,
    parent: UploadId,
    picture: Option<&NewPicture>,
    synced: bool,
    now: u64,
) -> rusqlite::Result<()> {
    let frozen = tx
        .prepare_cached(
            "SELECT 1 FROM uploads WHERE id = ? AND attached = 1 AND thumbnail IS NOT NULL",
        )?
        .exists([parent])?;
    if frozen {
        forget_bytes(tx, id, REPLACED, now)?;
        return delete_picture(tx, picture);
    }
    let Some(picture) = picture else {
        return replace(tx, &older(tx, parent, id, Older::Sent)?, now);
    };
    set_picture(tx, id, picture, synced)?;
    replace(tx, &older(tx, parent, id, Older::All)?, now)?;
    tx.prepare_cached("UPDATE uploads SET thumbnail = ?2 WHERE id = ?1")?
        .execute(params![parent, id])?;
    Ok(())
}

fn delete_picture(tx: &Connection, picture: Option<&NewPicture>) -> rusqlite::Result<()> {
    let Some(picture) = picture else { return Ok(()) };
    let blobs: Vec<BlobId> = picture.extents.blobs().into_iter().map(|(blob, _)| blob).collect();
    extents::delete(tx, &blobs, picture.id)
}

/// Records a picture that was made of a media as the media's thumbnail.
fn add_thumbnail(
    tx: &Connection,
    of: &StoredFile,
    picture: &NewPicture,
    synced: bool,
    now: u64,
) -> rusqlite::Result<()> {
    let upload = picture.upload(of.user.clone(), of.id);
    insert(tx, &upload, Role::Thumbnail, now)?;
    tx.prepare_cached("UPDATE uploads SET state = 1, generation = NULL WHERE id = ?")?
        .execute([picture.id])?;
    set_picture(tx, picture.id, picture, synced)?;
    tx.prepare_cached("UPDATE uploads SET thumbnail = ?2 WHERE id = ?1")?
        .execute(params![of.id, picture.id])?;
    Ok(())
}

/// Replaces the bytes of a thumbnail with a picture.
fn set_picture(
    tx: &Connection,
    id: UploadId,
    picture: &NewPicture,
    synced: bool,
) -> rusqlite::Result<()> {
    extents::replace(tx, id, &picture.extents)?;
    tx.prepare_cached(
        "UPDATE uploads SET size = ?2, crc32 = ?3, media_type = ?4, width = ?5, height = ?6,
                unsynced = ?7, embedded = ?8, filename = NULL, reserved = 0
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        picture.size,
        picture.crc32,
        picture.facts.media_type.as_str(),
        picture.facts.width,
        picture.facts.height,
        !synced,
        pack_embedded(EmbeddedMetadata::None), // the picture was encoded by the server
    ])?;
    Ok(())
}

/// Whether a message shows this media of the user. Returns `None` if there is no such media.
pub(super) fn is_attached(
    tx: &Connection,
    media: UploadId,
    user: &UserId,
) -> rusqlite::Result<Option<bool>> {
    tx.prepare_cached(
        "SELECT attached FROM uploads WHERE id = ? AND user_id = ? AND role = 0 AND state IN (0, 1)",
    )?
    .query_row(params![media, user], |row| row.get(0))
    .optional()
}

/// Which thumbnails a new one replaces.
#[derive(Clone, Copy, Debug)]
pub(super) enum Older {
    /// Those that a client sent, except the one that the media shows.
    SentAndHidden,
    /// Those that a client sent.
    Sent,
    /// All, also those that the server made.
    All,
}

/// A thumbnail to be replaced.
pub(super) struct OldThumbnail {
    id: UploadId,
    parent: UploadId,
    /// Bytes that count against the user's quota.
    pub(super) counted: u64,
}

/// Returns the thumbnails of a media that `id` replaces.
pub(super) fn older(
    tx: &Connection,
    parent: UploadId,
    id: UploadId,
    which: Older,
) -> rusqlite::Result<Vec<OldThumbnail>> {
    let which = match which {
        Older::SentAndHidden => {
            "received IS NOT NULL AND id IS NOT (SELECT thumbnail FROM uploads WHERE id = ?1)"
        }
        Older::Sent => "received IS NOT NULL",
        Older::All => "1",
    };
    let sql = format!(
        "SELECT id, reserved FROM uploads
         WHERE parent = ?1 AND role = 1 AND state = 1 AND id <> ?2 AND {which}"
    );
    tx.prepare_cached(&sql)?
        .query_map(params![parent, id], |row| {
            Ok(OldThumbnail { id: row.get(0)?, parent, counted: row.get(1)? })
        })?
        .collect()
}

/// Marks these thumbnails as replaced, and removes them from their media.
pub(super) fn replace(
    tx: &Connection,
    thumbnails: &[OldThumbnail],
    now: u64,
) -> rusqlite::Result<()> {
    for OldThumbnail { id, parent, .. } in thumbnails {
        forget_bytes(tx, *id, REPLACED, now)?;
        tx.prepare_cached("UPDATE uploads SET thumbnail = NULL WHERE id = ? AND thumbnail = ?")?
            .execute([parent, id])?;
    }
    Ok(())
}
