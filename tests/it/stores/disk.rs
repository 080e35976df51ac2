//! The disk store: the contract of a `BlobStore`, and properties of its files.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use haversack::ids::BlobId;
use haversack::storage::disk::DiskStore;
use haversack::storage::{BlobStore, Extents, Target, WriteError};

use super::Blobs;
use super::blobs::{blobs_older_than, pattern, whole, write};

struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }
}

impl Blobs for Folder {
    fn open(&self) -> Arc<dyn BlobStore> {
        Arc::new(DiskStore::open(self.0.path()).expect("the store opens"))
    }
}

impl Folder {
    fn path_of(&self, blob: BlobId) -> PathBuf {
        let name = blob.to_string();
        self.0.path().join("blobs").join(&name[..2]).join(name)
    }

    /// Returns the disk space that a blob uses, including preallocated space.
    fn space_used_by(&self, blob: BlobId) -> u64 {
        self.path_of(blob).metadata().expect("the blob's file").blocks() * 512
    }
}

/// The smallest allocation of a file system.
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;

super::on_every_store_of_bytes!(Folder);

/// A write at `offset` of a blob of which `stored` bytes are recorded.
fn at(blob: BlobId, offset: u64, stored: u64) -> Target {
    Target::At { blob, offset, stored }
}

#[tokio::test]
async fn a_part_is_written_at_its_final_place() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    write(store.as_ref(), at(blob, 1000, 0), &pattern(1000..1100), 100).await;
    let file = std::fs::read(folder.path_of(blob)).expect("the blob's file");
    assert_eq!(file.len(), 1100);
    assert_eq!(file[1000..], pattern(1000..1100));
}

#[tokio::test]
async fn writing_a_range_again_replaces_it() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let (store, bytes) = (folder.open(), pattern(0..300));
    write(store.as_ref(), at(blob, 0, 0), &bytes[..100], 100).await;
    write(store.as_ref(), at(blob, 100, 0), &[0; 100], 9).await;
    write(store.as_ref(), at(blob, 200, 0), &bytes[200..], 100).await;
    write(store.as_ref(), at(blob, 100, 0), &bytes[100..200], 9).await;
    let file = Extents::stored(blob, 0, 300);
    store.settle(&file).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &file).await, bytes);
}

#[tokio::test]
async fn a_write_over_its_limit_does_not_change_the_next_part() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let (store, bytes) = (folder.open(), pattern(0..200));
    write(store.as_ref(), at(blob, 100, 0), &bytes[100..], 100).await;
    let body = stream::iter([60, 60].map(|size| Ok(Bytes::from(vec![0xEE; size]))));
    let refused = store.write(at(blob, 0, 0), 100, pin!(body)).await;
    assert!(matches!(refused, Err(WriteError::TooLong { limit: 100 })));
    write(store.as_ref(), at(blob, 0, 0), &bytes[..100], 100).await;
    let file = Extents::stored(blob, 0, 200);
    store.settle(&file).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &file).await, bytes);
}

#[tokio::test]
async fn settling_truncates_the_blob_after_the_file() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let (store, bytes) = (folder.open(), pattern(0..150));
    write(store.as_ref(), at(blob, 0, 0), &bytes, 150).await;
    let file = Extents::stored(blob, 0, 100);
    store.settle(&file).await.expect("settled");
    assert_eq!(std::fs::read(folder.path_of(blob)).expect("the blob's file"), bytes[..100]);
}

#[tokio::test]
async fn a_file_of_one_blob_has_a_path_for_the_web_server() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    write(store.as_ref(), at(blob, 0, 0), b"bytes", 5).await;
    let path = store.proxy_path(&Extents::stored(blob, 0, 5)).expect("it is one file");
    assert_eq!(folder.0.path().join("blobs").join(path), folder.path_of(blob));
}

#[tokio::test]
async fn only_the_owner_may_open_folders_and_files() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    write(store.as_ref(), Target::Fresh(blob), b"bytes", 5).await;
    let file = folder.path_of(blob);
    let mode =
        |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    for dir in file.ancestors().skip(1).take(2) {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
}

#[tokio::test]
async fn files_other_than_blobs_are_never_listed() {
    let folder = Folder::default();
    let store = folder.open();
    let shard = folder.0.path().join("blobs/ab");
    for name in ["notes.txt", "AB00000000004000800000000000000F", ".hidden"] {
        std::fs::write(shard.join(name), "not ours").expect("written");
    }
    assert_eq!(blobs_older_than(store.as_ref(), 4_000_000_000).await, []);
}

#[tokio::test]
async fn the_check_of_a_store_without_its_directory_fails() {
    let folder = Folder::default();
    let store = folder.open();
    std::fs::remove_dir_all(folder.0.path().join("blobs")).expect("removed");
    assert!(store.check().await.is_err());
}

#[test]
fn a_file_instead_of_the_directory_is_refused() {
    let folder = Folder::default();
    std::fs::write(folder.0.path().join("blobs"), "not a directory").expect("written");
    assert!(DiskStore::open(folder.0.path()).is_err());
}

#[tokio::test]
async fn distant_chunks_use_no_disk_space_between_them() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    for number in 1..64 {
        write(store.as_ref(), at(blob, number * 16 * MIB, number - 1), b"x", 1).await;
    }
    assert!(folder.space_used_by(blob) <= 2 * 63 * BLOCK, "{}", folder.space_used_by(blob));
}

#[tokio::test]
async fn at_most_its_own_size_is_preallocated_for_a_growing_file() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let (store, chunk) = (folder.open(), vec![b'x'; 300 << 10]);
    let mut stored = 0;
    let mut preallocated = 0;
    while stored < 40 * MIB {
        write(store.as_ref(), at(blob, stored, stored), &chunk, 64 << 10).await;
        stored += chunk.len() as u64;
        let taken = folder.space_used_by(blob);
        assert!(taken <= 2 * stored + 2 * BLOCK, "{taken} for {stored}");
        preallocated = preallocated.max(taken.saturating_sub(stored));
    }
    assert!(
        preallocated > 8 * MIB,
        "only {preallocated}: each chunk would allocate blocks separately"
    );
}

#[tokio::test]
async fn at_most_its_own_size_is_preallocated_for_a_file_in_one_request() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    let size = 5 * MIB + 1000;
    write(store.as_ref(), Target::Fresh(blob), &vec![b'x'; size as usize], 64 << 10).await;
    let taken = folder.space_used_by(blob);
    assert!(taken > size + MIB && taken <= 2 * size + BLOCK, "{taken} for {size}");
    store.settle(&Extents::stored(blob, 0, size)).await.expect("settled");
    assert!(folder.space_used_by(blob) < size + MIB / 4, "settling releases the rest");
}

#[tokio::test]
async fn a_blob_is_deleted_after_its_last_writer_has_ended() {
    let folder = Folder::default();
    let (store, blob) = (folder.open(), BlobId::random());
    write(store.as_ref(), Target::At { blob, offset: 0, stored: 0 }, &pattern(0..10), 10).await;
    let claim = store.claims().expect("it writes in place").try_claim(blob, 5..10);
    let blobs = [blob];
    let mut deleting = pin!(store.delete(&blobs));
    assert!(futures_util::poll!(deleting.as_mut()).is_pending());
    assert!(folder.path_of(blob).exists());
    drop(claim);
    deleting.await.expect("deleted");
    assert!(!folder.path_of(blob).exists());
}
