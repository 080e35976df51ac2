//! Finishes an upload whose bytes arrive in order after its last byte, as a done request does for other uploads.
//!
//! A job for it is recorded with the last byte, and the task that records the byte holds the job. A crash in between
//! therefore only delays the File.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::finish::{self, REPLY_TIMEOUT};
use super::shared::Shared;
use super::{DoneRequest, Refusal, erase, thumbnail as picture};
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, Outcome, Settled};
use crate::metadata::{State, StoredFile};

/// The task that finishes an upload. It continues even if nothing waits for it.
pub(super) type Finishing = JoinHandle<Result<StoredFile, Refusal>>;

/// Finishes an upload that has all its bytes. `job` is the recorded job for it, if the caller holds that.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: UploadId,
    user: UserId,
    job: Option<Job>,
) -> Result<StoredFile, Refusal> {
    let request = DoneRequest { user, id, filename: None, total_size: None, md5: None };
    let finished = finish::finish(&shared, request).await;
    // These failures are final: either all bytes are there and differ from what the sender meant, or bytes were lost of
    // a joined upload, to which no client can send.
    let is_lost = match &finished {
        Err(Refusal::Md5Mismatch { .. }) => true,
        Err(Refusal::NotDurable | Refusal::Incomplete { .. }) => is_joined(&shared, id).await?,
        _ => false,
    };
    if is_lost {
        erase::remove_lost(&shared, id).await?;
    } else if let (Err(_), Some(job)) = (&finished, job) {
        // If the upload is gone or starts over, this job no longer exists.
        let returned = shared.metadata.settle_job(job.id, job.lease, Outcome::Returned).await;
        if let Err(error) = returned {
            tracing::warn!(%id, %error, "can't return the job that finishes an upload; it is retried after its lease");
        }
        shared.jobs.job_added();
    }
    finished
}

/// Waits for the File as long as a done request does. `settled` streams the jobs that have ended since before the File
/// was recorded.
pub(super) async fn wait(
    shared: &Shared,
    finishing: Finishing,
    settled: Settled,
) -> Result<StoredFile, Refusal> {
    let finished = tokio::time::timeout(REPLY_TIMEOUT, finishing).await;
    let finished = finished.map_err(|_| Refusal::Verifying)?;
    let file = finished.unwrap_or_else(|panic| Err(Refusal::Internal(Box::new(panic))))?;
    Ok(picture::with_thumbnail(shared, file, settled).await)
}

/// Runs the job that finishes an upload after a crash or a failure. Repeating it is harmless.
pub(super) async fn resume(shared: &Arc<Shared>, id: UploadId) -> Result<(), Refusal> {
    finish::resume(shared, id).await?;
    let Some(record) = shared.metadata.load(id).await? else { return Ok(()) };
    let (State::Receiving(unfinished), Some(user)) = (record.state, record.user) else {
        return Ok(());
    };
    // A power failure may have lost the last byte: then its sender must send it again.
    let layout = &unfinished.layout;
    if layout.total_size != Some(layout.end()) {
        return if is_joined(shared, id).await? {
            erase::remove_lost(shared, id).await
        } else {
            Ok(())
        };
    }
    if unfinished.append.is_none() {
        return Ok(());
    }
    match run(Arc::clone(shared), id, user, None).await {
        // The comparison has just found that a power failure lost the last byte: its sender must send it again.
        Ok(_)
        | Err(
            Refusal::Md5Mismatch { .. }
            | Refusal::NotDurable
            | Refusal::Incomplete { .. }
            | Refusal::Removed,
        ) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether an unfinished upload was joined from others.
async fn is_joined(shared: &Shared, id: UploadId) -> Result<bool, Refusal> {
    let state = shared.metadata.load(id).await?.map(|record| record.state);
    let Some(State::Receiving(unfinished)) = state else { return Ok(false) };
    Ok(unfinished.append.is_some_and(|append| append.is_joined))
}
