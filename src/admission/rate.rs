//! Rate limits per key: the generic cell rate algorithm (ITU-T I.371, annex A) with reservations.
//!
//! A request reserves the next free time and sleeps until then. So requests wait in order, each with one timer, and
//! later ones don't overtake them. Limiters that only say when to retry can't guarantee this.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Keys are cleaned up when there are more than this, and more than twice the number left last time.
const MANY_KEYS: usize = 1024;

/// A rate limit per key. Keys with their full burst take no memory.
pub(super) struct Rate<K> {
    /// Time between two requests.
    interval: Duration,
    /// How far a key may be ahead of its rate.
    ahead: Duration,
    keys: Mutex<Keys<K>>,
}

struct Keys<K> {
    /// When the key will have its full burst again.
    full_at: HashMap<K, Instant>,
    look_through_at: usize,
}

impl<K: Eq + Hash> Rate<K> {
    /// Allows `count` requests in every `time`, of which `burst` may come at once.
    pub(super) fn new(count: u32, time: Duration, burst: u32) -> Self {
        let interval = time / count;
        let ahead = interval * burst;
        let keys = Keys { full_at: HashMap::new(), look_through_at: MANY_KEYS };
        Self { interval, ahead, keys: Mutex::new(keys) }
    }

    /// Reserves the next free time of the key, if it is within `patience`, and returns how long to wait. Otherwise
    /// reserves nothing, and the error is how long the wait would have been.
    pub(super) fn take(&self, key: K, patience: Duration) -> Result<Duration, Duration> {
        let now = Instant::now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at =
            keys.full_at.get(&key).map_or(now, |full_at| now.max(*full_at)) + self.interval;
        let wait = (full_at - now).saturating_sub(self.ahead);
        if wait > patience {
            return Err(wait);
        }
        keys.full_at.insert(key, full_at);
        keys.forget_the_full(now);
        Ok(wait)
    }
}

impl<K: Eq + Hash> Keys<K> {
    fn forget_the_full(&mut self, now: Instant) {
        if self.full_at.len() < self.look_through_at {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        self.full_at.shrink_to(MANY_KEYS);
        self.look_through_at = MANY_KEYS.max(2 * self.full_at.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let rate = Rate::new(10, SECOND, 5);
        let waits: Vec<_> = (0..8).map(|_| rate.take(1, SECOND).unwrap().as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_reserves_nothing() {
        let rate = Rate::new(1, SECOND, 1);
        rate.take(1, SECOND).unwrap();
        rate.take(1, SECOND).unwrap();
        for _ in 0..10 {
            assert_eq!(rate.take(1, SECOND), Err(2 * SECOND));
        }
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(rate.take(1, SECOND), Ok(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn every_key_has_its_own_rate() {
        let rate = Rate::new(1, SECOND, 1);
        for key in 0..10 {
            assert_eq!(rate.take(key, Duration::ZERO), Ok(Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_with_their_full_burst_are_forgotten() {
        let rate = Rate::new(10, SECOND, 1);
        for key in 0..100_000 {
            rate.take(key, SECOND).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let keys = rate.keys.into_inner().unwrap().full_at;
        assert!(keys.len() <= MANY_KEYS, "{} of at most 100 in use are known", keys.len());
    }
}
