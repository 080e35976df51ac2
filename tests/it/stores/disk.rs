//! The disk store: the contract of blobs, and what a folder of files promises beyond it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use haversack::ids::BlobId;
use haversack::storage::BlobStore;
use haversack::storage::disk::DiskStore;

use super::Blobs;
use super::blobs::{part, pattern, write, write_beside};

struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
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

    /// Bytes of the disk that a blob takes, what is reserved for it included.
    fn taken_by(&self, blob: BlobId) -> u64 {
        self.path_of(blob).metadata().expect("the blob's file").blocks() * 512
    }
}

/// What a file system gives out at least.
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;

super::on_every_store!(Folder: blobs::{
    a_written_part_is_told_by_size_and_checksum,
    parts_written_in_any_order_make_the_blob,
    parts_written_side_by_side_make_the_blob,
    writing_a_range_again_replaces_it,
    a_part_up_to_its_limit_is_taken_and_one_byte_more_refused,
    a_write_over_its_limit_leaves_the_neighbour_behind_it_alone,
    a_body_that_breaks_off_fails_the_write_with_its_reason,
    each_frame_is_dropped_before_the_next_is_polled,
    sealing_a_blob_that_lacks_bytes_fails,
    sealing_cuts_off_what_lies_behind_the_last_part,
    sealing_again_is_harmless,
    an_empty_blob_can_be_written_sealed_and_read,
    every_range_of_a_blob_can_be_read,
    reading_past_the_end_or_nothing_fails_by_its_kind,
    a_deleted_blob_is_gone_and_deleting_it_again_says_so,
    of_many_deleters_one_deletes,
    blobs_are_listed_by_their_age,
    blobs_outlive_the_store,
    a_healthy_store_says_so_and_its_probe_leaves_no_blob,
});

#[tokio::test]
async fn a_part_is_written_where_it_will_stay() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    write(store.as_ref(), blob, 1000, &pattern(1000..1100), 100).await;
    let file = std::fs::read(folder.path_of(blob)).expect("the blob's file");
    assert_eq!(file.len(), 1100);
    assert_eq!(file[1000..], pattern(1000..1100));
}

#[tokio::test]
async fn only_the_owner_may_open_folders_and_files() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    write(store.as_ref(), blob, 0, b"bytes", 5).await;
    let file = folder.path_of(blob);
    let mode =
        |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    for dir in file.ancestors().skip(1).take(2) {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
}

#[tokio::test]
async fn files_that_are_no_blobs_are_never_listed() {
    let folder = Folder::default();
    let store = folder.open();
    let shard = folder.0.path().join("blobs/ab");
    for name in ["notes.txt", "AB00000000004000800000000000000F", ".hidden"] {
        std::fs::write(shard.join(name), "not ours").expect("written");
    }
    assert_eq!(store.list_older_than(4_000_000_000).await.expect("listed"), []);
}

#[tokio::test]
async fn a_store_whose_folder_is_gone_says_so() {
    let folder = Folder::default();
    let store = folder.open();
    std::fs::remove_dir_all(folder.0.path().join("blobs")).expect("removed");
    assert!(store.check().await.is_err());
}

#[test]
fn a_file_in_the_folders_place_is_refused() {
    let folder = Folder::default();
    std::fs::write(folder.0.path().join("blobs"), "in the way").expect("written");
    assert!(DiskStore::open(folder.0.path()).is_err());
}

#[tokio::test]
async fn chunks_far_apart_take_no_more_disk_than_they_have_bytes() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    for number in 1..64 {
        write_beside(store.as_ref(), blob, number * 16 * MIB, b"x", 1, number - 1).await;
    }
    assert!(folder.taken_by(blob) <= 2 * 63 * BLOCK, "{}", folder.taken_by(blob));
}

#[tokio::test]
async fn a_growing_file_is_reserved_ahead_at_most_once_over() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let (store, chunk) = (folder.open(), vec![b'x'; 300 << 10]);
    let mut stored = 0;
    let mut ahead = 0;
    while stored < 40 * MIB {
        write_beside(store.as_ref(), blob, stored, &chunk, 64 << 10, stored).await;
        stored += chunk.len() as u64;
        let taken = folder.taken_by(blob);
        assert!(taken <= 2 * stored + 2 * BLOCK, "{taken} for {stored}");
        ahead = ahead.max(taken.saturating_sub(stored));
    }
    assert!(ahead > 8 * MIB, "only {ahead}: each chunk would ask for blocks of its own");
}

#[tokio::test]
async fn a_file_that_comes_in_one_request_is_reserved_ahead_at_most_once_over() {
    let (folder, blob) = (Folder::default(), BlobId::random());
    let store = folder.open();
    let size = 5 * MIB + 1000;
    write(store.as_ref(), blob, 0, &vec![b'x'; size as usize], 64 << 10).await;
    let taken = folder.taken_by(blob);
    assert!(taken > size + MIB && taken <= 2 * size + BLOCK, "{taken} for {size}");
    store.seal(blob, &[part(0, &vec![b'x'; size as usize])]).await.expect("sealed");
    assert!(folder.taken_by(blob) < size + MIB / 4, "sealing gives back the rest");
}
