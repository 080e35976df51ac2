//! What this process knows of the uploads in use: their records, and who is writing which range.
//!
//! Before its first byte is written a sender *claims* its range, so that no two senders write the same
//! bytes and nothing recorded is ever written over. Knows no store: the caller loads and commits.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Refusal;
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId};
use crate::metadata::{Generation, Location, NewPart, Record, Standing, State};
use crate::part::{self, Declaration, Part, Placement, PlacementError};
use crate::storage::{BodyError, Extents};

/// So many uploads are remembered; at that point the idle ones are forgotten, to be loaded again when
/// they are needed.
const REMEMBERED: usize = 1024;

/// The uploads in use.
#[derive(Default)]
pub(super) struct Entries {
    map: Mutex<HashMap<UploadId, Arc<Entry>>>,
}

impl Entries {
    /// The one entry of this upload. There are never two: claims depend on it.
    pub(super) fn get(&self, id: UploadId) -> Arc<Entry> {
        let mut map = lock(&self.map);
        if map.len() >= REMEMBERED && !map.contains_key(&id) {
            // Under the map's lock nobody can begin to use an entry that only the map holds.
            map.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        Arc::clone(map.entry(id).or_insert_with(|| Arc::new(Entry::new(id))))
    }
}

/// Bytes and their MD5.
pub(super) type KnownMd5 = (Extents, [u8; 16]);

/// One upload in use.
pub(super) struct Entry {
    pub(super) id: UploadId,
    /// Held while the record is loaded or begun.
    pub(super) loading: tokio::sync::Mutex<()>,
    /// Held while the upload is finished; remembers the checksum that took long to compute.
    pub(super) finishing: tokio::sync::Mutex<Option<KnownMd5>>,
    tracked: Mutex<Tracked>,
    /// Rings when a claim is released.
    released: Notify,
}

#[derive(Default)]
struct Tracked {
    record: Option<Record>,
    /// Counts the changes that the store was told of: a record read before one of them is stale.
    version: u64,
    claims: Vec<Claimed>,
}

struct Claimed {
    serial: u64,
    index: u32,
    /// None while the sender waits for its turn.
    range: Option<Range<u64>>,
    /// The blob that it is a range of.
    blob: Option<BlobId>,
    revoked: CancellationToken,
    committing: bool,
    /// Revoked because the upload itself is gone, and how.
    ended: Option<Standing>,
}

/// What became of an attempt to claim a part's range.
pub(super) enum Attempt {
    /// Write here: at most `limit` bytes from `start` on, beside the `stored` ones of the upload; in its blob, if it has
    /// one.
    Granted { of: Generation, blob: Option<BlobId>, start: u64, limit: u64, stored: u64 },
    /// The part is on record: compare, write nothing.
    Recorded(Part),
    /// Its place can't be told or guarded before its size is known.
    NeedsSize,
    /// Somebody writes there: wait for [`Entry::released`].
    Busy,
    /// The sender is to stop.
    Revoked,
    /// The record isn't loaded, or the upload receives nothing (any more).
    NotReceiving,
}

impl Entry {
    fn new(id: UploadId) -> Self {
        Self {
            id,
            loading: tokio::sync::Mutex::default(),
            finishing: tokio::sync::Mutex::default(),
            tracked: Mutex::default(),
            released: Notify::new(),
        }
    }

    /// Looks at the record, if it is loaded.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> Option<T> {
        lock(&self.tracked).record.as_ref().map(look)
    }

    /// What [`Entry::remember`] needs to know; ask before reading the store.
    pub(super) fn version(&self) -> u64 {
        lock(&self.tracked).version
    }

    /// Remembers what the store said; not if it has changed since `version`: what was read may lack an
    /// acknowledged part, whose bytes would then be written over.
    pub(super) fn remember(&self, record: Record, version: u64) {
        let mut tracked = lock(&self.tracked);
        if tracked.version == version {
            tracked.record = Some(record);
        }
    }

    /// Forgets the record after the store changed it: whoever needs it loads it again.
    pub(super) fn forget(&self) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        tracked.record = None;
    }

    /// Forgets the record and stops everybody who writes: the upload is gone.
    pub(super) fn end(&self, standing: Standing) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        tracked.record = None;
        for claim in &mut tracked.claims {
            claim.ended = Some(standing);
            claim.revoked.cancel();
        }
    }

    /// Waits until nobody holds a range of this blob any more. Ask after the records and this entry have forgotten the
    /// blob, so that nobody begins to.
    pub(super) async fn writers_left(&self, blob: BlobId) {
        loop {
            let mut released = std::pin::pin!(self.released());
            released.as_mut().enable();
            if lock(&self.tracked).claims.iter().all(|claim| claim.blob != Some(blob)) {
                return;
            }
            released.await;
        }
    }

    /// Counts a part that the store has recorded.
    pub(super) fn insert(&self, new: &NewPart, now: u64) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        if let Some(Record { state: State::Receiving(unfinished), .. }) = &mut tracked.record {
            unfinished.layout.insert(new.index, new.part);
            if let Some(extents) = &new.extents {
                unfinished.location.add(new.part.offset, extents);
            }
            unfinished.layout.total_size = unfinished.layout.total_size.or(new.total_size);
            unfinished.layout.even_size = unfinished.layout.even_size.or(new.even_size);
            unfinished.touched_at = now;
        }
    }

    /// Remembers what the store has reserved.
    pub(super) fn reserved(&self, bytes: u64) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        if let Some(Record { state: State::Receiving(unfinished), .. }) = &mut tracked.record {
            unfinished.reserved = unfinished.reserved.max(bytes);
        }
    }

    /// Names the unfinished upload unless it has a name; then the store is to do so too.
    pub(super) fn name(&self, filename: &Filename) -> Option<Generation> {
        match &mut lock(&self.tracked).record {
            Some(Record { state: State::Receiving(unfinished), .. })
                if unfinished.filename.is_none() =>
            {
                unfinished.filename = Some(filename.clone());
                Some(unfinished.generation(self.id))
            }
            _ => None,
        }
    }

    /// Waits for the next release of a claim. Create it before the attempt, await it after.
    pub(super) fn released(&self) -> tokio::sync::futures::Notified<'_> {
        self.released.notified()
    }
}

