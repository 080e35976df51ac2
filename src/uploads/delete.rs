//! Deleting bytes that the records have forgotten: a job that the transaction which forgot them has put on record.

use std::time::Duration;

use super::{Refusal, Uploads};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::Standing;
use crate::metadata::jobs::{FIRST_RETRY, Job, JobKind, LEASE, Outcome};
use crate::telemetry::chain;

/// Deletions taken at once.
const BATCH: u32 = 100;
/// How often it is looked whether jobs that others hold have ended, besides when this process ends one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Uploads {
    /// Tells everybody who sends to an upload that it expired, and the workers that its bytes are to be deleted.
    pub(super) fn end_expired(&self, id: UploadId) {
        self.entries.get(id).end(Standing::Expired);
        self.jobs.job_added();
    }

    /// Does the job of deleting bytes. Repeating it is harmless.
    pub async fn delete(&self, job: &Job) -> Result<(), Refusal> {
        let blob = BlobId::from_bytes(job.subject);
        if let Ok(of) = job.payload.as_slice().try_into() {
            self.writers_left(UploadId::from_bytes(of), blob).await;
        }
        self.delete_bytes(blob).await
    }

    /// Waits until nobody writes to this upload's bytes any more: a late write would bring them back.
    async fn writers_left(&self, id: UploadId, blob: BlobId) {
        let entry = self.entries.get(id);
        entry.forget(); // whoever looks again finds that the records have forgotten these bytes
        entry.writers_left(blob).await;
    }

    pub(super) async fn delete_bytes(&self, blob: BlobId) -> Result<(), Refusal> {
        self.condemned().remove(&blob);
        self.blobs.delete(blob).await?;
        crash::point(Point::BytesDeleted);
        Ok(())
    }

    /// Does deletions that are held for it. What fails is tried again later; the first error is returned at the end.
    pub(super) async fn delete_held(&self, deletions: Vec<Job>) -> Result<(), Refusal> {
        let mut all = Ok(());
        for job in deletions {
            let deleted = self.delete(&job).await;
            let outcome = match &deleted {
                Ok(()) => Outcome::Done,
                Err(error) => {
                    let retry_at = self.clock.unix_secs() + FIRST_RETRY.as_secs();
                    Outcome::Failed { error: chain(error), retry_at }
                }
            };
            let settled = self.metadata.settle_job(job.id, job.lease, outcome).await;
            self.jobs.job_settled(job.kind, job.subject);
            all = all.and(deleted).and(settled.map(drop).map_err(Refusal::from));
        }
        all
    }

    /// Does all deletions that are due, and waits for those under way; not for ever, as new ones come.
    pub async fn delete_forgotten(&self) -> Result<(), Refusal> {
        loop {
            let now = self.clock.unix_secs();
            let kinds = &[JobKind::Delete];
            let due = self.metadata.take_jobs(kinds, &[], BATCH, now, self.leased_until()).await?;
            if due.is_empty() {
                break;
            }
            self.delete_held(due).await?;
        }
        self.none_running(JobKind::Delete, None).await?;
        Ok(())
    }

    /// Waits until nobody holds a job of this kind any more; of this user's, if one is given. `false`: somebody still
    /// does after the time of a lease.
    pub async fn none_running(&self, kind: JobKind, user: Option<UserId>) -> Result<bool, Refusal> {
        let mut settled = self.jobs.settled();
        let until = self.clock.uptime() + LEASE;
        while self.metadata.any_running(kind, user, self.clock.unix_secs()).await? {
            if self.clock.uptime() > until {
                return Ok(false);
            }
            let _ = tokio::time::timeout(LOOK_EVERY, settled.wait_for_any(kind)).await;
        }
        Ok(true)
    }
}
