//! What a reply shows of its File's thumbnail, which a job makes.

use std::time::Duration;

use super::records;
use super::shared::Shared;
use crate::metadata::StoredFile;
use crate::metadata::jobs::{JobKind, Settled};

/// A reply waits so long for its thumbnail, which most pictures need a fraction of.
const PATIENCE: Duration = Duration::from_secs(1);
/// With so many thumbnails of a user's still to be made, replies wait for none: it would not be made in time.
const MANY: u32 = 10;

/// Tells the workers of a new job, and returns the File as it is once its thumbnail is made or took too long.
/// `settled`: the jobs that have ended since before the File was on record.
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
    if !matches!(shared.metadata.count_jobs(kind, file.user.clone(), MANY).await, Ok(0..MANY)) {
        return file;
    }
    match tokio::time::timeout(PATIENCE, settled.wait_for(kind, file.id.to_bytes())).await {
        Ok(()) => records::stored(shared, file.id).await.unwrap_or(file), // gone by now: it was there
        Err(_) => file,
    }
}
