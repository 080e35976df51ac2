//! Metrics: what the server counts and measures of itself, as Prometheus reads it. Every name, help text and bucket
//! stands here, once. Knows nothing of what it measures.
//!
//! There is no global registry: a process may run several servers, as tests do. Handles are cheap to clone, and cost an
//! atomic addition each time. Names and units are as Prometheus recommends (seconds, bytes, `_total`), and all begin
//! with `haversack_`. The values of a label are few and known beforehand: never a user, a uuid, an address or a path.

mod process;
mod registrar;

use std::time::Duration;

pub use prometheus::{Histogram, IntCounter, IntGauge};
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use process::ProcessMetrics;
use registrar::Registrar;

/// Bounds of times, in seconds: from what a page cache takes to what clients give up on.
const TIMES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of how many steps share a transaction.
const BATCHES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Operations on stored bytes.
const STORAGE_OPERATIONS: [&str; 5] = ["write", "settle", "rewrite", "read", "delete"];
/// Operations on the database: queries, and steps that change something.
const DATABASE_OPERATIONS: [&str; 2] = ["read", "write"];
/// Codes of errors on which there are alarms.
const FAILURES: [&str; 4] = ["internal", "not_authenticated", "not_durable", "storage_full"];

/// All metrics of a server.
pub struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    /// Requests.
    pub http: HttpMetrics,
    /// Waiting for limits.
    pub admission: AdmissionMetrics,
    /// The store of bytes.
    pub storage: StorageMetrics,
    /// The database.
    pub database: DatabaseMetrics,
    /// Jobs.
    pub jobs: JobMetrics,
    /// What is looked up when the metrics are read.
    pub state: StateMetrics,
}

/// Metrics of requests and replies.
#[derive(Clone)]
pub struct HttpMetrics {
    /// Requests that ended, by route, method and status; `none` where the connection was lost before a reply.
    pub requests: IntCounterVec,
    /// Error replies, by code.
    pub refusals: IntCounterVec,
    /// How long the server took for a chunk.
    pub chunk: Histogram,
    /// How long the server took to finish an upload.
    pub done: Histogram,
    /// How long until a download's first byte.
    pub first_byte: Histogram,
    /// Bytes received.
    pub received: IntCounter,
    /// Bytes sent.
    pub sent: IntCounter,
    /// Requests that upload, at this moment.
    pub uploads: IntGauge,
    /// Replies that send a file, at this moment.
    pub downloads: IntGauge,
}

/// Metrics of limits on how much runs at once: how long requests waited for their turn.
#[derive(Clone)]
pub struct AdmissionMetrics {
    /// Among those of their user.
    pub user: Histogram,
    /// Among those of their address, behind a proxy.
    pub address: Histogram,
    /// Before they could ask for something.
    pub lookup: Histogram,
    /// Before they got an error.
    pub refusal: Histogram,
}

/// Metrics of the store of bytes.
#[derive(Clone)]
pub struct StorageMetrics {
    /// How long its operations took.
    pub times: HistogramVec,
    /// Its operations that failed.
    pub errors: IntCounterVec,
    /// How long syncs took.
    pub sync: Histogram,
}

/// Metrics of the database.
#[derive(Clone)]
pub struct DatabaseMetrics {
    /// How long its operations took.
    pub times: HistogramVec,
    /// Its operations that failed.
    pub errors: IntCounterVec,
    /// How long commits took.
    pub commit: Histogram,
    /// How many steps shared a commit.
    pub batch: Histogram,
}

/// Metrics of jobs as they run.
#[derive(Clone)]
pub struct JobMetrics {
    /// How long jobs ran, by kind.
    pub times: HistogramVec,
    /// Jobs that failed, by kind.
    pub failures: IntCounterVec,
}

