//! A record that was read before a part was committed must not be believed after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haversack::filename::Filename;
use haversack::ids::{BlobId, UploadId, UserId};
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{
    Begun, Cursor, Error, Forgotten, LinkKey, Listed, MetadataStore, NewFile, NewPart, NewSingle,
    NewUpload, Record, Recorded, Removed, Stored, StoredFile, UnfinishedCap,
};
use haversack::part::Part;
use haversack::storage::disk::DiskStore;
use haversack::uploads::Refusal;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{contents, done, send, uploads};
use crate::harness::PATIENCE;

/// Holds up one caller, once it is armed.
struct Gate {
    armed: AtomicBool,
    reached: Semaphore,
    opened: Semaphore,
}

impl Gate {
    fn new() -> Self {
        let armed = AtomicBool::new(false);
        Self { armed, reached: Semaphore::new(0), opened: Semaphore::new(0) }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.reached.add_permits(1);
            self.opened.acquire().await.unwrap().forget();
        }
    }

    /// Waits until somebody stands before it.
    async fn reached(&self) {
        let reached = timeout(PATIENCE, self.reached.acquire());
        reached.await.expect("somebody comes").unwrap().forget();
    }

    fn open(&self) {
        self.opened.add_permits(1);
    }
}

/// Records whose answers come late, or are a refusal.
struct Late {
    records: SqliteStore,
    /// Before a part is recorded.
    recording: Gate,
    /// After a record was read.
    loaded: Gate,
    /// The next part of this number is refused.
    refuse: AtomicBool,
}

/// The part that [`Late::refuse`] means.
const REFUSED: u32 = 1;

#[async_trait::async_trait]
impl MetadataStore for Late {
    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error> {
        let record = self.records.load(id).await;
        self.loaded.pass().await;
        record
    }

    async fn record_part(&self, id: UploadId, new: NewPart, now: u64) -> Result<Recorded, Error> {
        if new.index == REFUSED && self.refuse.swap(false, Ordering::SeqCst) {
            return Ok(Recorded::Refused);
        }
        self.recording.pass().await;
        self.records.record_part(id, new, now).await
    }

    async fn received_parts(&self, id: UploadId) -> Result<Vec<Part>, Error> {
        self.records.received_parts(id).await
    }

    async fn begin_upload(
        &self,
        new: NewUpload,
        cap: UnfinishedCap,
        now: u64,
    ) -> Result<Begun, Error> {
        self.records.begin_upload(new, cap, now).await
    }

    async fn restart_upload(&self, id: UploadId, blob: BlobId) -> Result<Option<BlobId>, Error> {
        self.records.restart_upload(id, blob).await
    }

    async fn finish_upload(&self, id: UploadId, file: NewFile, now: u64) -> Result<bool, Error> {
        self.records.finish_upload(id, file, now).await
    }

    async fn store_single(&self, new: NewSingle, now: u64) -> Result<Stored, Error> {
        self.records.store_single(new, now).await
    }

    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<(), Error> {
        self.records.name_file(id, filename).await
    }

    async fn remove(&self, id: UploadId, even_attached: bool, now: u64) -> Result<Removed, Error> {
        self.records.remove(id, even_attached, now).await
    }

    async fn forget_expired(&self, id: UploadId) -> Result<(), Error> {
        self.records.forget_expired(id).await
    }

    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error> {
        self.records.attach(ids).await
    }

    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error> {
        self.records.find_files(ids).await
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error> {
        self.records.list(user, before, limit).await
    }

    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<Forgotten>, Error> {
        self.records.expire(idle_since, limit, now).await
    }

    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error> {
        self.records.unclaimed(blobs).await
    }

    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error> {
        self.records.link_keys(first, now).await
    }

    async fn has_uploads(&self) -> Result<bool, Error> {
        self.records.has_uploads().await
    }

    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error> {
        self.records.store_id(fresh).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.records.check().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.records.close().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_committed_while_the_record_is_read_again_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let late = Arc::new(Late {
        records: SqliteStore::open(dir.path()).unwrap(),
        recording: Gate::new(),
        loaded: Gate::new(),
        refuse: AtomicBool::new(false),
    });
    let blobs = Arc::new(DiskStore::open(dir.path()).unwrap());
    let uploads = uploads(blobs, Arc::clone(&late) as Arc<dyn MetadataStore>);
    let id = UploadId::random();
    send(&uploads, id, 2, 3, b'c').await.unwrap();
    let spawned = |index, byte| {
        let uploads = Arc::clone(&uploads);
        tokio::spawn(async move { send(&uploads, id, index, 3, byte).await })
    };
    // Chunk 0 is on its way into the records,
    late.recording.arm();
    let first = spawned(0, b'a');
    late.recording.reached().await;
    // a refusal makes the server read them, without it,
    late.refuse.store(true, Ordering::SeqCst);
    late.loaded.arm();
    let refused = spawned(REFUSED, b'b');
    late.loaded.reached().await;
    // it gets there and is acknowledged, and only then is the reading done.
    late.recording.open();
    first.await.unwrap().unwrap();
    late.loaded.open();
    refused.await.unwrap().unwrap();

    let other = send(&uploads, id, 0, 3, b'x').await;
    assert!(matches!(other, Err(Refusal::ChunkConflict { index: 0 })), "{other:?}");
    let file = done(&uploads, id).await.unwrap();
    assert_eq!(contents(&uploads, &file).await, "aaaaaaaaaabbbbbbbbbbcccccccccc");
}
