//! Background jobs. A worker takes them from the queue, holds their leases while they run, and records their outcome.
//! What each kind of job does is here, or in a file of its own if it is more than a line.
//!
//! Knows no HTTP. Everything here may happen twice, and on several nodes at once: every effect names its lease.

mod budget;
mod context;
mod expire;
mod pack;
mod thumbnail;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::{JobId, UploadId};
use crate::metadata;
use crate::metadata::jobs::{Job, JobKind, NewJob, Outcome, PERIODIC};
use crate::uploads::Refusal;
pub use context::Context;
pub use worker::{Perform, Worker};

/// Kinds of which there is always exactly one job, which runs again and again.
const PERIODIC_KINDS: [JobKind; 2] = [JobKind::Expire, JobKind::Collect];
/// How often to search for bytes that no record claims. A search lists every blob.
const COLLECT_EVERY: Duration = Duration::from_hours(1);

/// The server's jobs.
pub struct Jobs {
    worker: Worker<Context>,
    stop: CancellationToken,
}

impl Jobs {
    /// Creates the jobs of these stores. Nothing runs yet.
    pub fn new(context: Context) -> Self {
        let stop = CancellationToken::new();
        let (signal, clock) = (Arc::clone(&context.signal), context.clock.clone());
        let (queue, metrics) = (Arc::clone(&context.metadata), context.metrics.clone());
        metrics.show(JobKind::ALL.iter().map(|kind| kind.name()));
        let worker = Worker::new(queue, context, signal, clock, stop.clone());
        Self { worker: worker.measured(metrics), stop }
    }

    /// Runs jobs until [`Jobs::stop`].
    pub async fn run(self: Arc<Self>) {
        if let Err(error) = self.add_periodic().await {
            tracing::error!(%error, "can't record periodic jobs");
        }
        let lanes = TaskTracker::new();
        for _ in 0..thumbnails_at_once() {
            let this = Arc::clone(&self);
            lanes.spawn(async move { this.worker.run(&Lane::Thumbnails.kinds()).await });
        }
        for lane in [Lane::Files, Lane::Upkeep] {
            let this = Arc::clone(&self);
            lanes.spawn(async move { this.worker.run(&lane.kinds()).await });
        }
        lanes.close();
        lanes.wait().await;
    }

    /// Stops taking jobs, and gives back the running ones. [`Jobs::run`] returns soon after.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs everything there is to do now, including periodic jobs. Repeating it is harmless.
    pub async fn run_all(&self) -> Result<(), Refusal> {
        self.run_due().await?;
        expire::run(self.worker.context()).await?;
        self.run_due().await?;
        expire::collect(self.worker.context()).await
    }

    /// Runs jobs that are due, including those that failed before, and waits for running ones, until there are none
    /// left.
    pub async fn run_due(&self) -> Result<(), Refusal> {
        let context = self.worker.context();
        let mut quiet = 0; // twice, because a job that ends after the check may have added others
        while quiet < 2 {
            self.worker.run_due(JobKind::ALL).await?;
            let mut waited = false;
            for kind in JobKind::ALL.iter().copied().filter(|kind| !PERIODIC_KINDS.contains(kind)) {
                let now = context.clock.unix_secs();
                if context.metadata.any_running(kind, None, now).await? {
                    waited |= context.uploads.none_running(kind, None).await?;
                }
            }
            quiet = if waited { 0 } else { quiet + 1 };
        }
        Ok(())
    }

    /// Makes jobs due that failed or were set aside: all of them, or the one with this id. Returns their number.
    pub async fn retry(&self, id: Option<JobId>) -> Result<u64, metadata::Error> {
        let context = self.worker.context();
        let count = context.metadata.retry_jobs(id, context.clock.unix_secs()).await?;
        context.signal.job_added();
        Ok(count)
    }

    async fn add_periodic(&self) -> Result<(), metadata::Error> {
        for kind in PERIODIC_KINDS {
            self.worker.context().metadata.add_job(NewJob::at_once(kind, PERIODIC)).await?;
        }
        Ok(())
    }
}

/// A group of jobs that run one after another, in parallel with other lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// The only lane with several workers.
    Thumbnails,
    /// Jobs that somebody may be waiting for.
    Files,
    /// Jobs that take long.
    Upkeep,
}

impl Lane {
    fn of(kind: JobKind) -> Self {
        match kind {
            JobKind::Thumbnail => Self::Thumbnails,
            JobKind::Finish | JobKind::Delete | JobKind::ForgetParts => Self::Files,
            JobKind::Pack | JobKind::Compare | JobKind::Expire | JobKind::Collect => Self::Upkeep,
        }
    }

    fn kinds(self) -> Vec<JobKind> {
        JobKind::ALL.iter().copied().filter(|kind| Self::of(*kind) == self).collect()
    }
}

/// One worker for every two processors, because requests come first, and at most four, because drawing one may take
/// hundreds of megabytes.
fn thumbnails_at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

#[async_trait::async_trait]
impl Perform for Context {
    async fn perform(
        &self,
        job: &Job,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        let now = || self.clock.unix_secs();
        match job.kind {
            JobKind::Thumbnail => thumbnail::run(self, job).await?,
            JobKind::Delete => self.uploads.delete(job).await?,
            JobKind::ForgetParts => self.uploads.forget_parts(job).await?,
            JobKind::Finish => self.uploads.resume(UploadId::from_bytes(job.subject)).await?,
            JobKind::Pack => pack::run(self, job).await?,
            JobKind::Compare => {
                if self.uploads.compare_suspects().await? {
                    return Ok(Outcome::Again { run_at: now() });
                }
            }
            JobKind::Expire => {
                expire::run(self).await?;
                return Ok(Outcome::Again { run_at: now() + expire::EVERY.as_secs() });
            }
            JobKind::Collect => {
                expire::collect(self).await?;
                return Ok(Outcome::Again { run_at: now() + COLLECT_EVERY.as_secs() });
            }
        }
        Ok(Outcome::Done)
    }
}
