//! The list of a user's uploads and Files.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::query;
use super::rows::{COLUMNS, JOINED, filename, state_number, stored_file};
use super::values::{Columns, N};
use crate::ids::UserId;
use crate::metadata::packed::FINISHED;
use crate::metadata::{Cursor, Listed, Summary};

pub(super) async fn list(
    pg: &Pg,
    user: &UserId,
    before: Option<Cursor>,
    limit: u32,
) -> Result<(Vec<Listed>, Option<Cursor>), Error> {
    // Unfinished uploads are described by their sums, because they may have very many parts.
    let sql = format!(
        "SELECT {COLUMNS}, u.received FROM
            (SELECT * FROM uploads
             WHERE user_id = $1 AND state IN (0, 1) AND role = 0 AND seq < $2 
               AND (state = 1 OR append OR epoch > 0 OR parts > 0)
             ORDER BY seq DESC LIMIT $3) u
         {} ORDER BY u.seq DESC",
        JOINED.replace("u.state = 0", "false")
    );
    let before = before.and_then(|cursor| i64::try_from(cursor).ok()).unwrap_or(i64::MAX);
    let limit_and_one = N(u64::from(limit) + 1);
    let mut rows = query::rows(pg, &sql, &[user, &before, &limit_and_one]).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.number("seq")).transpose()?;
    Ok((rows.iter().map(listed).collect::<Result<_, _>>()?, next))
}

fn listed(row: &Row) -> Result<Listed, Error> {
    if state_number(row)? == FINISHED {
        return Ok(Listed::File(Box::new(stored_file(row)?)));
    }
    Ok(Listed::Unfinished(Summary {
        id: row.try_get("id")?,
        filename: filename(row)?,
        total_parts: row.small("total_parts")?,
        total_size: row.maybe_number("total_size")?,
        received_bytes: row.number("received")?,
        touched_at: row.number("touched_at")?,
    }))
}
