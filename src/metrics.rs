//! Metrics: what the server counts and measures, for Prometheus. Every name, help text and bucket is defined here,
//! once. Knows nothing about what it measures.
//!
//! There is no global registry, because a process may run several servers, as tests do. Handles are cheap to clone, and
//! an update costs one atomic addition. Names and units follow the recommendations of Prometheus (seconds, bytes,
//! `_total`), and all names begin with `haversack_`. A label has few values, which are known in advance: never a user,
//! a uuid, an address or a path.

mod process;
mod registrar;

use std::time::Duration;

pub use prometheus::{Histogram, IntCounter, IntGauge};
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use process::ProcessMetrics;
use registrar::Registrar;

/// Bucket bounds of durations in seconds: from an access to the page cache to the time after which clients give up.
const TIMES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bucket bounds of the number of steps in a transaction.
const BATCHES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Error codes that alerts use.
const ALERT_CODES: [&str; 4] = ["internal", "not_authenticated", "not_durable", "storage_full"];
/// Limits that requests are refused because of.
const LIMITS: [&str; 8] = [
    "user",
    "address",
    "lookup",
    "unfinished_uploads",
    "user_quota",
    "max_storage",
    "min_free_space",
    "disk",
];

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    /// Requests.
    pub http: HttpMetrics,
    /// Waits because of limits.
    pub admission: AdmissionMetrics,
    /// The store of bytes.
    pub storage: StorageMetrics,
    /// The database.
    pub database: DatabaseMetrics,
    /// Jobs.
    pub jobs: JobMetrics,
    /// State that is read together with the metrics.
    pub state: StateMetrics,
}

/// Metrics of requests and replies.
#[derive(Clone)]
pub struct HttpMetrics {
    /// Finished requests, by route, method and status. The status is `none` if the connection was lost before a reply.
    pub requests: IntCounterVec,
    /// Error replies, by code.
    pub refusals: IntCounterVec,
    /// Requests refused because of a limit, by limit.
    pub over_limit: IntCounterVec,
    /// Time the server took for a chunk.
    pub chunk: Histogram,
    /// Time the server took to finish an upload.
    pub done: Histogram,
    /// Time from the request for a download to its first byte.
    pub first_byte: Histogram,
    /// Bytes received.
    pub received: IntCounter,
    /// Bytes sent.
    pub sent: IntCounter,
    /// Uploading requests in progress.
    pub uploads: IntGauge,
    /// Downloads in progress.
    pub downloads: IntGauge,
}

/// How long requests waited because of limits.
#[derive(Clone)]
pub struct AdmissionMetrics {
    /// Waits because of the limit on a user's concurrent requests.
    pub user: Histogram,
    /// Waits because of the limit on an address's concurrent requests, behind a proxy.
    pub address: Histogram,
    /// Waits because of the rate limit on statuses and lists.
    pub lookup: Histogram,
    /// Waits because of the rate limit on errors.
    pub refusal: Histogram,
}

/// Metrics of one kind of operation.
#[derive(Clone)]
pub struct OperationMetrics {
    /// Durations.
    pub times: Histogram,
    /// Operations that failed.
    pub errors: IntCounter,
}

/// Metrics of the store of bytes.
#[derive(Clone)]
pub struct StorageMetrics {
    /// Writes of parts.
    pub write: OperationMetrics,
    /// Making bytes durable.
    pub settle: OperationMetrics,
    /// Overwriting or replacing bytes.
    pub rewrite: OperationMetrics,
    /// Beginning to read.
    pub read: OperationMetrics,
    /// Deletions.
    pub delete: OperationMetrics,
    /// Durations of syncs, of growing and of finished files.
    pub sync: Histogram,
}

/// Metrics of the database.
#[derive(Clone)]
pub struct DatabaseMetrics {
    /// Queries.
    pub read: OperationMetrics,
    /// Steps that change records.
    pub write: OperationMetrics,
    times: HistogramVec,
    errors: IntCounterVec,
    /// Durations of commits.
    pub commit: Histogram,
    /// Number of steps per commit.
    pub batch: Histogram,
}

/// Metrics of job runs.
#[derive(Clone)]
pub struct JobMetrics {
    /// Durations of runs, by kind.
    pub times: HistogramVec,
    /// Runs that failed, by kind.
    pub failures: IntCounterVec,
}

