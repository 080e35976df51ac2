//! What once went wrong: each test failed before its fix.

mod completed;
mod connections;
mod dropped;
mod listing;
mod modelled;
mod records;
mod removed;
mod sealing;
mod senders;
mod settings;
mod strangers;
mod thumbnails;
mod traceless;
mod unmounted;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use haversack::clock::Clock;
use haversack::filename::Filename;
use haversack::ids::UploadId;
use haversack::metadata::quota::Quota;
use haversack::metadata::{MetadataStore, Role, StoredFile};
use haversack::part::Declaration;
use haversack::storage::disk::DiskStore;
use haversack::storage::{BlobStore, READ_BYTES};
use haversack::uploads::{ChunkRequest, DoneRequest, Limits, Refusal, SingleRequest, Uploads};

pub(crate) use records::Gate;

pub(crate) const USER: i64 = 1;
/// All chunks of these tests are so long.
const SIZE: u64 = 10;

/// Uploads over stores of a test's own.
pub(crate) fn uploads(blobs: Arc<dyn BlobStore>, records: Arc<dyn MetadataStore>) -> Arc<Uploads> {
    let limits = Limits {
        max_file_size: 10_000,
        max_chunk_size: 1000,
        max_parts: 10,
        max_unfinished: 10,
        quota: Quota::NONE,
        max_age: Duration::from_secs(1000),
        upload_ttl: Duration::from_secs(1000),
        keep_metadata: false,
    };
    Arc::new(Uploads::new(blobs, records, limits, Clock::system(), Arc::default()))
}

/// Sends a chunk that says where it goes: [`SIZE`] times this byte.
async fn send(
    uploads: &Arc<Uploads>,
    id: UploadId,
    index: u32,
    total: u32,
    byte: u8,
) -> Result<UploadId, Refusal> {
    let offset = u64::from(index) * SIZE;
    send_bytes(uploads, id, (index, total), offset, vec![byte; 10]).await
}

/// Sends all of a file, in chunks of 1000 bytes.
pub(crate) async fn send_all(uploads: &Arc<Uploads>, id: UploadId, bytes: &[u8]) {
    let chunks = bytes.chunks(1000);
    let total = chunks.len() as u32;
    for (index, chunk) in (0..).zip(chunks) {
        let offset = u64::from(index) * 1000;
        send_bytes(uploads, id, (index, total), offset, chunk.to_vec()).await.unwrap();
    }
}

pub(crate) async fn send_bytes(
    uploads: &Arc<Uploads>,
    id: UploadId,
    (index, total): (u32, u32),
    offset: u64,
    bytes: Vec<u8>,
) -> Result<UploadId, Refusal> {
    send_chunk(uploads, id, declared((index, total), offset, bytes.len()), None, bytes).await
}

/// What a client says of a part that is so long.
pub(crate) fn declared((index, total): (u32, u32), offset: u64, size: usize) -> Declaration {
    Declaration {
        index,
        total_parts: Some(total),
        offset: Some(offset),
        size: Some(size as u64),
        ..Declaration::default()
    }
}

pub(crate) async fn send_chunk(
    uploads: &Arc<Uploads>,
    id: UploadId,
    declared: Declaration,
    filename: Option<Filename>,
    bytes: Vec<u8>,
) -> Result<UploadId, Refusal> {
    let (id, declared_type, parent) = (Some(id), None, None);
    let request = ChunkRequest { user: USER.into(), id, declared, filename, declared_type, parent };
    let body = stream::iter([Ok(Bytes::from(bytes))]);
    let slot = uploads.slot(&request, u64::MAX).await?;
    let filled = slot.fill(pin!(body)).await?;
    uploads.accept_chunk(filled, request).await
}

/// Sends a file in one request.
async fn send_single(
    uploads: &Arc<Uploads>,
    id: UploadId,
    bytes: &'static [u8],
) -> Result<StoredFile, Refusal> {
    let body = stream::iter([Ok(Bytes::from(bytes))]);
    let slot = uploads.slot_of_file(&USER.into(), Some(id), 0).await?;
    let filled = slot.fill(pin!(body)).await?;
    let request = SingleRequest {
        user: USER.into(),
        id: Some(id),
        role: Role::Media,
        parent: None,
        declared: Declaration::default(),
        md5: None,
        filename: None,
        declared_type: None,
        duration_secs: None,
    };
    uploads.accept_single(filled, request).await
}

pub(crate) async fn done(uploads: &Arc<Uploads>, id: UploadId) -> Result<StoredFile, Refusal> {
    let request =
        DoneRequest { user: USER.into(), id, filename: None, total_size: None, md5: None };
    uploads.done(request).await
}

async fn contents(data: &Path, file: &StoredFile) -> String {
    String::from_utf8(bytes_of(data, file).await).unwrap()
}

/// The bytes of a File in the store below this data directory.
pub(crate) async fn bytes_of(data: &Path, file: &StoredFile) -> Vec<u8> {
    bytes_in(&DiskStore::at(data), file).await
}

/// The bytes of a File in this store.
pub(crate) async fn bytes_in(store: &dyn BlobStore, file: &StoredFile) -> Vec<u8> {
    let pieces = store.read(&file.extents, 0..file.size, READ_BYTES).await.unwrap();
    pieces
        .try_fold(Vec::new(), async |all, piece| Ok([all, piece.to_vec()].concat()))
        .await
        .unwrap()
}

/// How many blobs there are below a data directory.
fn blobs_in(data: &Path) -> usize {
    let entries = |path: &Path| std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let shards = entries(&data.join("blobs")).filter(|entry| entry.path().is_dir());
    shards.map(|shard| entries(&shard.path()).count()).sum()
}
