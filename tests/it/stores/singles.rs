//! The contract of a `MetadataStore`: files that are sent in one request, thumbnails, and names.

use haversack::ids::UploadId;
use haversack::metadata::quota::Quota;
use haversack::metadata::{NewFile, NewSingle, NewUpload, Recorded, Role, Stored};

use super::Records;
use super::records::{
    ANNA, BERT, InBlob, begin, file, file_of, finished, name, plain_part, record, single, snapshot,
    store_single, unfinished, upload,
};

pub(crate) async fn a_single_file_is_finished_as_it_is_stored(records: &dyn Records) {
    let store = records.open();
    let new = single(BERT, None);
    store_single(store.as_ref(), &new, 5).await;
    let found = file(store.as_ref(), new.id).await;
    assert_eq!((&found.user, found.role, found.blob()), (&BERT.into(), Role::Media, new.blob()));
    assert_eq!((found.size, found.crc32), (10, new.file.crc32));
    assert_eq!((found.filename, found.named), (new.file.filename, false));
    let received = async || store.received_parts(new.id).await.expect("no error");
    assert_eq!(received().await, Some(new.file.received.clone()));
    store.remove(new.id, false, 6, 0).await.expect("removed");
    assert_eq!(received().await, None);
}

pub(crate) async fn a_uuid_is_stored_once_whatever_it_named_before(records: &dyn Records) {
    let store = records.open();
    let first = single(ANNA, None);
    store_single(store.as_ref(), &first, 5).await;
    let removed = single(ANNA, None);
    store_single(store.as_ref(), &removed, 5).await;
    store.remove(removed.id, false, 6, 0).await.expect("removed");
    let receiving = upload(ANNA, 2);
    begin(store.as_ref(), &receiving, 5).await;
    for id in [first.id, removed.id, receiving.id] {
        let again = NewSingle { id, ..single(ANNA, None) };
        let stored = store.store_single(again, Quota::NONE, 7).await.expect("no error");
        assert_eq!(stored, Stored::Exists);
    }
    assert_eq!(file(store.as_ref(), first.id).await.blob(), first.blob());
    unfinished(store.as_ref(), receiving.id).await;
}

pub(crate) async fn a_thumbnail_of_an_unknown_or_removed_media_is_refused(records: &dyn Records) {
    let store = records.open();
    let removed = finished(store.as_ref(), ANNA, 5).await;
    store.remove(removed.id, false, 6, 0).await.expect("removed");
    for parent in [UploadId::random(), removed.id] {
        let orphan = single(ANNA, Some(parent));
        let stored = store.store_single(orphan.clone(), Quota::NONE, 7).await;
        assert_eq!(stored.expect("no error"), Stored::NoParent);
        assert!(store.load(orphan.id).await.expect("no error").is_none());
    }
}

pub(crate) async fn a_thumbnail_of_another_users_media_is_refused(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let of_others = single(BERT, Some(media));
    let stored = store.store_single(of_others, Quota::NONE, 7).await;
    assert_eq!(stored.expect("no error"), Stored::NoParent);
}

pub(crate) async fn an_attached_file_keeps_its_name(records: &dyn Records) {
    let store = records.open();
    let unnamed = single(ANNA, None);
    store_single(store.as_ref(), &unnamed, 5).await;
    let done = finished(store.as_ref(), ANNA, 5).await;
    store.attach(vec![unnamed.id, done.id]).await.expect("attached");
    assert!(!store.name_file(unnamed.id, name("late.png")).await.expect("no error"));
    assert!(store.name_file(done.id, name("late.png")).await.expect("no error"), "as ever");
    for id in [unnamed.id, done.id] {
        assert_eq!(file(store.as_ref(), id).await.filename.as_str(), "holiday.png");
    }
}

pub(crate) async fn the_first_name_set_by_a_done_request_is_final(records: &dyn Records) {
    let store = records.open();
    let unnamed = single(ANNA, None);
    store_single(store.as_ref(), &unnamed, 5).await;
    let done = finished(store.as_ref(), ANNA, 5).await;
    for (id, expected) in [(unnamed.id, "first.png"), (done.id, "holiday.png")] {
        for text in ["first.png", "second.png"] {
            store.name_file(id, name(text)).await.expect("no error");
        }
        let found = file(store.as_ref(), id).await;
        assert_eq!((found.filename.as_str(), found.named), (expected, true));
    }
}

pub(crate) async fn a_name_that_arrives_during_a_done_request_replaces_a_made_up_one(
    records: &dyn Records,
) {
    let store = records.open();
    for (made_up, expected) in [(true, "given.png"), (false, "holiday.png")] {
        let new = NewUpload { filename: None, ..upload(ANNA, 1) };
        begin(store.as_ref(), &new, 5).await;
        let part = plain_part(0, 0, 10);
        assert_eq!(
            record(store.as_ref(), new.generation(), part.clone(), 5).await,
            Recorded::Stored
        );
        store.name_upload(new.generation(), name("given.png")).await.expect("no error");
        let done = NewFile { made_up, ..file_of(vec![part.part], new.blob()) };
        assert!(store.finish_upload(snapshot(&new), done, 6).await.expect("no error"));
        let found = file(store.as_ref(), new.id).await;
        assert_eq!((found.filename.as_str(), found.named), (expected, true));
    }
}
