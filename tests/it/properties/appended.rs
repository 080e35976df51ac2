//! Two `Uploads` over the same stores, as two nodes would be, and an upload whose bytes come in order: whoever puts bytes
//! at its end on record first, through either of them, wins, and the others are told.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{TryStreamExt, stream};
use haversack::ids::UploadId;
use haversack::metadata::StoredFile;
use haversack::storage::{self, BodyError};
use haversack::uploads::{AppendRequest, Creation, Progress, Refusal, Uploads};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::two::Two;
use crate::faults::seed;
use crate::harness::noise;
use crate::process::ledger::Random;
use crate::regressions::{USER, bytes_in};

/// Bytes of a file.
const SIZE: usize = 9000;
/// Senders of each upload.
const SENDERS: usize = 4;
const ROUNDS: usize = 25;

async fn create(server: &Uploads, size: usize) -> UploadId {
    let creation = Creation {
        user: USER.into(),
        total_size: Some(size as u64),
        filename: None,
        declared_type: None,
        md5: None,
        is_partial: false,
    };
    server.create(creation).await.unwrap()
}

fn request(id: UploadId, offset: u64, length: Option<u64>) -> AppendRequest {
    AppendRequest { user: USER.into(), id, offset, total_size: None, length, checksum: None }
}

async fn append(
    server: &Uploads,
    id: UploadId,
    offset: u64,
    bytes: &[u8],
) -> Result<Progress, Refusal> {
    let request = request(id, offset, Some(bytes.len() as u64));
    let frames: Vec<_> = bytes.chunks(700).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect();
    server.append(request, pin!(stream::iter(frames))).await
}

