//! The contract of a `MetadataStore`: the records decide. Each test interleaves steps of two senders that don't know of
//! each other, as in two processes: only transactions keep them apart.

use haversack::ids::{BlobId, GenerationId};
use haversack::media::Patch;
use haversack::metadata::jobs::{JobKind, Outcome};
use haversack::metadata::quota::Quota;
use haversack::metadata::{
    Finalizing, MetadataStore, NewPart, NewUpload, Recorded, Removed, Reserved, Snapshot, State,
};

use super::Records;
use super::records::{
    ANNA, InBlob, begin, file, file_of, finish, name, plain_part, received, record, snapshot,
    state, subjects, to_delete, unfinished, upload,
};

/// Expires an upload, begins another one with its uuid, and returns that.
async fn begin_again(store: &dyn MetadataStore, before: &NewUpload) -> NewUpload {
    assert_eq!(store.expire(1000, 10, 1001).await.expect("no error"), [before.id]);
    store.forget_expired(before.id).await.expect("forgotten");
    let successor = NewUpload { id: before.id, ..upload(ANNA, before.total_parts) };
    begin(store, &successor, 2000).await;
    successor
}

fn a_patch() -> Vec<Patch> {
    vec![Patch { offset: 0, bytes: Vec::new(), zeros: 2 }]
}

pub(crate) async fn requests_of_an_expired_generation_do_not_change_its_successor(
    records: &dyn Records,
) {
    let store = records.open();
    let before = upload(ANNA, 1);
    begin(store.as_ref(), &before, 5).await;
    let successor = begin_again(store.as_ref(), &before).await;
    let (frozen, part) = (before.generation(), plain_part(0, 0, 10));

    assert_eq!(record(store.as_ref(), frozen, part.clone(), 2001).await, Recorded::Refused);
    let reserved = store.reserve(frozen, 500, Quota::NONE).await.expect("no error");
    assert_eq!(reserved, Reserved::NotReceiving);
    store.name_upload(frozen, name("frozen.txt")).await.expect("harmless");
    store.in_place().doubt(frozen).await.expect("harmless");
    let restarted =
        store.restart_upload(frozen, GenerationId::random(), Some(BlobId::random())).await;
    assert!(!restarted.expect("no error"));
    let found = unfinished(store.as_ref(), successor.id).await;
    assert_eq!((found.generation, found.blob()), (successor.generation, successor.blob()));
    assert_eq!((found.reserved, found.suspect), (0, false));
    assert!(found.filename.is_none() && found.layout.parts().len() == 0);

    record(store.as_ref(), successor.generation(), part.clone(), 2002).await;
    let (of, file) = (snapshot(&before), file_of(vec![part.part], successor.blob()));
    assert!(!store.is_current(of).await.expect("no error"));
    assert!(!store.finish_upload(of, file.clone(), 2003).await.expect("no error"));
    let finalizing = Finalizing { file, patches: a_patch() };
    assert_eq!(
        store.in_place().finalize_upload(of, finalizing, 3000).await.expect("no error"),
        None
    );
    store.in_place().doubt(successor.generation()).await.expect("no error");
    store.in_place().believe_upload(frozen, vec![(0, part.part)]).await.expect("harmless");
    let found = unfinished(store.as_ref(), successor.id).await;
    assert_eq!((found.layout.parts().len(), found.suspect), (1, true));
}

pub(crate) async fn requests_begun_before_a_restart_change_nothing_after_it(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    let successor = NewUpload { id: new.id, ..upload(ANNA, 2) };
    let restart = async |to: &NewUpload| {
        let restarted = store.restart_upload(new.generation(), to.generation, to.blob).await;
        restarted.expect("no error")
    };
    assert!(restart(&successor).await);
    assert!(!restart(&upload(ANNA, 2)).await, "the upload has restarted already");
    let late = record(store.as_ref(), new.generation(), plain_part(1, 10, 10), 6).await;
    assert_eq!(late, Recorded::Refused, "its bytes are in the blob that failed");
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!((found.generation, found.blob()), (successor.generation, successor.blob()));
    assert_eq!(found.layout.parts().len(), 0);
    finish(store.as_ref(), &successor, 7).await;
}

