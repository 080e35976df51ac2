//! Two `Uploads` over the same stores, as two nodes would be, where bytes are not written in place: each test stops the
//! first between two of its steps, lets the second act, and then lets the first go on. Only the records keep them apart.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use haversack::ids::UploadId;
use haversack::metadata::{MetadataStore, StoredFile};
use haversack::part::{Declaration, PlacementError};
use haversack::storage::{self, BlobStore, SettleError};
use haversack::uploads::{ChunkRequest, FilledSlot, Refusal, Uploads};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::doubles::{BlobHooks, HookedBlobs};
use crate::media::without_metadata;
use crate::regressions::{
    Gate, USER, bytes_in, declared, done, send_all, send_bytes, send_chunk, uploads,
};
use crate::stores::{MemoryStore, records_of_two_servers};

/// A picture with metadata to remove, of which no thumbnail can be made.
const PICTURE: &[u8] = include_bytes!("../../media/gps/exif.heic");

/// Where the first node may be stopped.
struct Gates {
    rewriting: Gate,
    settling: Gate,
}

#[async_trait::async_trait]
impl BlobHooks for Gates {
    async fn before_rewrite(&self) -> Result<(), storage::Error> {
        self.rewriting.pass().await;
        Ok(())
    }

    async fn before_settle(&self) -> Result<(), SettleError> {
        self.settling.pass().await;
        Ok(())
    }
}

struct Nodes {
    _dir: TempDir,
    records: Arc<dyn MetadataStore>,
    store: MemoryStore,
    gates: Arc<HookedBlobs<Gates, MemoryStore>>,
    first: Arc<Uploads>,
    second: Arc<Uploads>,
}

/// A part that the first node has stored and not yet put on record.
struct Stored {
    filled: FilledSlot,
    request: ChunkRequest,
}

impl Nodes {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [records, of_second] = records_of_two_servers(dir.path()).await;
        let store = MemoryStore::default();
        let hooks = Gates { rewriting: Gate::new(), settling: Gate::new() };
        let gates = Arc::new(HookedBlobs { store: store.clone(), hooks });
        let first = uploads(gates.clone(), records.clone());
        let second = uploads(Arc::new(store.clone()), of_second);
        Self { _dir: dir, records, store, gates, first, second }
    }

    /// An upload of two parts of which the second node has the first.
    async fn begun(&self) -> UploadId {
        let id = UploadId::random();
        self.send_second(id, 0, 0, b"aaaa").await.unwrap();
        id
    }

    async fn send_second(
        &self,
        id: UploadId,
        index: u32,
        offset: u64,
        bytes: &[u8],
    ) -> Result<UploadId, Refusal> {
        send_bytes(&self.second, id, (index, 2), offset, bytes.to_vec()).await
    }

    /// The first node stores the second part and stops before its record.
    async fn store_part(&self, id: UploadId, bytes: &'static [u8]) -> Stored {
        self.store(id, declared((1, 2), 4, bytes.len()), bytes).await
    }

    async fn store(&self, id: UploadId, declared: Declaration, bytes: &'static [u8]) -> Stored {
        let request = ChunkRequest {
            user: USER.into(),
            id: Some(id),
            declared,
            filename: None,
            declared_type: None,
            parent: None,
        };
        let slot = self.first.slot(&request, u64::MAX).await.unwrap();
        let filled = slot.fill(pin!(stream::iter([Ok(Bytes::from(bytes))]))).await.unwrap();
        Stored { filled, request }
    }

    /// It goes on.
    async fn record(&self, stored: Stored) -> Result<UploadId, Refusal> {
        self.first.accept_chunk(stored.filled, stored.request).await
    }

    fn done_by_first(&self, id: UploadId) -> JoinHandle<Result<StoredFile, Refusal>> {
        let first = Arc::clone(&self.first);
        tokio::spawn(async move { done(&first, id).await })
    }

    /// Sweeps as long after, when nothing that a record doesn't claim is anybody's.
    async fn sweep(&self) {
        self.second.delete_forgotten().await.unwrap();
        let all = self.store.list_older_than(u64::MAX);
        let all: Vec<_> = futures_util::TryStreamExt::try_collect(all).await.unwrap();
        let unclaimed = self.records.unclaimed(all).await.unwrap();
        self.store.delete(&unclaimed).await.unwrap();
    }

    /// The File's bytes, after everything that nobody needs is gone.
    async fn bytes(&self, file: &StoredFile) -> Vec<u8> {
        self.sweep().await;
        let bytes = bytes_in(&self.store, file).await;
        assert_eq!(crc32fast::hash(&bytes), file.crc32);
        bytes
    }
}

#[tokio::test]
async fn a_part_stored_for_an_upload_that_expired_is_not_its_successors() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.records.expire(u64::MAX >> 1, 10, 1).await.unwrap();
    let told = nodes.send_second(id, 0, 0, b"AAAA").await;
    assert!(matches!(told, Err(Refusal::Expired)), "{told:?}");
    nodes.send_second(id, 0, 0, b"AAAA").await.unwrap();
    let recorded = nodes.record(stored).await;
    assert!(matches!(recorded, Err(Refusal::Raced)), "{recorded:?}");
    nodes.send_second(id, 1, 4, b"BBBB").await.unwrap();
    let file = done(&nodes.second, id).await.unwrap();
    assert_eq!(nodes.bytes(&file).await, b"AAAABBBB");
}

#[tokio::test]
async fn of_two_nodes_with_other_bytes_for_a_part_the_first_to_record_wins() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.send_second(id, 1, 4, b"BBBB").await.unwrap();
    let late = nodes.record(stored).await;
    assert!(matches!(late, Err(Refusal::ChunkConflict { index: 1 })), "{late:?}");
    let file = done(&nodes.first, id).await.unwrap();
    assert_eq!(nodes.bytes(&file).await, b"aaaaBBBB");
}

