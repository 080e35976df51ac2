//! Bytes of what was removed must not come back with a writer that comes late.

use std::sync::Arc;

use haversack::ids::{BlobId, UploadId};
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{MetadataStore, State};
use haversack::storage::BlobStore;
use haversack::storage::disk::DiskStore;
use haversack::uploads::Refusal;

use super::records::Gate;
use super::{USER, send, uploads};
use crate::doubles::{BlobHooks, HookedBlobs};
use crate::harness::eventually;

/// A disk that holds up a write.
struct Slow(Gate);

#[async_trait::async_trait]
impl BlobHooks for Slow {
    async fn before_write(&self, _offset: u64) {
        self.0.pass().await;
    }
}

#[tokio::test]
async fn a_writer_that_comes_late_does_not_bring_removed_bytes_back() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(dir.path()).unwrap();
    let blobs = Arc::new(HookedBlobs { disk, hooks: Slow(Gate::new()) });
    let records = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let uploads = uploads(Arc::clone(&blobs) as Arc<dyn BlobStore>, Arc::clone(&records) as _);
    let state = async |id| records.load(id).await.unwrap().unwrap().state;
    let id = UploadId::random();
    send(&uploads, id, 0, 2, b'a').await.unwrap();
    let State::Receiving(begun) = state(id).await else { panic!("it is unfinished") };
    let blob: BlobId = begun.blob;

    blobs.hooks.0.arm();
    let (sender, remover) = (Arc::clone(&uploads), Arc::clone(&uploads));
    let sent = tokio::spawn(async move { send(&sender, id, 1, 2, b'b').await });
    blobs.hooks.0.reached().await;
    let removed = tokio::spawn(async move { remover.remove(id, Some(USER)).await });
    eventually("it is off the record", async || matches!(state(id).await, State::Removed)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await; // whoever does not wait for the writer deletes the bytes
    }
    blobs.hooks.0.open();
    let refused = sent.await.unwrap();
    assert!(matches!(refused, Err(Refusal::Removed)), "{refused:?}");
    removed.await.unwrap().unwrap();
    assert_eq!(blobs.disk.size(blob).await.unwrap(), None);
}
