//! The contract of a `MetadataStore`: appending bytes, and joining partial uploads.

use haversack::ids::{BlobId, GenerationId, LeaseId};
use haversack::metadata::jobs::{JobKind, Outcome};
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Appended, Generation, Joined, MetadataStore, NewAppend, NewBytes, NewUpload, Recorded, State,
};
use haversack::part::{PIECE, Part};
use haversack::storage::{Extent, Extents};

use super::Records;
use super::records::{
    ANNA, BERT, begin, file_of, plain_part, record, snapshot, unfinished, upload,
};

/// An upload whose bytes arrive in order.
pub(crate) fn in_order(user: i64, total_size: Option<u64>) -> NewUpload {
    let append = NewAppend { total_size, ..NewAppend::default() };
    NewUpload { append: Some(append), ..upload(user, 0) }
}

/// A partial upload.
pub(crate) fn piece(user: i64, total_size: u64) -> NewUpload {
    let append = NewAppend { total_size: Some(total_size), is_partial: true, md5: None };
    NewUpload { append: Some(append), ..upload(user, 0) }
}

pub(crate) fn bytes(offset: u64, size: u64) -> NewBytes {
    let crc32 = crc32fast::hash(&vec![0; size as usize]);
    NewBytes { part: Part { offset, size, crc32 }, extents: None, total_size: None }
}

async fn append(store: &dyn MetadataStore, of: Generation, new: NewBytes, now: u64) -> Appended {
    store.append(of, new, now, now + 60).await.expect("no error")
}

async fn end(store: &dyn MetadataStore, of: Generation) -> u64 {
    unfinished(store, of.upload).await.layout.end()
}

pub(crate) async fn bytes_are_accepted_only_at_the_end(records: &impl Records) {
    let store = records.open();
    let new = in_order(ANNA, Some(20));
    begin(&*store, &new, 5).await;
    let of = new.generation();
    assert_eq!(append(&*store, of, bytes(0, 8), 6).await, Appended::Stored);
    for elsewhere in [0, 7, 9] {
        assert_eq!(append(&*store, of, bytes(elsewhere, 4), 7).await, Appended::Refused);
    }
    assert_eq!(append(&*store, of, bytes(8, 13), 7).await, Appended::Refused, "beyond the total");
    assert_eq!(append(&*store, of, bytes(8, 4), 7).await, Appended::Stored);
    let other = Generation { id: upload(ANNA, 1).generation, ..of };
    assert_eq!(append(&*store, other, bytes(12, 4), 7).await, Appended::Refused);
    drop(store);
    let store = records.open();
    let read = unfinished(&*store, new.id).await;
    assert_eq!((read.layout.end(), read.layout.total_size, read.touched_at), (12, Some(20), 7));
    let parts: Vec<_> = read.layout.parts().map(|(index, part)| (index, *part)).collect();
    assert_eq!(parts, [(0, bytes(0, 12).part)], "small appends share a part");
}

pub(crate) async fn of_concurrent_appends_at_one_offset_the_first_wins(records: &impl Records) {
    let store = records.open();
    let new = in_order(ANNA, None);
    begin(&*store, &new, 5).await;
    let senders = (0..16).map(|_| append(&*store, new.generation(), bytes(0, 8), 6));
    let outcomes = futures_util::future::join_all(senders).await;
    let stored = outcomes.iter().filter(|outcome| **outcome == Appended::Stored);
    assert_eq!(stored.count(), 1, "{outcomes:?}");
    let layout = unfinished(&*store, new.id).await.layout;
    assert_eq!((layout.end(), layout.received_bytes()), (8, 8));
}

pub(crate) async fn large_appends_are_separate_parts(records: &impl Records) {
    let store = records.open();
    let new = in_order(ANNA, None);
    begin(&*store, &new, 5).await;
    let of = new.generation();
    for at in [0, PIECE, 2 * PIECE] {
        assert_eq!(append(&*store, of, bytes(at, PIECE), 6).await, Appended::Stored);
    }
    assert_eq!(unfinished(&*store, new.id).await.layout.parts().len(), 3);
}

