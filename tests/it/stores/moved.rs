//! Importing records from SQLite into PostgreSQL changes nothing in them.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use haversack::ids::{BlobId, UploadId};
use haversack::metadata::jobs::{JobKind, JobQueue, NewJob};
use haversack::metadata::postgres::{Finding, PostgresStore, Progress, check, import};
use haversack::metadata::quota::Quota;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{
    Appended, InPlaceRecords, Joined, MetadataStore, NewAppend, NewPart, NewUpload, Recorded,
};
use haversack::storage::{Durability, Extent, Extents};

use super::append::{bytes, joined, piece};
use super::cluster::Cluster;
use super::postgres::options;
use super::records::{
    ANNA, BERT, begin, finished, plain_part, record, single, store_single, thumbnail, unfinished,
    upload,
};

/// The user who is erased.
const CARL: i64 = 3;

#[derive(Default)]
struct CopiedRows(AtomicU64);

impl Progress for CopiedRows {
    fn copied(&self, rows: u64, of: u64) {
        assert!(rows <= of, "{rows} of {of}");
        self.0.store(rows, Ordering::Relaxed);
    }
}

/// Creates records of every kind in a data directory, and returns their uuids.
async fn create_records(folder: &Path) -> Vec<UploadId> {
    let store = SqliteStore::open(folder).expect("the store opens");
    store.store_id(BlobId::random()).await.expect("named");
    store.begin_boot("this boot".into()).await.expect("begun");
    store.link_keys([1; 32], 5).await.expect("made");
    store.rotate_link_key([2; 32], 500, 6).await.expect("rotated");
    let (unfinished, apart, expired) = (upload(ANNA, 4), upload(BERT, 2), upload(ANNA, 1));
    begin(&store, &expired, 1).await;
    assert_eq!(store.expire(2, 9, 3).await.expect("no error"), [expired.id]);
    begin(&store, &unfinished, 5).await;
    for index in [0, 2] {
        let part = NewPart {
            even_size: Some(10),
            total_size: Some(35),
            ..plain_part(index, u64::from(index) * 10, 10)
        };
        let recorded = record(&store, unfinished.generation(), part, 20).await;
        assert_eq!(recorded, Recorded::Stored);
    }
    let apart = NewUpload { blob: None, ..apart };
    begin(&store, &apart, 5).await;
    let extents = Extents::from_iter([
        Extent::Stored { blob: BlobId::random(), offset: 3, size: 6 },
        Extent::Zeros(4),
    ]);
    let part = NewPart { extents: Some(extents), ..plain_part(0, 0, 10) };
    assert_eq!(record(&store, apart.generation(), part, 6).await, Recorded::Stored);
    let [ordered, whole] = in_order_and_joined(&store).await;
    let media = finished(&store, ANNA, 7).await.id;
    let (shown, _) = thumbnail(&store, media).await;
    store.attach(vec![media]).await.expect("attached");
    let (sent_whole, removed, erased) = (
        single(BERT, None),
        finished(&store, ANNA, 8).await.id,
        finished(&store, CARL, 8).await.id,
    );
    store_single(&store, &sent_whole, 8).await;
    store.remove(removed, false, 9, 0).await.expect("removed");
    store.remove(erased, false, 9, 0).await.expect("removed");
    store.forget_user(CARL.into()).await.expect("forgotten");
    store.add_job(NewJob::at_once(JobKind::Compare, [9; 16])).await.expect("added");
    store.close().await.expect("closed");
    vec![
        unfinished.id,
        apart.id,
        expired.id,
        ordered,
        whole,
        media,
        shown,
        sent_whole.id,
        removed,
        erased,
    ]
}

