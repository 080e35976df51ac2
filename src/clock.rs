//! The server's only source of time, so that tests can move it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A change of the system's clock by less than this many seconds counts as drift. A larger change means that the clock
/// was set.
const MIN_STEP_SECS: u64 = 60;
/// Maximum number of settings that are remembered. When there are more, the two oldest are merged.
const MAX_SETTINGS: usize = 64;

/// The server's clock. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// Seconds that a test added to all readings.
    skipped_secs: AtomicU64,
    /// Seconds by which a test set the system's clock forward.
    set_forward_secs: AtomicU64,
    /// `zero` of the newest setting.
    zero: AtomicU64,
    /// How the system's clock has been set since the start, the newest setting last; never empty.
    settings: Mutex<Vec<Setting>>,
}

/// A setting of the system's clock.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Uptime in seconds when it was noticed.
    since: u64,
    /// What the clock would have shown at the server's start by this setting (unix seconds).
    zero: u64,
}

/// A reading of both clocks, in seconds.
struct Reading {
    unix: u64,
    uptime: u64,
}

impl Clock {
    /// Creates a clock that follows the system's clock. Its uptime begins now.
    pub fn system() -> Self {
        let zero = system_unix_secs();
        Self(Arc::new(Inner {
            started: Instant::now(),
            skipped_secs: AtomicU64::default(),
            set_forward_secs: AtomicU64::default(),
            zero: AtomicU64::new(zero),
            settings: Mutex::new(vec![Setting { since: 0, zero }]),
        }))
    }

    /// Returns the current time in seconds since 1970, UTC (unix seconds).
    pub fn unix_secs(&self) -> u64 {
        self.read().unix
    }

    /// Returns what the system's clock showed `age` ago (unix seconds). A timestamp before that is older than `age`,
    /// however the clock has been set since. If the clock was set within that time, returns the earliest time that it
    /// may have shown. Times before the server's start are computed with the setting at the start.
    pub fn unix_secs_ago(&self, age: Duration) -> u64 {
        let uptime = self.read().uptime;
        let settings = self.0.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = uptime.saturating_sub(age.as_secs());
        let before = settings.partition_point(|setting| setting.since < begin);
        let since_then = &settings[before.saturating_sub(1)..];
        let zero = since_then.iter().map(|setting| setting.zero).min().unwrap_or_default();
        (zero + uptime).saturating_sub(age.as_secs())
    }

    /// Returns the time since this clock was created. Setting the system's clock doesn't change it.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed() + Duration::from_secs(self.0.skipped_secs.load(Ordering::Relaxed))
    }

    /// Moves all readings forward. Tests do this instead of sleeping.
    pub fn skip(&self, by: Duration) {
        self.0.skipped_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Sets the system's clock forward, as an operator or a time server might.
    pub fn set_forward(&self, by: Duration) {
        self.0.set_forward_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// Reads both clocks. If the system's clock was set, records that, so that later timestamps belong to the new
    /// setting.
    fn read(&self) -> Reading {
        let inner = &*self.0;
        let skipped = inner.skipped_secs.load(Ordering::Relaxed);
        let unix = system_unix_secs() + skipped + inner.set_forward_secs.load(Ordering::Relaxed);
        let uptime = inner.started.elapsed().as_secs() + skipped;
        let zero = unix.saturating_sub(uptime);
        if zero.abs_diff(inner.zero.load(Ordering::Relaxed)) >= MIN_STEP_SECS {
            inner.record(Setting { since: uptime, zero });
        }
        Reading { unix, uptime }
    }
}

impl Inner {
    fn record(&self, setting: Setting) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        self.zero.store(setting.zero, Ordering::Relaxed);
        settings.push(setting);
        if settings.len() > MAX_SETTINGS {
            let oldest = settings.remove(0);
            settings[0] = Setting { since: oldest.since, zero: settings[0].zero.min(oldest.zero) };
        }
    }
}

fn system_unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const MONTH: Duration = Duration::from_hours(30 * 24);

    /// Whether a thing with this timestamp is older than an hour by this clock.
    fn is_old(clock: &Clock, stamp: u64) -> bool {
        stamp < clock.unix_secs_ago(HOUR)
    }

    /// Number of minutes until a thing stamped now is older than an hour.
    fn minutes_until_old(clock: &Clock) -> u64 {
        let stamp = clock.unix_secs();
        let mut minutes = 0;
        while !is_old(clock, stamp) && minutes < 1000 {
            clock.skip(Duration::from_mins(1));
            minutes += 1;
        }
        minutes
    }

    #[test]
    fn things_get_old_in_time_if_the_clock_is_never_set() {
        let clock = Clock::system();
        let before_the_start = clock.unix_secs() - 3700;
        assert!(is_old(&clock, before_the_start));
        assert!((60..=61).contains(&minutes_until_old(&clock)));
    }

    #[test]
    fn things_stamped_after_the_clock_was_set_forward_get_old_in_time() {
        for years in [1, 50] {
            let clock = Clock::system();
            clock.set_forward(12 * years * MONTH);
            assert!((60..=61).contains(&minutes_until_old(&clock)));
        }
    }

    #[test]
    fn setting_the_clock_forward_makes_earlier_things_no_older() {
        let clock = Clock::system();
        let stamp = clock.unix_secs();
        clock.set_forward(MONTH);
        assert!(!is_old(&clock, stamp), "just started");
        clock.skip(HOUR / 2);
        for _ in 0..3 {
            clock.set_forward(MONTH);
            assert!(!is_old(&clock, stamp));
        }
        clock.skip(HOUR / 3);
        assert!(!is_old(&clock, stamp), "50 minutes");
        clock.skip(HOUR / 2);
        assert!(is_old(&clock, stamp), "80 minutes");
    }
}
