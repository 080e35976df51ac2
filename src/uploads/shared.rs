//! What the steps of uploads share: stores, limits, and the uploads in use. Knows no step.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::entries::Entries;
use super::{Limits, Refusal};
use crate::clock::Clock;
use crate::ids::{BlobId, UploadId};
use crate::metadata::MetadataStore;
use crate::metadata::jobs::{JobSignal, LEASE};
use crate::storage::BlobStore;
use crate::telemetry::on_behalf;

/// Maximum number of files examined at once. Each takes a thread of the blocking pool for milliseconds, a hostile one
/// for seconds.
const MAX_EXAMINED: usize = 16;

/// State shared by all steps.
pub(super) struct Shared {
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) metadata: Arc<dyn MetadataStore>,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    /// Notifies workers of new jobs, and requests of jobs that ended.
    pub(super) jobs: Arc<JobSignal>,
    pub(super) entries: Entries,
    /// Limits how many files are examined at once.
    pub(super) examining: Semaphore,
}

impl Shared {
    /// Creates the shared state for these stores.
    pub(super) fn new(
        blobs: Arc<dyn BlobStore>,
        metadata: Arc<dyn MetadataStore>,
        limits: Limits,
        clock: Clock,
        jobs: Arc<JobSignal>,
    ) -> Self {
        Self {
            blobs,
            metadata,
            limits,
            clock,
            jobs,
            entries: Entries::default(),
            examining: Semaphore::new(MAX_EXAMINED),
        }
    }

    /// A blob for a new upload; `None` if parts are blobs of their own.
    pub(super) fn new_blob(&self) -> Option<BlobId> {
        self.blobs.in_place().then(BlobId::random)
    }

    /// When a lease taken now ends, in Unix seconds.
    pub(super) fn leased_until(&self) -> u64 {
        self.clock.unix_secs() + LEASE.as_secs()
    }

    /// Forgets the cached copy of a record that a job changed.
    pub(super) fn forget_cached(&self, id: UploadId) {
        self.entries.get(id).forget();
    }

    /// When an unfinished upload expires that last stored something at `touched_at`.
    pub(super) fn expires_at(&self, touched_at: u64) -> u64 {
        touched_at.saturating_add(self.limits.upload_ttl.as_secs())
    }
}

/// Runs `work` to its end even if the caller is dropped: a client that hangs up must not leave a step half done.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(on_behalf(work))
        .await
        .unwrap_or_else(|panic| Err(Refusal::Internal(Box::new(panic))))
}
