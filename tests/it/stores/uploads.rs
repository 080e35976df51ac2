//! The contract of a `MetadataStore`: uploads that begin, receive parts, finish or expire.

use haversack::ids::{BlobId, GenerationId};
use haversack::media::Patch;
use haversack::metadata::jobs::JobKind;
use haversack::metadata::quota::Quota;
use haversack::metadata::{Begun, Caps, Finalizing, NewPart, NewUpload, Recorded, State};
use haversack::part::Part;

use super::Records;
use super::records::{
    ANNA, BERT, InBlob, NO_CAP, begin, file, file_of, finished, name, plain_part, record, snapshot,
    state, subjects, to_delete, undrawn, unfinished, upload,
};

pub(crate) async fn a_new_upload_is_recorded_as_given(records: &dyn Records) {
    let store = records.open();
    let new = NewUpload {
        filename: Some(name("Grüße 🎒.mp4")),
        declared_type: Some("video/mp4".into()),
        ..upload(BERT, 52)
    };
    begin(store.as_ref(), &new, 1234).await;
    let found = store.load(new.id).await.expect("no error").expect("there");
    assert_eq!((found.id, found.user), (new.id, Some(BERT.into())));
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!((found.blob(), found.layout.total_parts), (new.blob(), 52));
    assert_eq!(found.filename, new.filename);
    assert_eq!(found.declared_type.as_deref(), Some("video/mp4"));
    assert_eq!(found.touched_at, 1234);
    assert_eq!(found.layout.total_size, None);
    assert_eq!(found.layout.parts().count(), 0);
}

pub(crate) async fn a_uuid_can_begin_only_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 3);
    begin(store.as_ref(), &new, 5).await;
    for user in [ANNA, BERT] {
        let again = NewUpload { id: new.id, ..upload(user, 9) };
        let begun = store.begin_upload(again, NO_CAP, 6).await;
        assert_eq!(begun.expect("no error"), Begun::Exists);
    }
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!((found.blob(), found.layout.total_parts), (new.blob(), 3));
}

pub(crate) async fn at_the_cap_only_an_idle_upload_is_evicted(records: &dyn Records) {
    let store = records.open();
    let cap = |idle_since| Caps { max_unfinished: 2, quota: Quota::NONE, idle_since };
    let (busy, idle) = (upload(ANNA, 2), upload(ANNA, 2));
    begin(store.as_ref(), &busy, 10).await;
    begin(store.as_ref(), &idle, 20).await;
    record(store.as_ref(), busy.generation(), plain_part(0, 0, 10), 90).await;
    let refused = store.begin_upload(upload(ANNA, 1), cap(20), 100).await;
    assert_eq!(refused.expect("no error"), Begun::TooMany);
    let newest = upload(ANNA, 1);
    let begun = store.begin_upload(newest.clone(), cap(21), 100).await;
    assert_eq!(begun.expect("no error"), Begun::Begun { evicted: Some(idle.id) });
    assert_eq!(to_delete(store.as_ref()).await, [idle.blob()]);
    assert!(matches!(state(store.as_ref(), idle.id).await, State::Expired));
    for id in [busy.id, newest.id] {
        unfinished(store.as_ref(), id).await;
    }
}

pub(crate) async fn the_cap_counts_only_unfinished_uploads_of_one_user(records: &dyn Records) {
    let store = records.open();
    finished(store.as_ref(), ANNA, 5).await;
    let removed = upload(ANNA, 1);
    begin(store.as_ref(), &removed, 5).await;
    store.remove(removed.id, false, 6, 0).await.expect("removed");
    begin(store.as_ref(), &upload(BERT, 1), 5).await;
    let cap = Caps { max_unfinished: 1, quota: Quota::NONE, idle_since: 0 };
    let first = store.begin_upload(upload(ANNA, 1), cap, 7).await;
    assert_eq!(first.expect("no error"), Begun::Begun { evicted: None });
    let second = store.begin_upload(upload(ANNA, 1), cap, 7).await;
    assert_eq!(second.expect("no error"), Begun::TooMany);
}

pub(crate) async fn parts_are_recorded_in_any_order(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 4);
    begin(store.as_ref(), &new, 5).await;
    let parts = [(3, 30, 4), (0, 0, 10), (1, 10, 20)].map(|(i, o, s)| plain_part(i, o, s));
    for (part, now) in parts.iter().zip([10, 30, 20]) {
        let recorded = record(store.as_ref(), new.generation(), part.clone(), now).await;
        assert_eq!(recorded, Recorded::Stored);
    }
    let found = unfinished(store.as_ref(), new.id).await;
    for part in parts {
        assert_eq!(found.layout.part(part.index), Some(&part.part));
    }
    assert_eq!(found.layout.present(), [(0, 1), (3, 3)]);
    assert_eq!(found.layout.received_bytes(), 34);
    assert_eq!(found.touched_at, 30, "the last time something was stored");
}

