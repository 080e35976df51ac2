//! How much of the quotas is used. Triggers update the sums (see the migration).

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::UserId;
use crate::metadata::quota::{Quota, Usage};
use crate::metadata::{Generation, Reserved};

pub(super) fn usage(connection: &Connection, user: &UserId) -> rusqlite::Result<Usage> {
    let of_user = connection
        .prepare_cached("SELECT bytes, files FROM usage WHERE user_id = ?")?
        .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (user_bytes, user_files) = of_user.unwrap_or_default();
    Ok(Usage { user_bytes, user_files, total_bytes: total(connection)? })
}

/// Returns the bytes of all users.
pub(super) fn total(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT bytes FROM total_usage")?.query_row((), |row| row.get(0))
}

pub(super) fn reserve(
    tx: &Connection,
    of: Generation,
    bytes: u64,
    quota: Quota,
) -> rusqlite::Result<Reserved> {
    let receiving: Option<(UserId, u64)> = tx
        .prepare_cached(
            "SELECT user_id, reserved FROM uploads WHERE id = ? AND generation = ? AND state = 0",
        )?
        .query_row(params![of.upload, of.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((user, before)) = receiving else {
        return Ok(Reserved::NotReceiving);
    };
    if bytes <= before {
        return Ok(Reserved::Reserved);
    }
    if let Err(over) = quota.check(usage(tx, &user)?, bytes - before, 0) {
        return Ok(Reserved::Over(over));
    }
    tx.prepare_cached("UPDATE uploads SET reserved = ?2 WHERE id = ?1")?
        .execute(params![of.upload, bytes])?;
    Ok(Reserved::Reserved)
}
