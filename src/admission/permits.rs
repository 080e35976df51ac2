//! Concurrency limits per key. Requests over the limit wait, first come, first served.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// Too many requests are already waiting for this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// A concurrency limit per key. Keys that nobody uses or waits for take no memory.
pub struct Permits<K> {
    cap: usize,
    most: usize,
    keys: Keys<K>,
}

type Keys<K> = Arc<Mutex<HashMap<K, Key>>>;

struct Key {
    /// Number of requests that have a permit or wait for one.
    holders: usize,
    semaphore: Arc<Semaphore>,
}

/// Permission for one request of a key; returned when dropped.
pub struct Permit<K: Eq + Hash>(Option<Holder<K>>);

/// A request that has a permit or waits for one. Keeps the key in the map.
struct Holder<K: Eq + Hash> {
    keys: Keys<K>,
    key: K,
    semaphore: Arc<Semaphore>,
    cap: usize,
}

impl<K: Clone + Eq + Hash> Permits<K> {
    /// Creates a limit of `cap` permits per key, 0 for no limit. Including waiting requests, there may be `most` per
    /// key (at least `cap`).
    pub fn new(cap: usize, most: usize) -> Self {
        let cap = cap.min(Semaphore::MAX_PERMITS);
        Self { cap, most: most.max(cap), keys: Arc::default() }
    }

    /// Returns a permit if one is free and nobody waits.
    pub fn try_enter(&self, key: K) -> Option<Permit<K>> {
        if self.cap == 0 {
            return Some(Permit(None));
        }
        let holder = self.holder(key).ok()?;
        holder.semaphore.try_acquire().ok()?.forget();
        Some(Permit(Some(holder)))
    }

    /// Returns a permit as soon as one is free.
    pub async fn enter(&self, key: K) -> Result<Permit<K>, QueueFull> {
        if self.cap == 0 {
            return Ok(Permit(None));
        }
        let holder = self.holder(key)?;
        holder.semaphore.acquire().await.map_err(|_| QueueFull)?.forget();
        Ok(Permit(Some(holder)))
    }

    fn holder(&self, key: K) -> Result<Holder<K>, QueueFull> {
        let mut keys = lock(&self.keys);
        let new = || Key { holders: 0, semaphore: Arc::new(Semaphore::new(self.cap)) };
        let known = keys.entry(key.clone()).or_insert_with(new);
        if known.holders >= self.most {
            return Err(QueueFull);
        }
        known.holders += 1;
        let semaphore = Arc::clone(&known.semaphore);
        Ok(Holder { keys: Arc::clone(&self.keys), key, semaphore, cap: self.cap })
    }
}

impl<K: Eq + Hash> Permit<K> {
    /// Whether few permits of its key are left.
    pub fn is_scarce(&self) -> bool {
        self.0.as_ref().is_some_and(|holder| holder.semaphore.available_permits() < holder.cap / 4)
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        if let Some(holder) = &self.0 {
            holder.semaphore.add_permits(1);
        }
    }
}

impl<K: Eq + Hash> Drop for Holder<K> {
    fn drop(&mut self) {
        let mut keys = lock(&self.keys);
        if let Some(known) = keys.get_mut(&self.key) {
            known.holders -= 1;
            if known.holders == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn permits_above_the_cap_are_given_in_order_of_arrival() {
        let permits = Permits::new(1, 10);
        let first = permits.try_enter('a').unwrap();
        let mut second = Box::pin(permits.enter('a'));
        let mut third = Box::pin(permits.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(permits.try_enter('a').is_none(), "it belongs to the second request");
        assert!(third.as_mut().now_or_never().is_none());
        drop(second.await);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn every_key_has_its_own_permits() {
        let permits = Permits::new(1, 1);
        let _one = permits.enter('a').await;
        assert!(permits.try_enter('b').is_some());
    }

    #[tokio::test]
    async fn requests_beyond_the_queue_are_refused() {
        let permits = Permits::new(1, 2);
        let first = permits.enter('a').await.unwrap();
        let mut second = Box::pin(permits.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(permits.enter('a').await.is_err());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn keys_without_permits_are_forgotten_even_if_a_request_stops_waiting() {
        let permits = Permits::new(1, 2);
        let first = permits.enter('a').await;
        let mut second = Box::pin(permits.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lock(&permits.keys).is_empty());
        assert!(permits.try_enter('a').is_some(), "a permit that was given but never used is free");
    }

    #[test]
    fn keys_are_forgotten_when_many_permits_are_returned_at_once() {
        let permits = Permits::new(8, 8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| drop(permits.try_enter('a'))));
            }
        });
        assert!(lock(&permits.keys).is_empty());
    }

    #[test]
    fn a_cap_of_zero_means_no_limit() {
        let permits = Permits::new(0, 0);
        let many: Vec<_> = (0..1000).map(|_| permits.try_enter('a').unwrap()).collect();
        assert!(!many[0].is_scarce());
    }

    #[test]
    fn permits_are_scarce_when_less_than_a_quarter_is_left() {
        let permits = Permits::new(4, 4);
        let taken: Vec<_> = (0..3).map(|_| permits.try_enter('a').unwrap()).collect();
        assert!(!taken[0].is_scarce());
        let _last = permits.try_enter('a');
        assert!(taken[0].is_scarce());
    }
}