pub(crate) async fn the_first_of_two_overlapping_parts_is_kept(records: &dyn Records) {
    for (first, second) in
        [((1, 10, 10), (2, 19, 5)), ((2, 19, 5), (1, 10, 10)), ((1, 0, 99), (3, 50, 1))]
    {
        let store = records.open();
        let new = upload(ANNA, 5);
        begin(store.as_ref(), &new, 5).await;
        let [first, second] =
            [first, second].map(|(index, offset, size)| plain_part(index, offset, size));
        assert_eq!(
            record(store.as_ref(), new.generation(), first.clone(), 6).await,
            Recorded::Stored
        );
        assert_eq!(record(store.as_ref(), new.generation(), second, 6).await, Recorded::Refused);
        let layout = unfinished(store.as_ref(), new.id).await.layout;
        assert_eq!((layout.parts().len(), layout.part(first.index)), (1, Some(&first.part)));
    }
}

pub(crate) async fn offsets_of_parts_ascend_with_their_indexes(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 9);
    begin(store.as_ref(), &new, 5).await;
    let steps = [
        ((4, 40, 10), Recorded::Stored),
        ((2, 50, 10), Recorded::Refused),
        ((3, 31, 10), Recorded::Refused),
        ((5, 49, 1), Recorded::Refused),
        ((6, 0, 10), Recorded::Refused),
        ((3, 30, 10), Recorded::Stored),
        ((5, 50, 1), Recorded::Stored),
        ((0, 29, 2), Recorded::Refused),
        ((0, 0, 30), Recorded::Stored),
        ((1, 30, 1), Recorded::Refused),
        ((8, 50, 1), Recorded::Refused),
        ((8, 51, 1), Recorded::Stored),
    ];
    for ((index, offset, size), expected) in steps {
        let part = plain_part(index, offset, size);
        let recorded = record(store.as_ref(), new.generation(), part, 6).await;
        assert_eq!(recorded, expected, "part {index} at {offset}");
    }
    // Parts of other uploads don't matter.
    let other = upload(ANNA, 9);
    begin(store.as_ref(), &other, 5).await;
    let part = plain_part(4, 0, 100);
    assert_eq!(record(store.as_ref(), other.generation(), part, 6).await, Recorded::Stored);
}

pub(crate) async fn an_ended_upload_accepts_no_part(records: &dyn Records) {
    let store = records.open();
    let part = plain_part(1, 10, 10);
    let [cancelled, expired, done] = [(); 3].map(|()| upload(ANNA, 2));
    for new in [&cancelled, &expired, &done] {
        begin(store.as_ref(), new, 5).await;
    }
    finish(store.as_ref(), &done, 6).await;
    store.remove(cancelled.id, false, 6, 0).await.expect("removed");
    assert_eq!(store.expire(50, 10, 100).await.expect("no error"), [expired.id]);
    for new in [cancelled, expired, done] {
        let recorded = record(store.as_ref(), new.generation(), part.clone(), 101).await;
        assert_eq!(recorded, Recorded::Refused);
        let file = file_of(vec![plain_part(0, 0, 10).part, part.part], new.blob());
        assert!(!store.finish_upload(snapshot(&new), file, 101).await.expect("no error"));
    }
}

/// Returns an upload of two parts whose first part was lost after the snapshot was taken.
async fn with_a_lost_part(store: &dyn MetadataStore) -> (NewUpload, Snapshot, [NewPart; 2]) {
    let new = upload(ANNA, 2);
    begin(store, &new, 5).await;
    let parts = [plain_part(0, 0, 10), plain_part(1, 10, 10)];
    for part in &parts {
        record(store, new.generation(), part.clone(), 5).await;
    }
    let read = unfinished(store, new.id).await.snapshot(new.id);
    store.in_place().doubt(new.generation()).await.expect("no error");
    let lost = vec![(0, parts[0].part)];
    store.in_place().believe_upload(new.generation(), lost).await.expect("no error");
    (new, read, parts)
}

