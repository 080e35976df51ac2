//! Forgetting parts, of which an upload may have very many: few at a time, so that no other writer waits for long.
//!
//! Parts of an upload that receives nothing any more mean nothing, and its row's number is never used again. So the
//! step that ends it takes a few of them along and leaves the rest to a job.

use rusqlite::{Connection, OptionalExtension, params};

use super::jobs;
use crate::ids::UploadId;
use crate::metadata::jobs::NewJob;

/// Parts of one upload that go with it; some end in the same transaction.
const AT_ONCE: u32 = 100;
/// Parts that the job forgets in one transaction.
const MORE: u32 = 1000;

/// Forgets the parts of an upload that receives nothing any more, now or little by little.
pub(super) fn forget(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    let number: Option<u64> = tx
        .prepare_cached("SELECT seq FROM uploads WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if let Some(number) = number
        && forget_some(tx, number, AT_ONCE)?
    {
        jobs::add(tx, &NewJob::forget_parts(number))?;
    }
    Ok(())
}

/// Forgets more parts of an upload, unless it receives; whether some are left.
pub(super) fn forget_more(tx: &Connection, number: u64) -> rusqlite::Result<bool> {
    let receives = "SELECT 1 FROM uploads WHERE seq = ? AND state = 0";
    Ok(!tx.prepare_cached(receives)?.exists([number])? && forget_some(tx, number, MORE)?)
}

/// Forgets all parts of an upload that begins again under its number.
pub(super) fn forget_all(tx: &Connection, id: UploadId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM parts WHERE upload = (SELECT seq FROM uploads WHERE id = ?)")?
        .execute([id])?;
    Ok(())
}

fn forget_some(tx: &Connection, number: u64, most: u32) -> rusqlite::Result<bool> {
    let deleted = tx
        .prepare_cached(
            "DELETE FROM parts WHERE upload = ?1 AND idx <=
                (SELECT max(idx) FROM (SELECT idx FROM parts WHERE upload = ?1 ORDER BY idx LIMIT ?2))",
        )?
        .execute(params![number, most])?;
    Ok(deleted == most as usize
        && tx.prepare_cached("SELECT 1 FROM parts WHERE upload = ?")?.exists([number])?)
}
