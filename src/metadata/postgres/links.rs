//! Keys that sign links.

use tokio_postgres::Error;

use super::attempts::Pg;
use super::query;
use super::values::{Columns, N};
use crate::metadata::LinkKey;

pub(super) async fn keys(pg: &Pg, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error> {
    let found = accepted(pg, now).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    lock_keys(pg).await?;
    if accepted(pg, now).await?.is_empty() {
        insert(pg, first, now).await?;
    }
    accepted(pg, now).await
}

pub(super) async fn rotate(
    pg: &Pg,
    new: [u8; 32],
    accept_old_until: u64,
    now: u64,
) -> Result<(), Error> {
    lock_keys(pg).await?;
    query::execute(pg, "DELETE FROM link_keys WHERE accepted_until <= $1", &[&N(now)]).await?;
    let end = "UPDATE link_keys SET accepted_until = least(accepted_until, $1)";
    query::execute(pg, end, &[&N(accept_old_until)]).await?;
    insert(pg, new, now).await
}

/// Prevents others from changing the keys until the transaction ends.
async fn lock_keys(pg: &Pg) -> Result<(), Error> {
    pg.batch_execute("LOCK TABLE link_keys IN SHARE ROW EXCLUSIVE MODE").await
}

async fn accepted(pg: &Pg, now: u64) -> Result<Vec<LinkKey>, Error> {
    let sql = "SELECT id, secret, accepted_until FROM link_keys
               WHERE coalesce(accepted_until > $1, true) ORDER BY n DESC";
    let rows = query::rows(pg, sql, &[&N(now)]).await?;
    let mut keys = Vec::new();
    for row in &rows {
        let secret: &[u8] = row.try_get("secret")?;
        let (id, accepted_until) = (row.number("id")?, row.maybe_number("accepted_until")?);
        keys.extend(secret.try_into().map(|secret| LinkKey { id, secret, accepted_until }));
    }
    Ok(keys)
}

async fn insert(pg: &Pg, secret: [u8; 32], now: u64) -> Result<(), Error> {
    // Random, and short, because links contain it.
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    let id = random & u64::from(u32::MAX);
    let sql = "INSERT INTO link_keys (id, secret, created_at) VALUES ($1, $2, $3)";
    query::execute(pg, sql, &[&N(id), &secret.as_slice(), &N(now)]).await.map(drop)
}
