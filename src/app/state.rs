//! The current state of a server, for metrics and `haversack status`: whatever is looked up instead of counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::metadata::jobs::{JobCount, JobKind, JobState};
use crate::metadata::{self, MetadataStore};
use crate::metrics::Metrics;
use crate::space;
use crate::telemetry::chain;
use crate::uploads::{CHECK_TIMEOUT, Uploads};

/// The current state of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Whether each thing that uploads need is ready, by name: `None`, or else the reason why it isn't.
    pub ready: BTreeMap<String, Option<String>>,
    /// Free space of the disks.
    pub disks: Vec<Disk>,
    /// Number of bytes that must stay free.
    pub kept_free_bytes: u64,
    /// Number of bytes of all users that count against quotas; `None` if the records can't be read in time.
    pub stored_bytes: Option<u64>,
    /// Maximum of `stored_bytes`; `None` means no limit.
    pub storage_limit_bytes: Option<u64>,
    /// Number of requests refused because of this limit since the server started.
    pub storage_limit_refusals: u64,
    /// Background jobs by kind; none if the records can't be read in time.
    pub jobs: Vec<Jobs>,
}

/// Free space of a disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// What it contains: `records` or `files`.
    pub holds: String,
    /// Number of bytes that this process may still write.
    pub free_bytes: u64,
    /// Number of files that it may still create; `None` if the file system has no such limit.
    pub free_inodes: Option<u64>,
}

/// The jobs of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Jobs {
    /// The kind's name.
    pub kind: String,
    /// Number of jobs that are waiting for a worker.
    pub due: u64,
    /// Number of jobs that are running.
    pub running: u64,
    /// Number of jobs that failed and will be retried.
    pub retrying: u64,
    /// Number of jobs that are due later.
    pub scheduled: u64,
    /// Number of jobs that run only if the operator retries them.
    pub set_aside: u64,
    /// Age in seconds of the oldest job that is due, running or to be retried.
    pub oldest_secs: u64,
}

/// Reads the state of a server.
pub struct StateReader {
    pub(super) uploads: Arc<Uploads>,
    pub(super) metadata: Arc<dyn MetadataStore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) data_dir: PathBuf,
    pub(super) kept_free_bytes: u64,
    pub(super) storage_limit_bytes: Option<u64>,
    pub(super) oldest: OldestJobs,
}

/// The number of the oldest job of each kind, and when this process first saw it (unix seconds). The records don't
/// contain when a job became due.
#[derive(Default)]
pub(super) struct OldestJobs(Mutex<BTreeMap<&'static str, (u64, u64)>>);

impl OldestJobs {
    /// Returns how many seconds `oldest` has been the oldest job of its kind, or 0 if there is none.
    fn age(&self, kind: &'static str, oldest: Option<JobCount>, now: u64) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = oldest else {
            known.remove(kind);
            return 0;
        };
        let entry = known.entry(kind).or_insert((oldest.first, now));
        if entry.0 != oldest.first {
            *entry = (oldest.first, now);
        }
        // A periodic job keeps its number when it becomes due again.
        let due_since = if oldest.run_at <= now { oldest.run_at.max(entry.1) } else { entry.1 };
        now.saturating_sub(due_since)
    }
}

