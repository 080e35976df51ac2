//! Heads that never become a request, because they are not valid HTTP or too large: hyper refuses them. Anybody can send
//! as many of them as they like, so only some get a line.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access::AccessLog;
use crate::telemetry;

/// Maximum number of lines per period.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Counts refused heads.
#[derive(Default)]
pub(super) struct RefusedHeads(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// When the period began, and how many lines it has.
    period: Option<(Instant, u32)>,
    /// Number of heads without a line since the last line.
    unlogged: u64,
}

impl RefusedHeads {
    /// Logs a head from `peer`, refused for this reason, unless there were too many.
    pub(super) fn log(&self, access: AccessLog, peer: IpAddr, reason: &dyn std::error::Error) {
        if access == AccessLog::Off {
            return;
        }
        if let Some(unlogged) = self.admit(Instant::now()) {
            telemetry::log_access(None, "request head refused", |line| {
                line.text("reason", &reason.to_string());
                if unlogged > 0 {
                    line.number("unlogged", unlogged);
                }
                line.displayed("peer", peer);
            });
        }
    }

    /// Counts a head that is refused now. If it gets a line, returns how many had none since the last line.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let period = counts.period.filter(|(began, _)| now.duration_since(*began) < PERIOD);
        let (began, lines) = period.unwrap_or((now, 0));
        if lines == LINES {
            counts.unlogged += 1;
            return None;
        }
        counts.period = Some((began, lines + 1));
        Some(std::mem::take(&mut counts.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_ten_heads_per_second_get_a_line_and_the_next_one_counts_the_others() {
        let (heads, begun) = (RefusedHeads::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(heads.admit(begun), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(heads.admit(begun + PERIOD / 2), None);
        }
        assert_eq!(heads.admit(begun + PERIOD), Some(5));
        assert_eq!(heads.admit(begun + PERIOD), Some(0));
    }
}
