//! The state machine of an upload: the only one who knows the order of steps.
//!
//! Names no HTTP type, no SQL and no path. A request's bytes go through three steps: [`Uploads::slot`]
//! says where they go, [`Slot::fill`] takes them, and `accept_…` puts them on record.

mod chunk;
mod claims;
mod delete;
mod erase;
mod examine;
mod finish;
mod place;
mod refusal;
mod room;
mod single;
mod slot;
mod thumbnail;
mod trust;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use chunk::ChunkRequest;
pub use erase::Erased;
pub use finish::DoneRequest;
pub use refusal::Refusal;
pub use single::SingleRequest;
pub use slot::{Filled, Granted, Slot, Spool};

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::jobs::{JobSignal, LEASE};
use crate::metadata::quota::Quota;
use crate::metadata::{Cursor, Listed, MetadataStore, Record, Standing, State, StoredFile};
use crate::storage::{BlobStore, Outgoing, Unready};
use crate::telemetry::chain;
use claims::{Entries, Entry};

/// What one user may send, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file.
    pub max_file_size: u64,
    /// Bytes of a chunk.
    pub max_chunk_size: u64,
    /// Chunks of a file.
    pub max_parts: u32,
    /// Unfinished uploads of one user.
    pub max_unfinished: u32,
    /// Bytes and files of one user, and bytes of all.
    pub quota: Quota,
    /// Bytes that take longer to come in are not put on record.
    pub max_age: Duration,
    /// An unfinished upload lives so long after its last stored chunk.
    pub upload_ttl: Duration,
    /// Whether files keep what they say of where, when and by whom they were made.
    pub keep_metadata: bool,
}

/// Files examined at once: each takes a thread of the blocking pool for milliseconds, a hostile one for seconds.
const EXAMINING: usize = 16;

/// The uploads and files of all users.
pub struct Uploads {
    blobs: Arc<dyn BlobStore>,
    metadata: Arc<dyn MetadataStore>,
    limits: Limits,
    clock: Clock,
    /// Tells the workers of new jobs, and requests of those that ended.
    jobs: Arc<JobSignal>,
    entries: Entries,
    /// How many files are examined at once.
    examining: Semaphore,
    /// Blobs that could not be made durable, as long as the records still count on them: a later sync would
    /// succeed without the bytes that the failed one was to keep.
    condemned: Mutex<HashSet<BlobId>>,
}