/// A sender's stake in one part: waiting for its range, then holding it. Dropped when the last write has
/// returned.
pub(super) struct Claim {
    pub(super) entry: Arc<Entry>,
    pub(super) revoked: CancellationToken,
    serial: u64,
}

impl Claim {
    /// Stands in line for the part.
    pub(super) fn new(entry: Arc<Entry>, index: u32) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let revoked = CancellationToken::new();
        let mut tracked = lock(&entry.tracked);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed); // under the lock: in line in this order
        tracked.claims.push(Claimed {
            serial,
            index,
            range: None,
            blob: None,
            revoked: revoked.clone(),
            committing: false,
            ended: None,
        });
        drop(tracked);
        Self { entry, revoked, serial }
    }

    /// Tries to take the range that the declaration and the record give. Older senders of the same part are
    /// told to stop, unless they are committing. `bound`: no more bytes than this can come; it guards the
    /// range where nothing declares the part's size.
    pub(super) fn attempt(
        &self,
        declared: &Declaration,
        size: Option<u64>,
        bound: u64,
    ) -> Result<Attempt, PlacementError> {
        let mut tracked = lock(&self.entry.tracked);
        if self.revoked.is_cancelled() {
            return Ok(Attempt::Revoked);
        }
        let Tracked { record, claims, .. } = &mut *tracked;
        let Some(Record { state: State::Receiving(unfinished), .. }) = record else {
            return Ok(Attempt::NotReceiving);
        };
        if let Some(part) = unfinished.layout.part(declared.index) {
            part::check_declaration(declared, &unfinished.layout, None)?;
            return Ok(Attempt::Recorded(*part));
        }
        let Placement::At { start, .. } = part::place(declared, &unfinished.layout, size)? else {
            return Ok(Attempt::NeedsSize);
        };
        for older in claims.iter().filter(|other| {
            other.index == declared.index && other.serial < self.serial && !other.committing
        }) {
            older.revoked.cancel();
        }
        let sized = size.or_else(|| part::declared_size(declared));
        let range = start..start.saturating_add(sized.unwrap_or(bound));
        let other_writer = claims.iter().any(|other| {
            let overlaps = |held: &Range<u64>| held.start < range.end && range.start < held.end;
            other.serial != self.serial
                && other
                    .range
                    .as_ref()
                    .is_some_and(|held| other.index == declared.index || overlaps(held))
        });
        if sized.is_none() && (other_writer || unfinished.layout.stored_from(start)) {
            return Ok(Attempt::NeedsSize);
        }
        if other_writer {
            return Ok(Attempt::Busy);
        }
        let blob = match unfinished.location {
            Location::InPlace(blob) => Some(blob),
            Location::Apart(_) => None,
        };
        if let Some(own) = claims.iter_mut().find(|claim| claim.serial == self.serial) {
            own.range = Some(range.clone());
            own.blob = blob;
        }
        let (limit, stored) = (range.end - range.start, unfinished.layout.received_bytes());
        let of = unfinished.generation(self.entry.id);
        Ok(Attempt::Granted { of, blob, start, limit, stored })
    }

    /// Why this sender was told to stop.
    pub(super) fn why_revoked(&self) -> Refusal {
        let tracked = lock(&self.entry.tracked);
        let own = tracked.claims.iter().find(|claim| claim.serial == self.serial);
        match own.and_then(|claim| claim.ended) {
            Some(Standing::Expired) => Refusal::Expired,
            Some(_) => Refusal::Removed,
            None => Refusal::Body(BodyError::Superseded),
        }
    }

    /// From here on no newer sender stops this one; `false` when one already has.
    pub(super) fn begin_commit(&self) -> bool {
        let mut tracked = lock(&self.entry.tracked);
        if self.revoked.is_cancelled() {
            return false;
        }
        if let Some(own) = tracked.claims.iter_mut().find(|claim| claim.serial == self.serial) {
            own.committing = true;
        }
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.entry.tracked).claims.retain(|claim| claim.serial != self.serial);
        self.entry.released.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
