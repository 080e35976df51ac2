//! The state machine of an upload. The order of its steps is defined here and nowhere else.
//!
//! Contains no HTTP types, SQL or paths. The bytes of a request pass three steps: [`Uploads::slot`] decides where they
//! go, [`Slot::fill`] writes them, and `accept_…` records them.

mod append;
mod checksum;
mod chunk;
mod complete;
mod delete;
mod entries;
mod erase;
mod examine;
mod expire;
mod finish;
mod join;
mod limits;
mod place;
mod progress;
mod ready;
mod records;
mod refusal;
mod request;
mod restart;
mod room;
mod senders;
mod shared;
mod single;
mod slot;
mod suspects;
mod thumbnail;
mod trust;
mod withdraw;

use std::sync::Arc;
use std::time::Duration;

pub use checksum::{Algorithm, Checksum};
pub use erase::Erased;
pub use finish::DoneRequest;
pub use limits::Limits;
pub use progress::Progress;
pub use ready::TIMEOUT as CHECK_TIMEOUT;
pub use refusal::{NoRoom, Refusal};
pub use request::{AppendRequest, ChunkRequest, Creation};
pub use single::SingleRequest;
pub use slot::{FilledSlot, GrantedRange, Slot, Spool};

use crate::clock::Clock;
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, JobKind, JobSignal};
use crate::metadata::{MetadataStore, Record, StoredFile};
use crate::storage::{BlobStore, Incoming, Unready};
use shared::Shared;

/// Everything that can be done with the uploads and files of all users. Each operation has a module of its own, whose
/// `use` lines show what it depends on.
pub struct Uploads {
    shared: Arc<Shared>,
    checks: ready::Checks,
}

impl Uploads {
    /// Manages uploads in these stores.
    pub fn new(
        blobs: Arc<dyn BlobStore>,
        metadata: Arc<dyn MetadataStore>,
        limits: Limits,
        clock: Clock,
        jobs: Arc<JobSignal>,
    ) -> Self {
        let shared = Arc::new(Shared::new(blobs, metadata, limits, clock, jobs));
        Self { shared, checks: ready::Checks::default() }
    }

    /// Whether no step is running, including those that continue after their callers went away.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// Decides where the bytes of a chunk go before the first of them is read, from the fields received so far. At most
    /// `bound` bytes can follow.
    ///
    /// Bytes whose place is not known yet go to a spool. Nothing is refused that later fields could correct.
    pub async fn slot(&self, request: &ChunkRequest, bound: u64) -> Result<Slot, Refusal> {
        chunk::slot(&self.shared, request, bound).await
    }

    /// Records a chunk whose bytes and fields have all arrived, and returns the upload's uuid. It completes even if the
    /// caller goes away. Repeating it with the same chunk returns the same uuid.
    pub async fn accept_chunk(
        &self,
        filled: FilledSlot,
        request: ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        chunk::accept_chunk(&self.shared, filled, request).await
    }

    /// Withdraws an upload that a refused chunk began, if it never had a chunk and has no sender. Afterwards it is as
    /// if the upload had never begun.
    pub async fn withdraw(&self, id: UploadId) {
        withdraw::withdraw(&self.shared, &self.shared.entries.get(id)).await;
    }

    /// Begins an upload whose bytes arrive in order. The server chooses its uuid.
    pub async fn create(&self, new: Creation) -> Result<UploadId, Refusal> {
        append::create(&self.shared, new).await
    }

    /// Appends bytes to an upload. If the body breaks off, the bytes received so far count, unless the request gives a
    /// checksum: then none of them count until the checksum matches. A newer request at the same offset, or
    /// [`Uploads::progress`], stops this one after its current write. The last byte of the file finishes the upload; if
    /// finishing takes longer than a reply may wait, [`Progress::file`] is `None`.
    pub async fn append(
        &self,
        request: AppendRequest,
        body: Incoming<'_>,
    ) -> Result<Progress, Refusal> {
        append::append(&self.shared, request, body).await
    }

    /// Returns the progress of this user's upload, including one sent in chunks. A thumbnail's uuid stands for its
    /// parent. A sender that is appending to the upload is stopped first and records what it has received.
    pub async fn progress(&self, id: UploadId, user: &UserId) -> Result<Progress, Refusal> {
        progress::progress(&self.shared, id, user).await
    }

    /// Joins these pieces, in this order, into one upload and finishes it. Repeating it with the same pieces returns
    /// the same upload. If finishing takes longer than a reply may wait, [`Progress::file`] is `None`.
    pub async fn join(&self, new: Creation, pieces: Vec<UploadId>) -> Result<Progress, Refusal> {
        join::join(&self.shared, new, pieces).await
    }

    /// Decides where the bytes of a request go that may be a single file, as no field before them says otherwise. `id`
    /// is its uuid, if it came before the bytes; at least `at_least` bytes follow.
    pub async fn slot_of_file(
        &self,
        user: &UserId,
        id: Option<UploadId>,
        at_least: u64,
    ) -> Result<Slot, Refusal> {
        single::slot_of_file(&self.shared, user, id, at_least).await
    }

    /// Records a file that was sent in one request. It completes even if the caller goes away. Repeating it with the
    /// same bytes and uuid returns the same File.
    pub async fn accept_single(
        &self,
        filled: FilledSlot,
        request: SingleRequest,
    ) -> Result<StoredFile, Refusal> {
        single::accept_single(&self.shared, filled, request).await
    }

    /// Makes a File of an upload that has all its parts. It completes even if the caller goes away. Repeating it, even
    /// in parallel, returns the same File. A refusal leaves the upload as it is.
    pub async fn done(&self, request: DoneRequest) -> Result<StoredFile, Refusal> {
        finish::done(&self.shared, request).await
    }

