//! A record that was read before a part was committed must not be believed after it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haversack::filename::Filename;
use haversack::ids::UploadId;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{Error, MetadataStore, NewPart, Recorded, State, StoredFile};
use haversack::part::Declaration;
use haversack::storage::disk::DiskStore;
use haversack::uploads::{DoneRequest, Refusal, Uploads};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{USER, contents, done, send, send_chunk, send_single, uploads};
use crate::doubles::{HookedRecords, RecordHooks};
use crate::harness::PATIENCE;

/// Holds up one caller, once it is armed.
pub(crate) struct Gate {
    armed: AtomicBool,
    reached: Semaphore,
    opened: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let armed = AtomicBool::new(false);
        Self { armed, reached: Semaphore::new(0), opened: Semaphore::new(0) }
    }

    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(crate) async fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.reached.add_permits(1);
            self.opened.acquire().await.unwrap().forget();
        }
    }

    /// Waits until somebody stands before it.
    pub(crate) async fn reached(&self) {
        let reached = timeout(PATIENCE, self.reached.acquire());
        reached.await.expect("somebody comes").unwrap().forget();
    }

    pub(crate) fn open(&self) {
        self.opened.add_permits(1);
    }
}

/// Records whose answers come late, or are a refusal.
struct Late {
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
impl RecordHooks for Late {
    async fn after_load(&self) {
        self.loaded.pass().await;
    }

    async fn before_part(&self, new: &NewPart) -> Option<Recorded> {
        if new.index == REFUSED && self.refuse.swap(false, Ordering::SeqCst) {
            return Some(Recorded::Refused);
        }
        self.recording.pass().await;
        None
    }
}

/// Uploads over such records, in this folder.
fn late(dir: &Path) -> (Arc<Uploads>, Arc<HookedRecords<Late>>) {
    let late = Arc::new(HookedRecords {
        records: SqliteStore::open(dir).unwrap(),
        hooks: Late { recording: Gate::new(), loaded: Gate::new(), refuse: AtomicBool::new(false) },
    });
    let blobs = Arc::new(DiskStore::open(dir).unwrap());
    (uploads(blobs, Arc::clone(&late) as Arc<dyn MetadataStore>), late)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_chunk_of_a_file_that_is_deleted_meanwhile_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, late) = late(dir.path());
    let id = UploadId::random();
    send(&uploads, id, 0, 1, b'a').await.unwrap();
    done(&uploads, id).await.unwrap();
    late.hooks.loaded.arm();
    let again = tokio::spawn(async move { send(&uploads, id, 0, 1, b'a').await });
    late.hooks.loaded.reached().await;
    late.records.remove(id, false, 0, 0).await.unwrap();
    late.hooks.loaded.open();
    let again = again.await.unwrap();
    assert!(matches!(again, Err(Refusal::Removed)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_single_file_that_is_deleted_meanwhile_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, late) = late(dir.path());
    let id = UploadId::random();
    send_single(&uploads, id, b"a file").await.unwrap();
    late.hooks.loaded.arm();
    let again = tokio::spawn(async move { send_single(&uploads, id, b"a file").await });
    late.hooks.loaded.reached().await;
    late.records.remove(id, false, 0, 0).await.unwrap();
    late.hooks.loaded.open();
    let again = again.await.unwrap();
    assert!(matches!(again, Err(Refusal::Removed)), "{again:?}");
}

/// A done that names an MD5, of an upload that is deleted once its record was read.
async fn done_and_deleted(finished: bool) -> Result<StoredFile, Refusal> {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, late) = late(dir.path());
    let id = UploadId::random();
    send(&uploads, id, 0, 1, b'a').await.unwrap();
    if finished {
        done(&uploads, id).await.unwrap();
    }
    late.hooks.loaded.arm();
    let with_md5 =
        DoneRequest { user: USER.into(), id, filename: None, total_size: None, md5: Some([0; 16]) };
    let (same, id) = (Arc::clone(&uploads), id);
    let done = tokio::spawn(async move { same.done(with_md5).await });
    late.hooks.loaded.reached().await;
    uploads.remove(id, None).await.unwrap();
    late.hooks.loaded.open();
    done.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_whose_upload_is_deleted_before_its_md5_is_computed_says_so() {
    let done = done_and_deleted(false).await;
    assert!(matches!(done, Err(Refusal::Removed)), "{done:?}");
    let again = done_and_deleted(true).await;
    assert!(matches!(again, Err(Refusal::Removed)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_committed_while_the_record_is_read_again_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (uploads, late) = late(dir.path());
    let id = UploadId::random();
    send(&uploads, id, 2, 3, b'c').await.unwrap();
    let spawned = |index, byte| {
        let uploads = Arc::clone(&uploads);
        tokio::spawn(async move { send(&uploads, id, index, 3, byte).await })
    };
    // Chunk 0 is on its way into the records,
    late.hooks.recording.arm();
    let first = spawned(0, b'a');
    late.hooks.recording.reached().await;
    // a refusal makes the server read them, without it,
    late.hooks.refuse.store(true, Ordering::SeqCst);
    late.hooks.loaded.arm();
    let refused = spawned(REFUSED, b'b');
    late.hooks.loaded.reached().await;
    // it gets there and is acknowledged, and only then is the reading done.
    late.hooks.recording.open();
    first.await.unwrap().unwrap();
    late.hooks.loaded.open();
    refused.await.unwrap().unwrap();

    let other = send(&uploads, id, 0, 3, b'x').await;
    assert!(matches!(other, Err(Refusal::ChunkConflict { index: 0 })), "{other:?}");
    let file = done(&uploads, id).await.unwrap();
    assert_eq!(contents(dir.path(), &file).await, "aaaaaaaaaabbbbbbbbbbcccccccccc");
}

/// Records that fail to take the first name.
struct FailsToName(AtomicBool);

#[async_trait::async_trait]
impl RecordHooks for FailsToName {
    async fn before_name(&self) -> Result<(), Error> {
        match self.0.swap(true, Ordering::SeqCst) {
            false => Err(Error::Failed("no disk".into())),
            true => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_name_that_could_not_be_recorded_is_recorded_when_its_chunk_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteStore::open(dir.path()).unwrap();
    let records = Arc::new(HookedRecords { records, hooks: FailsToName(AtomicBool::new(false)) });
    let blobs = Arc::new(DiskStore::open(dir.path()).unwrap());
    let uploads = uploads(blobs, Arc::clone(&records) as Arc<dyn MetadataStore>);
    let id = UploadId::random();
    send(&uploads, id, 0, 3, b'a').await.unwrap();
    let named = || {
        let declared = Declaration { index: 1, total_parts: Some(3), ..Declaration::default() };
        send_chunk(&uploads, id, declared, Filename::parse("a.txt"), vec![b'b'; 10])
    };
    named().await.unwrap_err();
    named().await.unwrap();
    let record = records.load(id).await.unwrap().unwrap();
    let State::Receiving(unfinished) = record.state else { panic!("it is receiving") };
    assert_eq!(unfinished.filename.as_ref().map(Filename::as_str), Some("a.txt"));
}
