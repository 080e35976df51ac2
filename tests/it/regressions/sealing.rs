//! A file whose bytes the disk failed to keep must be sent again: a second sync would say they are safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::IntoResponse;
use haversack::dialects::form::error::FormError;
use haversack::http::error::explain;
use haversack::ids::UploadId;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{self, State, Unfinished};
use haversack::part::Declaration;
use haversack::storage::disk::DiskStore;
use haversack::storage::{BlobStore, Error, SettleError};
use haversack::uploads::{Refusal, Uploads};
use serde_json::Value;
use tempfile::TempDir;

use crate::doubles::{BlobHooks, HookedBlobs, HookedRecords, RecordHooks};

use super::{SIZE, USER, blobs_in, contents, done, send, send_chunk, uploads};

/// A disk whose first seal fails, although all bytes can be read.
struct Failing {
    failed: AtomicBool,
    failure: fn() -> SettleError,
}

/// The sync failed.
fn lost() -> SettleError {
    SettleError::Lost(Error::other("the disk is broken"))
}

/// The bytes were not even looked at, as when there are too many open files.
fn untouched() -> SettleError {
    SettleError::Failed(Error::other("too many open files"))
}

#[async_trait::async_trait]
impl BlobHooks for Failing {
    async fn before_settle(&self) -> Result<(), SettleError> {
        if self.failed.swap(true, Ordering::SeqCst) { Ok(()) } else { Err((self.failure)()) }
    }
}

/// An upload of two chunks whose done has failed, and how.
async fn failed() -> (TempDir, Arc<Uploads>, UploadId, Refusal) {
    failed_with(lost).await
}

async fn failed_with(failure: fn() -> SettleError) -> (TempDir, Arc<Uploads>, UploadId, Refusal) {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(dir.path()).unwrap();
    let blobs = Arc::new(HookedBlobs {
        store: disk,
        hooks: Failing { failed: AtomicBool::new(false), failure },
    });
    let uploads = uploads(blobs, Arc::new(SqliteStore::open(dir.path()).unwrap()));
    let id = UploadId::random();
    send(&uploads, id, 0, 2, b'a').await.unwrap();
    send(&uploads, id, 1, 2, b'b').await.unwrap();
    let refusal = done(&uploads, id).await.expect_err("the seal fails");
    (dir, uploads, id, refusal)
}

async fn unfinished(uploads: &Arc<Uploads>, id: UploadId) -> Unfinished {
    match uploads.record_or_parent(id, &USER.into()).await.unwrap().state {
        State::Receiving(unfinished) => *unfinished,
        other => panic!("the upload goes on: {other:?}"),
    }
}

/// Status, code and whole body of what a client would see.
async fn shown(refusal: Refusal) -> (u16, String, Value) {
    let mut response = FormError::from(refusal).into_response();
    explain(&mut response, "id");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let json: Value = serde_json::from_slice(&body).unwrap();
    (status, json["errors"][0]["code"].as_str().unwrap().to_owned(), json)
}

#[tokio::test]
async fn a_done_whose_bytes_can_not_be_made_durable_asks_to_begin_again() {
    let (_dir, _uploads, _, refusal) = failed().await;
    let (status, code, json) = shown(refusal).await;
    assert_eq!((status, code.as_str()), (503, "not_durable"), "{json}");
    assert_eq!(json["reset"], true, "{json}");
    assert_eq!(json["preventRetry"], false, "{json}");
}

/// Chunks that say where they go are written there; others are copied there.
#[tokio::test]
async fn a_chunk_of_an_upload_whose_bytes_vanished_asks_to_begin_again() {
    for offset in [Some(SIZE), None] {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(DiskStore::open(dir.path()).unwrap());
        let records = Arc::new(SqliteStore::open(dir.path()).unwrap());
        let uploads = uploads(Arc::clone(&blobs) as Arc<dyn BlobStore>, records);
        let id = UploadId::random();
        send(&uploads, id, 0, 2, b'a').await.unwrap();
        blobs.delete(&unfinished(&uploads, id).await.location.blobs()).await.unwrap();

        let declared =
            Declaration { index: 1, total_parts: Some(2), offset, ..Declaration::default() };
        let sent = send_chunk(&uploads, id, declared, None, vec![b'b'; 10]).await;
        let (status, code, json) = shown(sent.expect_err("there is nothing to go on with")).await;
        assert_eq!((status, code.as_str()), (503, "not_durable"), "{json}");
        assert_eq!(
            (&json["reset"], &json["preventRetry"]),
            (&true.into(), &false.into()),
            "{json}"
        );
        assert_eq!(unfinished(&uploads, id).await.layout.received_bytes(), 0);

        send(&uploads, id, 0, 2, b'x').await.unwrap();
        send(&uploads, id, 1, 2, b'y').await.unwrap();
        let file = done(&uploads, id).await.unwrap();
        assert_eq!(contents(dir.path(), &file).await, "xxxxxxxxxxyyyyyyyyyy");
    }
}

