//! Bytes of what was removed must not come back with a writer that comes late.

use std::sync::Arc;

use haversack::clock::Clock;
use haversack::ids::{BlobId, UploadId};
use haversack::metadata::jobs::JobQueue;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{MetadataStore, State};
use haversack::storage::BlobStore;
use haversack::storage::disk::DiskStore;
use haversack::uploads::{Refusal, Uploads};
use tokio::task::JoinHandle;

use super::records::Gate;
use super::{USER, send, uploads};
use crate::doubles::{BlobHooks, HookedBlobs};
use crate::harness::eventually;
use crate::stores::records::InBlob;

/// A disk that holds up a write.
struct Slow(Gate);

#[async_trait::async_trait]
impl BlobHooks for Slow {
    async fn before_write(&self, _offset: u64) {
        self.0.pass().await;
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    blobs: Arc<HookedBlobs<Slow>>,
    records: Arc<SqliteStore>,
    uploads: Arc<Uploads>,
    id: UploadId,
    blob: BlobId,
}

impl Rig {
    async fn state(&self) -> State {
        self.records.load(self.id).await.unwrap().unwrap().state
    }

    async fn size(&self) -> Option<u64> {
        self.blobs.store.size(self.blob).await.unwrap()
    }
}

/// An upload of two chunks; the second one's sender is about to write.
async fn while_a_chunk_is_written() -> (Rig, JoinHandle<Result<(), Refusal>>) {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(dir.path()).unwrap();
    let blobs = Arc::new(HookedBlobs { store: disk, hooks: Slow(Gate::new()) });
    let records = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let uploads = uploads(Arc::clone(&blobs) as Arc<dyn BlobStore>, Arc::clone(&records) as _);
    let id = UploadId::random();
    send(&uploads, id, 0, 2, b'a').await.unwrap();
    let State::Receiving(begun) = records.load(id).await.unwrap().unwrap().state else {
        panic!("it is unfinished")
    };

    blobs.hooks.0.arm();
    let sender = Arc::clone(&uploads);
    let sent = tokio::spawn(async move { send(&sender, id, 1, 2, b'b').await.map(drop) });
    blobs.hooks.0.reached().await;
    (Rig { _dir: dir, blobs, records, uploads, id, blob: begun.blob() }, sent)
}

#[tokio::test]
async fn a_writer_that_comes_late_does_not_bring_removed_bytes_back() {
    let (rig, sent) = while_a_chunk_is_written().await;
    let (remover, id) = (Arc::clone(&rig.uploads), rig.id);
    let removed = tokio::spawn(async move { remover.remove(id, Some(USER.into())).await });
    eventually("it is off the record", async || matches!(rig.state().await, State::Removed)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await; // whoever does not wait for the writer deletes the bytes
    }
    rig.blobs.hooks.0.open();
    let refused = sent.await.unwrap();
    assert!(matches!(refused, Err(Refusal::Removed)), "{refused:?}");
    removed.await.unwrap().unwrap();
    assert_eq!(rig.size().await, None);
}

#[tokio::test]
async fn the_job_that_deletes_bytes_waits_for_their_last_writer() {
    let (rig, sent) = while_a_chunk_is_written().await;
    // A worker may take the job before anybody has told the writer.
    let now = Clock::system().unix_secs();
    assert_eq!(rig.records.expire(now + 9, 9, now).await.unwrap(), [rig.id]);
    let worker = Arc::clone(&rig.uploads);
    let deleted = tokio::spawn(async move { worker.delete_forgotten().await });
    let is_taken = async || {
        let (jobs, _) = rig.records.list_jobs(0, 9, now).await.unwrap();
        jobs.iter().any(|job| job.running)
    };
    eventually("the job is taken", is_taken).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    rig.blobs.hooks.0.open();
    let refused = sent.await.unwrap();
    assert!(matches!(refused, Err(Refusal::Expired)), "{refused:?}");
    deleted.await.unwrap().unwrap();
    assert_eq!(rig.size().await, None);
}
