//! Compares the database's clock with this machine's. Uploads get their times from this machine's clock; if the two
//! disagree, one is wrong, and what is old can't be known.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, Error};

/// While the clocks differ by more, nothing expires.
pub(super) const MAX_DIFFERENCE_SECS: u64 = 5 * 60;

/// Returns the difference between the clocks in seconds.
pub(super) async fn difference_secs(client: &Client) -> Result<u64, Error> {
    let row = client.query_one("SELECT extract(epoch FROM clock_timestamp())::bigint", &[]).await?;
    let theirs = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(theirs.abs_diff(ours))
}