pub(crate) async fn the_total_can_be_set_only_once(records: &impl Records) {
    let store = records.open();
    let new = in_order(ANNA, None);
    begin(&*store, &new, 5).await;
    let of = new.generation();
    append(&*store, of, bytes(0, 8), 6).await;
    let total = |total| NewBytes { total_size: Some(total), ..bytes(8, 0) };
    assert_eq!(
        append(&*store, of, total(7), 6).await,
        Appended::Refused,
        "more bytes are recorded"
    );
    assert_eq!(append(&*store, of, total(10), 6).await, Appended::Stored);
    assert_eq!(append(&*store, of, total(11), 6).await, Appended::Refused);
    assert_eq!(append(&*store, of, total(10), 6).await, Appended::Stored, "a repeat");
    assert_eq!(unfinished(&*store, new.id).await.layout.total_size, Some(10));
}

pub(crate) async fn the_last_byte_adds_the_job_that_finishes(records: &impl Records) {
    let store = records.open();
    let new = in_order(ANNA, Some(8));
    begin(&*store, &new, 5).await;
    let done = append(&*store, new.generation(), bytes(0, 8), 100).await;
    let Appended::Complete { job: Some(job) } = done else { panic!("{done:?}") };
    let again = append(&*store, new.generation(), bytes(8, 0), 100).await;
    assert_eq!(again, Appended::Complete { job: None }, "another call holds the job");
    let kinds = [JobKind::Finish];
    assert_eq!(store.take_jobs(&kinds, &[], 9, 100, 160).await.expect("no error"), []);
    store.settle_job(job.id, job.lease, Outcome::Returned).await.expect("no error");
    let taken = store.take_jobs(&kinds, &[], 9, 100, 160).await.expect("no error");
    assert_eq!(taken.len(), 1);
    let file = file_of(vec![bytes(0, 8).part], new.blob.expect("the upload has a blob"));
    assert!(store.finish_upload(snapshot(&new), file, 101).await.expect("no error"));
    assert_eq!(store.take_jobs(&kinds, &[], 9, 900, 960).await.expect("no error"), []);
}

pub(crate) async fn an_upload_is_either_indexed_or_in_order(records: &impl Records) {
    let store = records.open();
    let (ordered, indexed) = (in_order(ANNA, Some(20)), upload(ANNA, 2));
    for new in [&ordered, &indexed] {
        begin(&*store, new, 5).await;
    }
    let part = plain_part(0, 0, 10);
    assert_eq!(record(&*store, ordered.generation(), part.clone(), 6).await, Recorded::Refused);
    assert_eq!(append(&*store, indexed.generation(), bytes(0, 8), 6).await, Appended::Refused);
    assert_eq!(end(&*store, ordered.generation()).await, 0);
    assert_eq!(record(&*store, indexed.generation(), part, 6).await, Recorded::Stored);
}

/// Begins a partial upload and records this many bytes of it.
async fn received(store: &dyn MetadataStore, size: u64) -> NewUpload {
    let new = piece(ANNA, size);
    begin(store, &new, 5).await;
    let done = append(store, new.generation(), bytes(0, size), 6).await;
    assert_eq!(done, Appended::Complete { job: None }, "a partial upload is not finished");
    new
}

async fn join(store: &dyn MetadataStore, new: &NewUpload, pieces: &[&NewUpload]) -> Joined {
    let pieces = pieces.iter().map(|piece| piece.id).collect();
    store.join(new.clone(), pieces, Quota::NONE, 10, 70).await.expect("no error")
}

pub(crate) fn joined(user: i64) -> NewUpload {
    NewUpload { blob: None, ..in_order(user, None) }
}

