//! What jobs work with.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::metadata::MetadataStore;
use crate::metadata::jobs::JobSignal;
use crate::storage::BlobStore;
use crate::uploads::Uploads;

/// What jobs work with.
pub struct Context {
    /// The uploads and files of all users.
    pub uploads: Arc<Uploads>,
    /// Bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Records.
    pub metadata: Arc<dyn MetadataStore>,
    /// What tasks tell each other about jobs.
    pub signal: Arc<JobSignal>,
    /// What time it is.
    pub clock: Clock,
    /// How long a File stays that no message shows.
    pub unattached_ttl: Option<Duration>,
    /// How long bytes stay that no record claims, after they were last written.
    pub unclaimed_age: Duration,
}
