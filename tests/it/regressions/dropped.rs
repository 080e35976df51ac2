//! A caller that disconnects right after its request: its step is still taken, and no later step is stuck.

use std::sync::Arc;

use futures_util::poll;
use haversack::filename::Filename;
use haversack::ids::{BlobId, GenerationId, UploadId};
use haversack::media::privacy::EmbeddedMetadata;
use haversack::media::{Facts, MediaType};
use haversack::metadata::quota::Quota;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{
    Caps, Error, MetadataStore, NewFile, NewSingle, NewUpload, Role, State, Stored, StoredFile,
};
use haversack::part::Part;
use haversack::storage::Extents;
use tempfile::TempDir;
use tokio::time::timeout;

use super::USER;
use crate::harness::{PATIENCE, eventually};

/// Records with a single file.
async fn with_a_file() -> (TempDir, Arc<dyn MetadataStore>, UploadId) {
    let dir = tempfile::tempdir().unwrap();
    let records: Arc<dyn MetadataStore> = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let new = NewSingle {
        id: UploadId::random(),
        user: USER.into(),
        role: Role::Media,
        parent: None,
        declared_type: None,
        file: NewFile {
            filename: Filename::parse("first.txt").unwrap(),
            named: false,
            made_up: false,
            facts: Facts {
                media_type: MediaType::parse("text/plain").unwrap(),
                ..Facts::default()
            },
            embedded: EmbeddedMetadata::Unknown,
            extents: Extents::stored(BlobId::random(), 0, 3),
            size: 3,
            crc32: 1,
            received_md5: None,
            received: vec![Part { offset: 0, size: 3, crc32: 1 }],
            drawable: false,
        },
    };
    let stored = records.store_single(new.clone(), Quota::NONE, 5).await.unwrap();
    assert_eq!(stored, Stored::Stored);
    (dir, records, new.id)
}

/// Polls a step once and drops it.
async fn ask_and_leave<T>(step: impl Future<Output = Result<T, Error>>) {
    let mut step = Box::pin(step);
    assert!(poll!(step.as_mut()).is_pending(), "it waits for nothing: nothing is tested");
}

async fn file(records: &dyn MetadataStore, id: UploadId) -> StoredFile {
    match records.load(id).await.unwrap().unwrap().state {
        State::Finished(file) => *file,
        state => panic!("{state:?}"),
    }
}

fn new_upload() -> NewUpload {
    NewUpload {
        id: UploadId::random(),
        user: USER.into(),
        generation: GenerationId::random(),
        blob: Some(BlobId::random()),
        total_parts: 1,
        append: None,
        reserved: 0,
        filename: None,
        declared_type: None,
        parent: None,
    }
}

const NO_CAP: Caps = Caps { max_unfinished: u32::MAX, quota: Quota::NONE, idle_since: 0 };

#[tokio::test]
async fn a_step_whose_caller_left_is_taken() {
    let (_dir, records, id) = with_a_file().await;
    ask_and_leave(records.name_file(id, Filename::parse("second.txt").unwrap())).await;
    eventually("the file has its name", async || {
        file(records.as_ref(), id).await.filename.as_str() == "second.txt"
    })
    .await;
}

#[tokio::test]
async fn a_durable_step_whose_caller_left_is_taken() {
    let (_dir, records, id) = with_a_file().await;
    ask_and_leave(records.attach(vec![id])).await;
    eventually("the file is attached", async || file(records.as_ref(), id).await.attached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_behind_one_whose_caller_left_are_not_stuck() {
    let (_dir, records, id) = with_a_file().await;
    let (named, begun) = (Filename::parse("second.txt").unwrap(), new_upload());
    ask_and_leave(records.name_file(id, named)).await;
    ask_and_leave(records.attach(vec![id])).await;
    ask_and_leave(records.begin_upload(begun.clone(), NO_CAP, 6)).await;
    let behind = timeout(PATIENCE, records.check());
    behind.await.expect("it is taken").unwrap();
    let behind = timeout(PATIENCE, records.begin_upload(new_upload(), NO_CAP, 6));
    behind.await.expect("it is taken").unwrap();
    eventually("all three are taken", async || {
        let file = file(records.as_ref(), id).await;
        let begun = records.load(begun.id).await.unwrap();
        file.attached && file.named && begun.is_some()
    })
    .await;
    timeout(PATIENCE, records.close()).await.expect("it closes").unwrap();
}