#[tokio::test]
async fn two_nodes_with_the_same_bytes_for_a_part_answer_the_same() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.send_second(id, 1, 4, b"bbbb").await.unwrap();
    assert_eq!(nodes.record(stored).await.unwrap(), id);
    let file = done(&nodes.first, id).await.unwrap();
    assert_eq!(nodes.bytes(&file).await, b"aaaabbbb");
}

#[tokio::test]
async fn two_nodes_with_the_same_part_that_does_not_say_where_it_goes_answer_the_same() {
    for bytes in [b"".as_slice(), b"aaaa"] {
        let nodes = Nodes::new().await;
        let id = UploadId::random();
        let declared = || Declaration { offset: None, ..declared((0, 1), 0, bytes.len()) };
        let stored = nodes.store(id, declared(), bytes).await;
        send_chunk(&nodes.second, id, declared(), None, bytes.to_vec()).await.unwrap();
        assert_eq!(nodes.record(stored).await.unwrap(), id);
        let file = done(&nodes.first, id).await.unwrap();
        assert_eq!(nodes.bytes(&file).await, bytes);
    }
}

#[tokio::test]
async fn a_part_that_overlaps_one_of_another_node_is_refused() {
    let nodes = Nodes::new().await;
    let id = UploadId::random();
    let send = |index, offset| send_bytes(&nodes.second, id, (index, 3), offset, vec![b'x'; 4]);
    send(0, 0).await.unwrap();
    let stored = nodes.store(id, declared((1, 3), 4, 4), b"bbbb").await;
    send(2, 6).await.unwrap();
    let late = nodes.record(stored).await;
    assert!(matches!(late, Err(Refusal::Placement(PlacementError::Overlap { .. }))), "{late:?}");
}

#[tokio::test]
async fn a_part_stored_while_its_file_is_finished_elsewhere_changes_nothing() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.send_second(id, 1, 4, b"BBBB").await.unwrap();
    let file = done(&nodes.second, id).await.unwrap();
    let late = nodes.record(stored).await;
    assert!(matches!(late, Err(Refusal::UploadFinished { index: 1 })), "{late:?}");
    assert_eq!(nodes.bytes(&file).await, b"aaaaBBBB");
}

#[tokio::test]
async fn a_done_sees_a_part_as_soon_as_it_is_on_record_anywhere() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    let early = done(&nodes.second, id).await;
    assert!(matches!(early, Err(Refusal::MissingParts { .. })), "{early:?}");
    nodes.record(stored).await.unwrap();
    let file = done(&nodes.second, id).await.unwrap();
    assert_eq!(nodes.bytes(&file).await, b"aaaabbbb");
}

#[tokio::test]
async fn a_part_stored_while_its_upload_is_removed_elsewhere_leaves_nothing() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.second.remove(id, Some(USER.into())).await.unwrap();
    let late = nodes.record(stored).await;
    assert!(matches!(late, Err(Refusal::Removed)), "{late:?}");
    nodes.sweep().await;
    assert_eq!(nodes.store.lengths(), [] as [u64; 0]);
}

#[tokio::test]
async fn a_part_stored_while_its_user_is_erased_elsewhere_leaves_nothing() {
    let nodes = Nodes::new().await;
    let id = nodes.begun().await;
    let stored = nodes.store_part(id, b"bbbb").await;
    nodes.second.erase(&USER.into()).await.unwrap();
    let late = nodes.record(stored).await;
    assert!(matches!(late, Err(Refusal::Removed)), "{late:?}");
    nodes.sweep().await;
    assert_eq!(nodes.store.lengths(), [] as [u64; 0]);
}

/// Lets the first node stop in a done of a file with metadata to remove, and the second finish it.
async fn finished_by_both(stop: fn(&Gates) -> &Gate) {
    let nodes = Nodes::new().await;
    let id = UploadId::random();
    send_all(&nodes.second, id, PICTURE).await;
    let gate = stop(&nodes.gates.hooks);
    gate.arm();
    let late = nodes.done_by_first(id);
    gate.reached().await;
    let file = done(&nodes.second, id).await.unwrap();
    gate.open();
    let late = late.await.unwrap().unwrap();
    assert_eq!((&late.extents, late.crc32), (&file.extents, file.crc32), "the winner's File");
    assert!(nodes.bytes(&file).await == without_metadata(PICTURE));
}

#[tokio::test]
async fn of_two_nodes_that_remove_metadata_the_second_to_finish_answers_the_files_of_the_first() {
    finished_by_both(|gates| &gates.rewriting).await;
}

#[tokio::test]
async fn of_two_nodes_that_finish_a_file_the_second_answers_the_file_of_the_first() {
    finished_by_both(|gates| &gates.settling).await;
}

#[tokio::test]
async fn a_file_that_is_finished_while_it_is_removed_elsewhere_leaves_nothing() {
    let nodes = Nodes::new().await;
    let id = UploadId::random();
    send_all(&nodes.second, id, PICTURE).await;
    nodes.gates.hooks.settling.arm();
    let late = nodes.done_by_first(id);
    nodes.gates.hooks.settling.reached().await;
    nodes.second.remove(id, Some(USER.into())).await.unwrap();
    nodes.gates.hooks.settling.open();
    let late = late.await.unwrap();
    assert!(matches!(late, Err(Refusal::Removed)), "{late:?}");
    nodes.sweep().await;
    assert_eq!(nodes.store.lengths(), [] as [u64; 0]);
}