#[tokio::test]
async fn bytes_that_could_not_be_made_durable_are_forgotten() {
    let (dir, uploads, id, _) = failed().await;
    assert_eq!(unfinished(&uploads, id).await.layout.received_bytes(), 0);
    uploads.delete_forgotten().await.unwrap();
    assert_eq!(blobs_in(dir.path()), 0);
}

#[tokio::test]
async fn a_done_right_after_a_failed_one_never_makes_a_file() {
    let (_dir, uploads, id, _) = failed().await;
    let refusal = done(&uploads, id).await.expect_err("its chunks are forgotten");
    let (status, code, json) = shown(refusal).await;
    assert_eq!((status, code.as_str()), (400, "chunks_missing"), "{json}");
    assert_eq!(json["missing"], serde_json::json!([0, 1]));
}

#[tokio::test]
async fn everything_sent_again_after_a_failed_done_makes_the_file() {
    let (dir, uploads, id, _) = failed().await;
    send(&uploads, id, 0, 2, b'a').await.unwrap();
    send(&uploads, id, 1, 2, b'b').await.unwrap();
    let file = done(&uploads, id).await.unwrap();
    assert_eq!(file.id, id);
    assert_eq!(contents(dir.path(), &file).await, "aaaaaaaaaabbbbbbbbbb");
}

#[tokio::test]
async fn other_bytes_may_be_sent_after_a_failed_done() {
    let (dir, uploads, id, _) = failed().await;
    send(&uploads, id, 0, 2, b'x').await.unwrap();
    send(&uploads, id, 1, 2, b'y').await.unwrap();
    let file = done(&uploads, id).await.unwrap();
    assert_eq!(contents(dir.path(), &file).await, "xxxxxxxxxxyyyyyyyyyy");
}

#[tokio::test]
async fn a_done_that_fails_before_it_touches_the_bytes_keeps_them() {
    let (dir, uploads, id, refusal) = failed_with(untouched).await;
    let (status, code, json) = shown(refusal).await;
    assert_eq!((status, code.as_str()), (500, "internal"), "{json}");
    let file = done(&uploads, id).await.unwrap();
    assert_eq!(contents(dir.path(), &file).await, "aaaaaaaaaabbbbbbbbbb");
}

/// Records that can't be told once that an upload begins again, and a disk that never keeps anything.
struct Broken(AtomicBool);

#[async_trait::async_trait]
impl RecordHooks for Broken {
    async fn before_restart(&self) -> Result<(), metadata::Error> {
        if self.0.swap(true, Ordering::SeqCst) {
            Ok(())
        } else {
            Err(metadata::Error::Full("no room".into()))
        }
    }
}

#[async_trait::async_trait]
impl BlobHooks for Broken {
    async fn before_settle(&self) -> Result<(), SettleError> {
        Err(lost())
    }
}

#[tokio::test]
async fn a_done_says_that_bytes_are_lost_although_that_can_not_be_put_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, records) =
        (DiskStore::open(dir.path()).unwrap(), SqliteStore::open(dir.path()).unwrap());
    let broken = || Broken(AtomicBool::new(false));
    let uploads = uploads(
        Arc::new(HookedBlobs { store: disk, hooks: broken() }),
        Arc::new(HookedRecords { records, hooks: broken() }),
    );
    let id = UploadId::random();
    send(&uploads, id, 0, 1, b'a').await.unwrap();
    for left in [10, 0] {
        let (status, code, json) = shown(done(&uploads, id).await.unwrap_err()).await;
        assert_eq!((status, code.as_str()), (503, "not_durable"), "{json}");
        assert_eq!(unfinished(&uploads, id).await.layout.received_bytes(), left);
    }
}
