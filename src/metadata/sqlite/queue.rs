//! The queue of jobs in SQLite: implements [`JobQueue`] with the table of jobs. If the disk is full, jobs other than
//! thumbnails use the reserve, because they free space.

use rusqlite::Connection;

use super::{SqliteStore, failed, jobs};
use crate::ids::{JobId, LeaseId, UserId};
use crate::metadata::Error;
use crate::metadata::jobs::{Job, JobCount, JobKind, JobQueue, JobStatus, NewJob, Outcome};

#[async_trait::async_trait]
impl JobQueue for SqliteStore {
    async fn add_job(&self, job: NewJob) -> Result<(), Error> {
        self.committer.submit(move |tx| jobs::add(tx, &job)).await
    }

    async fn take_jobs(
        &self,
        kinds: &[JobKind],
        passed_over: &[UserId],
        limit: u32,
        now: u64,
        leased_until: u64,
    ) -> Result<Vec<Job>, Error> {
        let makes_room = !kinds.contains(&JobKind::Thumbnail);
        let kinds = kinds.to_vec();
        let users: Vec<&str> = passed_over.iter().map(UserId::as_str).collect();
        let users = serde_json::to_string(&users).map_err(failed)?;
        // Search on a reading connection first, so that writers wait only if there is something to take.
        let (wanted, passed_over) = (kinds.clone(), users.clone());
        if !self.read(move |c| jobs::any_due(c, &wanted, &passed_over, now)).await? {
            return Ok(Vec::new());
        }
        let take = move |tx: &Connection| jobs::take(tx, &kinds, &users, limit, now, leased_until);
        if makes_room {
            self.with_reserve(take, false).await
        } else {
            self.committer.submit(take).await
        }
    }

    async fn renew_job(&self, id: JobId, lease: LeaseId, leased_until: u64) -> Result<bool, Error> {
        self.committer.submit(move |tx| jobs::renew(tx, id, lease, leased_until)).await
    }

    async fn settle_job(&self, id: JobId, lease: LeaseId, outcome: Outcome) -> Result<bool, Error> {
        self.with_reserve(move |tx| jobs::settle(tx, id, lease, &outcome), false).await
    }

    async fn any_running(
        &self,
        kind: JobKind,
        user: Option<UserId>,
        now: u64,
    ) -> Result<bool, Error> {
        self.read(move |connection| jobs::any_running(connection, kind, user.as_ref(), now)).await
    }

    async fn count_jobs(&self, kind: JobKind, user: UserId, at_most: u32) -> Result<u32, Error> {
        self.read(move |connection| jobs::count(connection, kind, &user, at_most)).await
    }

    async fn list_jobs(
        &self,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<(Vec<JobStatus>, Option<u64>), Error> {
        self.read(move |connection| jobs::list(connection, after, limit, now)).await
    }

    async fn job_counts(&self, now: u64) -> Result<Vec<JobCount>, Error> {
        self.read(move |connection| jobs::counts(connection, now)).await
    }

    async fn retry_jobs(&self, id: Option<JobId>, now: u64) -> Result<u64, Error> {
        self.committer.submit(move |tx| jobs::retry(tx, id, now)).await
    }
}