/// What is looked up when the metrics are read.
pub struct StateMetrics {
    /// Jobs on record, by kind and state.
    pub jobs: IntGaugeVec,
    /// How long the oldest job that is due has waited, by kind.
    pub oldest_job: IntGaugeVec,
    /// Free bytes of the disks, by what is on them.
    pub disk_free: IntGaugeVec,
    /// Bytes that uploads leave free.
    pub disk_kept: IntGauge,
    /// Bytes on record.
    pub stored: IntGauge,
    /// The most that may be on record; 0: no limit.
    pub storage_limit: IntGauge,
    /// Whether uploads can be taken, by what they need.
    pub ready: IntGaugeVec,
    /// Lateness of a timer: how long tasks wait for a thread.
    pub scheduler_lag: Histogram,
    /// Threads that run tasks.
    pub workers: IntGauge,
    /// Tasks alive.
    pub tasks: IntGauge,
}

impl Metrics {
    /// Nothing has been counted yet, except by this database.
    #[allow(clippy::too_many_lines, reason = "a table, one entry per metric")]
    pub fn new(database: DatabaseMetrics) -> Self {
        let make = Registrar::default();
        let http = HttpMetrics {
            requests: make.counters(
                "http_requests_total",
                "Requests that ended. status none: the connection was lost before a reply.",
                &["route", "method", "status"],
            ),
            refusals: make.counters(
                "refusals_total",
                "Error replies by code (docs/protocol.md, section 7).",
                &["code"],
            ),
            chunk: make.histogram(
                "chunk_duration_seconds",
                "Time the server took for a chunk, without waiting for the client to send it.",
                TIMES,
            ),
            done: make.histogram(
                "done_duration_seconds",
                "Time the server took to finish an upload (done).",
                TIMES,
            ),
            first_byte: make.histogram(
                "download_first_byte_seconds",
                "Time from a download's request to its first byte.",
                TIMES,
            ),
            received: make.counter("received_bytes_total", "Bytes of request bodies received."),
            sent: make.counter("sent_bytes_total", "Bytes of reply bodies sent."),
            uploads: make.gauge("uploads_in_flight", "Requests that upload at this moment."),
            downloads: make.gauge("downloads_in_flight", "Downloads at this moment."),
        };
        let waits = make.histograms(
            "admission_wait_seconds",
            "Time that requests waited for their turn, by limit.",
            &["limit"],
            TIMES,
        );
        let admission = AdmissionMetrics {
            user: waits.with_label_values(&["user"]),
            address: waits.with_label_values(&["address"]),
            lookup: waits.with_label_values(&["lookup"]),
            refusal: waits.with_label_values(&["refusal"]),
        };
        let storage = StorageMetrics {
            times: make.histograms(
                "storage_duration_seconds",
                "Time that operations on stored bytes took.",
                &["operation"],
                TIMES,
            ),
            errors: make.counters(
                "storage_errors_total",
                "Operations on stored bytes that failed.",
                &["operation"],
            ),
            sync: make.histogram(
                "sync_duration_seconds",
                "Time that making the bytes of a finished file durable took.",
                TIMES,
            ),
        };
        let jobs = JobMetrics {
            times: make.histograms(
                "job_duration_seconds",
                "Time that background jobs ran.",
                &["kind"],
                TIMES,
            ),
            failures: make.counters("job_failures_total", "Runs of jobs that failed.", &["kind"]),
        };
        let state = StateMetrics {
            jobs: make.gauges("jobs", "Background jobs on record.", &["kind", "state"]),
            oldest_job: make.gauges(
                "job_oldest_due_seconds",
                "Time for which the oldest job that is due has been waiting or running.",
                &["kind"],
            ),
            disk_free: make.gauges(
                "disk_free_bytes",
                "Free bytes of the disk with the records, and of the one with the stored files.",
                &["disk"],
            ),
            disk_kept: make.gauge(
                "disk_kept_free_bytes",
                "Bytes that must stay free (--min-free-space): with less, uploads are refused.",
            ),
            stored: make.gauge(
                "stored_bytes",
                "Bytes that count against quotas, of all users; unfinished uploads count in full.",
            ),
            storage_limit: make.gauge(
                "storage_limit_bytes",
                "The most that stored_bytes may be (--max-storage); 0: no limit.",
            ),
            ready: make.gauges(
                "ready",
                "1: files or records can be written; 0: they can't, and uploads are refused.",
                &["check"],
            ),
            scheduler_lag: make.histogram(
                "scheduler_lag_seconds",
                "How late a timer fired that is due every second: time that tasks wait for a thread.",
                TIMES,
            ),
            workers: make.gauge("runtime_workers", "Threads that run tasks."),
            tasks: make.gauge("runtime_tasks", "Tasks that have not ended."),
        };
        make.collect(database.times.clone());
        make.collect(database.errors.clone());
        make.collect(database.commit.clone());
        make.collect(database.batch.clone());
        let process = ProcessMetrics::new(&make);
        show(&storage.times, &storage.errors, STORAGE_OPERATIONS);
        for code in FAILURES {
            http.refusals.with_label_values(&[code]);
        }
        let registry = make.into_registry();
        Self { registry, process, http, admission, storage, database, jobs, state }
    }

