//! Expires idle uploads and deletes bytes that no record claims.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};

use super::shared::Shared;
use super::{Refusal, delete};
use crate::crash::{self, Point};
use crate::telemetry::chain;

/// Number of blobs per query for the records that claim them.
const LISTED_AT_ONCE: usize = 1000;

/// Expires uploads idle for longer than their TTL. Returns how many it expired.
pub(super) async fn expire_idle(shared: &Shared) -> Result<usize, Refusal> {
    const BATCH: u32 = 2000;
    let now = shared.clock.unix_secs();
    let idle_since = shared.clock.unix_secs_ago(shared.limits.upload_ttl);
    let mut count = 0;
    loop {
        let expired = shared.metadata.expire(idle_since, BATCH, now).await?;
        if expired.is_empty() {
            return Ok(count);
        }
        count += expired.len();
        for id in expired {
            crash::point(Point::UploadExpired);
            delete::end_expired(shared, id);
        }
    }
}

/// Deletes blobs that no record claims and that have not been written to for `age`. Returns how many it deleted.
pub(super) async fn delete_unclaimed(shared: &Shared, age: Duration) -> Result<usize, Refusal> {
    let before = shared.clock.unix_secs_ago(age);
    let mut old = shared.blobs.list_older_than(before).try_chunks(LISTED_AT_ONCE);
    let mut count = 0;
    while let Some(some) = old.next().await {
        let unclaimed = shared.metadata.unclaimed(some.map_err(|stopped| stopped.1)?).await?;
        crash::point(Point::UnclaimedFound);
        for blob in unclaimed {
            match delete::delete_bytes(shared, &[blob]).await {
                Ok(()) => count += 1,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(%blob, %error, "can't delete an unclaimed blob; the next sweep will try again");
                }
            }
        }
    }
    Ok(count)
}