/// State that is read together with the metrics.
pub struct StateMetrics {
    /// Jobs on record, by kind and state.
    pub jobs: IntGaugeVec,
    /// Age in seconds of the oldest job that is due, running or to be retried, by kind.
    pub oldest_job: IntGaugeVec,
    /// Free bytes on the disks, by what they contain.
    pub disk_free: IntGaugeVec,
    /// Files that can still be created on the disks, by what they contain.
    pub free_inodes: IntGaugeVec,
    /// Bytes that must stay free.
    pub disk_kept: IntGauge,
    /// Bytes that count against quotas.
    pub stored: IntGauge,
    /// Maximum of `stored`; 0 means no limit.
    pub storage_limit: IntGauge,
    /// Whether the metrics that come from the records are up to date.
    pub records_read: IntGauge,
    /// Whether each thing that uploads need is ready.
    pub ready: IntGaugeVec,
    /// Delay of a timer, which is how long tasks wait for a thread.
    pub scheduler_lag: Histogram,
    /// Threads that run tasks.
    pub workers: IntGauge,
    /// Tasks that have not finished.
    pub tasks: IntGauge,
}

impl Metrics {
    /// Creates the metrics of a server, and registers them together with those of its database.
    #[allow(clippy::too_many_lines, reason = "a table, one entry per metric")]
    pub fn new(database: DatabaseMetrics) -> Self {
        let make = Registrar::default();
        let http = HttpMetrics {
            requests: make.counters(
                "http_requests_total",
                "Finished requests. Status none: the connection was lost before a reply.",
                &["route", "method", "status"],
            ),
            refusals: make.counters(
                "refusals_total",
                "Error replies by code (docs/protocol.md, section 7).",
                &["code"],
            ),
            over_limit: make.counters(
                "limit_refusals_total",
                "Requests refused because of a limit (docs/monitoring.md).",
                &["limit"],
            ),
            chunk: make.histogram(
                "chunk_duration_seconds",
                "Time the server took for a chunk, not counting the time it waited for the client.",
                TIMES,
            ),
            done: make.histogram(
                "done_duration_seconds",
                "Time the server took to finish an upload (done).",
                TIMES,
            ),
            first_byte: make.histogram(
                "download_first_byte_seconds",
                "Time from the request for a download to its first byte.",
                TIMES,
            ),
            received: make.counter("received_bytes_total", "Bytes of request bodies received."),
            sent: make.counter("sent_bytes_total", "Bytes of reply bodies sent."),
            uploads: make.gauge("uploads_in_flight", "Uploading requests in progress."),
            downloads: make.gauge("downloads_in_flight", "Downloads in progress."),
        };
        let waits = make.histograms(
            "admission_wait_seconds",
            "Time that requests waited because of a limit.",
            &["limit"],
            TIMES,
        );
        let admission = AdmissionMetrics {
            user: waits.with_label_values(&["user"]),
            address: waits.with_label_values(&["address"]),
            lookup: waits.with_label_values(&["lookup"]),
            refusal: waits.with_label_values(&["refusal"]),
        };
        let times = make.histograms(
            "storage_duration_seconds",
            "Duration of operations on stored bytes.",
            &["operation"],
            TIMES,
        );
        let errors = make.counters(
            "storage_errors_total",
            "Operations on stored bytes that failed.",
            &["operation"],
        );
        let storage = StorageMetrics {
            write: OperationMetrics::of("write", &times, &errors),
            settle: OperationMetrics::of("settle", &times, &errors),
            rewrite: OperationMetrics::of("rewrite", &times, &errors),
            read: OperationMetrics::of("read", &times, &errors),
            delete: OperationMetrics::of("delete", &times, &errors),
            sync: make.histogram(
                "sync_duration_seconds",
                "Time it took to sync bytes of a file, while it grows and when it is finished.",
                TIMES,
            ),
        };
        let jobs = JobMetrics {
            times: make.histograms(
                "job_duration_seconds",
                "Duration of runs of background jobs.",
                &["kind"],
                TIMES,
            ),
            failures: make.counters(
                "job_failures_total",
                "Runs of background jobs that failed.",
                &["kind"],
            ),
        };
        let state = StateMetrics {
            jobs: make.gauges("jobs", "Background jobs on record.", &["kind", "state"]),
            oldest_job: make.gauges(
                "job_oldest_due_seconds",
                "Age of the oldest job that is due, running or to be retried.",
                &["kind"],
            ),
            disk_free: make.gauges(
                "disk_free_bytes",
                "Free bytes on the disk with the records, and on the one with the stored files.",
                &["disk"],
            ),
            free_inodes: make.gauges(
                "disk_free_inodes",
                "Files that can still be created on the disks. Missing if a file system has no such limit.",
                &["disk"],
            ),
            disk_kept: make.gauge(
                "disk_kept_free_bytes",
                "Bytes that must stay free (--min-free-space). With less, uploads are refused.",
            ),
            stored: make.gauge(
                "stored_bytes",
                "Bytes of all users that count against quotas. Unfinished uploads count in full.",
            ),
            storage_limit: make.gauge(
                "storage_limit_bytes",
                "Maximum of stored_bytes (--max-storage). 0 means no limit.",
            ),
            records_read: make.gauge(
                "records_read",
                "1 if jobs and stored_bytes are up to date, 0 if the records could not be read in time.",
            ),
            ready: make.gauges(
                "ready",
                "1 if files or records can be written, 0 if not: then uploads are refused.",
                &["check"],
            ),
            scheduler_lag: make.histogram(
                "scheduler_lag_seconds",
                "Delay of a timer that fires every second, which is how long tasks wait for a thread.",
                TIMES,
            ),
            workers: make.gauge("runtime_workers", "Threads that run tasks."),
            tasks: make.gauge("runtime_tasks", "Tasks that have not finished."),
        };
        make.collect(database.times.clone());
        make.collect(database.errors.clone());
        make.collect(database.commit.clone());
        make.collect(database.batch.clone());
        let process = ProcessMetrics::new(&make);
        for code in ALERT_CODES {
            http.refusals.with_label_values(&[code]);
        }
        for limit in LIMITS {
            http.over_limit.with_label_values(&[limit]);
        }
        let registry = make.into_registry();
        Self { registry, process, http, admission, storage, database, jobs, state }
    }

