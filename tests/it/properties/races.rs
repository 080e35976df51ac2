//! Chunks of different lengths that don't say where they go, sent at once: each order of events must end
//! in the right place or in a refusal, never in an upload that can't be finished.

use std::pin::pin;
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use futures_util::stream;
use haversack::ids::UploadId;
use haversack::metadata::State;
use haversack::metadata::sqlite::SqliteStore;
use haversack::part::Declaration;
use haversack::storage::BlobStore;
use haversack::storage::disk::DiskStore;
use haversack::uploads::{ChunkRequest, Refusal};
use serde_json::json;
use tokio::sync::Semaphore;

use super::server::Server;
use crate::doubles::{BlobHooks, HookedBlobs};
use crate::process::http::{Multipart, Request};
use crate::regressions::uploads;

/// A disk whose writes at one offset wait for permission.
struct Gate {
    offset: u64,
    reached: Semaphore,
    opened: Semaphore,
}

#[async_trait::async_trait]
impl BlobHooks for Gate {
    async fn before_write(&self, offset: u64) {
        if offset == self.offset {
            self.reached.add_permits(1);
            let _opened = self.opened.acquire().await.expect("never closed");
        }
    }
}

const USER: i64 = 1;

fn chunk(id: UploadId, index: u32) -> ChunkRequest {
    ChunkRequest {
        user: USER.into(),
        id: Some(id),
        declared: Declaration { index, total_parts: Some(3), ..Declaration::default() },
        filename: None,
        declared_type: None,
        parent: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_place_changes_while_it_is_copied_goes_to_the_new_one_or_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(HookedBlobs {
        store: DiskStore::open(dir.path()).expect("opened"),
        hooks: Gate { offset: 20, reached: Semaphore::new(0), opened: Semaphore::new(0) },
    });
    let records = Arc::new(SqliteStore::open(dir.path()).expect("opened"));
    let uploads = uploads(Arc::clone(&gate) as Arc<dyn BlobStore>, records);
    let id = UploadId::random();
    let bytes = |size| stream::iter([Ok(Bytes::from(vec![1; size]))]);
    // The file came before the fields: 20 bytes, of which only the cut can tell that they go to byte 20.
    let spool = uploads.slot_of_file(&USER.into(), None, 0).await.expect("a spool");
    let filled = spool.fill(pin!(bytes(20))).await.expect("filled");
    let accepting = tokio::spawn({
        let uploads = Arc::clone(&uploads);
        async move { uploads.accept_chunk(filled, chunk(id, 1)).await }
    });
    let _ = gate.hooks.reached.acquire().await.expect("it is being copied");
    // Meanwhile the first chunk comes, with 10 bytes: the other's place is byte 10.
    let first = chunk(id, 0);
    let slot = uploads.slot_of_file(&USER.into(), None, 0).await.expect("a slot");
    let filled = slot.fill(pin!(bytes(10))).await.expect("filled");
    uploads.accept_chunk(filled, first).await.expect("taken");
    gate.hooks.opened.add_permits(100);
    let accepted = accepting.await.expect("no panic");
    let record = uploads.record_or_parent(id, &USER.into()).await.expect("on record");
    let State::Receiving(unfinished) = record.state else {
        panic!("it is not finished");
    };
    let placed = unfinished.layout.part(1).map(|part| part.offset);
    match accepted {
        Ok(_) => assert_eq!(placed, Some(10)),
        Err(refusal) => assert_eq!(placed, None, "{refusal}"),
    }
}

/// Of an upload that is cancelled while a chunk is copied into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_upload_is_cancelled_while_it_is_copied_is_told_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(HookedBlobs {
        store: DiskStore::open(dir.path()).expect("opened"),
        hooks: Gate { offset: 10, reached: Semaphore::new(0), opened: Semaphore::new(0) },
    });
    let records = Arc::new(SqliteStore::open(dir.path()).expect("opened"));
    let uploads = uploads(Arc::clone(&gate) as Arc<dyn BlobStore>, records);
    let id = UploadId::random();
    let spooled = async || {
        let bytes = stream::iter([Ok(Bytes::from(vec![1; 10]))]);
        let spool = uploads.slot_of_file(&USER.into(), None, 0).await.expect("a spool");
        spool.fill(pin!(bytes)).await.expect("filled")
    };
    uploads.accept_chunk(spooled().await, chunk(id, 0)).await.expect("taken");
    let second = spooled().await;
    let accepting = tokio::spawn({
        let uploads = Arc::clone(&uploads);
        async move { uploads.accept_chunk(second, chunk(id, 1)).await }
    });
    let _ = gate.hooks.reached.acquire().await.expect("it is being copied");
    let cancelling = tokio::spawn({
        let uploads = Arc::clone(&uploads);
        async move { uploads.remove(id, Some(USER.into())).await }
    });
    // It is on record before it waits for the copy to end.
    while !matches!(uploads.record_or_parent(id, &USER.into()).await, Err(Refusal::Removed)) {
        tokio::task::yield_now().await;
    }
    gate.hooks.opened.add_permits(100);
    cancelling.await.expect("no panic").expect("cancelled");
    let accepted = accepting.await.expect("no panic");
    assert!(matches!(accepted, Err(Refusal::Removed)), "{accepted:?}");
}

#[test]
fn uneven_chunks_sent_at_once_make_a_file_or_are_told_to_begin_again() {
    let server = Server::start();
    let sizes = [10, 20, 30];
    for _ in 0..200 {
        let (token, id, together) = (server.new_user(), UploadId::random(), Barrier::new(2));
        let send = |index: usize| {
            let form = Multipart::default()
                .field("uuid", id)
                .field("partindex", index)
                .field("totalparts", 3)
                .field("chunksize", sizes[index])
                .file("file", &vec![1; sizes[index]]);
            let request = Request::upload(form).token(&token);
            if index < 2 {
                together.wait();
            }
            request.send(&server.host).expect("a reply")
        };
        let replies = std::thread::scope(|scope| {
            let both = [0, 1].map(|index| {
                scope.spawn({
                    let send = &send;
                    move || send(index)
                })
            });
            both.map(|sender| sender.join().expect("no panic"))
        });
        if let Some(refused) = replies.iter().find(|reply| reply.status != 200) {
            assert_eq!(refused.refusal(), "uneven_chunk");
            continue;
        }
        let last = send(2);
        if last.status != 200 {
            assert_eq!(last.json()["reset"], true, "{}", last.json());
            continue;
        }
        let done = Request::done(&json!({"uuid": id.to_string()})).token(&token);
        done.send(&server.host).expect("a reply").ok();
    }
}