impl Uploads {
    /// Uploads over these stores.
    pub fn new(
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
            examining: Semaphore::new(EXAMINING),
            condemned: Mutex::default(),
        }
    }

    /// Bytes that a file may have.
    pub fn max_file_size(&self) -> u64 {
        self.limits.max_file_size
    }

    async fn stored(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(file)) => Ok(*file),
            Some(state) => Err(self.gone(id, state.standing()).await.unwrap_or(Refusal::Raced)),
            None => Err(Refusal::Raced),
        }
    }

    /// What is known of an unfinished upload or File, for its owner.
    pub async fn record(&self, id: UploadId, user: UserId) -> Result<Record, Refusal> {
        let record = self.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
        let record = self.trusted(owned(record, user)?).await?;
        match record.state {
            State::Removed => Err(Refusal::Removed),
            State::Expired => Err(Refusal::Expired), // told again to whoever only asks
            _ => Ok(record),
        }
    }

    /// When an unfinished upload in which something was last stored at `touched_at` expires.
    pub fn expires_at(&self, touched_at: u64) -> u64 {
        touched_at.saturating_add(self.limits.upload_ttl.as_secs())
    }

    /// The same, but a thumbnail's uuid gives its parent.
    pub async fn stands_for(&self, id: UploadId, user: UserId) -> Result<Record, Refusal> {
        let record = self.record(id, user).await?;
        match record.state.parent() {
            Some(parent) => self.record(parent, user).await,
            None => Ok(record),
        }
    }

    /// The File of this uuid, for its owner; a thumbnail's uuid gives its parent.
    pub async fn file(&self, id: UploadId, user: UserId) -> Result<StoredFile, Refusal> {
        self.record(id, user).await?; // whose it is
        if let Some(file) = self.files(vec![id]).await?.pop().flatten() {
            return Ok(file);
        }
        match self.stands_for(id, user).await?.state {
            State::Finished(file) => Ok(*file),
            _ => Err(Refusal::NotFound),
        }
    }

    /// The Files of these uuids, in order; a thumbnail's uuid gives its parent.
    pub async fn files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Refusal> {
        Ok(self.metadata.find_files(ids).await?)
    }

    /// The File whose own bytes a link shows: here a thumbnail's uuid stands for the thumbnail.
    pub async fn linked(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(file)) => Ok(*file),
            Some(State::Removed | State::Replaced { .. } | State::Erased) => Err(Refusal::Removed),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Bytes of a File, in pieces of at most `piece` bytes, as [`BlobStore::read`] gives them.
    pub async fn read(
        &self,
        file: &StoredFile,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Refusal> {
        match self.blobs.read(file.blob, range, piece).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Deleted since it was found, or drawn anew?
                if self.linked(file.id).await?.blob == file.blob {
                    return Err(error.into());
                }
                Err(Refusal::Raced)
            }
            opened => Ok(opened?),
        }
    }

    /// Where a web server beside this one finds a File's bytes.
    pub fn local_path(&self, file: &StoredFile) -> Option<String> {
        self.blobs.local_path(file.blob)
    }

    /// Marks Files as shown by a message, so that their owner can't delete them. Repeating it is harmless.
    pub async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Refusal> {
        Ok(self.metadata.attach(ids).await?)
    }

    /// A user's unfinished uploads and Files, newest first.
    pub async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Refusal> {
        Ok(self.metadata.list(user, before, limit).await?)
    }

    /// Expires uploads in which nothing was stored for their time to live; answers how many.
    pub async fn expire_idle(&self) -> Result<usize, Refusal> {
        const BATCH: u32 = 2000;
        let now = self.clock.unix_secs();
        let idle_since = self.clock.unix_secs_ago(self.limits.upload_ttl);
        let mut count = 0;
        loop {
            let expired = self.metadata.expire(idle_since, BATCH, now).await?;
            if expired.is_empty() {
                return Ok(count);
            }
            count += expired.len();
            for id in expired {
                crash::point(Point::UploadExpired);
                self.end_expired(id);
            }
        }
    }

    /// Deletes blobs that no record claims and nobody has written for `age`; answers how many.
    pub async fn delete_unclaimed(&self, age: Duration) -> Result<usize, Refusal> {
        let before = self.clock.unix_secs_ago(age);
        let old = self.blobs.list_older_than(before).await?;
        let unclaimed = self.metadata.unclaimed(old).await?;
        crash::point(Point::UnclaimedFound);
        let mut count = 0;
        for blob in unclaimed {
            match self.delete_bytes(blob).await {
                Ok(()) => count += 1,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(%blob, %error, "bytes that no record claims could not be deleted yet");
                }
            }
        }
        Ok(count)
    }

    /// Fails when bytes or records can't be written now; for the readiness probe.
    pub async fn check(&self) -> Result<(), Unready> {
        self.blobs.check().await?;
        self.metadata.check().await
    }

    /// Makes every record durable; the last call.
    pub async fn close(&self) -> Result<(), Refusal> {
        Ok(self.metadata.close().await?)
    }

    /// When a lease taken now ends.
    fn leased_until(&self) -> u64 {
        self.clock.unix_secs() + LEASE.as_secs()
    }

    /// Forgets what is remembered of a record that a job changed.
    pub fn forget_cached(&self, id: UploadId) {
        self.entries.get(id).forget();
    }

    fn condemned(&self) -> MutexGuard<'_, HashSet<BlobId>> {
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an upload that stands so takes nothing; `None` for one in progress and for a File.
    async fn gone(&self, id: UploadId, standing: Standing) -> Option<Refusal> {
        match standing {
            Standing::Receiving | Standing::Finished => None,
            Standing::Removed => Some(Refusal::Removed),
            Standing::Expired => Some(self.expired(id).await),
        }
    }

    /// Of an expired upload: says so once, and frees the uuid for the client to start again.
    async fn expired(&self, id: UploadId) -> Refusal {
        match self.metadata.forget_expired(id).await {
            Ok(()) => {
                crash::point(Point::ExpiredForgotten);
                self.entries.get(id).forget();
                Refusal::Expired
            }
            Err(error) => error.into(),
        }
    }

    /// Loads the record unless it is there; `false` when there is none. The caller holds `loading`.
    async fn loaded(&self, entry: &Entry) -> Result<bool, Refusal> {
        while entry.look(|_| ()).is_none() {
            let version = entry.version();
            let Some(record) = self.metadata.load(entry.id).await? else {
                return Ok(false);
            };
            entry.remember(self.trusted(record).await?, version);
        }
        Ok(true)
    }
}

/// The upload as this user's; to anybody else it does not exist.
fn owned(record: Record, user: UserId) -> Result<Record, Refusal> {
    if record.user == Some(user) { Ok(record) } else { Err(Refusal::NotFound) }
}

/// The same, for whoever sends to it: that one learns also that an erased uuid, now nobody's, is used up.
fn sent_by(record: Record, user: UserId) -> Result<Record, Refusal> {
    if record.user.is_none() { Err(Refusal::Removed) } else { owned(record, user) }
}

/// Runs `work` to its end even if the caller is dropped: a client that hangs up must not leave a step
/// half taken.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await.unwrap_or_else(|panic| Err(Refusal::Internal(Box::new(panic))))
}