    /// Returns all metrics in Prometheus' text format (version 0.0.4).
    pub fn text(&self) -> String {
        self.process.update();
        // Encoding fails only if names or labels are invalid, and those can't be registered.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl JobMetrics {
    /// Counts a run of a job of this kind.
    pub fn ran(&self, kind: &'static str, took: Duration, failed: bool) {
        OperationMetrics::of(kind, &self.times, &self.failures).ran(took, failed);
    }

    /// Makes these kinds appear with zeros, although none has run yet.
    pub fn show(&self, kinds: impl IntoIterator<Item = &'static str>) {
        for kind in kinds {
            OperationMetrics::of(kind, &self.times, &self.failures);
        }
    }
}

impl OperationMetrics {
    /// Those with this label, which appear with zeros: an alert on an increase would miss the first one of a series
    /// that didn't exist.
    fn of(label: &'static str, times: &HistogramVec, errors: &IntCounterVec) -> Self {
        let label = [label];
        Self { times: times.with_label_values(&label), errors: errors.with_label_values(&label) }
    }

    /// Counts an operation.
    pub fn ran(&self, took: Duration, failed: bool) {
        self.times.observe(took.as_secs_f64());
        if failed {
            self.errors.inc();
        }
    }
}

impl DatabaseMetrics {
    /// Counts a commit of this number of steps.
    pub fn committed(&self, steps: usize, took: Duration) {
        self.commit.observe(took.as_secs_f64());
        self.batch.observe(u32::try_from(steps).unwrap_or(u32::MAX).into());
    }
}

/// Creates the metrics of a database, which a server registers later.
impl Default for DatabaseMetrics {
    fn default() -> Self {
        let make = Registrar::default();
        let times = make.histograms(
            "database_duration_seconds",
            "Duration of database operations, including the wait for their turn.",
            &["operation"],
            TIMES,
        );
        let errors = make.counters(
            "database_errors_total",
            "Database operations that failed.",
            &["operation"],
        );
        Self {
            read: OperationMetrics::of("read", &times, &errors),
            write: OperationMetrics::of("write", &times, &errors),
            times,
            errors,
            commit: make.histogram(
                "commit_duration_seconds",
                "Time it took to commit a batch of steps.",
                TIMES,
            ),
            batch: make.histogram("commit_batch_size", "Number of steps per transaction.", BATCHES),
        }
    }
}
