//! Claims on ranges of blobs, in a store that writes in place. No two tasks write the same bytes, and no task deletes
//! or overwrites bytes that are still being written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::ids::BlobId;

/// The ranges claimed at present.
#[derive(Debug, Default)]
pub struct Claims {
    ranges: Mutex<HashMap<BlobId, Vec<Range<u64>>>>,
    released: Notify,
}

/// A range of a blob that only the holder may write. Dropping the claim releases it.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    blob: BlobId,
    range: Range<u64>,
}

impl Claims {
    /// Claims a range. Returns `None` if another claim overlaps it.
    pub fn try_claim(self: &Arc<Self>, blob: BlobId, range: Range<u64>) -> Option<Claim> {
        let mut ranges = self.lock();
        let held = ranges.entry(blob).or_default();
        if held.iter().any(|held| held.start < range.end && range.start < held.end) {
            return None;
        }
        held.push(range.clone());
        Some(Claim { claims: Arc::clone(self), blob, range })
    }

    /// Claims a range as soon as no other claim overlaps it.
    pub async fn claim(self: &Arc<Self>, blob: BlobId, range: Range<u64>) -> Claim {
        self.once(|| self.try_claim(blob, range.clone())).await
    }

    /// Claims a whole blob as soon as no other claim on it is left.
    pub async fn claim_all(self: &Arc<Self>, blob: BlobId) -> Claim {
        self.claim(blob, 0..u64::MAX).await
    }

    /// Waits until there are no claims on a blob.
    pub async fn released(&self, blob: BlobId) {
        self.once(|| (!self.lock().contains_key(&blob)).then_some(())).await;
    }

    /// Calls `attempt` now and after every release, until it returns a value.
    async fn once<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut released = pin!(self.released.notified());
            released.as_mut().enable();
            if let Some(result) = attempt() {
                return result;
            }
            released.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Vec<Range<u64>>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The claimed blob.
    pub fn blob(&self) -> BlobId {
        self.blob
    }

    /// Whether this is a claim on exactly that range of that blob.
    pub fn is_of(&self, blob: BlobId, range: &Range<u64>) -> bool {
        self.blob == blob && self.range == *range
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.claims.lock().entry(self.blob) {
            if let Some(own) = held.get().iter().position(|range| *range == self.range) {
                held.get_mut().swap_remove(own);
            }
            if held.get().is_empty() {
                held.remove();
            }
        }
        self.claims.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_range_is_held_by_one_at_a_time_and_its_neighbours_by_others() {
        let (claims, blob) = (Arc::new(Claims::default()), BlobId::random());
        let held = claims.try_claim(blob, 10..20).expect("it is free");
        for overlapping in [0..11, 10..20, 15..16, 19..30, 0..u64::MAX] {
            assert!(claims.try_claim(blob, overlapping.clone()).is_none(), "{overlapping:?}");
        }
        let neighbours = [0..10, 20..30].map(|range| claims.try_claim(blob, range));
        assert!(neighbours.iter().all(Option::is_some));
        assert!(claims.try_claim(BlobId::random(), 10..20).is_some());
        drop(held);
        assert!(claims.try_claim(blob, 10..20).is_some());
    }

    #[tokio::test]
    async fn a_waiting_claim_gets_the_range_when_the_last_overlapping_one_is_dropped() {
        let (claims, blob) = (Arc::new(Claims::default()), BlobId::random());
        let (first, second) = (claims.claim(blob, 0..5).await, claims.claim(blob, 5..10).await);
        let mut waiting = Box::pin(claims.claim_all(blob));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(second);
        let all = waiting.await;
        let mut released = Box::pin(claims.released(blob));
        assert!(released.as_mut().now_or_never().is_none());
        drop(all);
        released.await;
        assert!(claims.lock().is_empty(), "blobs without claims are forgotten");
    }
}
