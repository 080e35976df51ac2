//! What jobs of one user may cost in a minute, so that nobody's crowd of files keeps everybody else's waiting.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::UserId;

const WINDOW: Duration = Duration::from_mins(1);

/// Time that jobs have taken in the current minute, by user.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    /// The minute since the server's start that `spent` is of.
    window: u64,
    spent: HashMap<UserId, Duration>,
}

impl Budget {
    /// At most `limit` in a minute, but for the job that goes over it.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, window: 0, spent: HashMap::new() }
    }

    /// Counts a job's time.
    pub(super) fn spend(&mut self, user: UserId, time: Duration, uptime: Duration) {
        self.begin_window(uptime);
        *self.spent.entry(user).or_default() += time;
    }

    /// Users whose jobs have to wait for the next minute.
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
    fn whoever_has_spent_the_budget_waits_for_the_next_minute() {
        let mut budget = Budget::new(secs(20));
        budget.spend(ANNA.into(), secs(19), secs(5));
        budget.spend(BERT.into(), secs(3), secs(6));
        assert!(budget.exhausted(secs(6)).is_empty());
        budget.spend(ANNA.into(), secs(1), secs(7));
        assert_eq!(budget.exhausted(secs(59)), [ANNA.into()]);
        assert!(budget.exhausted(secs(60)).is_empty());
    }
}
