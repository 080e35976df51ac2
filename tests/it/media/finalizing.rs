//! A server that dies while it overwrites metadata: the File comes out whole, once, or the upload begins again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haversack::ids::UploadId;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{State, Unfinished};
use haversack::storage::disk::DiskStore;
use haversack::storage::{BlobStore, Error};
use haversack::uploads::{DoneRequest, Refusal, Uploads};
use tempfile::TempDir;

use super::without_metadata;
use crate::doubles::{BlobHooks, HookedBlobs};
use crate::regressions::{USER, bytes_of, done, send_all, uploads};
use crate::stores::records::InBlob;

const PHOTO: &[u8] = include_bytes!("../../media/gps/exif.jpg");

/// A disk on which nothing can be overwritten, as if the process ended just before it.
struct Dies(AtomicBool);

#[async_trait::async_trait]
impl BlobHooks for Dies {
    async fn before_rewrite(&self) -> Result<(), Error> {
        if self.0.load(Ordering::SeqCst) { Err(Error::other("dead")) } else { Ok(()) }
    }
}

/// An upload whose done died before the first byte was overwritten.
struct Died {
    dir: TempDir,
    uploads: Arc<Uploads>,
    blobs: Arc<HookedBlobs<Dies>>,
    id: UploadId,
}

impl Died {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = DiskStore::open(dir.path()).unwrap();
        let blobs = Arc::new(HookedBlobs { store: disk, hooks: Dies(AtomicBool::new(true)) });
        let records = Arc::new(SqliteStore::open(dir.path()).unwrap());
        let uploads = uploads(Arc::clone(&blobs) as Arc<dyn BlobStore>, records);
        let id = UploadId::random();
        send_all(&uploads, id, PHOTO).await;
        let refusal = done(&uploads, id).await.expect_err("it died");
        assert!(matches!(refusal, Refusal::Internal(_)), "{refusal}");
        Self { dir, uploads, blobs, id }
    }

    /// Lives again.
    fn revive(&self) {
        self.blobs.hooks.0.store(false, Ordering::SeqCst);
    }

    async fn unfinished(&self) -> Unfinished {
        match self.uploads.record_or_parent(self.id, &USER.into()).await.unwrap().state {
            State::Receiving(unfinished) => *unfinished,
            state => panic!("{state:?}"),
        }
    }

    /// The path of its bytes.
    async fn path(&self) -> std::path::PathBuf {
        let name = self.unfinished().await.blob().to_string();
        self.dir.path().join("blobs").join(&name[..2]).join(name)
    }

    /// The File is there, as it should be.
    async fn assert_finished(&self) {
        let file = done(&self.uploads, self.id).await.unwrap();
        let bytes = bytes_of(self.dir.path(), &file).await;
        assert!(bytes == without_metadata(PHOTO));
        assert_eq!((file.size, file.crc32), (bytes.len() as u64, crc32fast::hash(&bytes)));
        assert_eq!(file.facts.media_type.as_str(), "image/jpeg");
    }
}

#[tokio::test]
async fn a_file_that_was_to_be_overwritten_is_taken_up() {
    let died = Died::new().await;
    assert!(died.unfinished().await.finalizing.is_some());
    died.revive();
    died.uploads.resume(died.id).await.unwrap();
    died.assert_finished().await;
}

#[tokio::test]
async fn a_done_takes_it_up_too() {
    let died = Died::new().await;
    died.revive();
    died.assert_finished().await;
}

#[tokio::test]
async fn a_done_that_takes_it_up_checks_what_it_is_told() {
    let died = Died::new().await;
    died.revive();
    let wrong = DoneRequest {
        user: USER.into(),
        id: died.id,
        filename: None,
        total_size: Some(PHOTO.len() as u64 + 1),
        md5: None,
    };
    let refusal = died.uploads.done(wrong).await.expect_err("another size");
    assert!(matches!(refusal, Refusal::TotalSizeMismatch { .. }), "{refusal}");
    died.assert_finished().await;
}

#[tokio::test]
async fn it_does_not_matter_how_far_the_overwriting_had_come() {
    let patched = without_metadata(PHOTO);
    let places: Vec<usize> = (0..PHOTO.len()).filter(|at| PHOTO[*at] != patched[*at]).collect();
    let quarter = places.len() / 4;
    for stop in [places[0] + 1, places[quarter], places[3 * quarter], PHOTO.len()] {
        let died = Died::new().await;
        let half_done = [&patched[..stop], &PHOTO[stop..]].concat();
        std::fs::write(died.path().await, half_done).unwrap();
        died.revive();
        died.uploads.resume(died.id).await.unwrap();
        died.assert_finished().await;
    }
}

#[tokio::test]
async fn bytes_that_went_with_the_power_are_noticed_and_sent_again() {
    for damage in [damage_end, damage_middle, remove] {
        let died = Died::new().await;
        damage(&died.path().await);
        died.revive();
        died.uploads.resume(died.id).await.unwrap();
        let unfinished = died.unfinished().await;
        assert!(unfinished.finalizing.is_none());
        assert_eq!(unfinished.layout.received_bytes(), 0, "nothing is believed");
        send_all(&died.uploads, died.id, PHOTO).await;
        died.assert_finished().await;
    }
}

fn damage_end(path: &std::path::Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(PHOTO.len() as u64 - 100).unwrap();
}

fn damage_middle(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - 200;
    bytes[at..at + 50].fill(0);
    std::fs::write(path, bytes).unwrap();
}

fn remove(path: &std::path::Path) {
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_done_that_finds_bytes_gone_says_to_begin_again() {
    let died = Died::new().await;
    damage_middle(&died.path().await);
    died.revive();
    let refusal = done(&died.uploads, died.id).await.expect_err("bytes are gone");
    assert!(matches!(refusal, Refusal::NotDurable), "{refusal}");
}

#[tokio::test]
async fn meanwhile_it_is_an_upload_that_can_be_cancelled() {
    let died = Died::new().await;
    died.uploads.remove(died.id, Some(USER.into())).await.unwrap();
    died.revive();
    died.uploads.resume(died.id).await.unwrap();
    let refusal = done(&died.uploads, died.id).await.expect_err("it is gone");
    assert!(matches!(refusal, Refusal::Removed), "{refusal}");
}

#[tokio::test]
async fn many_that_take_it_up_at_once_make_one_file() {
    let died = Died::new().await;
    died.revive();
    let dones = (0..16).map(|_| done(&died.uploads, died.id));
    let (files, resumed) =
        futures_util::join!(futures_util::future::join_all(dones), died.uploads.resume(died.id));
    resumed.unwrap();
    for file in files {
        assert_eq!(file.unwrap().id, died.id);
    }
    died.assert_finished().await;
}
