//! Deletes bytes that the records have forgotten. The transaction that forgot them also recorded a job to delete them.

use std::time::Duration;

use super::Refusal;
use super::shared::Shared;
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::Standing;
use crate::metadata::jobs::{FIRST_RETRY, Job, JobKind, LEASE, Outcome};
use crate::telemetry::chain;

/// Number of deletions taken at once.
const BATCH: u32 = 100;
/// How often to check whether jobs of other processes have ended. A job that ends in this process is noticed at once.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Tells all senders of an upload that it expired, and the workers that its bytes must be deleted.
pub(super) fn end_expired(shared: &Shared, id: UploadId) {
    shared.entries.get(id).end(Standing::Expired);
    shared.jobs.job_added();
}

/// Runs a job that deletes bytes. Repeating it is harmless.
pub(super) async fn delete(shared: &Shared, job: &Job) -> Result<(), Refusal> {
    let (blobs, of) = job.deleted();
    if let Some(id) = of {
        shared.entries.get(id).forget(); // no new sender may write bytes that the records have forgotten
    }
    delete_bytes(shared, &blobs).await
}

/// Runs a job that deletes the part records of an upload. Repeating it is harmless.
pub(super) async fn forget_parts(shared: &Shared, job: &Job) -> Result<(), Refusal> {
    let Ok(number) = u64::try_from(u128::from_be_bytes(job.subject)) else {
        return Ok(()); // no upload has such a number
    };
    while shared.metadata.forget_parts(number).await? {}
    Ok(())
}

pub(super) async fn delete_bytes(shared: &Shared, blobs: &[BlobId]) -> Result<(), Refusal> {
    shared.blobs.delete(blobs).await?;
    crash::point(Point::BytesDeleted);
    Ok(())
}

/// Runs deletion jobs that the caller holds. Those that fail are retried later; the first error is returned at the end.
pub(super) async fn delete_held(shared: &Shared, deletions: Vec<Job>) -> Result<(), Refusal> {
    let mut all = Ok(());
    for job in deletions {
        let deleted = match job.kind {
            JobKind::ForgetParts => forget_parts(shared, &job).await,
            _ => delete(shared, &job).await,
        };
        let outcome = match &deleted {
            Ok(()) => Outcome::Done,
            Err(error) => {
                let retry_at = shared.clock.unix_secs() + FIRST_RETRY.as_secs();
                Outcome::Failed { error: chain(error), retry_at }
            }
        };
        let settled = shared.metadata.settle_job(job.id, job.lease, outcome).await;
        shared.jobs.job_settled(job.kind, job.subject);
        all = all.and(deleted).and(settled.map(drop).map_err(Refusal::from));
    }
    all
}

/// Runs all deletions that are due, including those of part records, and waits for those in progress. Does not wait
/// indefinitely, since new ones keep arriving.
pub(super) async fn delete_forgotten(shared: &Shared) -> Result<(), Refusal> {
    let kinds = &[JobKind::Delete, JobKind::ForgetParts];
    loop {
        let now = shared.clock.unix_secs();
        let due = shared.metadata.take_jobs(kinds, &[], BATCH, now, shared.leased_until()).await?;
        if due.is_empty() {
            break;
        }
        delete_held(shared, due).await?;
    }
    for kind in kinds {
        none_running(shared, *kind, None).await?;
    }
    Ok(())
}

/// Waits until no worker holds a job of this kind, or one of this user's if a user is given. Returns `false` if one
/// still does after the duration of a lease.
pub(super) async fn none_running(
    shared: &Shared,
    kind: JobKind,
    user: Option<&UserId>,
) -> Result<bool, Refusal> {
    let mut settled = shared.jobs.settled();
    let until = shared.clock.uptime() + LEASE;
    while shared.metadata.any_running(kind, user.cloned(), shared.clock.unix_secs()).await? {
        if shared.clock.uptime() > until {
            return Ok(false);
        }
        let _ = tokio::time::timeout(POLL_INTERVAL, settled.wait_for_any(kind)).await;
    }
    Ok(true)
}
