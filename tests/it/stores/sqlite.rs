//! The SQLite store: the contract of a `MetadataStore`, and properties of its files.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{MetadataStore, NewUpload};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::Records;
use super::records::{ANNA, begin, finish, finished, name, upload};
use crate::harness::eventually;

struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }
}

impl Records for Folder {
    fn open(&self) -> Arc<dyn MetadataStore> {
        Arc::new(SqliteStore::open(self.0.path()).expect("the store opens"))
    }
}

super::on_every_store_of_records!(Folder);

#[tokio::test]
async fn only_the_owner_may_read_the_database_and_its_log() {
    let folder = Folder::default();
    let store = folder.open();
    finished(store.as_ref(), ANNA, 5).await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.0.path()).expect("listed") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        names.push(entry.file_name().into_string().expect("a name"));
        assert_eq!(mode, 0o600, "{names:?}");
    }
    assert!(names.contains(&"haversack.db".into()) && names.contains(&"haversack.db-wal".into()));
}

/// Growing rows move from page to page, and SQLite leaves copies of them behind.
#[tokio::test]
async fn scrubbed_data_is_in_no_file() {
    let folder = Folder::default();
    let store = folder.open();
    let named = |number: u32| NewUpload {
        filename: Some(name(&format!("annabella-{number:04}.txt"))),
        ..upload(ANNA, 1 + number % 9)
    };
    let uploads: Vec<NewUpload> = (0..400).map(named).collect();
    for (at, new) in uploads.iter().enumerate() {
        begin(store.as_ref(), new, 5).await;
        if at % 3 > 0 {
            finish(store.as_ref(), &uploads[at - 1], 6).await;
        }
    }
    let kept = &uploads[7];
    for new in uploads.iter().filter(|new| new.id != kept.id) {
        store.remove(new.id, false, 7, 0).await.expect("removed");
    }
    store.forget_user(ANNA.into()).await.expect("forgotten");
    store.scrub().await.expect("scrubbed");
    for entry in std::fs::read_dir(folder.0.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("read");
        let names = bytes.windows(10).filter(|window| window == b"annabella-").count();
        let expected = usize::from(path.ends_with("haversack.db"));
        assert_eq!(names, expected, "{}", path.display());
    }
    assert!(store.load(kept.id).await.expect("no error").is_some());
}

#[tokio::test]
async fn closing_checkpoints_the_whole_log() {
    let folder = Folder::default();
    let store = folder.open();
    let new = finished(store.as_ref(), ANNA, 5).await;
    store.close().await.expect("closed");
    let copy = Folder::default();
    let name = "haversack.db";
    std::fs::copy(folder.0.path().join(name), copy.0.path().join(name)).expect("copied");
    let found = copy.open().load(new.id).await.expect("no error");
    assert!(found.is_some(), "the database without its log is complete");
}

/// Opens a connection as another program, such as a backup.
fn connect(folder: &Folder) -> Connection {
    let connection = Connection::open(folder.0.path().join("haversack.db")).expect("opened");
    connection.busy_timeout(Duration::from_mins(1)).expect("set");
    connection
}

/// Runs a checkpoint. Returns `false` if another one is running.
fn checkpoint(connection: &Connection, mode: &str) -> bool {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let busy = connection.query_row(&sql, (), |row| row.get::<_, bool>(0));
    !busy.expect("no error")
}

fn log_length(folder: &Folder) -> u64 {
    std::fs::metadata(folder.0.path().join("haversack.db-wal")).expect("there").len()
}

/// It holds the whole database once more, which a small disk has no room for.
#[test]
fn the_log_of_the_migrations_is_emptied_at_once() {
    let folder = Folder::default();
    let _store = SqliteStore::open(folder.0.path()).expect("it opens");
    assert_eq!(log_length(&folder), 0);
}

#[tokio::test]
async fn scrubbing_waits_for_a_running_checkpoint() {
    let folder = Folder::default();
    let store = folder.open();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let other = connect(&folder);
    // Some checkpoints begin while the database is rewritten, and end after that.
    tokio::task::spawn_blocking(move || {
        while !stop.is_cancelled() {
            checkpoint(&other, "FULL");
        }
    });
    for _ in 0..5 {
        finished(store.as_ref(), ANNA, 5).await;
        store.scrub().await.expect("scrubbed");
    }
}

#[tokio::test]
async fn closing_waits_for_a_running_checkpoint() {
    let folder = Folder::default();
    let store = folder.open();
    finished(store.as_ref(), ANNA, 5).await;
    let reader = connect(&folder);
    reader.execute_batch("BEGIN; SELECT * FROM uploads").expect("read");
    finished(store.as_ref(), ANNA, 6).await;
    // A checkpoint that waits for the reader.
    let other = connect(&folder);
    let running_checkpoint = tokio::task::spawn_blocking(move || {
        while !checkpoint(&other, "RESTART") {} // SQLite doesn't wait for other checkpoints
    });
    eventually("the checkpoint begins", async || !checkpoint(&connect(&folder), "PASSIVE")).await;
    let ends = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(reader);
        running_checkpoint.await.expect("no panic");
    };
    let (closed, ()) = tokio::join!(store.close(), ends);
    closed.expect("closed");
    assert_eq!(log_length(&folder), 0);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = Folder::default();
    let text = "this is no database at all. ".repeat(100);
    std::fs::write(folder.0.path().join("haversack.db"), text).expect("written");
    assert!(SqliteStore::open(folder.0.path()).is_err());
}
