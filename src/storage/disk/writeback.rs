//! Writes back files while they are being uploaded. Blocks are reserved ahead of the writers, and a large file is
//! synced while the rest of it still arrives, so that the sync at its end is short.
//!
//! A failed sync is remembered until the blob is gone: the system reports the failure only once, and later syncs
//! succeed although it is unknown which bytes are on the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::ids::BlobId;
use crate::metrics::Histogram;
use crate::telemetry::in_thread;

/// How many bytes of a blob may be unsynced before a sync of it starts, and how many more while that runs.
const UNSYNCED_BYTES: u64 = 8 << 20;

/// Number of bytes after a writer's position that should be reserved.
const AHEAD: u64 = 256 << 10;
/// Limits on how many bytes are reserved at once. Fewer would not be worth the system calls.
const MIN_RESERVED: u64 = 64 << 10;
const MAX_RESERVED: u64 = 16 << 20;
/// The unit of `st_blocks` in bytes (stat(3type)).
const STAT_BLOCK: u64 = 512;

/// The state of blobs that are being written.
#[derive(Debug, Default)]
pub(super) struct Writeback {
    blobs: Mutex<HashMap<BlobId, Progress>>,
    /// Durations of the syncs of growing files.
    pub(super) syncs: Option<Histogram>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The range whose blocks are reserved.
    reserved: Range<u64>,
    /// Whether a task is about to reserve more.
    reserving: bool,
    /// Number of bytes written since the last sync began.
    unsynced: u64,
    /// Whether a sync has failed. Locked while one is running.
    failed: Arc<AsyncMutex<bool>>,
}

impl Writeback {
    /// Reserves blocks for what will be written from `offset` on, and returns where they end. With `stored` bytes on
    /// record, the file uses at most twice that much disk space, as reported by its file system. A file system that
    /// can't or won't reserve blocks is not an error.
    pub(super) fn reserve(&self, blob: BlobId, file: &File, offset: u64, stored: u64) -> u64 {
        if stored < MIN_RESERVED {
            return offset;
        }
        {
            let mut blobs = self.lock();
            let progress = blobs.entry(blob).or_default();
            let reserved = &progress.reserved;
            if reserved.contains(&offset) && reserved.contains(&(offset + AHEAD)) {
                return reserved.end;
            }
            // Only one task at a time: several that see the same free space could reserve it several times.
            if std::mem::replace(&mut progress.reserving, true) {
                return offset;
            }
        }
        let end = reserve_blocks(file, offset, stored).unwrap_or(offset);
        let mut blobs = self.lock();
        let progress = blobs.entry(blob).or_default();
        progress.reserving = false;
        let reserved = &mut progress.reserved;
        // Parallel senders stay within one range. A new range begins where there would be a gap.
        if reserved.contains(&offset) || reserved.end == offset {
            reserved.end = reserved.end.max(end);
        } else if offset < end {
            *reserved = offset..end;
        }
        end
    }

    /// Notes that `bytes` were written through `file`. If enough are unsynced, they are synced on the blocking pool,
    /// unless a sync is already running.
    pub(super) fn wrote(&self, blob: BlobId, file: &Arc<File>, bytes: u64) {
        let mut blobs = self.lock();
        let progress = blobs.entry(blob).or_default();
        progress.unsynced += bytes;
        if progress.unsynced >= UNSYNCED_BYTES
            && let Ok(failed) = Arc::clone(&progress.failed).try_lock_owned()
        {
            progress.unsynced = 0;
            begin_sync(blob, Arc::clone(file), failed, self.syncs.clone());
        }
    }

    /// Waits for the running sync if too many bytes are unsynced: a disk that is slower than the senders slows them
    /// down here, and not at the end of their file.
    pub(super) async fn throttle(&self, blob: BlobId, file: &Arc<File>) {
        if let Some(failed) = self.syncs(blob, UNSYNCED_BYTES) {
            drop(failed.lock().await);
            self.wrote(blob, file, 0);
        }
    }

    /// Waits for the running sync of a blob. Returns whether one of its syncs has failed; if not, the blob is
    /// forgotten.
    pub(super) async fn end(&self, blob: BlobId) -> bool {
        let Some(failed) = self.syncs(blob, 0) else {
            return false;
        };
        let failed = failed.lock().await;
        if !*failed {
            self.forget(blob);
        }
        *failed
    }

