//! Files in the making: blocks are reserved ahead of their writers, and what is written of a large file goes to the
//! disk while the rest still comes in, so that the sync at its end is short.
//!
//! A failed sync is remembered until the blob is sealed or gone: the system reports it once, and whoever asks
//! again is told that all is well.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;

use crate::ids::BlobId;

/// So much of a blob may wait to be synced.
const UNSYNCED_BYTES: u64 = 16 << 20;

/// So much behind a writer should be reserved.
const AHEAD: u64 = 256 << 10;
/// So much is reserved at once, at most.
const RESERVE_BYTES: u64 = 16 << 20;

/// What is known of blobs in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Writeback(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    blobs: Mutex<HashMap<BlobId, Progress>>,
    synced: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Blocks of this range are reserved.
    reserved: Range<u64>,
    unsynced: u64,
    syncing: bool,
    failed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Progress>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writeback {
    /// Reserves blocks for what is about to be written at `offset` and behind it: as much as lies before it, so
    /// that small files take no more than twice their size. A file system that can't or won't needs no telling.
    pub(super) fn reserve(&self, blob: BlobId, file: &File, offset: u64) {
        let length = offset.min(RESERVE_BYTES);
        if length == 0 {
            return;
        }
        {
            let mut blobs = self.0.lock();
            let reserved = &mut blobs.entry(blob).or_default().reserved;
            if reserved.contains(&offset) && reserved.contains(&(offset + AHEAD)) {
                return;
            }
            *reserved = offset..offset + length;
        }
        let _ = rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, length);
    }

    /// Notes that `bytes` were written through `file`; where enough has come together, they are synced on the
    /// blocking pool.
    pub(super) fn wrote(&self, blob: BlobId, file: File, bytes: u64) {
        let mut blobs = self.0.lock();
        let progress = blobs.entry(blob).or_default();
        progress.unsynced += bytes;
        if progress.unsynced < UNSYNCED_BYTES || progress.syncing {
            return;
        }
        progress.unsynced = 0;
        progress.syncing = true;
        drop(blobs);
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let synced = file.sync_data();
            if let Some(progress) = shared.lock().get_mut(&blob) {
                progress.syncing = false;
                progress.failed |= synced.is_err();
            }
            if let Err(error) = synced {
                tracing::error!(%blob, %error, "written bytes could not be synced");
            }
            shared.synced.notify_all();
        });
    }

    /// Forgets a blob after its syncs under way have ended; whether one of them failed. Blocks.
    pub(super) fn end(&self, blob: BlobId) -> bool {
        let mut blobs = self.0.lock();
        while blobs.get(&blob).is_some_and(|progress| progress.syncing) {
            blobs = self.0.synced.wait(blobs).unwrap_or_else(PoisonError::into_inner);
        }
        blobs.remove(&blob).is_some_and(|progress| progress.failed)
    }

    /// Forgets a blob that is gone.
    pub(super) fn forget(&self, blob: BlobId) {
        self.0.lock().remove(&blob);
    }
}