pub(crate) async fn a_snapshot_from_before_parts_were_lost_cannot_finish(records: &dyn Records) {
    let store = records.open();
    let (new, read, parts) = with_a_lost_part(store.as_ref()).await;
    let file = file_of(parts.iter().map(|part| part.part).collect(), new.blob());
    let finalizing = Finalizing { file: file.clone(), patches: a_patch() };
    for is_sent_again in [false, true] {
        if is_sent_again {
            // With other bytes than in the snapshot.
            let mut other = parts[0].clone();
            other.part.crc32 ^= 1;
            let recorded = record(store.as_ref(), new.generation(), other, 6).await;
            assert_eq!(recorded, Recorded::Stored);
        }
        assert!(!store.is_current(read).await.expect("no error"));
        assert!(!store.finish_upload(read, file.clone(), 7).await.expect("no error"));
        let finalized = store.in_place().finalize_upload(read, finalizing.clone(), 60).await;
        assert_eq!(finalized.expect("no error"), None);
    }
    let found = unfinished(store.as_ref(), new.id).await;
    assert!(found.finalizing.is_none());
    let now = found.snapshot(new.id);
    let file = file_of(found.layout.parts().map(|(_, part)| *part).collect(), new.blob());
    assert!(store.is_current(now).await.expect("no error"));
    assert!(store.finish_upload(now, file, 8).await.expect("no error"));
}

pub(crate) async fn a_suspect_upload_is_not_finished_before_it_is_compared(records: &dyn Records) {
    let store = records.open();
    let (new, part) = received(store.as_ref()).await;
    store.in_place().doubt(new.generation()).await.expect("no error");
    let file = file_of(vec![part.part], new.blob());
    assert!(!store.finish_upload(snapshot(&new), file.clone(), 6).await.expect("no error"));
    store.in_place().believe_upload(new.generation(), Vec::new()).await.expect("no error");
    assert!(store.finish_upload(snapshot(&new), file, 6).await.expect("nothing was lost"));
}

pub(crate) async fn no_parts_are_forgotten_while_bytes_are_overwritten(records: &dyn Records) {
    let store = records.open();
    let (new, part) = received(store.as_ref()).await;
    store.in_place().doubt(new.generation()).await.expect("no error");
    store.in_place().believe_upload(new.generation(), Vec::new()).await.expect("no error");
    let file = file_of(vec![part.part], new.blob());
    let finalizing = Finalizing { file, patches: a_patch() };
    let held = store.in_place().finalize_upload(snapshot(&new), finalizing.clone(), 60).await;
    let (_, now) = held.expect("no error").expect("the first call succeeds");
    // The comparison reads bytes that were overwritten meanwhile.
    store.in_place().doubt(new.generation()).await.expect("no error");
    store
        .in_place()
        .believe_upload(new.generation(), vec![(0, part.part)])
        .await
        .expect("no error");
    assert_eq!(unfinished(store.as_ref(), new.id).await.layout.parts().len(), 1);
    assert!(store.finish_upload(now, finalizing.file, 7).await.expect("no error"));
}

pub(crate) async fn one_of_two_finishes_wins_and_its_facts_are_kept(records: &dyn Records) {
    let store = records.open();
    let (new, part) = received(store.as_ref()).await;
    let read = snapshot(&new); // read by both senders
    let cleaned = file_of(vec![part.part], new.blob());
    let mut half_read = cleaned.clone();
    (half_read.crc32, half_read.filename) = (7, name("half-read.png"));
    // One sender finds metadata to overwrite. The other reads the bytes while they are overwritten, and finds none.
    let finalizing = Finalizing { file: cleaned.clone(), patches: a_patch() };
    let held = store.in_place().finalize_upload(read, finalizing, 60).await.expect("no error");
    assert!(!store.finish_upload(read, half_read.clone(), 6).await.expect("no error"));
    let (_, now) = held.expect("the first call succeeds");
    for expected in [true, false] {
        let done = store.finish_upload(now, cleaned.clone(), 7).await;
        assert_eq!(done.expect("no error"), expected);
        assert!(!store.finish_upload(read, half_read.clone(), 7).await.expect("no error"));
    }
    let found = file(store.as_ref(), new.id).await;
    assert_eq!((found.crc32, found.filename), (cleaned.crc32, cleaned.filename));
}

