//! Durations and their summary. Doesn't know what was timed.

use std::time::Duration;

use serde::Serialize;

/// Durations of one kind, in order of arrival.
#[derive(Default)]
pub(crate) struct Timings(Vec<Duration>);

/// The summary that is reported, in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    count: usize,
    p50: f64,
    p99: f64,
    max: f64,
}

impl Timings {
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// `None` if there are no durations.
    pub(crate) fn summary(mut self) -> Option<Summary> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = |percent: usize| self.0[(last * percent).div_ceil(100)].as_secs_f64() * 1e3;
        Some(Summary { count: self.0.len(), p50: at(50), p99: at(99), max: at(100) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_durations() {
        let mut timings = Timings::default();
        (0..=100).rev().for_each(|ms| timings.push(Duration::from_millis(ms)));
        let summary = timings.summary().expect("some");
        let found = (summary.count, summary.p50, summary.p99, summary.max);
        assert_eq!(format!("{found:?}"), "(101, 50.0, 99.0, 100.0)");
    }
}
