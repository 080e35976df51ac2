//! The thumbnail of a File in replies. A job makes it.

use std::time::Duration;

use super::records;
use super::shared::Shared;
use crate::metadata::StoredFile;
use crate::metadata::jobs::{JobKind, Settled};

/// How long a reply waits for its thumbnail. Most pictures take a fraction of that.
const THUMBNAIL_TIMEOUT: Duration = Duration::from_secs(1);
/// If a user has this many thumbnails still to be made, replies don't wait: they would not be ready in time.
const MAX_PENDING: u32 = 10;

/// Notifies the workers of a new job, and returns the File once its thumbnail is made or took too long. `settled`
/// streams the jobs that have ended since before the File was recorded.
pub(super) async fn with_thumbnail(
    shared: &Shared,
    file: StoredFile,
    mut settled: Settled,
) -> StoredFile {
    if !file.undrawn {
        return file;
    }
    shared.jobs.job_added();
    let kind = JobKind::Thumbnail;
    if !matches!(
        shared.metadata.count_jobs(kind, file.user.clone(), MAX_PENDING).await,
        Ok(0..MAX_PENDING)
    ) {
        return file;
    }
    match tokio::time::timeout(THUMBNAIL_TIMEOUT, settled.wait_for(kind, file.id.to_bytes())).await
    {
        Ok(()) => records::stored(shared, file.id).await.unwrap_or(file), // if the File is gone by now: it did exist
        Err(_) => file,
    }
}
