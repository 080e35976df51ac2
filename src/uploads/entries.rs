//! The uploads in use by this process: their cached records and their senders. Doesn't access the store: the caller
//! loads and commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::filename::Filename;
use crate::ids::UploadId;
use crate::metadata::{Generation, NewBytes, NewPart, Record, Standing, State};
use crate::part::PartIndex;
use crate::storage::Extents;

/// Maximum number of cached uploads. At the limit, idle ones are dropped, and loaded again when they are needed.
const MAX_ENTRIES: usize = 1024;

/// The uploads in use.
#[derive(Default)]
pub(super) struct Entries {
    map: Mutex<HashMap<UploadId, Arc<Entry>>>,
}

impl Entries {
    /// Returns the entry of this upload. There is never a second one, because senders stop each other through it.
    pub(super) fn get(&self, id: UploadId) -> Arc<Entry> {
        let mut map = lock(&self.map);
        if map.len() >= MAX_ENTRIES && !map.contains_key(&id) {
            // The map is locked, so no task can start to use an entry that only the map holds.
            map.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        Arc::clone(map.entry(id).or_insert_with(|| Arc::new(Entry::new(id))))
    }
}

/// Extents and the MD5 of their bytes.
pub(super) type KnownMd5 = (Extents, [u8; 16]);

/// An upload in use.
pub(super) struct Entry {
    pub(super) id: UploadId,
    /// Held while the record is being loaded or created.
    pub(super) loading: tokio::sync::Mutex<()>,
    /// Held while the upload is being finished, so that this is done once. Holds the MD5, which takes long to compute.
    pub(super) finishing: tokio::sync::Mutex<Option<KnownMd5>>,
    tracked: Mutex<Tracked>,
    /// Notified when a sender ends, or can be stopped again.
    pub(super) released: Notify,
}

#[derive(Default)]
pub(super) struct Tracked {
    pub(super) record: Option<Record>,
    /// Counts the changes made to the store. A record that was read before the last change is stale.
    version: u64,
    pub(super) sending: Vec<Sending>,
}

impl Tracked {
    fn unused(&self, id: UploadId) -> Option<Generation> {
        match &self.record {
            Some(Record { state: State::Receiving(unfinished), .. }) if self.sending.is_empty() => {
                unfinished.is_unused().then(|| unfinished.generation(id))
            }
            _ => None,
        }
    }
}

/// An active sender.
pub(super) struct Sending {
    pub(super) serial: u64,
    /// The index of its part; `None` if the upload's bytes arrive in order.
    pub(super) index: Option<PartIndex>,
    /// Whether it writes at the end of an upload whose bytes arrive in order.
    pub(super) appending: bool,
    /// Cancelled when the sender must stop because a newer one replaces it or the upload is gone.
    pub(super) revoked: CancellationToken,
    /// Cancelled when the sender must stop after recording what it has.
    pub(super) stopped: CancellationToken,
    pub(super) committing: bool,
    /// The state of an upload that is gone, which is why the sender was revoked.
    pub(super) ended: Option<Standing>,
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

    /// Calls `look` with the record, if it is loaded.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> Option<T> {
        lock(&self.tracked).record.as_ref().map(look)
    }

    /// The version to pass to [`Entry::remember`]. Get it before reading the store.
    pub(super) fn version(&self) -> u64 {
        lock(&self.tracked).version
    }

    /// Caches a record read from the store, unless the store has changed since `version`: the record might lack an
    /// acknowledged part, whose bytes would then be overwritten.
    pub(super) fn remember(&self, record: Record, version: u64) {
        let mut tracked = lock(&self.tracked);
        if tracked.version == version {
            tracked.record = Some(record);
        }
    }

    /// Forgets the cached record after the store changed it. It is loaded again when it is needed.
    pub(super) fn forget(&self) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        tracked.record = None;
    }

    /// Forgets the cached record and stops all senders, because the upload is gone.
    pub(super) fn end(&self, standing: Standing) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        tracked.record = None;
        for sending in &mut tracked.sending {
            sending.ended = Some(standing);
            sending.revoked.cancel();
        }
    }

    /// Removes a sender that has ended. Returns whether the upload has no sender now and never had a chunk.
    pub(super) fn leave(&self, serial: u64) -> bool {
        let mut tracked = lock(&self.tracked);
        tracked.sending.retain(|sending| sending.serial != serial);
        tracked.unused(self.id).is_some()
    }

    /// Forgets the cached record of an upload that never had a chunk and has no sender, and returns its generation. The
    /// next request loads the record again.
    pub(super) fn take_unused(&self) -> Option<Generation> {
        let mut tracked = lock(&self.tracked);
        let unused = tracked.unused(self.id)?;
        tracked.version += 1;
        tracked.record = None;
        Some(unused)
    }

    /// Adds a part that the store has recorded.
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

    /// Adds bytes that the store has recorded at the end.
    pub(super) fn append(&self, new: &NewBytes, now: u64) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        if let Some(Record { state: State::Receiving(unfinished), .. }) = &mut tracked.record {
            let layout = &mut unfinished.layout;
            layout.total_size = layout.total_size.or(new.total_size);
            let is_complete = layout.total_size == Some(new.part.range().end);
            if new.part.size > 0 || is_complete {
                layout.append(new.part);
                unfinished.touched_at = now;
            }
            if let Some(extents) = &new.extents {
                unfinished.location.add(new.part.offset, extents);
            }
        }
    }

    /// Remembers the bytes that the store has reserved.
    pub(super) fn reserved(&self, bytes: u64) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        if let Some(Record { state: State::Receiving(unfinished), .. }) = &mut tracked.record {
            unfinished.reserved = unfinished.reserved.max(bytes);
        }
    }

    /// Names the unfinished upload if it has no name yet. Returns its generation if the store must record the name.
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

    /// The record and the senders, under one lock.
    pub(super) fn tracked(&self) -> MutexGuard<'_, Tracked> {
        lock(&self.tracked)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