pub(crate) async fn joining_partial_uploads_moves_no_bytes(records: &impl Records) {
    let store = records.open();
    let (first, second) = (received(&*store, 6).await, received(&*store, 4).await);
    let new = joined(ANNA);
    let outcome = join(&*store, &new, &[&second, &first]).await;
    assert!(matches!(outcome, Joined::Joined { job: Some(_) }), "{outcome:?}");
    let read = unfinished(&*store, new.id).await;
    let [of_first, of_second] =
        [&first, &second].map(|piece| piece.blob.expect("the upload has a blob"));
    let extents = Extents::from_iter([
        Extent::Stored { blob: of_second, offset: 0, size: 4 },
        Extent::Stored { blob: of_first, offset: 0, size: 6 },
    ]);
    assert_eq!(read.location.of(0..10), extents);
    assert_eq!((read.layout.end(), read.layout.total_size), (10, Some(10)));
    assert_eq!(store.pieces(new.id).await.expect("no error"), [second.id, first.id]);
    for piece in [&first, &second] {
        let state = store.load(piece.id).await.expect("no error").expect("known").state;
        assert!(matches!(state, State::Replaced { parent } if parent == new.id), "{state:?}");
        assert_eq!(append(&*store, piece.generation(), bytes(6, 0), 11).await, Appended::Refused);
    }
    let again = join(&*store, &joined(ANNA), &[&second, &first]).await;
    assert_eq!(again, Joined::Before(new.id));
    let other_order = join(&*store, &joined(ANNA), &[&first, &second]).await;
    assert_eq!(other_order, Joined::NotAPiece(first.id));
    let unclaimed = store.unclaimed(vec![of_first, of_second]).await.expect("no error");
    assert_eq!(unclaimed, []);
}

/// Its clients can't send it again, so the job must remove it, also after a crash.
pub(crate) async fn a_joined_upload_that_restarts_keeps_its_job(records: &impl Records) {
    let store = records.open();
    let (partial, new) = (received(&*store, 6).await, joined(ANNA));
    let outcome = join(&*store, &new, &[&partial]).await;
    assert!(matches!(outcome, Joined::Joined { job: Some(_) }), "{outcome:?}");
    let next = GenerationId::random();
    assert!(store.restart_upload(new.generation(), next, None).await.expect("no error"));
    let (jobs, _) = store.list_jobs(0, 10, 0).await.expect("no error");
    assert!(jobs.iter().any(|job| job.kind == "finish"), "{jobs:?}");
}

pub(crate) async fn only_complete_partial_uploads_are_joined(records: &impl Records) {
    let store = records.open();
    let (whole, part, plain) =
        (received(&*store, 6).await, piece(ANNA, 9), in_order(ANNA, Some(3)));
    for new in [&part, &plain] {
        begin(&*store, new, 5).await;
    }
    for other in [&plain, &whole, &upload(ANNA, 1)] {
        let outcome = join(&*store, &joined(ANNA), &[&whole, other]).await;
        assert_eq!(outcome, Joined::NotAPiece(other.id));
    }
    let outcome = join(&*store, &joined(ANNA), &[&whole, &part]).await;
    assert_eq!(outcome, Joined::Incomplete(part.id));
    let outcome = join(&*store, &joined(BERT), &[&whole]).await;
    assert_eq!(outcome, Joined::NotAPiece(whole.id), "it belongs to Anna");
    assert_eq!(end(&*store, whole.generation()).await, 6);
}

pub(crate) async fn a_copy_replaces_the_joined_blobs(records: &impl Records) {
    let store = records.open();
    let (first, second) = (received(&*store, 6).await, received(&*store, 4).await);
    let new = joined(ANNA);
    join(&*store, &new, &[&first, &second]).await;
    let read = unfinished(&*store, new.id).await;
    let received = read.layout.parts().map(|(_, part)| *part).collect();
    let mut file = file_of(received, BlobId::random());
    file.extents = read.location.of(0..10);
    assert!(store.finish_upload(snapshot(&new), file, 20).await.expect("no error"));
    let jobs = store.take_jobs(&[JobKind::Pack], &[], 9, 30, 90).await.expect("no error");
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    let copy = BlobId::random();
    let extents = Extents::stored(copy, 0, 10);
    let stale = store.pack(new.id, LeaseId::random(), extents.clone()).await;
    assert!(!stale.expect("no error"), "another lease changes nothing");
    assert!(store.pack(new.id, job.lease, extents.clone()).await.expect("no error"));
    let state = store.load(new.id).await.expect("no error").expect("known").state;
    assert!(matches!(state, State::Finished(file) if file.extents == extents));
    let blobs = [&first, &second].map(|piece| piece.blob.expect("the upload has a blob"));
    let unclaimed = store.unclaimed(blobs.to_vec()).await.expect("no error");
    assert_eq!(unclaimed.len(), 2, "their deletion is a job");
}
