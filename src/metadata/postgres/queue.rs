//! The queue of jobs in PostgreSQL: implements [`JobQueue`] with the table of jobs.

use super::PostgresStore;
use super::attempts::{statement, step};
use super::jobs::{self, Holder};
use crate::ids::{JobId, LeaseId, UserId};
use crate::metadata::Error;
use crate::metadata::jobs::{Job, JobCount, JobKind, JobQueue, JobStatus, NewJob, Outcome};

#[async_trait::async_trait]
impl JobQueue for PostgresStore {
    async fn add_job(&self, job: NewJob) -> Result<(), Error> {
        statement!(write, &self.database, |pg, _again| jobs::add(pg, &job))
    }

    async fn take_jobs(
        &self,
        kinds: &[JobKind],
        passed_over: &[UserId],
        limit: u32,
        now: u64,
        leased_until: u64,
    ) -> Result<Vec<Job>, Error> {
        // Search first, so that a transaction begins only if there is something to take.
        let any: Result<bool, Error> = statement!(
            read,
            &self.database,
            |pg, _again| jobs::any_due(pg, kinds, passed_over, now)
        );
        if !any? {
            return Ok(Vec::new());
        }
        let holder = Holder { node: &self.database.options.node, until: leased_until };
        step!(&self.database, tx => jobs::take(tx, kinds, passed_over, limit, now, holder))
    }

    async fn renew_job(&self, id: JobId, lease: LeaseId, leased_until: u64) -> Result<bool, Error> {
        statement!(write, &self.database, |pg, _again| jobs::renew(pg, id, lease, leased_until))
    }

    async fn settle_job(&self, id: JobId, lease: LeaseId, outcome: Outcome) -> Result<bool, Error> {
        step!(&self.database, tx => jobs::settle(tx, id, lease, &outcome))
    }

    async fn any_running(
        &self,
        kind: JobKind,
        user: Option<UserId>,
        now: u64,
    ) -> Result<bool, Error> {
        statement!(read, &self.database, |pg, _again| jobs::any_running(
            pg,
            kind,
            user.as_ref(),
            now
        ))
    }

    async fn count_jobs(&self, kind: JobKind, user: UserId, at_most: u32) -> Result<u32, Error> {
        statement!(read, &self.database, |pg, _again| jobs::count(pg, kind, &user, at_most))
    }

    async fn list_jobs(
        &self,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<(Vec<JobStatus>, Option<u64>), Error> {
        statement!(read, &self.database, |pg, _again| jobs::list(pg, after, limit, now))
    }

    async fn job_counts(&self, now: u64) -> Result<Vec<JobCount>, Error> {
        statement!(read, &self.database, |pg, _again| jobs::counts(pg, now))
    }

    async fn retry_jobs(&self, id: Option<JobId>, now: u64) -> Result<u64, Error> {
        step!(&self.database, tx => jobs::retry(tx, id, now))
    }
}
