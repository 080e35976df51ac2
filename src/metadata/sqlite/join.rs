//! Joins partial uploads. No bytes are moved: the extents of the new upload are those of the partial uploads.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{extents, insert::insert, jobs, parts, room};
use crate::ids::{BlobId, LeaseId, UploadId, UserId};
use crate::metadata::jobs::{JobKind, NewJob};
use crate::metadata::packed::{PARTIAL, RECEIVING, REPLACED, pack_pieces, unpack_pieces};
use crate::metadata::quota::Quota;
use crate::metadata::{Joined, NewUpload, Role};
use crate::part::{self, Part};
use crate::storage::Extents;

/// The result of looking for a partial upload.
enum Lookup {
    /// It can be joined.
    Piece(Piece),
    /// Not all of its bytes have arrived.
    Incomplete,
    /// It isn't a partial upload of this user, or it is suspect, so that its size isn't known.
    NotAPiece,
}

/// A partial upload that can be joined.
struct Piece {
    id: UploadId,
    seq: i64,
    blob: Option<BlobId>,
    size: u64,
    reserved: u64,
}

pub(super) fn join(
    tx: &Connection,
    new: &NewUpload,
    pieces: &[UploadId],
    quota: Quota,
    now: u64,
    leased_until: u64,
) -> rusqlite::Result<Joined> {
    if let Some(before) = joined_before(tx, new, pieces)? {
        return Ok(Joined::Before(before));
    }
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for id in pieces {
        match piece(tx, new, *id)? {
            Lookup::Piece(piece) if seen.insert(*id) => found.push(piece),
            Lookup::Incomplete => return Ok(Joined::Incomplete(*id)),
            _ => return Ok(Joined::NotAPiece(*id)),
        }
    }
    let size = found.iter().map(|piece| piece.size).sum();
    let reserved = found.iter().map(|piece| piece.reserved).sum();
    let usage = room::usage(tx, &new.user)?.without(reserved);
    if let Err(over) = quota.check(usage, size, 1) {
        return Ok(Joined::Over(over));
    }
    let mut joined = NewUpload { reserved: size, ..new.clone() };
    joined.append.get_or_insert_default().total_size = Some(size);
    insert(tx, &joined, Role::Media, now)?;
    let upload = tx.last_insert_rowid();
    tx.prepare_cached("UPDATE uploads SET partials = ? WHERE seq = ?")?
        .execute(params![pack_pieces(pieces), upload])?;
    let mut at = 0;
    for (index, piece) in found.iter().enumerate() {
        take_over(tx, &joined, upload, index, piece, at, now)?;
        at += piece.size;
    }
    let subject = new.id.to_bytes();
    jobs::add(tx, &NewJob::at_once(JobKind::Finish, subject))?;
    Ok(Joined::Joined { job: jobs::lease(tx, JobKind::Finish, subject, leased_until)? })
}

pub(super) fn pieces(connection: &Connection, id: UploadId) -> rusqlite::Result<Vec<UploadId>> {
    let packed: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT partials FROM uploads WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(unpack_pieces(&packed.flatten().unwrap_or_default()))
}

/// Adds the job that copies a File into one blob, if the File was joined and has several.
pub(super) fn add_packing(
    tx: &Connection,
    id: UploadId,
    extents: &Extents,
) -> rusqlite::Result<()> {
    if extents.blobs().len() < 2 {
        return Ok(());
    }
    let joined_by: Option<UserId> = tx
        .prepare_cached("SELECT user_id FROM uploads WHERE id = ? AND partials IS NOT NULL")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    joined_by.map_or(Ok(()), |user| jobs::add(tx, &NewJob::pack(id, user)))
}

pub(super) fn pack(
    tx: &Connection,
    id: UploadId,
    lease: LeaseId,
    copy: &Extents,
) -> rusqlite::Result<bool> {
    let is_held = jobs::forget(tx, JobKind::Pack, id.to_bytes(), Some(lease))?;
    let is_file = "SELECT 1 FROM uploads WHERE id = ? AND state = 1 AND size = ?";
    if is_held && tx.prepare_cached(is_file)?.exists(params![id, copy.size()])? {
        extents::replace(tx, id, copy)?;
        return Ok(true);
    }
    let blobs: Vec<BlobId> = copy.blobs().into_iter().map(|(blob, _)| blob).collect();
    extents::delete(tx, &blobs, id)?;
    Ok(false)
}

