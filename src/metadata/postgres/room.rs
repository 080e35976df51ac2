//! What counts against quotas; triggers keep the sums (see the migration).

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::values::{Columns, N};
use super::{locked, query};
use crate::ids::UserId;
use crate::metadata::quota::{Quota, Usage};
use crate::metadata::{Generation, Reserved};

/// What is on record of one user's, and how many of it are uploads that receive.
pub(super) struct Counted {
    pub(super) usage: Usage,
    pub(super) unfinished: u64,
}

const TOTAL: &str = "(SELECT coalesce(sum(bytes), 0)::bigint FROM total_usage) AS total";

impl Counted {
    fn of(row: &Row) -> Result<Self, Error> {
        let usage = Usage {
            user_bytes: row.number("bytes")?,
            user_files: row.number("files")?,
            total_bytes: row.number("total")?,
        };
        Ok(Self { usage, unfinished: row.number("unfinished")? })
    }
}

/// What is on record, held until the transaction ends: what is decided from it stays so.
pub(super) async fn hold(pg: &Pg, user: &UserId) -> Result<Counted, Error> {
    let sql = format!(
        "INSERT INTO usage AS u (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET bytes = u.bytes
         RETURNING bytes, files, unfinished, {TOTAL}"
    );
    Counted::of(&query::one(pg, &sql, &[user]).await?)
}

pub(super) async fn usage(pg: &Pg, user: &UserId) -> Result<Usage, Error> {
    let sql = format!(
        "SELECT coalesce(bytes, 0) AS bytes, coalesce(files, 0) AS files, 0::bigint AS unfinished, {TOTAL}
         FROM (SELECT 1) always LEFT JOIN usage ON user_id = $1"
    );
    Ok(Counted::of(&query::one(pg, &sql, &[user]).await?)?.usage)
}

/// Bytes of all users.
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
    let counted = hold(pg, &upload.user).await?;
    if let Err(over) = quota.check(counted.usage, bytes - upload.reserved, 0) {
        return Ok(Reserved::Over(over));
    }
    let reserve = "UPDATE uploads SET reserved = $2 WHERE seq = $1";
    query::execute(pg, reserve, &[&upload.number(), &N(bytes)]).await?;
    Ok(Reserved::Reserved)
}