pub(crate) async fn numbers_of_a_part_are_stored_up_to_their_limits(records: &dyn Records) {
    let store = records.open();
    let total_parts = i32::MAX as u32;
    let new = upload(ANNA, total_parts);
    begin(store.as_ref(), &new, 5).await;
    let largest = NewPart {
        index: total_parts - 1,
        part: Part { offset: i64::MAX as u64 - 10, size: 10, crc32: u32::MAX },
        extents: None,
        total_size: Some(i64::MAX as u64),
        even_size: None,
    };
    let recorded = record(store.as_ref(), new.generation(), largest.clone(), 5).await;
    assert_eq!(recorded, Recorded::Stored);
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.layout.part(largest.index), Some(&largest.part));
    assert_eq!(found.layout.total_size, largest.total_size);
}

pub(crate) async fn a_second_part_with_the_same_index_is_refused(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    let first = plain_part(0, 0, 10);
    assert_eq!(record(store.as_ref(), new.generation(), first.clone(), 5).await, Recorded::Stored);
    for again in [first.clone(), plain_part(0, 5, 99)] {
        assert_eq!(record(store.as_ref(), new.generation(), again, 6).await, Recorded::Refused);
    }
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.layout.part(0), Some(&first.part));
}

pub(crate) async fn parts_outside_any_receiving_upload_are_refused(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    let beyond = plain_part(2, 0, 10);
    assert_eq!(record(store.as_ref(), new.generation(), beyond, 5).await, Recorded::Refused);
    let done = finished(store.as_ref(), ANNA, 5).await;
    for of in [done.generation(), upload(ANNA, 1).generation()] {
        let refused = record(store.as_ref(), of, plain_part(0, 0, 10), 6).await;
        assert_eq!(refused, Recorded::Refused);
    }
}

pub(crate) async fn a_part_that_contradicts_the_whole_is_refused(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 5);
    begin(store.as_ref(), &new, 5).await;
    let declares = |index, total_size, even_size| NewPart {
        total_size,
        even_size,
        ..plain_part(index, u64::from(index) * 10, 10)
    };
    let steps = [
        (declares(0, None, Some(10)), Recorded::Stored),
        (declares(1, Some(50), None), Recorded::Stored),
        (declares(2, Some(51), None), Recorded::Refused),
        (declares(2, None, Some(11)), Recorded::Refused),
        (declares(2, Some(50), Some(11)), Recorded::Refused),
        (declares(2, Some(50), Some(10)), Recorded::Stored),
        (declares(3, None, None), Recorded::Stored),
    ];
    for (part, expected) in steps {
        let recorded = record(store.as_ref(), new.generation(), part.clone(), 6).await;
        assert_eq!(recorded, expected, "{part:?}");
    }
    let layout = unfinished(store.as_ref(), new.id).await.layout;
    assert_eq!((layout.total_size, layout.even_size), (Some(50), Some(10)));
    assert_eq!(layout.present(), [(0, 3)]);
}

pub(crate) async fn finishing_makes_a_file_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 3);
    begin(store.as_ref(), &new, 5).await;
    let parts = [(0, 0, 10), (1, 10, 20), (2, 30, 5)].map(|(i, o, s)| plain_part(i, o, s));
    for part in [&parts[2], &parts[0], &parts[1]] {
        record(store.as_ref(), new.generation(), part.clone(), 6).await;
    }
    let received = parts.map(|part| part.part).to_vec();
    let first = file_of(received.clone(), new.blob());
    let done = store.finish_upload(snapshot(&new), first.clone(), 7).await;
    assert!(done.expect("no error"));
    let mut second = file_of(received.clone(), new.blob());
    second.filename = name("another.txt");
    let done = store.finish_upload(snapshot(&new), second, 8).await;
    assert!(!done.expect("no error"));
    let found = file(store.as_ref(), new.id).await;
    assert_eq!((found.id, &found.user, found.blob()), (new.id, &ANNA.into(), new.blob()));
    assert_eq!(found.filename, first.filename);
    assert_eq!(found.facts, first.facts);
    assert_eq!(found.received_md5, first.received_md5);
    assert_eq!((found.size, found.crc32), (35, first.crc32));
    assert!(found.named);
    assert!(!found.attached && found.thumbnail.is_none() && found.parent.is_none());
    assert_eq!(store.received_parts(new.id).await.expect("no error"), Some(received));
}

