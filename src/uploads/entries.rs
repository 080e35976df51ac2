//! What this process remembers of the uploads in use: their records, and who is sending to them. Knows no store: the
//! caller loads and commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::filename::Filename;
use crate::ids::UploadId;
use crate::metadata::{Generation, NewBytes, NewPart, Record, Standing, State};
use crate::part::PartIndex;
use crate::storage::Extents;

/// So many uploads are remembered; at that point the idle ones are forgotten, to be loaded again when
/// they are needed.
const REMEMBERED: usize = 1024;

/// The uploads in use.
#[derive(Default)]
pub(super) struct Entries {
    map: Mutex<HashMap<UploadId, Arc<Entry>>>,
}

impl Entries {
    /// The one entry of this upload. There are never two: senders stop each other through it.
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
    /// Held while the upload is finished, so that this is done once; remembers the checksum that took long to compute.
    pub(super) finishing: tokio::sync::Mutex<Option<KnownMd5>>,
    tracked: Mutex<Tracked>,
    /// Notified when a sender ends, or may be stopped again.
    pub(super) released: Notify,
}

#[derive(Default)]
pub(super) struct Tracked {
    pub(super) record: Option<Record>,
    /// Counts the changes that the store was told of: a record read before one of them is stale.
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

/// Somebody who sends bytes.
pub(super) struct Sending {
    pub(super) serial: u64,
    /// The part that they are; `None` where bytes come in order.
    pub(super) index: Option<PartIndex>,
    /// Whether it writes at the end of an upload whose bytes come in order.
    pub(super) appending: bool,
    /// It is to stop: a newer sender takes its place, or the upload is gone.
    pub(super) revoked: CancellationToken,
    /// It is to stop, and to put on record what it has.
    pub(super) stopped: CancellationToken,
    pub(super) committing: bool,
    /// Revoked because the upload itself is gone, and how.
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

    /// Forgets the record and stops everybody who sends to it: the upload is gone.
    pub(super) fn end(&self, standing: Standing) {
        let mut tracked = lock(&self.tracked);
        tracked.version += 1;
        tracked.record = None;
        for sending in &mut tracked.sending {
            sending.ended = Some(standing);
            sending.revoked.cancel();
        }
    }

    /// Forgets a sender that has ended. Returns whether nobody sends to the upload now, and it never had a chunk.
    pub(super) fn leave(&self, serial: u64) -> bool {
        let mut tracked = lock(&self.tracked);
        tracked.sending.retain(|sending| sending.serial != serial);
        tracked.unused(self.id).is_some()
    }

    /// Forgets the record of an upload to which nobody sends and which never had a chunk: whoever comes loads it again.
    pub(super) fn take_unused(&self) -> Option<Generation> {
        let mut tracked = lock(&self.tracked);
        let unused = tracked.unused(self.id)?;
        tracked.version += 1;
        tracked.record = None;
        Some(unused)
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

    /// Counts bytes that the store has recorded at the end.
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

    /// The record and the senders, together.
    pub(super) fn tracked(&self) -> MutexGuard<'_, Tracked> {
        lock(&self.tracked)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
