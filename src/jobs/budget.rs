//! Limits the time that one user's jobs may take per minute, so that many files of one user don't hold up everybody
//! else's.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::UserId;

const WINDOW: Duration = Duration::from_mins(1);

/// Time that jobs have taken in the current minute, by user.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    /// The minute that `spent` refers to, counted from the server's start.
    window: u64,
    spent: HashMap<UserId, Duration>,
}

impl Budget {
    /// Allows `limit` per minute. A job that exceeds it still runs to its end.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, window: 0, spent: HashMap::new() }
    }

    /// Adds the time that a job took.
    pub(super) fn spend(&mut self, user: UserId, time: Duration, uptime: Duration) {
        self.begin_window(uptime);
        *self.spent.entry(user).or_default() += time;
    }

    /// Users whose jobs must wait for the next minute.
    pub(super) fn exhausted(&mut self, uptime: Duration) -> Vec<UserId> {
        self.begin_window(uptime);
        let over = self.spent.iter().filter(|(_, spent)| **spent >= self.limit);
        over.map(|(user, _)| user.clone()).collect()
    }

    fn begin_window(&mut self, uptime: Duration) {
        let window = uptime.as_secs() / WINDOW.as_secs();
        if window != self.window {
            self.window = window;
            self.spent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: i64 = 1;
    const BERT: i64 = 2;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_user_over_the_budget_waits_for_the_next_minute() {
        let mut budget = Budget::new(secs(20));
        budget.spend(ANNA.into(), secs(19), secs(5));
        budget.spend(BERT.into(), secs(3), secs(6));
        assert!(budget.exhausted(secs(6)).is_empty());
        budget.spend(ANNA.into(), secs(1), secs(7));
        assert_eq!(budget.exhausted(secs(59)), [ANNA.into()]);
        assert!(budget.exhausted(secs(60)).is_empty());
    }
}