impl StateReader {
    /// Reads the state, and updates the metrics that show it. Takes no longer than [`CHECK_TIMEOUT`]: what the records
    /// don't tell by then is missing.
    pub async fn read(&self) -> State {
        let now = self.clock.unix_secs();
        let recorded = tokio::time::timeout(CHECK_TIMEOUT, self.recorded(now));
        let (checks, recorded) = tokio::join!(self.uploads.checks(), recorded);
        let (counts, stored_bytes) = match recorded {
            Ok(Ok((counts, stored))) => (Some(counts), Some(stored)),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "can't read the state of jobs and storage");
                (None, None)
            }
            Err(_) => {
                let secs = CHECK_TIMEOUT.as_secs();
                tracing::error!(
                    "reading the state of jobs and storage has taken longer than {secs} s"
                );
                (None, None)
            }
        };
        let kinds = JobKind::ALL.iter();
        let jobs = counts
            .map(|counts| kinds.map(|kind| self.jobs_of(kind.name(), &counts, now)).collect());
        let dir = &self.data_dir;
        let disks = [("records", dir.clone()), ("files", dir.join("blobs"))];
        let free = |(holds, dir): (_, PathBuf)| {
            let (free_bytes, free_inodes) =
                (space::free(&dir).ok()?, space::free_inodes(&dir).ok()?);
            Some(Disk { holds: str::to_owned(holds), free_bytes, free_inodes })
        };
        let state = State {
            ready: checks
                .into_iter()
                .map(|(what, outcome)| (what.to_owned(), outcome.err().map(|error| error.cause())))
                .collect(),
            disks: disks.into_iter().filter_map(free).collect(),
            kept_free_bytes: self.kept_free_bytes,
            stored_bytes,
            storage_limit_bytes: self.storage_limit_bytes,
            storage_limit_refusals: self
                .metrics
                .http
                .over_limit
                .with_label_values(&["max_storage"])
                .get(),
            jobs: jobs.unwrap_or_default(),
        };
        self.update_metrics(&state);
        state
    }

    /// What is on record.
    async fn recorded(&self, now: u64) -> Result<(Vec<JobCount>, u64), metadata::Error> {
        Ok((self.metadata.job_counts(now).await?, self.metadata.total_bytes().await?))
    }

    fn jobs_of(&self, kind: &'static str, counts: &[JobCount], now: u64) -> Jobs {
        let of_kind = || counts.iter().filter(|count| count.kind == kind);
        let of = |state: JobState| {
            of_kind().filter(|count| count.state == state).map(|count| count.count).sum::<u64>()
        };
        let is_pending = |count: &&JobCount| {
            matches!(count.state, JobState::Due | JobState::Running | JobState::Retrying)
        };
        let oldest = of_kind().filter(is_pending).min_by_key(|count| count.first).cloned();
        Jobs {
            kind: kind.to_owned(),
            due: of(JobState::Due),
            running: of(JobState::Running),
            retrying: of(JobState::Retrying),
            scheduled: of(JobState::Scheduled),
            set_aside: of(JobState::SetAside),
            oldest_secs: self.oldest.age(kind, oldest, now),
        }
    }

    /// Returns all metrics in Prometheus' text format. If the records can't be read in time, the metrics that come from
    /// them keep their values, and `haversack_records_read` is 0.
    pub async fn metrics_text(&self) -> String {
        self.read().await;
        self.metrics.text()
    }

    fn update_metrics(&self, state: &State) {
        let metrics = &self.metrics.state;
        for (what, problem) in &state.ready {
            metrics.ready.with_label_values(&[what]).set(i64::from(problem.is_none()));
        }
        for disk in &state.disks {
            metrics.disk_free.with_label_values(&[&disk.holds]).set(gauge(disk.free_bytes));
            if let Some(inodes) = disk.free_inodes {
                metrics.free_inodes.with_label_values(&[&disk.holds]).set(gauge(inodes));
            }
        }
        metrics.disk_kept.set(gauge(state.kept_free_bytes));
        metrics.records_read.set(i64::from(state.stored_bytes.is_some()));
        if let Some(stored) = state.stored_bytes {
            metrics.stored.set(gauge(stored));
        }
        metrics.storage_limit.set(gauge(state.storage_limit_bytes.unwrap_or(0)));
        for jobs in &state.jobs {
            for (name, count) in [
                ("due", jobs.due),
                ("running", jobs.running),
                ("retrying", jobs.retrying),
                ("scheduled", jobs.scheduled),
                ("set_aside", jobs.set_aside),
            ] {
                metrics.jobs.with_label_values(&[jobs.kind.as_str(), name]).set(gauge(count));
            }
            metrics.oldest_job.with_label_values(&[&jobs.kind]).set(gauge(jobs.oldest_secs));
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let runtime = runtime.metrics();
            metrics.workers.set(gauge(runtime.num_workers() as u64));
            metrics.tasks.set(gauge(runtime.num_alive_tasks() as u64));
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(first: u64, run_at: u64) -> JobCount {
        let (kind, state) = ("thumbnail".to_owned(), JobState::Due);
        JobCount { kind, state, count: 1, first, run_at }
    }

    #[test]
    fn a_job_ages_until_it_is_gone() {
        let oldest = OldestJobs::default();
        assert_eq!(oldest.age("thumbnail", Some(count(1, 0)), 1000), 0);
        assert_eq!(oldest.age("thumbnail", Some(count(1, 0)), 1060), 60);
        assert_eq!(oldest.age("thumbnail", Some(count(2, 0)), 1070), 0, "another job");
        assert_eq!(oldest.age("thumbnail", None, 1080), 0);
        assert_eq!(oldest.age("thumbnail", Some(count(2, 0)), 1090), 0);
    }

    #[test]
    fn a_periodic_job_ages_from_when_it_was_last_due() {
        let oldest = OldestJobs::default();
        assert_eq!(oldest.age("expire", Some(count(1, 990)), 1000), 0);
        assert_eq!(oldest.age("expire", Some(count(1, 1050)), 1060), 10);
    }

    #[test]
    fn a_job_that_will_be_retried_keeps_ageing() {
        let oldest = OldestJobs::default();
        assert_eq!(oldest.age("thumbnail", Some(count(1, 0)), 1000), 0);
        assert_eq!(oldest.age("thumbnail", Some(count(1, 1300)), 1100), 100);
    }
}
