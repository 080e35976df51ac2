//! What jobs need.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::metadata::MetadataStore;
use crate::metadata::jobs::JobSignal;
use crate::metrics::JobMetrics;
use crate::storage::BlobStore;
use crate::uploads::Uploads;

/// What jobs need.
pub struct Context {
    /// The uploads and files of all users.
    pub uploads: Arc<Uploads>,
    /// Bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Records.
    pub metadata: Arc<dyn MetadataStore>,
    /// Signals between tasks about jobs.
    pub signal: Arc<JobSignal>,
    /// The current time.
    pub clock: Clock,
    /// Metrics of jobs.
    pub metrics: JobMetrics,
    /// How long a File stays that isn't attached to a message.
    pub unattached_ttl: Option<Duration>,
    /// How long bytes stay, after their last write, if no record claims them.
    pub unclaimed_age: Duration,
}
