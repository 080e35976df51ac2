//! Records and bytes that don't belong together: a sweep by the wrong records would delete every file.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use haversack::app::App;
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::ids::BlobId;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{MetadataStore, Role};
use haversack::part::Declaration;
use haversack::uploads::SingleRequest;

use super::{USER, blobs_in};
use crate::harness::SECRET;

async fn open(data: &Path) -> Result<Arc<App>, String> {
    let settings = Settings {
        data_dir: data.to_owned(),
        jwt_secret: Some(SECRET.parse().unwrap()),
        ..Settings::default()
    };
    let config = Config::new(settings).unwrap();
    App::open(config, Clock::system()).await.map_err(|error| error.to_string())
}

/// Stops in order.
async fn close(app: Arc<App>) {
    app.uploads.close().await.unwrap();
}

/// Creates a data directory with one stored file.
async fn with_a_file(data: &Path) {
    let app = open(data).await.unwrap();
    let body = stream::iter([Ok(Bytes::from("some bytes"))]);
    let slot = app.uploads.slot_of_file(&USER.into(), None, 0).await.unwrap();
    let filled = slot.fill(pin!(body)).await.unwrap();
    let request = SingleRequest {
        user: USER.into(),
        id: None,
        role: Role::Media,
        parent: None,
        declared: Declaration::default(),
        md5: None,
        filename: None,
        declared_type: None,
        duration_secs: None,
    };
    app.uploads.accept_single(filled, request).await.unwrap();
    close(app).await;
}

fn remove_records(data: &Path) {
    for name in ["haversack.db", "haversack.db-wal", "haversack.db-shm"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.unwrap(),
        }
    }
    assert!(!data.join("haversack.db").exists());
}

/// Asserts that it doesn't open, that the message says what to do, and that the only file stays.
async fn assert_refused(data: &Path) {
    let refused = open(data).await.err().expect("it opened");
    for words in ["haversack.db", "blobs/", "don't belong together", "restore both"] {
        assert!(refused.contains(words), "{words:?} is not in {refused}");
    }
    assert_eq!(blobs_in(data), 1, "the file is still there");
}

#[tokio::test]
async fn files_whose_records_are_missing_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    with_a_file(dir.path()).await;
    remove_records(dir.path());
    assert_refused(dir.path()).await;
}

#[tokio::test]
async fn files_whose_records_are_missing_are_not_opened_the_second_time_either() {
    let dir = tempfile::tempdir().unwrap();
    with_a_file(dir.path()).await;
    remove_records(dir.path());
    assert_refused(dir.path()).await;
    assert_refused(dir.path()).await;
}

#[tokio::test]
async fn files_with_the_records_of_another_data_directory_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    with_a_file(&own).await;
    with_a_file(&other).await;
    remove_records(&own);
    std::fs::copy(other.join("haversack.db"), own.join("haversack.db")).unwrap();
    assert_refused(&own).await;
}

#[tokio::test]
async fn files_without_a_marker_and_with_new_records_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    with_a_file(dir.path()).await;
    std::fs::remove_file(dir.path().join("blobs/store-id")).unwrap();
    assert_refused(dir.path()).await;
}

#[tokio::test]
async fn records_and_files_restored_together_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    with_a_file(dir.path()).await;
    let (records, copy) = (dir.path().join("haversack.db"), dir.path().join("copy"));
    std::fs::copy(&records, &copy).unwrap();
    remove_records(dir.path());
    assert_refused(dir.path()).await;
    remove_records(dir.path());
    std::fs::copy(&copy, &records).unwrap();
    close(open(dir.path()).await.unwrap()).await;
    assert_eq!(blobs_in(dir.path()), 1);
}

#[tokio::test]
async fn a_new_data_directory_is_opened_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        close(open(&dir.path().join("data")).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteStore::open(dir.path()).unwrap();
    let id = records.store_id(BlobId::random()).await.unwrap();
    records.close().await.unwrap();
    drop(records);
    close(open(dir.path()).await.unwrap()).await;
    let marker = std::fs::read_to_string(dir.path().join("blobs/store-id")).unwrap();
    assert_eq!(marker.trim(), id.to_string());
    close(open(dir.path()).await.unwrap()).await;
}

#[tokio::test]
async fn records_whose_files_are_gone_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    with_a_file(dir.path()).await;
    std::fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    let refused = open(dir.path()).await.err().expect("it opened");
    assert!(refused.contains("don't belong together"), "{refused}");
}
