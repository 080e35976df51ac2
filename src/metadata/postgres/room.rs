//! How much of the quotas is used. Triggers update the sums (see the migration).

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::values::{Columns, N};
use super::{locked, query};
use crate::ids::UserId;
use crate::metadata::quota::{Quota, Usage};
use crate::metadata::{Generation, Reserved};

/// How much of the quotas a user has used, and the number of the user's unfinished uploads.
pub(super) struct UserUsage {
    pub(super) usage: Usage,
    pub(super) unfinished: u64,
}

const TOTAL: &str = "(SELECT coalesce(sum(bytes), 0)::bigint FROM total_usage) AS total";

impl UserUsage {
    fn of(row: &Row) -> Result<Self, Error> {
        let usage = Usage {
            user_bytes: row.number("bytes")?,
            user_files: row.number("files")?,
            total_bytes: row.number("total")?,
        };
        Ok(Self { usage, unfinished: row.number("unfinished")? })
    }
}

/// Returns a user's usage, and locks its row until the transaction ends, so that a decision stays valid.
pub(super) async fn lock_usage(pg: &Pg, user: &UserId) -> Result<UserUsage, Error> {
    let sql = format!(
        "INSERT INTO usage AS u (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET bytes = u.bytes
         RETURNING bytes, files, unfinished, {TOTAL}"
    );
    UserUsage::of(&query::one(pg, &sql, &[user]).await?)
}

pub(super) async fn usage(pg: &Pg, user: &UserId) -> Result<Usage, Error> {
    let sql = format!(
        "SELECT coalesce(bytes, 0) AS bytes, coalesce(files, 0) AS files, 0::bigint AS unfinished, {TOTAL}
         FROM (SELECT 1) always LEFT JOIN usage ON user_id = $1"
    );
    Ok(UserUsage::of(&query::one(pg, &sql, &[user]).await?)?.usage)
}

/// Returns the bytes of all users.
pub(super) async fn total(pg: &Pg) -> Result<u64, Error> {
    query::one(pg, &format!("SELECT {TOTAL}"), &[]).await?.number("total")
}

pub(super) async fn reserve(
    pg: &Pg,
    of: Generation,
    bytes: u64,
    quota: Quota,
) -> Result<Reserved, Error> {
    let Some(upload) = locked::receiving(pg, of).await? else {
        return Ok(Reserved::NotReceiving);
    };
    if bytes <= upload.reserved {
        return Ok(Reserved::Reserved);
    }
    let used = lock_usage(pg, &upload.user).await?;
    if let Err(over) = quota.check(used.usage, bytes - upload.reserved, 0) {
        return Ok(Reserved::Over(over));
    }
    let reserve = "UPDATE uploads SET reserved = $2 WHERE seq = $1";
    query::execute(pg, reserve, &[&upload.number(), &N(bytes)]).await?;
    Ok(Reserved::Reserved)
}
