//! What counts against quotas; triggers keep the sums (see the migration).

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::{UploadId, UserId};
use crate::metadata::Reserved;
use crate::metadata::quota::{Quota, Usage};

pub(super) fn usage(connection: &Connection, user: UserId) -> rusqlite::Result<Usage> {
    let of_user = connection
        .prepare_cached("SELECT bytes, files FROM usage WHERE user_id = ?")?
        .query_row([user.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (user_bytes, user_files) = of_user.unwrap_or_default();
    let total_bytes = connection
        .prepare_cached("SELECT bytes FROM total_usage")?
        .query_row((), |row| row.get(0))?;
    Ok(Usage { user_bytes, user_files, total_bytes })
}

pub(super) fn reserve(
    tx: &Connection,
    id: UploadId,
    bytes: u64,
    quota: Quota,
) -> rusqlite::Result<Reserved> {
    let receiving: Option<(i64, u64)> = tx
        .prepare_cached("SELECT user_id, reserved FROM uploads WHERE id = ? AND state = 0")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((user, before)) = receiving else {
        return Ok(Reserved::NotReceiving);
    };
    if bytes <= before {
        return Ok(Reserved::Reserved);
    }
    if let Err(over) = quota.check(usage(tx, UserId(user))?, bytes - before, 0) {
        return Ok(Reserved::Over(over));
    }
    tx.prepare_cached("UPDATE uploads SET reserved = ?2 WHERE id = ?1")?
        .execute(params![id, bytes])?;
    Ok(Reserved::Reserved)
}
