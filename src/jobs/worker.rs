//! The worker: takes jobs, a few at a time, and holds their leases while they run.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use crate::clock::Clock;
use crate::metadata::Error;
use crate::metadata::jobs::{FIRST_RETRY, Job, JobKind, JobQueue, JobSignal, LEASE, Outcome};
use crate::metrics::JobMetrics;
use crate::{telemetry, words};

/// How often to renew a lease. If a renewal fails, there is time for two more before the lease ends.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How often to poll the queue without a signal: for jobs that become due, and for those added by other processes.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Maximum pause between two attempts.
const LAST_RETRY: Duration = Duration::from_mins(10);
/// How long a job may wait for a log line about it to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time that a user's jobs may take per minute.
const USER_TIME_PER_MINUTE: Duration = Duration::from_secs(20);

/// Runs jobs of all kinds.
#[async_trait::async_trait]
pub trait Perform: Send + Sync + 'static {
    /// Runs the job, which may have run before, completely or in part. The future is dropped when the server stops.
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
    /// Locked for writing by a job during which the process died before, so that no other job is blamed for it.
    alone: RwLock<()>,
    stop: CancellationToken,
    metrics: Option<JobMetrics>,
}

impl<P: Perform> Worker<P> {
    /// Creates a worker for this queue, which works until `stop`.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        perform: P,
        signal: Arc<JobSignal>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let budget = Mutex::new(Budget::new(USER_TIME_PER_MINUTE));
        let alone = RwLock::default();
        Self { queue, perform, signal, clock, budget, alone, stop, metrics: None }
    }

    /// The same, counting what it does.
    #[must_use]
    pub fn measured(self, metrics: JobMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// What runs the jobs.
    pub fn context(&self) -> &P {
        &self.perform
    }

    /// Runs jobs of these kinds, one after another, until the server stops. Call it as often as jobs of these kinds may
    /// run in parallel.
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
                    tracing::error!(%error, retry_in = words::duration(pause), "can't take jobs");
                    self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    /// Runs all jobs of these kinds that are due, including those that failed before and those added meanwhile.
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

    /// Runs a job while renewing its lease, and records its outcome.
    async fn hold(&self, job: Job) {
        if job.deaths > 0 {
            let (id, kind, deaths) = (job.id, job.kind.name(), job.deaths);
            let upload = job.upload().map(tracing::field::display);
            tracing::warn!(job = %id, kind, upload, deaths, "running a job again: the process ended while it ran");
            // It may do so again, at once.
            let _ = spawn_blocking(|| telemetry::wait_until_written(LOG_TIMEOUT)).await;
        }
        let outcome = tokio::select! {
            outcome = self.perform_in_turn(&job) => Some(self.outcome(&job, outcome)),
            () = self.renew(&job) => None,
            () = self.stop.cancelled() => Some(Outcome::Returned),
        };
        if let Some(outcome) = outcome {
            self.settle(&job, outcome).await;
        } else {
            tracing::warn!(job = %job.id, kind = job.kind.name(), "lost the lease of a job");
        }
        self.signal.job_settled(job.kind, job.subject);
    }

    /// Records a job's outcome as soon as possible, because a lost outcome looks as if the process had died.
    async fn settle(&self, job: &Job, outcome: Outcome) {
        let mut failures = 0;
        while let Err(error) = self.queue.settle_job(job.id, job.lease, outcome.clone()).await {
            let (id, pause) = (job.id, retry_after(failures).min(LEASE));
            failures += 1;
            let retry_in = words::duration(pause);
            tracing::error!(job = %id, %error, retry_in, "can't record the outcome of a job");
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

    /// Runs a job and counts the time. A panic fails this job, and doesn't end the worker.
    async fn perform_once(
        &self,
        job: &Job,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        let began = self.clock.uptime();
        let performed = AssertUnwindSafe(self.perform.perform(job)).catch_unwind().await;
        if let Some(metrics) = &self.metrics {
            let took = self.clock.uptime().saturating_sub(began);
            let failed = !matches!(performed, Ok(Ok(_)));
            metrics.ran(job.kind.name(), took, failed);
        }
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
            tracing::error!(job = %id, kind, %error, retry_in, "job failed");
            Outcome::Failed { error, retry_at: self.clock.unix_secs() + pause.as_secs() }
        })
    }

    /// Renews the lease repeatedly. Returns when it is lost.
    async fn renew(&self, job: &Job) {
        let mut ticks = tokio::time::interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first tick is immediate
        loop {
            ticks.tick().await;
            match self.queue.renew_job(job.id, job.lease, self.leased_until()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(job = %job.id, %error, "can't renew the lease"),
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

/// Returns the pause before the next attempt of a job with this many failures.
fn retry_after(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_attempts_doubles_up_to_ten_minutes() {
        assert_eq!(retry_after(0), Duration::from_secs(5));
        assert_eq!(retry_after(3), Duration::from_secs(40));
        assert_eq!(retry_after(u32::MAX), Duration::from_mins(10));
    }
}
