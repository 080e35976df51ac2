//! What follows the last byte of an upload whose bytes come in order: it is finished without being asked, as by done.
//!
//! A job for it is on record with the last byte, and whoever put that on record holds it: so a crash in between only
//! delays the File.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::finish::{self, PATIENCE};
use super::shared::Shared;
use super::{DoneRequest, Refusal, erase, thumbnail as picture};
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, Outcome, Settled};
use crate::metadata::{State, StoredFile};

/// An upload that is being finished, also if nobody waits for it.
pub(super) type Finishing = JoinHandle<Result<StoredFile, Refusal>>;

/// Finishes an upload that has all its bytes. `job`: the one on record for that, if the caller holds it.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: UploadId,
    user: UserId,
    job: Option<Job>,
) -> Result<StoredFile, Refusal> {
    let request = DoneRequest { user, id, filename: None, total_size: None, md5: None };
    let finished = finish::finish(&shared, request).await;
    // Nothing that may still come mends these: all bytes are there, and they are others than the sender meant; or they
    // were lost, and nobody can send bytes to what was joined from others.
    let is_lost = match &finished {
        Err(Refusal::Md5Mismatch { .. }) => true,
        Err(Refusal::NotDurable | Refusal::Incomplete { .. }) => is_joined(&shared, id).await?,
        _ => false,
    };
    if is_lost {
        erase::give_up(&shared, id).await?;
    } else if let (Err(_), Some(job)) = (&finished, job) {
        // Where the upload is gone, or begins again, there is no such job any more.
        let returned = shared.metadata.settle_job(job.id, job.lease, Outcome::Returned).await;
        if let Err(error) = returned {
            tracing::warn!(%id, %error, "finishing an upload can't be taken up yet");
        }
        shared.jobs.job_added();
    }
    finished
}

/// Waits for the File, for as long as a done does. `settled`: the jobs that have ended since before it was on record.
pub(super) async fn wait(
    shared: &Shared,
    finishing: Finishing,
    settled: Settled,
) -> Result<StoredFile, Refusal> {
    let finished = tokio::time::timeout(PATIENCE, finishing).await;
    let finished = finished.map_err(|_| Refusal::Verifying)?;
    let file = finished.unwrap_or_else(|panic| Err(Refusal::Internal(Box::new(panic))))?;
    Ok(picture::with_thumbnail(shared, file, settled).await)
}

/// Does the job of finishing an upload that a crash interrupted, or that failed. Repeating it is harmless.
pub(super) async fn resume(shared: &Arc<Shared>, id: UploadId) -> Result<(), Refusal> {
    finish::resume(shared, id).await?;
    let Some(record) = shared.metadata.load(id).await? else { return Ok(()) };
    let (State::Receiving(unfinished), Some(user)) = (record.state, record.user) else {
        return Ok(());
    };
    // A power loss may have taken the last byte: then its sender is to send it again.
    let layout = &unfinished.layout;
    if layout.total_size != Some(layout.end()) {
        return if is_joined(shared, id).await? {
            erase::give_up(shared, id).await
        } else {
            Ok(())
        };
    }
    if unfinished.append.is_none() {
        return Ok(());
    }
    match run(Arc::clone(shared), id, user, None).await {
        // A power loss took the last byte, as was found only when it was compared: its sender is to send it again.
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
