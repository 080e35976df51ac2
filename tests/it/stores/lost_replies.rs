//! The connection is lost after a commit, but before its reply: each step is committed once, and returns its result as
//! usual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use haversack::ids::{BlobId, GenerationId};
use haversack::metadata::jobs::{JobKind, JobQueue, NewJob, Outcome};
use haversack::metadata::postgres::PostgresStore;
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Appended, Begun, Finalizing, InPlaceRecords, Joined, MetadataStore, Recorded, Removed,
    Reserved, Stored,
};
use haversack::storage::{Durability, Extents};

use super::append::{bytes, joined, piece};
use super::cluster::Cluster;
use super::postgres::options;
use super::proxy;
use super::records::{
    ANNA, InBlob, NO_CAP, begin, file_of, finished, picture, plain_part, received, single,
    snapshot, take_drawing, unfinished, upload,
};

/// A proxy between a store and the database that can drop a reply.
#[derive(Clone, Default)]
struct Proxy {
    drop_next: Arc<AtomicBool>,
    dropped: Arc<AtomicBool>,
}

impl Proxy {
    /// Whether to pass on what the database sends.
    fn passes(&self, reply: &[u8]) -> bool {
        // The command tags that end a step: COMMIT, or a single statement.
        let is_end = [&b"COMMIT\0"[..], b"SELECT 1\0", b"INSERT 0 1\0"]
            .iter()
            .any(|tag| reply.windows(tag.len()).any(|window| window == *tag));
        let is_idle = reply.ends_with(b"Z\0\0\0\x05I"); // no transaction is open
        let drops = is_end && is_idle && self.drop_next.swap(false, Ordering::SeqCst);
        if drops {
            self.dropped.store(true, Ordering::SeqCst);
        }
        !drops
    }

    /// Runs a step and drops the reply to its commit.
    async fn lose<T>(&self, step: impl Future<Output = T>) -> T {
        self.drop_next.store(true, Ordering::SeqCst);
        self.dropped.store(false, Ordering::SeqCst);
        let result = step.await;
        assert!(self.dropped.load(Ordering::SeqCst), "no reply was lost");
        result
    }
}

