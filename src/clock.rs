//! What time it is: one source for the whole server, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The server's clock. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// Seconds that a test added to both readings.
    skipped_secs: Arc<AtomicU64>,
}

impl Clock {
    /// The system's clock; its uptime begins now.
    pub fn system() -> Self {
        Self { started: Instant::now(), skipped_secs: Arc::default() }
    }

    /// Seconds since 1970, UTC.
    pub fn unix_secs(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs() + self.skipped_secs.load(Ordering::Relaxed)
    }

    /// Time since this clock was made; steps of the system's clock don't touch it.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed() + Duration::from_secs(self.skipped_secs.load(Ordering::Relaxed))
    }

    /// Moves both readings forward; what tests do instead of sleeping.
    pub fn skip(&self, by: Duration) {
        self.skipped_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}