    /// Resumes finishing an upload that has all its bytes, some of which may already be overwritten, for example after
    /// a crash. Repeating it is harmless.
    pub async fn resume(&self, id: UploadId) -> Result<(), Refusal> {
        complete::resume(&self.shared, id).await
    }

    /// Cancels an upload or deletes a File that belongs to `owner`. With `None`, the application's backend may delete
    /// anyone's, including attached Files. The bytes are gone when it returns.
    pub async fn remove(&self, id: UploadId, owner: Option<UserId>) -> Result<Erased, Refusal> {
        erase::remove(&self.shared, id, owner).await
    }

    /// Removes all uploads and Files of a user, including attached ones, and all records of those removed earlier,
    /// except for their uuids. Nothing else of them is left in the stores' files when it returns. Repeating it is
    /// harmless. Uploads begun while it runs may stay.
    pub async fn erase(&self, user: &UserId) -> Result<Erased, Refusal> {
        erase::erase(&self.shared, user).await
    }

    /// Removes Files that were finished longer ago than `ttl` and belong to no message. Returns how many it removed.
    pub async fn remove_unattached(&self, ttl: Duration) -> Result<u64, Refusal> {
        erase::remove_unattached(&self.shared, ttl).await
    }

    /// Removes a File whose bytes are gone. Repeating it is harmless.
    pub async fn remove_lost(&self, id: UploadId) -> Result<(), Refusal> {
        erase::remove_lost(&self.shared, id).await
    }

    /// Runs a job that deletes bytes. Repeating it is harmless.
    pub async fn delete(&self, job: &Job) -> Result<(), Refusal> {
        delete::delete(&self.shared, job).await
    }

    /// Runs a job that deletes the part records of an upload that ended. Repeating it is harmless.
    pub async fn forget_parts(&self, job: &Job) -> Result<(), Refusal> {
        delete::forget_parts(&self.shared, job).await
    }

    /// Runs all deletions that are due and waits for those in progress. Does not wait indefinitely, since new ones keep
    /// arriving.
    pub async fn delete_forgotten(&self) -> Result<(), Refusal> {
        delete::delete_forgotten(&self.shared).await
    }

    /// Waits until no worker holds a job of this kind, or one of this user's if a user is given. Returns `false` if one
    /// still does after the duration of a lease.
    pub async fn none_running(
        &self,
        kind: JobKind,
        user: Option<&UserId>,
    ) -> Result<bool, Refusal> {
        delete::none_running(&self.shared, kind, user).await
    }

    /// Expires uploads idle for longer than their TTL. Returns how many it expired.
    pub async fn expire_idle(&self) -> Result<usize, Refusal> {
        expire::expire_idle(&self.shared).await
    }

    /// Withdraws uploads that were begun long ago and never had a chunk, which a crash can leave behind. Returns how
    /// many it withdrew.
    pub async fn withdraw_unused(&self) -> Result<usize, Refusal> {
        withdraw::withdraw_unused(&self.shared).await
    }

    /// Deletes blobs that no record claims and that have not been written to for `age`. Returns how many it deleted.
    pub async fn delete_unclaimed(&self, age: Duration) -> Result<usize, Refusal> {
        expire::delete_unclaimed(&self.shared, age).await
    }

    /// Verifies some of the data that is still suspect. Returns `false` if there was none.
    pub async fn compare_suspects(&self) -> Result<bool, Refusal> {
        suspects::compare_suspects(&self.shared).await
    }

    /// Compares the parts of an unfinished upload with their bytes and forgets the parts whose bytes are gone.
    pub async fn doubt(&self, id: UploadId) -> Result<(), Refusal> {
        suspects::doubt(&self.shared, id).await
    }

    /// Refuses bytes for which the store has no room. If the store is full, it refuses even zero bytes.
    pub async fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        room::check_room(&self.shared, bytes).await
    }

    /// Returns the record of an unfinished upload or File to its owner. A thumbnail's uuid stands for its parent.
    pub async fn record_or_parent(&self, id: UploadId, user: &UserId) -> Result<Record, Refusal> {
        records::record_or_parent(&self.shared, id, user).await
    }

    /// Returns the File with this uuid to its owner. A thumbnail's uuid stands for its parent.
    pub async fn file(&self, id: UploadId, user: &UserId) -> Result<StoredFile, Refusal> {
        records::file(&self.shared, id, user).await
    }

    /// Maximum size of a file in bytes.
    pub fn max_file_size(&self) -> u64 {
        self.shared.limits.max_file_size
    }

    /// Refuses a file whose declared size exceeds the limit.
    pub fn check_total(&self, declared: Option<u64>) -> Result<(), Refusal> {
        self.shared.limits.check_total(declared)
    }

    /// When an unfinished upload expires that last stored something at `touched_at`.
    pub fn expires_at(&self, touched_at: u64) -> u64 {
        self.shared.expires_at(touched_at)
    }

    /// Forgets the cached copy of a record that a job changed.
    pub fn forget_cached(&self, id: UploadId) {
        self.shared.forget_cached(id);
    }

    /// Whether stored files and records can be written now, by name, for the readiness probe. Returns within
    /// [`CHECK_TIMEOUT`].
    pub async fn checks(&self) -> [(&'static str, Result<(), Unready>); 2] {
        ready::check(&self.shared, &self.checks).await
    }

    /// Makes every record durable. Must be the last call.
    pub async fn close(&self) -> Result<(), Refusal> {
        Ok(self.shared.metadata.close().await?)
    }
}