/// Asks and sends through either server, as a client would, until the upload is a File.
async fn send(two: Arc<Two>, id: UploadId, mut random: Random, sent: Arc<Vec<u8>>) -> StoredFile {
    for _ in 0..1000 {
        let told = two.servers[usize::from(random.flip())].progress(id, &USER.into()).await;
        let told = match told {
            Ok(Progress { file: Some(file), .. }) => return *file,
            Ok(told) => told,
            Err(refusal) => panic!("{refusal:?}"),
        };
        let start = told.offset as usize;
        let end = sent.len().min(start + 1 + random.below(3000) as usize);
        let server = &two.servers[usize::from(random.flip())];
        match append(server, id, told.offset, &sent[start..end]).await {
            Ok(Progress { file: Some(file), .. }) => return *file,
            Ok(_) => {}
            Err(
                Refusal::OffsetMismatch { .. }
                | Refusal::BeyondTotal { .. } // it is a File by now
                | Refusal::Raced
                | Refusal::Body(BodyError::Superseded),
            ) => {}
            // The other server deleted what it doesn't need while this one read it.
            Err(Refusal::Internal(error))
                if error.downcast_ref::<storage::Error>().is_some_and(storage::Error::is_lost) => {}
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
    panic!("no end")
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_through_two_servers_make_one_file() {
    let sent = Arc::new(noise(SIZE));
    for two in Two::over_each_store().await {
        let mut random = Random(seed());
        for _ in 0..ROUNDS {
            let id = create(&two.servers[0], SIZE).await;
            let senders = (0..SENDERS).map(|_| {
                let (two, sent) = (Arc::clone(&two), Arc::clone(&sent));
                tokio::spawn(send(two, id, Random(random.next()), sent))
            });
            let files = join_all(senders).await;
            let found = two.servers[0].file(id, &USER.into()).await.unwrap();
            assert!(bytes_in(two.blobs.as_ref(), &found).await == *sent, "{id}: other bytes");
            for file in files {
                let file = file.unwrap();
                assert_eq!((&file.extents, file.crc32), (&found.extents, found.crc32));
            }
        }
    }
}

/// A body of which the first bytes have come.
struct Hanging {
    more: mpsc::Sender<Result<Bytes, BodyError>>,
    appended: JoinHandle<Result<Progress, Refusal>>,
}

/// The first server takes bytes for the beginning of an upload, and waits for more. Only where they are not written in
/// place.
async fn hang(two: &Two, id: UploadId, bytes: &'static [u8]) -> Hanging {
    let (more, mut frames) = mpsc::channel(1);
    let first = Arc::clone(&two.servers[0]);
    let appended = tokio::spawn(async move {
        let body = stream::poll_fn(move |context| frames.poll_recv(context));
        first.append(request(id, 0, None), pin!(body)).await
    });
    more.send(Ok(Bytes::from(bytes))).await.unwrap();
    more.send(Ok(Bytes::new())).await.unwrap(); // so the ones before it were taken
    Hanging { more, appended }
}

impl Hanging {
    async fn end(self) -> Result<Progress, Refusal> {
        drop(self.more);
        self.appended.await.unwrap()
    }
}

/// Sees that there are no bytes but these, once what no record claims is deleted.
async fn left(two: &Two) -> u64 {
    two.servers[1].delete_forgotten().await.unwrap();
    let all: Vec<_> = two.blobs.list_older_than(u64::MAX).try_collect().await.unwrap();
    let unclaimed = two.records.unclaimed(all).await.unwrap();
    two.blobs.delete(&unclaimed).await.unwrap();
    let left: Vec<_> = two.blobs.list_older_than(u64::MAX).try_collect::<Vec<_>>().await.unwrap();
    left.len() as u64
}

#[tokio::test]
async fn of_two_nodes_that_append_at_one_place_the_first_to_record_wins() {
    let [_, two] = Two::over_each_store().await;
    let id = create(&two.servers[0], 8).await;
    let late = hang(&two, id, b"aaaa").await;
    assert_eq!(append(&two.servers[1], id, 0, b"bbbb").await.unwrap().offset, 4);
    let late = late.end().await;
    assert!(matches!(late, Err(Refusal::Raced)), "{late:?}");
    let elsewhere = append(&two.servers[0], id, 0, b"aaaa").await;
    assert!(matches!(elsewhere, Err(Refusal::OffsetMismatch { end: 4, .. })), "{elsewhere:?}");
    let file = append(&two.servers[0], id, 4, b"cccc").await.unwrap().file.unwrap();
    assert_eq!(bytes_in(two.blobs.as_ref(), &file).await, b"bbbbcccc");
}

#[tokio::test]
async fn whoever_asks_one_node_is_told_what_the_other_has_put_on_record() {
    let [_, two] = Two::over_each_store().await;
    let id = create(&two.servers[0], 8).await;
    append(&two.servers[0], id, 0, b"aa").await.unwrap();
    append(&two.servers[1], id, 2, b"bb").await.unwrap();
    for server in &two.servers {
        assert_eq!(server.progress(id, &USER.into()).await.unwrap().offset, 4);
    }
    append(&two.servers[0], id, 4, b"cc").await.unwrap();
    let file = append(&two.servers[1], id, 6, b"dd").await.unwrap().file.unwrap();
    assert_eq!(bytes_in(two.blobs.as_ref(), &file).await, b"aabbccdd");
}

#[tokio::test]
async fn bytes_that_come_while_their_upload_is_removed_elsewhere_leave_nothing() {
    let [_, two] = Two::over_each_store().await;
    let id = create(&two.servers[0], 8).await;
    let late = hang(&two, id, b"aaaa").await;
    two.servers[1].remove(id, Some(USER.into())).await.unwrap();
    let late = late.end().await;
    assert!(matches!(late, Err(Refusal::Removed)), "{late:?}");
    assert_eq!(left(&two).await, 0);
}

#[tokio::test]
async fn bytes_that_come_while_their_file_is_finished_elsewhere_change_nothing() {
    let [_, two] = Two::over_each_store().await;
    let id = create(&two.servers[0], 8).await;
    let late = hang(&two, id, b"aaaa").await;
    let file = append(&two.servers[1], id, 0, b"bbbbbbbb").await.unwrap().file.unwrap();
    let late = late.end().await;
    assert!(matches!(late, Err(Refusal::Raced)), "{late:?}");
    assert_eq!(left(&two).await, file.extents.blobs().len() as u64);
    assert_eq!(bytes_in(two.blobs.as_ref(), &file).await, b"bbbbbbbb");
}