    /// Everything, in Prometheus' text format (version 0.0.4).
    pub fn text(&self) -> String {
        self.process.look();
        // It fails only where names or labels are wrong, which registering has refused.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl JobMetrics {
    /// Counts a run of a job of this kind.
    pub fn ran(&self, kind: &'static str, took: Duration, failed: bool) {
        count(&self.times, &self.failures, kind, took, failed);
    }

    /// Shows these kinds, none of which has run.
    pub fn show(&self, kinds: impl IntoIterator<Item = &'static str>) {
        show(&self.times, &self.failures, kinds);
    }
}

impl StorageMetrics {
    /// Counts an operation.
    pub fn operation(&self, name: &'static str, took: Duration, failed: bool) {
        count(&self.times, &self.errors, name, took, failed);
    }
}

impl DatabaseMetrics {
    /// Counts an operation.
    pub fn operation(&self, name: &'static str, took: Duration, failed: bool) {
        count(&self.times, &self.errors, name, took, failed);
    }

    /// Counts a commit of so many steps.
    pub fn committed(&self, steps: usize, took: Duration) {
        self.commit.observe(took.as_secs_f64());
        self.batch.observe(u32::try_from(steps).unwrap_or(u32::MAX).into());
    }
}

/// The database's own metrics, before they belong to a server.
impl Default for DatabaseMetrics {
    fn default() -> Self {
        let make = Registrar::default();
        let metrics = Self {
            times: make.histograms(
                "database_duration_seconds",
                "Time that database operations took, waiting for their turn included.",
                &["operation"],
                TIMES,
            ),
            errors: make.counters(
                "database_errors_total",
                "Database operations that failed.",
                &["operation"],
            ),
            commit: make.histogram(
                "commit_duration_seconds",
                "Time that committing a batch of steps took.",
                TIMES,
            ),
            batch: make.histogram("commit_batch_size", "Steps that shared a transaction.", BATCHES),
        };
        show(&metrics.times, &metrics.errors, DATABASE_OPERATIONS);
        metrics
    }
}

fn count(
    times: &HistogramVec,
    errors: &IntCounterVec,
    name: &'static str,
    took: Duration,
    failed: bool,
) {
    times.with_label_values(&[name]).observe(took.as_secs_f64());
    if failed {
        errors.with_label_values(&[name]).inc();
    }
}

/// Makes these appear with zeros: an alarm on an increase would miss the first one of a series that wasn't there.
fn show(
    times: &HistogramVec,
    errors: &IntCounterVec,
    names: impl IntoIterator<Item = &'static str>,
) {
    for name in names {
        times.with_label_values(&[name]);
        errors.with_label_values(&[name]);
    }
}