/// Returns the upload of this user into which the same partial uploads were joined.
fn joined_before(
    tx: &Connection,
    new: &NewUpload,
    pieces: &[UploadId],
) -> rusqlite::Result<Option<UploadId>> {
    let Some(first) = pieces.first() else { return Ok(None) };
    tx.prepare_cached(
        "SELECT whole.id FROM uploads piece JOIN uploads whole ON whole.id = piece.parent
         WHERE piece.id = ?1 AND piece.state = 4 AND piece.role = 2 AND whole.user_id = ?2 AND whole.partials = ?3",
    )?
    .query_row(params![first, new.user, pack_pieces(pieces)], |row| row.get(0))
    .optional()
}

fn piece(tx: &Connection, new: &NewUpload, id: UploadId) -> rusqlite::Result<Lookup> {
    let read = |row: &Row<'_>| {
        let received: Option<u64> = row.get("received")?;
        if received.is_none() || received != row.get("total_size")? {
            return Ok(Lookup::Incomplete);
        }
        Ok(Lookup::Piece(Piece {
            id,
            seq: row.get("seq")?,
            blob: row.get("blob")?,
            size: received.unwrap_or(0),
            reserved: row.get("reserved")?,
        }))
    };
    let found = tx
        .prepare_cached(
            "SELECT seq, blob, total_size, reserved, (SELECT sum(size) FROM parts WHERE upload = seq) AS received
             FROM uploads WHERE id = ? AND user_id = ? AND state = ? AND role = ? AND suspect = 0",
        )?
        .query_row(params![id, new.user, RECEIVING, PARTIAL], read)
        .optional()?;
    Ok(found.unwrap_or(Lookup::NotAPiece))
}

/// Moves the bytes of a partial upload to the upload that it is joined into, as one part. Its uuid stands for that
/// upload from now on.
fn take_over(
    tx: &Connection,
    new: &NewUpload,
    upload: i64,
    index: usize,
    piece: &Piece,
    at: u64,
    now: u64,
) -> rusqlite::Result<()> {
    let part = as_one_part(tx, piece.seq)?;
    tx.prepare_cached(
        "INSERT INTO parts (upload, idx, offset, size, crc32, stored_at) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![upload, index, at, part.size, part.crc32, now])?;
    parts::forget(tx, piece.id)?;
    tx.prepare_cached(
        "UPDATE uploads SET state = ?2, changed_at = ?3, parent = ?4, blob = NULL, generation = NULL, filename = NULL,
                declared_type = NULL, wanted_md5 = NULL, total_size = NULL, reserved = 0
         WHERE seq = ?1",
    )?
    .execute(params![piece.seq, REPLACED, now, new.id])?;
    match piece.blob {
        Some(blob) if piece.size > 0 => {
            extents::add(tx, new.id, at, &Extents::stored(blob, 0, piece.size))
        }
        Some(blob) => extents::delete(tx, &[blob], piece.id),
        None => {
            tx.prepare_cached("UPDATE extents SET upload = ?2, at = at + ?3 WHERE upload = ?1")?
                .execute(params![piece.seq, upload, at])?;
            Ok(())
        }
    }
}

/// Returns all parts of a partial upload as one part.
fn as_one_part(tx: &Connection, seq: i64) -> rusqlite::Result<Part> {
    let mut statement =
        tx.prepare_cached("SELECT offset, size, crc32 FROM parts WHERE upload = ? ORDER BY idx")?;
    let parts = statement.query_map([seq], |row| {
        Ok(Part { offset: row.get(0)?, size: row.get(1)?, crc32: row.get(2)? })
    })?;
    let parts: Vec<Part> = parts.collect::<rusqlite::Result<_>>()?;
    let empty = Part { offset: 0, size: 0, crc32: 0 };
    Ok(parts.into_iter().reduce(part::joined).unwrap_or(empty))
}
