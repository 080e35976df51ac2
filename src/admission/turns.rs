//! So many at once, for each key; the others wait, first come, first served.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// So many wait for a key already that one more is not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// So many turns at once for each key. Keys that nobody uses or waits for cost nothing.
pub struct Turns<K> {
    cap: usize,
    most: usize,
    keys: Keys<K>,
}

type Keys<K> = Arc<Mutex<HashMap<K, Key>>>;

struct Key {
    /// Those who have a turn and those who wait.
    places: usize,
    semaphore: Arc<Semaphore>,
}

/// One of the turns of a key; free again when dropped.
pub struct Turn<K: Eq + Hash>(Option<Place<K>>);

/// Whoever has a turn or waits for one; keeps the key known.
struct Place<K: Eq + Hash> {
    keys: Keys<K>,
    key: K,
    semaphore: Arc<Semaphore>,
    cap: usize,
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// `cap` turns at once for each key, 0: no limit; those who wait included, `most` (or `cap`).
    pub fn new(cap: usize, most: usize) -> Self {
        let cap = cap.min(Semaphore::MAX_PERMITS);
        Self { cap, most: most.max(cap), keys: Arc::default() }
    }

    /// A turn, if there is one without waiting and nobody waits.
    pub fn try_enter(&self, key: K) -> Option<Turn<K>> {
        if self.cap == 0 {
            return Some(Turn(None));
        }
        let place = self.place(key).ok()?;
        place.semaphore.try_acquire().ok()?.forget();
        Some(Turn(Some(place)))
    }

    /// A turn, as soon as there is one.
    pub async fn enter(&self, key: K) -> Result<Turn<K>, Full> {
        if self.cap == 0 {
            return Ok(Turn(None));
        }
        let place = self.place(key)?;
        place.semaphore.acquire().await.map_err(|_| Full)?.forget();
        Ok(Turn(Some(place)))
    }

    fn place(&self, key: K) -> Result<Place<K>, Full> {
        let mut keys = lock(&self.keys);
        let new = || Key { places: 0, semaphore: Arc::new(Semaphore::new(self.cap)) };
        let known = keys.entry(key.clone()).or_insert_with(new);
        if known.places >= self.most {
            return Err(Full);
        }
        known.places += 1;
        let semaphore = Arc::clone(&known.semaphore);
        Ok(Place { keys: Arc::clone(&self.keys), key, semaphore, cap: self.cap })
    }
}

impl<K: Eq + Hash> Turn<K> {
    /// Whether few turns of its key are left.
    pub fn is_scarce(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.semaphore.available_permits() < place.cap / 4)
    }
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.semaphore.add_permits(1);
        }
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut keys = lock(&self.keys);
        if let Some(known) = keys.get_mut(&self.key) {
            known.places -= 1;
            if known.places == 0 {
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
    async fn turns_above_the_cap_are_given_in_the_order_of_asking() {
        let turns = Turns::new(1, 10);
        let first = turns.try_enter('a').unwrap();
        let mut second = Box::pin(turns.enter('a'));
        let mut third = Box::pin(turns.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(turns.try_enter('a').is_none(), "it belongs to the second");
        assert!(third.as_mut().now_or_never().is_none());
        drop(second.await);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn every_key_has_turns_of_its_own() {
        let turns = Turns::new(1, 1);
        let _one = turns.enter('a').await;
        assert!(turns.try_enter('b').is_some());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused() {
        let turns = Turns::new(1, 2);
        let first = turns.enter('a').await.unwrap();
        let mut second = Box::pin(turns.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.enter('a').await.is_err());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn keys_without_turns_are_forgotten_also_when_waiting_is_given_up() {
        let turns = Turns::new(1, 2);
        let first = turns.enter('a').await;
        let mut second = Box::pin(turns.enter('a'));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(lock(&turns.keys).is_empty());
        assert!(turns.try_enter('a').is_some(), "a turn that was given and not taken is free");
    }

    #[test]
    fn keys_are_forgotten_when_many_leave_at_once() {
        let turns = Turns::new(8, 8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| drop(turns.try_enter('a'))));
            }
        });
        assert!(lock(&turns.keys).is_empty());
    }

    #[test]
    fn a_cap_of_none_is_no_limit() {
        let turns = Turns::new(0, 0);
        let many: Vec<_> = (0..1000).map(|_| turns.try_enter('a').unwrap()).collect();
        assert!(!many[0].is_scarce());
    }

    #[test]
    fn turns_are_scarce_when_less_than_a_quarter_is_left() {
        let turns = Turns::new(4, 4);
        let taken: Vec<_> = (0..3).map(|_| turns.try_enter('a').unwrap()).collect();
        assert!(!taken[0].is_scarce());
        let _last = turns.try_enter('a');
        assert!(taken[0].is_scarce());
    }
}
