//! Metrics of the process, as Linux describes it in /proc/self, and of its build.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, IntGauge};
use rustix::process::{Resource, getrlimit};

use super::registrar::Registrar;

/// Clock ticks per second in /proc, which are the same on every Linux (`proc_pid_stat(5)`, `USER_HZ`).
const TICKS: f64 = 100.0;

/// Metrics of the process.
pub(super) struct ProcessMetrics {
    cpu: Counter,
    memory: IntGauge,
    descriptors: IntGauge,
    max_descriptors: IntGauge,
    threads: IntGauge,
}

impl ProcessMetrics {
    /// Registers the metrics, and sets those that don't change: version and start time.
    pub(super) fn new(make: &Registrar) -> Self {
        let build = make.gauges("build_info", "Always 1. The label is the version.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let start = make.gauge("process_start_time_seconds", "Start time, in unix seconds.");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        start.set(i64::try_from(now.as_secs()).unwrap_or_default());
        Self {
            cpu: make.seconds("process_cpu_seconds_total", "Processor time used."),
            memory: make.gauge("process_resident_memory_bytes", "Memory in use."),
            descriptors: make.gauge("process_open_fds", "Open file descriptors."),
            max_descriptors: make.gauge("process_max_fds", "Limit on open file descriptors."),
            threads: make.gauge("process_threads", "Threads."),
        }
    }

    /// Updates the metrics. Those that can't be read keep their values.
    pub(super) fn update(&self) {
        if let Some(used) = cpu_seconds() {
            self.cpu.inc_by((used - self.cpu.get()).max(0.0));
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kib) = field(&status, "VmRSS:") {
            self.memory.set(kib * 1024);
        }
        if let Some(threads) = field(&status, "Threads:") {
            self.threads.set(threads);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.descriptors.set(i64::try_from(open.count()).unwrap_or(i64::MAX));
        }
        let max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.max_descriptors.set(i64::try_from(max).unwrap_or(i64::MAX));
    }
}

/// Returns the processor time that this process has used (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?; // after the program's name
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
    Some(ticks.into_iter().map(f64::from).sum::<f64>() / TICKS)
}

/// Returns a number from /proc/self/status (`proc_pid_status(5)`).
fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