pub(crate) async fn a_file_is_made_of_exactly_the_parts_of_the_upload(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    let parts = [plain_part(0, 0, 10).part, plain_part(1, 10, 10).part];
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    let finish = async |parts: &[_]| {
        let file = file_of(parts.to_vec(), new.blob());
        let done = store.finish_upload(snapshot(&new), file, 6).await;
        done.expect("no error")
    };
    assert!(!finish(&parts).await, "a part is missing");
    assert!(!finish(&parts[..1]).await, "the upload has more parts");
    record(store.as_ref(), new.generation(), plain_part(1, 10, 10), 6).await;
    assert!(!finish(&parts[..1]).await, "the upload has more parts");
    assert!(finish(&parts).await);
}

pub(crate) async fn bytes_of_a_restarted_upload_are_deleted_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    let (next, fresh) = (GenerationId::random(), BlobId::random());
    for _ in 0..2 {
        store.restart_upload(new.generation(), next, Some(fresh)).await.expect("no error");
    }
    assert_eq!(to_delete(store.as_ref()).await, [new.blob()]);
    let removed = store.remove(new.id, false, 6, 0).await.expect("no error");
    assert!(matches!(removed, Removed::Removed { .. }));
    assert_eq!(to_delete(store.as_ref()).await, [fresh]);
    assert!(matches!(state(store.as_ref(), new.id).await, State::Removed));
}

/// Returns the subject of the job that forgets the remaining parts; `None` if all parts were forgotten at once.
async fn parts_left(store: &dyn MetadataStore) -> Option<u64> {
    let subjects = subjects(store, JobKind::ForgetParts).await;
    assert!(subjects.len() < 2);
    subjects.first().map(|subject| u128::from_be_bytes(*subject) as u64)
}

pub(crate) async fn many_parts_of_an_ended_upload_are_forgotten_in_batches(records: &dyn Records) {
    const PARTS: u32 = 2500;
    for end in ["cancelled", "expired", "finished"] {
        let store = records.open();
        let new = upload(ANNA, PARTS);
        begin(store.as_ref(), &new, 5).await;
        let parts: Vec<NewPart> =
            (0..PARTS).map(|index| plain_part(index, u64::from(index), 1)).collect();
        for part in &parts {
            record(store.as_ref(), new.generation(), part.clone(), 5).await;
        }
        match end {
            "cancelled" => drop(store.remove(new.id, false, 6, 0).await.expect("removed")),
            "expired" => drop(begin_again(store.as_ref(), &new).await),
            _ => {
                let received = parts.iter().map(|part| part.part).collect();
                let file = file_of(received, new.blob());
                let done = store.finish_upload(snapshot(&new), file, 6).await;
                assert!(done.expect("no error"));
                let received = store.received_parts(new.id).await.expect("no error");
                assert_eq!(received.map(|parts| parts.len()), Some(PARTS as usize));
            }
        }
        let number = parts_left(store.as_ref()).await.expect("some parts are left");
        if end == "expired" {
            assert_eq!(unfinished(store.as_ref(), new.id).await.layout.parts().len(), 0);
        }
        let mut times = 0;
        while store.forget_parts(number).await.expect("no error") {
            times += 1;
        }
        assert!(times > 1, "{end}: all parts were forgotten at once");
        assert!(!store.forget_parts(number).await.expect("harmless"));
        let job = store.take_jobs(&[JobKind::ForgetParts], &[], 9, 10, 70).await.expect("no error");
        store.settle_job(job[0].id, job[0].lease, Outcome::Done).await.expect("no error");
        store.remove(new.id, false, 8, 0).await.expect("removed");
    }
}

pub(crate) async fn few_parts_of_an_ended_upload_are_forgotten_at_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 100);
    begin(store.as_ref(), &new, 5).await;
    finish(store.as_ref(), &new, 6).await;
    assert_eq!(parts_left(store.as_ref()).await, None);
}

pub(crate) async fn parts_of_a_receiving_upload_are_not_forgotten(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    for number in 0..100 {
        assert!(!store.forget_parts(number).await.expect("no error"));
    }
    assert_eq!(unfinished(store.as_ref(), new.id).await.layout.parts().len(), 1);
}