pub(crate) async fn finalizing_survives_a_crash_until_the_upload_is_finished(
    records: &dyn Records,
) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    let part = plain_part(0, 0, 35);
    record(store.as_ref(), new.generation(), part.clone(), 5).await;
    let patches = vec![
        Patch { offset: 3, bytes: b"Exif".to_vec(), zeros: 2 },
        Patch { offset: 20, bytes: Vec::new(), zeros: 15 },
    ];
    let file = file_of(vec![part.part], new.blob());
    let finalizing = Finalizing { file: file.clone(), patches: patches.clone() };
    let read = snapshot(&new);
    let held =
        store.in_place().finalize_upload(read, finalizing.clone(), 60).await.expect("no error");
    let (job, now) = held.expect("the first call succeeds");
    assert_eq!(job.subject, new.id.to_bytes());
    for of in [read, now] {
        let again =
            store.in_place().finalize_upload(of, finalizing.clone(), 60).await.expect("no error");
        assert_eq!(again, None, "another call is finishing it");
    }
    let by_another = store.finish_upload(read, file.clone(), 6).await.expect("no error");
    assert!(!by_another, "its bytes may have been read while they were overwritten");
    drop(store); // simulates a crash
    let store = records.open();
    assert_eq!(subjects(store.as_ref(), JobKind::Finish).await, [new.id.to_bytes()]);
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.layout.present(), [(0, 0)], "its parts are still recorded");
    assert_eq!(found.snapshot(new.id), now);
    let found = *found.finalizing.expect("it is finalizing");
    assert_eq!(found.patches, patches);
    assert_eq!((&found.file.filename, &found.file.facts), (&file.filename, &file.facts));
    assert_eq!((found.file.size, found.file.crc32), (file.size, file.crc32));
    assert_eq!(
        (&found.file.received, found.file.received_md5),
        (&file.received, file.received_md5)
    );
    assert!(found.file.named && found.file.drawable);
    assert_eq!(store.expire(100, 9, 101).await.expect("no error"), [], "it is finalizing");
    assert!(store.finish_upload(now, found.file, 7).await.expect("no error"));
    assert!(subjects(store.as_ref(), JobKind::Finish).await.is_empty());
    assert_eq!(
        store.in_place().finalize_upload(now, finalizing, 60).await.expect("no error"),
        None
    );
    assert_eq!(self::file(store.as_ref(), new.id).await.crc32, file.crc32);
}

pub(crate) async fn a_restarted_upload_is_not_finalizing(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    let part = plain_part(0, 0, 35);
    record(store.as_ref(), new.generation(), part.clone(), 5).await;
    let file = file_of(vec![part.part], new.blob());
    let kept = store
        .in_place()
        .finalize_upload(snapshot(&new), Finalizing { file, patches: Vec::new() }, 60)
        .await;
    assert!(kept.expect("no error").is_some());
    let (next, fresh) = (GenerationId::random(), Some(BlobId::random()));
    assert!(store.restart_upload(new.generation(), next, fresh).await.expect("no error"));
    assert_eq!(to_delete(store.as_ref()).await, [new.blob()]);
    let found = unfinished(store.as_ref(), new.id).await;
    assert!(found.finalizing.is_none() && found.layout.received_bytes() == 0);
    assert!(subjects(store.as_ref(), JobKind::Finish).await.is_empty());
    assert_eq!(undrawn(store.as_ref()).await, []);
}

pub(crate) async fn what_an_earlier_boot_left_is_suspect_until_it_is_compared(
    records: &dyn Records,
) {
    let store = records.open();
    store.store_id(BlobId::random()).await.expect("named");
    store.in_place().begin_boot("first".into()).await.expect("no error");
    let new = upload(ANNA, 3);
    begin(store.as_ref(), &new, 5).await;
    for index in 0..2 {
        record(store.as_ref(), new.generation(), plain_part(index, u64::from(index) * 10, 10), 5)
            .await;
    }
    let done = finished(store.as_ref(), ANNA, 5).await;
    store.in_place().begin_boot("first".into()).await.expect("no error");
    assert!(store.in_place().suspects(9).await.expect("no error").is_empty(), "the same boot");
    drop(store);
    let store = records.open();
    store.in_place().begin_boot("second".into()).await.expect("no error");
    let suspects = store.in_place().suspects(9).await.expect("no error");
    assert_eq!(suspects.iter().map(|record| record.id).collect::<Vec<_>>(), [new.id]);
    assert!(unfinished(store.as_ref(), new.id).await.suspect);
    assert!(matches!(state(store.as_ref(), done.id).await, State::Finished(_)), "it was synced");

    let lost = vec![(0, plain_part(0, 0, 10).part)];
    store.in_place().believe_upload(new.generation(), lost.clone()).await.expect("no error");
    let found = unfinished(store.as_ref(), new.id).await;
    assert!(!found.suspect);
    assert_eq!(found.layout.present(), [(1, 1)]);
    assert!(store.in_place().suspects(9).await.expect("no error").is_empty());
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 6).await;
    store.in_place().believe_upload(new.generation(), lost).await.expect("no error");
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.layout.present(), [(0, 1)], "it was sent again meanwhile");
}

