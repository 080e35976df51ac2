//! Files in the making: blocks are reserved ahead of their writers, and what is written of a large file goes to the
//! disk while the rest still comes in, so that the sync at its end is short.
//!
//! A failed sync is remembered until the blob is sealed or gone: the system reports it once, and whoever asks
//! again is told that all is well.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::ids::BlobId;

/// So much of a blob may wait to be synced, and as much again while a sync of it is under way.
const UNSYNCED_BYTES: u64 = 8 << 20;

/// So much behind a writer should be reserved.
const AHEAD: u64 = 256 << 10;
/// So much is reserved at once, at most.
const RESERVE_BYTES: u64 = 16 << 20;

/// What is known of blobs in the making.
#[derive(Debug, Default)]
pub(super) struct Writeback(Mutex<HashMap<BlobId, Progress>>);

#[derive(Debug, Default)]
struct Progress {
    /// Blocks of this range are reserved.
    reserved: Range<u64>,
    /// Bytes that no sync has begun with.
    unsynced: u64,
    /// Whether a sync has failed; locked while one is under way.
    failed: Arc<AsyncMutex<bool>>,
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
            let mut blobs = self.lock();
            let reserved = &mut blobs.entry(blob).or_default().reserved;
            if reserved.contains(&offset) && reserved.contains(&(offset + AHEAD)) {
                return;
            }
            *reserved = offset..offset + length;
        }
        let _ = rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, length);
    }

    /// Notes that `bytes` were written through `file`. Where enough has come together, they are synced on the
    /// blocking pool, unless that is what it does already.
    pub(super) fn wrote(&self, blob: BlobId, file: &Arc<File>, bytes: u64) {
        let mut blobs = self.lock();
        let progress = blobs.entry(blob).or_default();
        progress.unsynced += bytes;
        if progress.unsynced >= UNSYNCED_BYTES
            && let Ok(failed) = Arc::clone(&progress.failed).try_lock_owned()
        {
            progress.unsynced = 0;
            begin_sync(blob, Arc::clone(file), failed);
        }
    }

    /// Waits for the sync under way if more than enough has come together meanwhile: a disk that is slower than
    /// the senders holds them up here, and not at the end of their file.
    pub(super) async fn keep_up(&self, blob: BlobId, file: &Arc<File>) {
        if let Some(failed) = self.failed(blob, UNSYNCED_BYTES) {
            drop(failed.lock().await);
            self.wrote(blob, file, 0);
        }
    }

    /// Forgets a blob after its sync under way has ended; whether one of its syncs failed.
    pub(super) async fn end(&self, blob: BlobId) -> bool {
        let Some(failed) = self.failed(blob, 0) else {
            return false;
        };
        let failed = failed.lock().await;
        self.forget(blob);
        *failed
    }

    /// What became of a blob's syncs, if so many bytes of it are unsynced.
    fn failed(&self, blob: BlobId, unsynced: u64) -> Option<Arc<AsyncMutex<bool>>> {
        let blobs = self.lock();
        let progress = blobs.get(&blob).filter(|progress| progress.unsynced >= unsynced)?;
        Some(Arc::clone(&progress.failed))
    }

    /// Forgets a blob that is gone.
    pub(super) fn forget(&self, blob: BlobId) {
        self.lock().remove(&blob);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin_sync(blob: BlobId, file: Arc<File>, mut failed: OwnedMutexGuard<bool>) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = file.sync_data() {
            tracing::error!(%blob, %error, "written bytes could not be synced");
            *failed = true;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn whoever_writes_faster_than_the_disk_syncs_is_held_up_at_twice_the_limit() {
        let writeback = Writeback::default();
        let (blob, file) = (BlobId::random(), Arc::new(tempfile::tempfile().unwrap()));
        writeback.wrote(blob, &file, 1);
        let sync_under_way = writeback.failed(blob, 0).unwrap().lock_owned().await;
        writeback.wrote(blob, &file, UNSYNCED_BYTES - 2);
        assert!(writeback.keep_up(blob, &file).now_or_never().is_some());
        writeback.wrote(blob, &file, 1);
        let mut held_up = Box::pin(writeback.keep_up(blob, &file));
        assert!(held_up.as_mut().now_or_never().is_none());
        drop(sync_under_way);
        held_up.await;
        assert!(writeback.failed(blob, 1).is_none(), "all that was written is being synced");
        assert!(!writeback.end(blob).await);
    }
}