/// Begins an upload whose bytes arrive in order, and one that is joined.
async fn in_order_and_joined(store: &dyn MetadataStore) -> [UploadId; 2] {
    let append = NewAppend { md5: Some([7; 16]), ..NewAppend::default() };
    let ordered = NewUpload { append: Some(append), ..upload(BERT, 0) };
    let pieces = [6, 4].map(|size| (piece(BERT, size), size));
    begin(store, &ordered, 6).await;
    store.append(ordered.generation(), bytes(0, 8), 6, 66).await.expect("no error");
    for (new, size) in &pieces {
        begin(store, new, 6).await;
        store.append(new.generation(), bytes(0, *size), 6, 66).await.expect("no error");
    }
    let whole = joined(BERT);
    let pieces = pieces.iter().map(|(new, _)| new.id).collect();
    let outcome = store.join(whole.clone(), pieces, Quota::NONE, 7, 67).await.expect("no error");
    assert!(matches!(outcome, Joined::Joined { .. }), "{outcome:?}");
    [ordered.id, whole.id]
}

/// Returns everything that a store returns about these uploads, except internal numbers.
async fn all_of(store: &dyn MetadataStore, ids: &[UploadId]) -> Vec<String> {
    let mut seen = Vec::new();
    for id in ids {
        seen.push(format!("{:?}", store.load(*id).await.expect("no error")));
        seen.push(format!("{:?}", store.received_parts(*id).await.expect("no error")));
        seen.push(format!("{:?}", store.pieces(*id).await.expect("no error")));
    }
    for user in [ANNA, BERT] {
        seen.push(format!("{:?}", store.usage(user.into()).await.expect("no error")));
        seen.push(format!("{:?}", store.list(user.into(), None, 50).await.expect("no error")));
    }
    seen.push(format!("{:?}", store.all(0, 100).await.expect("no error")));
    seen.push(format!("{:?}", store.list_jobs(0, 100, 1000).await.expect("no error")));
    seen.push(format!("{:?}", store.job_counts(1000).await.expect("no error").len()));
    let keys = store.link_keys([0; 32], 10).await.expect("no error");
    seen.extend(
        keys.iter().map(|key| format!("{} {:?} {:?}", key.id, key.secret, key.accepted_until)),
    );
    seen.push(format!("{}", store.store_id(BlobId::random()).await.expect("no error")));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_records_are_the_same_and_usable() {
    let folder = tempfile::tempdir().expect("a directory");
    let ids = create_records(folder.path()).await;
    let before = all_of(&SqliteStore::open(folder.path()).expect("the store opens"), &ids).await;
    let options = options(&Cluster::shared().fresh());
    let copied = CopiedRows::default();
    let (folder_path, runtime) = (folder.path().to_owned(), tokio::runtime::Handle::current());
    let run = || {
        let moved = import(&folder_path, &options, &copied);
        tokio::task::block_in_place(|| runtime.block_on(moved)).expect("imported")
    };
    let imported = run();
    assert_eq!(
        imported.rows.iter().map(|(_, rows)| rows).sum::<u64>(),
        copied.0.load(Ordering::Relaxed)
    );
    assert_eq!(run(), imported, "repeating it changes nothing");

    let store =
        PostgresStore::open(options.clone(), Durability::default()).await.expect("the store opens");
    let after = all_of(&store, &ids).await;
    assert_eq!(after, before);
    // The columns on which placement relies are imported, and new rows get new numbers.
    let of = unfinished(&store, ids[0]).await.generation(ids[0]);
    let uneven = plain_part(1, 10, 9);
    assert_eq!(record(&store, of, uneven, 30).await, Recorded::Refused);
    assert_eq!(record(&store, of, plain_part(1, 10, 10), 30).await, Recorded::Stored);
    let ordered = unfinished(&store, ids[3]).await.generation(ids[3]);
    let appended = store.append(ordered, bytes(8, 4), 30, 90).await.expect("no error");
    assert_eq!(appended, Appended::Stored);
    finished(&store, ANNA, 31).await;

    let findings = check(&options).await.expect("no error");
    assert!(findings.iter().all(|finding| matches!(finding, Finding::Good(_))), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_not_imported_into_those_of_another_directory() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let options = options(&Cluster::shared().fresh());
    let runtime = tokio::runtime::Handle::current();
    for (folder, is_first) in folders.iter().zip([true, false]) {
        create_records(folder.path()).await;
        let copied = CopiedRows::default();
        let moved = import(folder.path(), &options, &copied);
        let moved = tokio::task::block_in_place(|| runtime.block_on(moved));
        assert_eq!(moved.is_ok(), is_first, "{moved:?}");
    }
}
