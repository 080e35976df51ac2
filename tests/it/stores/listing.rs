//! The contract of a `MetadataStore`: lists of uploads and Files, and finding several Files.

use haversack::ids::UploadId;
use haversack::metadata::{Listed, MetadataStore};

use super::Records;
use super::records::{
    ANNA, BERT, begin, finished, plain_part, record, single, store_single, thumbnail, upload,
};

/// Returns all pages of `limit` entries. All but the last must be full.
async fn pages(store: &dyn MetadataStore, limit: u32) -> Vec<UploadId> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let (page, next) = store.list(ANNA.into(), before, limit).await.expect("no error");

        all.extend(page.iter().map(Listed::id));
        if next.is_none() {
            return all;
        }
        assert_eq!(page.len(), limit as usize, "a page before the last is full");
        before = next;
    }
}

pub(crate) async fn uploads_and_files_are_listed_newest_first(records: &dyn Records) {
    let store = records.open();
    let mut expected = Vec::new();
    for now in 0..10 {
        let new = upload(ANNA, 2);
        begin(store.as_ref(), &new, now).await;
        record(store.as_ref(), new.generation(), plain_part(0, 0, 10), now).await;
        expected.push(new.id);
        expected.push(finished(store.as_ref(), ANNA, now).await.id);
        begin(store.as_ref(), &upload(BERT, 2), now).await;
    }
    expected.reverse();
    for limit in [1, 3, 19, 20, 21, 50] {
        assert_eq!(pages(store.as_ref(), limit).await, expected, "{limit} per page");
    }
}

pub(crate) async fn the_list_omits_thumbnails_and_removed_or_unused_uploads(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 50).await;
    thumbnail(store.as_ref(), media.id).await;
    store_single(store.as_ref(), &single(ANNA, Some(media.id)), 51).await;
    let removed = finished(store.as_ref(), ANNA, 52).await;
    store.remove(removed.id, false, 53, 0).await.expect("removed");
    begin(store.as_ref(), &upload(ANNA, 2), 5).await;
    store.expire(6, 10, 54).await.expect("expired");
    begin(store.as_ref(), &upload(ANNA, 2), 55).await; // without a chunk
    assert_eq!(pages(store.as_ref(), 50).await, [media.id]);
}

pub(crate) async fn a_user_without_uploads_has_an_empty_list(records: &dyn Records) {
    let store = records.open();
    begin(store.as_ref(), &upload(BERT, 2), 5).await;
    let (page, next) = store.list(ANNA.into(), None, 50).await.expect("no error");
    assert!(page.is_empty() && next.is_none());
}

pub(crate) async fn new_uploads_do_not_shift_later_pages(records: &dyn Records) {
    let store = records.open();
    let mut ids = Vec::new();
    for now in 0..4 {
        ids.push(finished(store.as_ref(), ANNA, now).await.id);
    }
    let (first, next) = store.list(ANNA.into(), None, 2).await.expect("no error");
    finished(store.as_ref(), ANNA, 9).await;
    store.remove(ids[2], false, 9, 0).await.expect("removed");
    let (second, end) = store.list(ANNA.into(), next, 2).await.expect("no error");
    let shown: Vec<UploadId> = first.iter().chain(&second).map(Listed::id).collect();
    assert_eq!(shown, [ids[3], ids[2], ids[1], ids[0]]);
    assert!(end.is_none());
}

pub(crate) async fn the_list_shows_the_progress_of_each_upload(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 5).await;
    record(store.as_ref(), new.generation(), plain_part(0, 0, 10), 5).await;
    finished(store.as_ref(), ANNA, 6).await;
    let (page, _) = store.list(ANNA.into(), None, 50).await.expect("no error");
    assert!(matches!(page[0], Listed::File(_)));
    assert!(matches!(page[1], Listed::Unfinished(_)));
}

pub(crate) async fn files_are_returned_in_the_requested_order(records: &dyn Records) {
    let store = records.open();
    let (first, second) =
        (finished(store.as_ref(), ANNA, 5).await.id, finished(store.as_ref(), BERT, 5).await.id);
    let receiving = upload(ANNA, 2);
    begin(store.as_ref(), &receiving, 5).await;
    let asked = vec![second, UploadId::random(), first, receiving.id, second];
    let found = store.find_files(asked).await.expect("no error");
    let ids: Vec<_> = found.iter().map(|f| f.as_ref().map(|f| f.id)).collect();
    assert_eq!(ids, [Some(second), None, Some(first), None, Some(second)]);
}
