//! Where bytes are stored: in the blob of the record's row, from its beginning, or, without a blob, in rows of extents.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, params};

use super::jobs;
use crate::ids::{BlobId, UploadId};
use crate::metadata::jobs::NewJob;
use crate::storage::{Extent, Extents};

/// Returns the extents of a row without a blob, by their offset in the file.
pub(super) fn of_row(connection: &Connection, seq: i64) -> rusqlite::Result<BTreeMap<u64, Extent>> {
    connection
        .prepare_cached("SELECT at, size, blob, offset FROM extents WHERE upload = ?")?
        .query_map([seq], |row| {
            let (at, size, blob, offset) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let stored = |blob| Extent::Stored { blob, offset, size };
            Ok((at, Option::map_or(blob, Extent::Zeros(size), stored)))
        })?
        .collect()
}

/// Adds the extents of a part that begins at `at` in the file.
pub(super) fn add(
    tx: &Connection,
    id: UploadId,
    mut at: u64,
    extents: &Extents,
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO extents (upload, at, size, blob, offset)
         SELECT seq, ?2, ?3, ?4, ?5 FROM uploads WHERE id = ?1",
    )?;
    for extent in extents {
        let (blob, offset) = match *extent {
            Extent::Stored { blob, offset, .. } => (Some(blob), offset),
            Extent::Zeros(_) => (None, 0),
        };
        insert.execute(params![id, at, extent.size(), blob, offset])?;
        at += extent.size();
    }
    Ok(())
}

/// Replaces the extents of a record. The deletion of blobs that no longer contain bytes of it becomes a job.
pub(super) fn replace(tx: &Connection, id: UploadId, extents: &Extents) -> rusqlite::Result<()> {
    let before = blobs(tx, id)?;
    let blob = extents.single_blob();
    if blob.is_some_and(|blob| before == [blob]) {
        return Ok(());
    }
    drop_extents(tx, id)?;
    tx.prepare_cached("UPDATE uploads SET blob = ?2 WHERE id = ?1")?.execute(params![id, blob])?;
    if blob.is_none() {
        add(tx, id, 0, extents)?;
    }
    let kept: HashSet<BlobId> = extents.blobs().into_iter().map(|(blob, _)| blob).collect();
    let left: Vec<BlobId> = before.into_iter().filter(|blob| !kept.contains(blob)).collect();
    delete(tx, &left, id)
}

/// Forgets the extents of a record, and returns their blobs. The caller clears the blob in the record's row.
pub(super) fn forget(tx: &Connection, id: UploadId) -> rusqlite::Result<Vec<BlobId>> {
    let blobs = blobs(tx, id)?;
    drop_extents(tx, id)?;
    Ok(blobs)
}

/// Forgets the extents of a part in this range of the file, and returns their blobs. The record must not have a blob in
/// its row.
pub(super) fn take(
    tx: &Connection,
    seq: i64,
    range: Range<u64>,
) -> rusqlite::Result<HashSet<BlobId>> {
    let blobs: Vec<Option<BlobId>> = tx
        .prepare_cached(
            "DELETE FROM extents WHERE upload = ? AND at >= ? AND at < ? RETURNING blob",
        )?
        .query_map(params![seq, range.start, range.end], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(blobs.into_iter().flatten().collect())
}

/// Adds jobs that delete blobs of an upload.
pub(super) fn delete(tx: &Connection, blobs: &[BlobId], of: UploadId) -> rusqlite::Result<()> {
    NewJob::deletions(blobs, of).try_for_each(|job| jobs::add(tx, &job))
}

/// Returns those of these blobs in which no record has bytes.
pub(super) fn unclaimed(
    connection: &Connection,
    blobs: Vec<BlobId>,
) -> rusqlite::Result<Vec<BlobId>> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM uploads WHERE blob = ?1 UNION ALL SELECT 1 FROM extents WHERE blob = ?1",
    )?;
    let mut unclaimed = Vec::new();
    for blob in blobs {
        if !statement.exists([blob])? {
            unclaimed.push(blob);
        }
    }
    Ok(unclaimed)
}

/// Returns the blobs that contain bytes of a record, or will.
fn blobs(connection: &Connection, id: UploadId) -> rusqlite::Result<Vec<BlobId>> {
    let row: Option<(i64, Option<BlobId>)> = connection
        .prepare_cached("SELECT seq, blob FROM uploads WHERE id = ?")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        None => Ok(Vec::new()),
        Some((_, Some(blob))) => Ok(vec![blob]),
        Some((seq, None)) => connection
            .prepare_cached(
                "SELECT DISTINCT blob FROM extents WHERE upload = ? AND blob IS NOT NULL",
            )?
            .query_map([seq], |row| row.get(0))?
            .collect(),
    }
}

fn drop_extents(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM extents WHERE upload = (SELECT seq FROM uploads WHERE id = ?)")?
        .execute([id])?;
    Ok(())
}
