//! The worker: takes jobs, a few at a time, and holds their leases while they run.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::RwLock;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use crate::clock::Clock;
use crate::metadata::Error;
use crate::metadata::jobs::{FIRST_RETRY, Job, JobKind, JobQueue, JobSignal, LEASE, Outcome};
use crate::words;

/// How often a lease is renewed: twice more before it ends, should one renewal fail.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How often the queue is asked when no signal came: for jobs that become due, and for those of other processes.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The longest pause between two tries.
const LAST_RETRY: Duration = Duration::from_mins(10);
/// What the jobs of one user may take of each minute.
const USER_TIME_PER_MINUTE: Duration = Duration::from_secs(20);

/// What a job does; one implementation knows all kinds.
#[async_trait::async_trait]
pub trait Perform: Send + Sync + 'static {
    /// Does the job, which may have been done before, wholly or in part. Dropped when the server stops.
    async fn perform(&self, job: &Job)
    -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>>;
}

/// Takes jobs from the queue and performs them.
pub struct Worker<P> {
    queue: Arc<dyn JobQueue>,
    perform: P,
    signal: Arc<JobSignal>,
    clock: Clock,
    budget: Mutex<Budget>,
    /// Held for writing by a job during which the process has died before, so that no other job is blamed for it.
    alone: RwLock<()>,
    stop: CancellationToken,
}

impl<P: Perform> Worker<P> {
    /// A worker on this queue, until `stop`.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        perform: P,
        signal: Arc<JobSignal>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let budget = Mutex::new(Budget::new(USER_TIME_PER_MINUTE));
        Self { queue, perform, signal, clock, budget, alone: RwLock::default(), stop }
    }

    /// What performs the jobs.
    pub fn context(&self) -> &P {
        &self.perform
    }

    /// Performs jobs of these kinds one after another until the server stops. Call it as often as jobs of these
    /// kinds may run side by side.
    pub async fn run(&self, kinds: &[JobKind]) {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let mut added = std::pin::pin!(self.signal.added());
            added.as_mut().enable();
            match self.next(kinds).await {
                Ok(Some(job)) => {
                    failures = 0;
                    self.hold(job).await;
                }
                Ok(None) => {
                    failures = 0;
                    tokio::select! {
                        () = added => {}
                        () = tokio::time::sleep(ASK_EVERY) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Err(error) => {
                    let pause = retry_after(failures).min(LEASE);
                    failures += 1;
                    tracing::error!(%error, retry_in = words::duration(pause), "no jobs can be taken");
                    self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    /// Performs all jobs of these kinds that are due now, those that failed among them, and those they lead to.
    pub async fn run_due(&self, kinds: &[JobKind]) -> Result<(), Error> {
        self.queue.retry_jobs(None, self.clock.unix_secs()).await?;
        while !self.stop.is_cancelled()
            && let Some(job) = self.next(kinds).await?
        {
            self.hold(job).await;
        }
        Ok(())
    }

    async fn next(&self, kinds: &[JobKind]) -> Result<Option<Job>, Error> {
        let passed_over = self.budget().exhausted(self.clock.uptime());
        let now = self.clock.unix_secs();
        let mut taken =
            self.queue.take_jobs(kinds, &passed_over, 1, now, self.leased_until()).await?;
        Ok(taken.pop())
    }

    /// Performs a job while its lease is renewed, and puts its outcome on record.
    async fn hold(&self, job: Job) {
        let outcome = tokio::select! {
            outcome = self.perform_in_turn(&job) => Some(self.outcome(&job, outcome)),
            () = self.renew(&job) => None,
            () = self.stop.cancelled() => Some(Outcome::Returned),
        };
        if let Some(outcome) = outcome {
            self.settle(&job, outcome).await;
        } else {
            tracing::warn!(job = %job.id, kind = job.kind.name(), "a job's lease was lost");
        }
        self.signal.job_settled(job.kind, job.subject);
    }

    /// Puts a job's outcome on record, as soon as that can be done: an outcome that gets lost looks like a death.
    async fn settle(&self, job: &Job, outcome: Outcome) {
        let mut failures = 0;
        while let Err(error) = self.queue.settle_job(job.id, job.lease, outcome.clone()).await {
            let (id, pause) = (job.id, retry_after(failures).min(LEASE));
            failures += 1;
            let retry_in = words::duration(pause);
            tracing::error!(job = %id, %error, retry_in, "a job's outcome can't be put on record");
            let stopped = self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
            if stopped {
                return;
            }
        }
    }

    async fn perform_in_turn(
        &self,
        job: &Job,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        if job.deaths > 0 {
            let _alone = self.alone.write().await;
            return self.perform_once(job).await;
        }
        let _beside_others = self.alone.read().await;
        self.perform_once(job).await
    }

    /// Performs it, and counts what that takes. A panic is a failure of this job, not the end of the worker.
    async fn perform_once(
        &self,
        job: &Job,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        let began = self.clock.uptime();
        let performed = AssertUnwindSafe(self.perform.perform(job)).catch_unwind().await;
        if let Some(user) = &job.user {
            let now = self.clock.uptime();
            self.budget().spend(user.clone(), now.saturating_sub(began), now);
        }
        performed.unwrap_or_else(|_| Err("the job panicked".into()))
    }

    fn outcome(
        &self,
        job: &Job,
        outcome: Result<Outcome, Box<dyn std::error::Error + Send + Sync>>,
    ) -> Outcome {
        outcome.unwrap_or_else(|error| {
            let error = crate::telemetry::chain(error.as_ref());
            let (id, kind) = (job.id, job.kind.name());
            let pause = retry_after(job.failures);
            let retry_in = words::duration(pause);
            tracing::error!(job = %id, kind, %error, retry_in, "a job failed");
            Outcome::Failed { error, retry_at: self.clock.unix_secs() + pause.as_secs() }
        })
    }

    /// Renews the lease again and again; returns when it is lost.
    async fn renew(&self, job: &Job) {
        let mut ticks = tokio::time::interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first comes at once
        loop {
            ticks.tick().await;
            match self.queue.renew_job(job.id, job.lease, self.leased_until()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(job = %job.id, %error, "a lease was not renewed"),
            }
        }
    }

    fn leased_until(&self) -> u64 {
        self.clock.unix_secs() + LEASE.as_secs()
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause before the next try of a job that has failed this often before.
fn retry_after(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_tries_doubles_up_to_ten_minutes() {
        assert_eq!(retry_after(0), Duration::from_secs(5));
        assert_eq!(retry_after(3), Duration::from_secs(40));
        assert_eq!(retry_after(u32::MAX), Duration::from_mins(10));
    }
}
