//! Forgets parts. An upload may have very many, so they are deleted in batches and no other writer waits for long.
//!
//! The parts of an upload that is no longer receiving are never read, and the number of its row is never used again.
//! So the step that ends the upload deletes a few of them, and leaves the rest to a job.

use rusqlite::{Connection, OptionalExtension, params};

use super::jobs;
use crate::ids::UploadId;
use crate::metadata::jobs::NewJob;

/// Maximum number of parts that are deleted by the step that ends the upload. Several uploads may end in one step.
const INLINE_BATCH: u32 = 100;
/// Maximum number of parts that the job deletes in one transaction.
const JOB_BATCH: u32 = 1000;

/// Forgets the parts of an upload that is no longer receiving, now or by a job.
pub(super) fn forget(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    let number: Option<u64> = tx
        .prepare_cached("SELECT seq FROM uploads WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if let Some(number) = number
        && forget_some(tx, number, INLINE_BATCH)?
    {
        jobs::add(tx, &NewJob::forget_parts(number))?;
    }
    Ok(())
}

/// Forgets more parts of an upload, unless it is receiving. Returns whether some are left.
pub(super) fn forget_more(tx: &Connection, number: u64) -> rusqlite::Result<bool> {
    let is_receiving = "SELECT 1 FROM uploads WHERE seq = ? AND state = 0";
    Ok(!tx.prepare_cached(is_receiving)?.exists([number])? && forget_some(tx, number, JOB_BATCH)?)
}

/// Forgets all parts of an upload that starts over with the same row.
pub(super) fn forget_all(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM parts WHERE upload = (SELECT seq FROM uploads WHERE id = ?)")?
        .execute([id])?;
    Ok(())
}

fn forget_some(tx: &Connection, number: u64, limit: u32) -> rusqlite::Result<bool> {
    let deleted = tx
        .prepare_cached(
            "DELETE FROM parts WHERE upload = ?1 AND idx <=
                (SELECT max(idx) FROM (SELECT idx FROM parts WHERE upload = ?1 ORDER BY idx LIMIT ?2))",
        )?
        .execute(params![number, limit])?;
    Ok(deleted == limit as usize
        && tx.prepare_cached("SELECT 1 FROM parts WHERE upload = ?")?.exists([number])?)
}
