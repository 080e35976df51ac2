//! What time it is: one source for the whole server, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The server's clock. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    started_unix_secs: u64,
    /// Seconds that a test added to all readings.
    skipped_secs: Arc<AtomicU64>,
    /// Seconds by which a test set the system's clock forward.
    set_forward_secs: Arc<AtomicU64>,
}

impl Clock {
    /// The system's clock; its uptime begins now.
    pub fn system() -> Self {
        Self {
            started: Instant::now(),
            started_unix_secs: system_unix_secs(),
            skipped_secs: Arc::default(),
            set_forward_secs: Arc::default(),
        }
    }

    /// Seconds since 1970, UTC.
    pub fn unix_secs(&self) -> u64 {
        system_unix_secs()
            + self.skipped_secs.load(Ordering::Relaxed)
            + self.set_forward_secs.load(Ordering::Relaxed)
    }

    /// Seconds since 1970 by which things are old: a system's clock that is set forward makes nothing older.
    pub fn steady_unix_secs(&self) -> u64 {
        self.unix_secs().min(self.started_unix_secs + self.uptime().as_secs())
    }

    /// Time since this clock was made; steps of the system's clock don't touch it.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed() + Duration::from_secs(self.skipped_secs.load(Ordering::Relaxed))
    }

    /// Moves all readings forward; what tests do instead of sleeping.
    pub fn skip(&self, by: Duration) {
        self.skipped_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Sets the system's clock forward, as an operator or a time server might.
    pub fn set_forward(&self, by: Duration) {
        self.set_forward_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

fn system_unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