    /// Remembers that a sync of a blob failed.
    pub(super) fn failed(&self, blob: BlobId) {
        let failed = Arc::new(AsyncMutex::new(true));
        self.lock().insert(blob, Progress { failed, ..Progress::default() });
    }

    /// The sync state of a blob, if at least this many bytes of it are unsynced.
    fn syncs(&self, blob: BlobId, unsynced: u64) -> Option<Arc<AsyncMutex<bool>>> {
        let blobs = self.lock();
        let progress = blobs.get(&blob).filter(|progress| progress.unsynced >= unsynced)?;
        Some(Arc::clone(&progress.failed))
    }

    /// Forgets a deleted blob.
    pub(super) fn forget(&self, blob: BlobId) {
        self.lock().remove(&blob);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Progress>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reserves as many blocks from `offset` on as keep the file at no more than twice its stored bytes. Returns where they
/// end.
fn reserve_blocks(file: &File, offset: u64, stored: u64) -> io::Result<u64> {
    let taken = file.metadata()?.blocks() * STAT_BLOCK;
    let length = (2 * stored).saturating_sub(taken).min(MAX_RESERVED);
    if length >= MIN_RESERVED {
        rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, length)?;
        return Ok(offset + length);
    }
    Ok(offset)
}

fn begin_sync(
    blob: BlobId,
    file: Arc<File>,
    mut failed: OwnedMutexGuard<bool>,
    syncs: Option<Histogram>,
) {
    tokio::task::spawn_blocking(in_thread(move || {
        let _timed = syncs.map(|syncs| syncs.start_timer());
        if let Err(error) = file.sync_data() {
            tracing::error!(%blob, %error, "can't sync written bytes");
            *failed = true;
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::FutureExt;
    use prometheus::HistogramOpts;

    use super::*;

    #[tokio::test]
    async fn a_writer_faster_than_the_disk_is_throttled_at_twice_the_limit() {
        let writeback = Writeback::default();
        let (blob, file) = (BlobId::random(), Arc::new(tempfile::tempfile().unwrap()));
        writeback.wrote(blob, &file, 1);
        let running_sync = writeback.syncs(blob, 0).unwrap().lock_owned().await;
        writeback.wrote(blob, &file, UNSYNCED_BYTES - 2);
        assert!(writeback.throttle(blob, &file).now_or_never().is_some());
        writeback.wrote(blob, &file, 1);
        let mut throttled = Box::pin(writeback.throttle(blob, &file));
        assert!(throttled.as_mut().now_or_never().is_none());
        drop(running_sync);
        throttled.await;
        assert!(writeback.syncs(blob, 1).is_none(), "all that was written is being synced");
        assert!(!writeback.end(blob).await);
    }

    #[tokio::test]
    async fn syncs_of_a_growing_file_are_timed() {
        let syncs = Histogram::with_opts(HistogramOpts::new("syncs", "Syncs.")).unwrap();
        let writeback = Writeback { syncs: Some(syncs.clone()), ..Writeback::default() };
        let (blob, file) = (BlobId::random(), Arc::new(tempfile::tempfile().unwrap()));
        writeback.wrote(blob, &file, UNSYNCED_BYTES - 1);
        assert!(!writeback.end(blob).await);
        assert_eq!(syncs.get_sample_count(), 0);
        writeback.wrote(blob, &file, UNSYNCED_BYTES);
        assert!(!writeback.end(blob).await);
        assert_eq!(syncs.get_sample_count(), 1);
    }

    #[test]
    fn parallel_senders_share_reserved_blocks() {
        let writeback = Writeback::default();
        let (blob, mut file) = (BlobId::random(), tempfile::tempfile().unwrap());
        let stored = 2 << 20;
        file.write_all(&vec![b'x'; 2 << 20]).unwrap();
        let end = writeback.reserve(blob, &file, stored, stored);
        assert!(end > 3 << 20 && end <= 4 << 20, "{end}"); // file systems also count blocks for their own use
        assert_eq!(writeback.reserve(blob, &file, 3 << 20, stored), end);
        assert_eq!(writeback.reserve(blob, &file, end, stored), end, "twice its size is taken");
        let later = writeback.reserve(blob, &file, end, 2 * stored);
        assert!(later > end);
        assert_eq!(writeback.reserve(blob, &file, stored, 2 * stored), later);
    }
}
