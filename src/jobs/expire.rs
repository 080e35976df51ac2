//! Removes what has expired: idle uploads, Files that no message shows, and bytes that no record claims.

use std::time::Duration;

use super::context::Context;
use crate::uploads::Refusal;
use crate::words::counted;

/// How often to check uploads and Files.
pub(super) const EVERY: Duration = Duration::from_mins(1);
/// Nothing expires earlier after a start, so that clients which couldn't reach the server can continue.
const GRACE: Duration = Duration::from_hours(1);

/// Expires idle uploads, withdraws those without chunks, and removes Files that no message shows.
pub(super) async fn run(context: &Context) -> Result<(), Refusal> {
    if context.clock.uptime() < GRACE {
        return Ok(());
    }
    match context.uploads.expire_idle().await? {
        0 => {}
        count => tracing::info!("expired {}", counted(count, "idle upload")),
    }
    match context.uploads.withdraw_unused().await? {
        0 => {}
        count => tracing::info!("withdrew {} that never had a chunk", counted(count, "upload")),
    }
    if let Some(ttl) = context.unattached_ttl {
        match context.uploads.remove_unattached(ttl).await? {
            0 => {}
            count => tracing::info!("removed {} that no message shows", counted(count, "file")),
        }
    }
    Ok(())
}

/// Deletes bytes that no record claims.
pub(super) async fn collect(context: &Context) -> Result<(), Refusal> {
    if context.clock.uptime() < GRACE {
        return Ok(());
    }
    match context.uploads.delete_unclaimed(context.unclaimed_age).await? {
        0 => {}
        count => tracing::info!("deleted {} that no record claims", counted(count, "blob")),
    }
    Ok(())
}