pub(crate) async fn idle_uploads_expire(records: &dyn Records) {
    let store = records.open();
    let (idle, busy, young) = (upload(ANNA, 2), upload(BERT, 2), upload(ANNA, 2));
    begin(store.as_ref(), &idle, 10).await;
    begin(store.as_ref(), &busy, 10).await;
    begin(store.as_ref(), &young, 100).await;
    record(store.as_ref(), idle.generation(), plain_part(0, 0, 10), 99).await;
    record(store.as_ref(), busy.generation(), plain_part(0, 0, 10), 100).await;
    let done = finished(store.as_ref(), ANNA, 10).await;
    assert_eq!(store.expire(99, 10, 200).await.expect("no error"), []);
    let expired = store.expire(100, 10, 200).await.expect("no error");
    assert_eq!(expired, [idle.id]);
    assert_eq!(to_delete(store.as_ref()).await, [idle.blob()]);
    assert_eq!(store.expire(100, 10, 200).await.expect("no error"), []);
    assert!(matches!(state(store.as_ref(), idle.id).await, State::Expired));
    for id in [busy.id, young.id] {
        unfinished(store.as_ref(), id).await;
    }
    file(store.as_ref(), done.id).await;
}

pub(crate) async fn at_most_the_requested_number_of_uploads_expires(records: &dyn Records) {
    let store = records.open();
    let mut all = Vec::new();
    for _ in 0..7 {
        let new = upload(ANNA, 1);
        begin(store.as_ref(), &new, 5).await;
        all.push(new.id);
    }
    let mut expired = Vec::new();
    for expected in [3, 3, 1, 0] {
        let batch = store.expire(6, 3, 100).await.expect("no error");
        assert_eq!(batch.len(), expected);
        expired.extend(batch);
    }
    all.sort();
    expired.sort();
    assert_eq!(expired, all);
}

pub(crate) async fn a_forgotten_expired_uuid_can_begin_again(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    store.expire(6, 10, 100).await.expect("expired");
    let refused = record(store.as_ref(), new.generation(), plain_part(1, 10, 10), 100).await;
    assert_eq!(refused, Recorded::Refused);
    let begun = store.begin_upload(new.clone(), NO_CAP, 100).await;
    assert_eq!(begun.expect("no error"), Begun::Exists);
    store.forget_expired(new.id).await.expect("forgotten");
    assert!(store.load(new.id).await.expect("no error").is_none());
    let again = NewUpload { id: new.id, ..upload(ANNA, 9) };
    begin(store.as_ref(), &again, 101).await;
    let found = unfinished(store.as_ref(), new.id).await;
    assert_eq!(found.layout.total_parts, 9);
    assert_eq!(found.layout.parts().count(), 0, "the old parts are forgotten");
}

pub(crate) async fn only_expired_uploads_are_forgotten(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    let done = finished(store.as_ref(), ANNA, 5).await;
    for id in [new.id, done.id] {
        store.forget_expired(id).await.expect("harmless");
    }
    unfinished(store.as_ref(), new.id).await;
    file(store.as_ref(), done.id).await;
}

pub(crate) async fn all_records_outlive_the_store(records: &dyn Records) {
    let store = records.open();
    let (open, gone, late) = (upload(ANNA, 3), upload(ANNA, 1), upload(ANNA, 1));
    begin(store.as_ref(), &late, 1).await;
    begin(store.as_ref(), &open, 5).await;
    begin(store.as_ref(), &gone, 5).await;
    let part = NewPart { total_size: Some(30), even_size: Some(10), ..plain_part(1, 10, 10) };
    record(store.as_ref(), open.generation(), part.clone(), 6).await;
    store.remove(gone.id, false, 6, 0).await.expect("removed");
    store.expire(5, 1, 6).await.expect("expired");
    let done = finished(store.as_ref(), ANNA, 6).await;
    store.attach(vec![done.id]).await.expect("attached");
    drop(store); // without closing, as if the process was killed
    let store = records.open();
    let layout = unfinished(store.as_ref(), open.id).await.layout;
    assert_eq!(layout.part(1), Some(&part.part));
    assert_eq!((layout.total_size, layout.even_size), (Some(30), Some(10)));
    assert!(matches!(state(store.as_ref(), gone.id).await, State::Removed));
    assert!(matches!(state(store.as_ref(), late.id).await, State::Expired));
    assert!(file(store.as_ref(), done.id).await.attached);
    store.close().await.expect("closed");
    drop(store);
    let store = records.open();
    assert_eq!(file(store.as_ref(), done.id).await.blob(), done.blob());
}