async fn store_behind_a_proxy() -> (PostgresStore, Proxy) {
    let (url, proxy) = (Cluster::shared().fresh(), Proxy::default());
    let port: u16 = Cluster::shared().port();
    let watched = proxy.clone();
    let watch = move || {
        let proxy = watched.clone();
        move |reply: &[u8]| proxy.passes(reply)
    };
    let own = proxy::forward(port, watch).await;
    let url = url.replace(&format!(":{port}/"), &format!(":{own}/"));
    let opened = PostgresStore::open(options(&url), Durability::default()).await;
    (opened.expect("the store opens"), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_continues_after_lost_replies() {
    let (store, proxy) = store_behind_a_proxy().await;
    let new = upload(ANNA, 2);
    let begun = proxy.lose(store.begin_upload(new.clone(), NO_CAP, 5)).await.expect("no error");
    assert_eq!(begun, Begun::Begun { evicted: None });
    let again = store.begin_upload(new.clone(), NO_CAP, 5).await.expect("no error");
    assert_eq!(again, Begun::Exists, "another call doesn't repeat the first one");

    let reserved = proxy.lose(store.reserve(new.generation(), 100, Quota::NONE)).await;
    assert_eq!(reserved.expect("no error"), Reserved::Reserved);
    let parts = [plain_part(0, 0, 10), plain_part(1, 10, 10)];
    for part in &parts {
        let recorded = proxy.lose(store.record_part(new.generation(), part.clone(), 6)).await;
        assert_eq!(recorded.expect("no error"), Recorded::Stored);
        let again = store.record_part(new.generation(), part.clone(), 6).await;
        assert_eq!(again.expect("no error"), Recorded::Refused);
    }
    assert_eq!(unfinished(&store, new.id).await.layout.received_bytes(), 20);

    let file = file_of(parts.iter().map(|part| part.part).collect(), new.blob());
    let finalizing = Finalizing { file: file.clone(), patches: Vec::new() };
    let held = proxy.lose(store.finalize_upload(snapshot(&new), finalizing, 60)).await;
    let (job, now) = held.expect("no error").expect("the first call succeeds");
    assert_eq!(job.subject, new.id.to_bytes());
    assert!(proxy.lose(store.finish_upload(now, file.clone(), 7)).await.expect("no error"));
    assert!(!store.finish_upload(now, file, 7).await.expect("no error"));

    let job = take_drawing(&store, new.id).await.expect("wanted");
    let drawn = proxy.lose(store.end_drawing(new.id, job.lease, Some(picture()), 8)).await;
    assert!(drawn.expect("no error"));
    let removed = proxy.lose(store.remove(new.id, false, 9, 60)).await.expect("no error");
    let Removed::Removed { deletions, thumbnails: 1, .. } = removed else { panic!("{removed:?}") };
    assert_eq!(deletions.len(), 2, "held for the caller");
    for job in deletions {
        assert!(store.settle_job(job.id, job.lease, Outcome::Done).await.expect("no error"));
    }
    assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_bytes_are_recorded_once_after_lost_replies() {
    let (store, proxy) = store_behind_a_proxy().await;
    let mut pieces = Vec::new();
    for size in [6, 4] {
        let new = piece(ANNA, 2 * size);
        begin(&store, &new, 5).await;
        for (at, expected) in [(0, Appended::Stored), (size, Appended::Complete { job: None })] {
            let appended = proxy.lose(store.append(new.generation(), bytes(at, size), 6, 66)).await;
            assert_eq!(appended.expect("no error"), expected);
            let again = store.append(new.generation(), bytes(at, size), 6, 66).await;
            assert_eq!(
                again.expect("no error"),
                Appended::Refused,
                "another call doesn't repeat the first one"
            );
        }
        pieces.push(new.id);
    }
    let new = joined(ANNA);
    let outcome = proxy.lose(store.join(new.clone(), pieces, Quota::NONE, 7, 67)).await;
    let outcome = outcome.expect("no error");
    assert!(matches!(outcome, Joined::Joined { job: Some(_) }), "{outcome:?}");
    let read = unfinished(&store, new.id).await;
    assert_eq!(read.layout.end(), 20);
    let mut file = file_of(read.layout.parts().map(|(_, part)| *part).collect(), BlobId::random());
    file.extents = read.location.of(0..20);
    assert!(proxy.lose(store.finish_upload(snapshot(&new), file, 8)).await.expect("no error"));
    let taken = proxy.lose(store.take_jobs(&[JobKind::Pack], &[], 9, 10, 70)).await;
    let lease = taken.expect("no error")[0].lease;
    let copy = Extents::stored(BlobId::random(), 0, 20);
    assert!(proxy.lose(store.pack(new.id, lease, copy)).await.expect("no error"));

    let unused = upload(ANNA, 2);
    begin(&store, &unused, 9).await;
    let withdrawn = proxy.lose(store.withdraw_upload(unused.generation(), 10)).await;
    assert!(withdrawn.expect("no error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_restarts_and_jobs_happen_once_after_lost_replies() {
    let (store, proxy) = store_behind_a_proxy().await;
    let whole = single(ANNA, None);
    let stored = proxy.lose(store.store_single(whole.clone(), Quota::NONE, 5)).await;
    assert_eq!(stored.expect("no error"), Stored::Stored);
    let stored = store.store_single(whole, Quota::NONE, 5).await.expect("no error");
    assert_eq!(stored, Stored::Exists);

    let (new, _) = received(&store).await;
    let next = GenerationId::random();
    let restart = store.restart_upload(new.generation(), next, Some(BlobId::random()));
    assert!(proxy.lose(restart).await.expect("no error"));

    finished(&store, ANNA, 6).await;
    let job = NewJob::at_once(JobKind::Compare, [7; 16]);
    proxy.lose(store.add_job(job)).await.expect("no error");
    let taken = proxy.lose(store.take_jobs(&[JobKind::Compare], &[], 9, 10, 70)).await;
    let taken = taken.expect("no error");
    assert_eq!(taken.len(), 1, "the caller holds the job");
    let (id, lease) = (taken[0].id, taken[0].lease);
    assert!(proxy.lose(store.settle_job(id, lease, Outcome::Done)).await.expect("no error"));
    assert!(!store.settle_job(id, lease, Outcome::Done).await.expect("no error"));
}
