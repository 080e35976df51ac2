//! The state machine of an upload: the only one who knows the order of steps.
//!
//! Names no HTTP type, no SQL and no path. A request's bytes go through three steps: [`Uploads::slot`]
//! says where they go, [`Slot::fill`] takes them, and `accept_…` puts them on record.

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
pub use ready::PATIENCE as CHECK_PATIENCE;
pub use refusal::{NoRoom, Refusal};
pub use request::{AppendRequest, ChunkRequest, Creation};
pub use single::SingleRequest;
pub use slot::{Filled, Granted, Slot, Spool};

use crate::clock::Clock;
use crate::ids::{UploadId, UserId};
use crate::metadata::jobs::{Job, JobKind, JobSignal};
use crate::metadata::{MetadataStore, Record, StoredFile};
use crate::storage::{BlobStore, Incoming, Unready};
use shared::Shared;

/// The uploads and files of all users: what can be done with them. Each verb is a module's, which shows by its `use`
/// lines whom it needs.
pub struct Uploads {
    shared: Arc<Shared>,
    checks: ready::Checks,
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
        let shared = Arc::new(Shared::new(blobs, metadata, limits, clock, jobs));
        Self { shared, checks: ready::Checks::default() }
    }

    /// Whether no step is under way, those that go on without their callers included.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// Where the bytes of a chunk go, decided before the first of them is read, from what is known of it so
    /// far. `bound`: no more bytes than this can come.
    ///
    /// What can't be placed yet goes to a spool; nothing is refused that later fields could put right.
    pub async fn slot(&self, request: &ChunkRequest, bound: u64) -> Result<Slot, Refusal> {
        chunk::slot(&self.shared, request, bound).await
    }

    /// Puts a chunk on record whose bytes and fields have all arrived; from here on it completes even if
    /// the caller goes away. Answers the upload's uuid. The same chunk again is answered the same.
    pub async fn accept_chunk(
        &self,
        filled: Filled,
        request: ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        chunk::accept_chunk(&self.shared, filled, request).await
    }

    /// Withdraws an upload that a refused chunk has begun, if it never had one and nobody sends to it: then it is as if it
    /// had not begun.
    pub async fn withdraw(&self, id: UploadId) {
        withdraw::withdraw(&self.shared, &self.shared.entries.get(id)).await;
    }

    /// Begins an upload whose bytes come in order, under a uuid made here.
    pub async fn create(&self, new: Creation) -> Result<UploadId, Refusal> {
        append::create(&self.shared, new).await
    }

    /// Puts bytes at the end of an upload. What has come counts, also if the body breaks off, unless the request gives
    /// a checksum: then nothing of it counts until that is right. A newer request for the same place, or
    /// [`Uploads::progress`], ends this one after its last write. With the last byte the upload is finished; where that
    /// takes longer than the reply may, [`Progress::file`] is missing.
    pub async fn append(
        &self,
        request: AppendRequest,
        body: Incoming<'_>,
    ) -> Result<Progress, Refusal> {
        append::append(&self.shared, request, body).await
    }

    /// How far an upload of this user's has come, also one that is sent in chunks; a thumbnail's uuid gives its parent.
    /// Whoever appends to it is told to stop first, and puts on record what has come.
    pub async fn progress(&self, id: UploadId, user: &UserId) -> Result<Progress, Refusal> {
        progress::progress(&self.shared, id, user).await
    }

    /// Makes one upload of these pieces, in this order, and finishes it. The same pieces again are answered with the
    /// same upload. Where finishing takes longer than the reply may, [`Progress::file`] is missing.
    pub async fn join(&self, new: Creation, pieces: Vec<UploadId>) -> Result<Progress, Refusal> {
        join::join(&self.shared, new, pieces).await
    }

    /// Where the bytes of a request go that may be a single file: nothing before them says otherwise. `id`: its
    /// uuid, if it came before them; `at_least`: so many bytes will come.
    pub async fn slot_of_file(
        &self,
        user: &UserId,
        id: Option<UploadId>,
        at_least: u64,
    ) -> Result<Slot, Refusal> {
        single::slot_of_file(&self.shared, user, id, at_least).await
    }

    /// Puts a file that came in one request on record; from here on it completes even if the caller goes
    /// away. The same bytes again under the same uuid are answered with the same File.
    pub async fn accept_single(
        &self,
        filled: Filled,
        request: SingleRequest,
    ) -> Result<StoredFile, Refusal> {
        single::accept_single(&self.shared, filled, request).await
    }

    /// Makes a File of an upload whose parts are all there. Completes even if the caller goes away; again,
    /// also in parallel, it answers the same File. A refusal keeps the upload.
    pub async fn done(&self, request: DoneRequest) -> Result<StoredFile, Refusal> {
        finish::done(&self.shared, request).await
    }

    /// Takes up the finishing of an upload that has all its bytes, which may be partly overwritten, as after a crash.
    /// Repeating it is harmless.
    pub async fn resume(&self, id: UploadId) -> Result<(), Refusal> {
        complete::resume(&self.shared, id).await
    }

    /// Cancels an upload or deletes a File of this user's, or of anybody's for the application's backend
    /// (`None`), which may delete attached ones too. The bytes are gone when it answers.
    pub async fn remove(&self, id: UploadId, owner: Option<UserId>) -> Result<Erased, Refusal> {
        erase::remove(&self.shared, id, owner).await
    }

    /// Removes all uploads and Files of a user, attached ones too, and whatever is on record of those that went
    /// before: of each the uuid alone is left. Nothing else of them is in the stores' files when it answers.
    /// Repeating it is harmless. What is begun while it runs may stay.
    pub async fn erase(&self, user: &UserId) -> Result<Erased, Refusal> {
        erase::erase(&self.shared, user).await
    }

    /// Removes Files that were finished longer ago than `ttl` and that no message shows; answers how many.
    pub async fn remove_unattached(&self, ttl: Duration) -> Result<u64, Refusal> {
        erase::remove_unattached(&self.shared, ttl).await
    }

    /// Removes a File whose bytes are gone. Repeating it is harmless.
    pub async fn give_up(&self, id: UploadId) -> Result<(), Refusal> {
        erase::give_up(&self.shared, id).await
    }

    /// Does the job of deleting bytes. Repeating it is harmless.
    pub async fn delete(&self, job: &Job) -> Result<(), Refusal> {
        delete::delete(&self.shared, job).await
    }

    /// Does the job of forgetting the parts of an upload that ended. Repeating it is harmless.
    pub async fn forget_parts(&self, job: &Job) -> Result<(), Refusal> {
        delete::forget_parts(&self.shared, job).await
    }

    /// Does all deletions that are due, and waits for those under way; not for ever, as new ones come.
    pub async fn delete_forgotten(&self) -> Result<(), Refusal> {
        delete::delete_forgotten(&self.shared).await
    }

    /// Waits until nobody holds a job of this kind any more; of this user's, if one is given. `false`: somebody still
    /// does after the time of a lease.
    pub async fn none_running(
        &self,
        kind: JobKind,
        user: Option<&UserId>,
    ) -> Result<bool, Refusal> {
        delete::none_running(&self.shared, kind, user).await
    }

    /// Expires uploads in which nothing was stored for their time to live; answers how many.
    pub async fn expire_idle(&self) -> Result<usize, Refusal> {
        expire::expire_idle(&self.shared).await
    }

    /// Withdraws uploads that were begun long ago and never had a chunk, as a crash leaves them; answers how many.
    pub async fn withdraw_left(&self) -> Result<usize, Refusal> {
        withdraw::withdraw_left(&self.shared).await
    }

    /// Deletes blobs that no record claims and nobody has written for `age`; answers how many.
    pub async fn delete_unclaimed(&self, age: Duration) -> Result<usize, Refusal> {
        expire::delete_unclaimed(&self.shared, age).await
    }

    /// Compares some of what is not to be believed yet; `false` when there was nothing.
    pub async fn compare_suspects(&self) -> Result<bool, Refusal> {
        suspects::compare_suspects(&self.shared).await
    }

    /// Compares the parts of an unfinished upload with their bytes and forgets those that are gone.
    pub async fn doubt(&self, id: UploadId) -> Result<(), Refusal> {
        suspects::doubt(&self.shared, id).await
    }

    /// Refuses bytes for which the store has no room; also none at all when it is full.
    pub async fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        room::check_room(&self.shared, bytes).await
    }

    /// What is known of an unfinished upload or File, for its owner; a thumbnail's uuid gives its parent.
    pub async fn stands_for(&self, id: UploadId, user: &UserId) -> Result<Record, Refusal> {
        records::stands_for(&self.shared, id, user).await
    }

    /// The File of this uuid, for its owner; a thumbnail's uuid gives its parent.
    pub async fn file(&self, id: UploadId, user: &UserId) -> Result<StoredFile, Refusal> {
        records::file(&self.shared, id, user).await
    }

    /// Bytes that a file may have.
    pub fn max_file_size(&self) -> u64 {
        self.shared.limits.max_file_size
    }

    /// Refuses a file whose declared size is over the limit.
    pub fn check_total(&self, declared: Option<u64>) -> Result<(), Refusal> {
        self.shared.limits.check_total(declared)
    }

    /// When an unfinished upload in which something was last stored at `touched_at` expires.
    pub fn expires_at(&self, touched_at: u64) -> u64 {
        self.shared.expires_at(touched_at)
    }

    /// Forgets what is remembered of a record that a job changed.
    pub fn forget_cached(&self, id: UploadId) {
        self.shared.forget_cached(id);
    }

    /// Whether stored files and records can be written now, for the readiness probe: each by its name. Answers within
    /// [`CHECK_PATIENCE`].
    pub async fn checks(&self) -> [(&'static str, Result<(), Unready>); 2] {
        ready::check(&self.shared, &self.checks).await
    }

    /// Makes every record durable; the last call.
    pub async fn close(&self) -> Result<(), Refusal> {
        Ok(self.shared.metadata.close().await?)
    }
}
