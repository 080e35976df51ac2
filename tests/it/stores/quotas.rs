//! The contract of a `MetadataStore`: what counts against quotas, and checking them in the transaction.

use haversack::metadata::quota::{OverQuota, Quota, Usage};
use haversack::metadata::{Begun, Caps, MetadataStore, NewUpload, Reserved, Role, Stored};

use super::Records;
use super::records::{
    ANNA, BERT, InBlob, NO_CAP, begin, draw, file_of, finished, plain_part, record, single,
    snapshot, store_single, upload,
};

async fn usage(store: &dyn MetadataStore) -> (u64, u64) {
    let Usage { user_bytes, user_files, .. } = store.usage(ANNA.into()).await.expect("no error");
    (user_bytes, user_files)
}

fn reserving(reserved: u64) -> NewUpload {
    NewUpload { reserved, ..upload(ANNA, 3) }
}

pub(crate) async fn bytes_and_files_count_until_they_are_forgotten(records: &dyn Records) {
    let store = records.open();
    let store = store.as_ref();
    assert_eq!(usage(store).await, (0, 0));
    let unfinished = reserving(100);
    begin(store, &unfinished, 5).await;
    let done = finished(store, ANNA, 5).await; // 10 bytes
    let whole = single(ANNA, None); // 10 bytes
    store_single(store, &whole, 5).await;
    store_single(store, &single(BERT, None), 5).await;
    assert_eq!(usage(store).await, (120, 3));
    let Usage { total_bytes, .. } = store.usage(BERT.into()).await.expect("no error");
    assert_eq!(total_bytes, 130);
    for (id, left) in [(done.id, (110, 2)), (whole.id, (100, 1))] {
        store.remove(id, false, 6, 0).await.expect("removed");
        assert_eq!(usage(store).await, left);
    }
    store.expire(100, 10, 101).await.expect("expired");
    assert_eq!(usage(store).await, (0, 0));
    store.forget_expired(unfinished.id).await.expect("forgotten");
    assert_eq!(usage(store).await, (0, 0));
}

pub(crate) async fn finishing_releases_unneeded_reservations(records: &dyn Records) {
    let store = records.open();
    let new = NewUpload { reserved: 100, ..upload(ANNA, 1) };
    begin(store.as_ref(), &new, 5).await;
    let part = plain_part(0, 0, 30);
    let file = file_of(vec![part.part], new.blob());
    record(store.as_ref(), new.generation(), part, 5).await;
    store.finish_upload(snapshot(&new), file, 6).await.expect("no error");
    assert_eq!(usage(store.as_ref()).await, (30, 1));
}

pub(crate) async fn reservations_beyond_the_quota_are_refused(records: &dyn Records) {
    let store = records.open();
    let quota = Quota { user_bytes: Some(100), ..Quota::NONE };
    let new = reserving(10);
    begin(store.as_ref(), &new, 5).await;
    let reserve =
        async |bytes| store.reserve(new.generation(), bytes, quota).await.expect("no error");
    assert_eq!(reserve(100).await, Reserved::Reserved);
    assert_eq!(reserve(40).await, Reserved::Reserved); // a smaller number changes nothing
    assert_eq!(reserve(101).await, Reserved::Over(OverQuota::UserBytes { left: 0, max: 100 }));
    assert_eq!(usage(store.as_ref()).await, (100, 1));
    store.remove(new.id, false, 6, 0).await.expect("removed");
    assert_eq!(reserve(10).await, Reserved::NotReceiving);
    assert_eq!(usage(store.as_ref()).await, (0, 0));
}

pub(crate) async fn uploads_over_the_quota_leave_no_record(records: &dyn Records) {
    let store = records.open();
    let quota = Quota { user_bytes: Some(100), user_files: Some(1), total_bytes: Some(100) };
    let begun = store.begin_upload(reserving(101), Caps { quota, ..NO_CAP }, 5).await;
    let over = OverQuota::UserBytes { left: 100, max: 100 };
    assert_eq!(begun.expect("no error"), Begun::Over(over));
    begin(store.as_ref(), &reserving(95), 5).await;
    let whole = single(ANNA, None);
    let stored = store.store_single(whole.clone(), quota, 5).await.expect("no error");
    assert_eq!(stored, Stored::Over(OverQuota::UserFiles { max: 1 }));
    let stored = store.store_single(single(BERT, None), quota, 5).await.expect("no error");
    assert_eq!(stored, Stored::Over(OverQuota::Storage));
    assert!(store.load(whole.id).await.expect("no error").is_none());
    assert_eq!(usage(store.as_ref()).await, (95, 1));
}

pub(crate) async fn a_thumbnail_does_not_count_as_a_file_and_its_picture_is_free(
    records: &dyn Records,
) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await;
    let sent = single(ANNA, Some(media.id));
    assert_eq!(sent.role, Role::Thumbnail);
    store_single(store.as_ref(), &sent, 5).await;
    assert_eq!(usage(store.as_ref()).await, (20, 1));
    draw(store.as_ref(), sent.id).await;
    assert_eq!(usage(store.as_ref()).await, (10, 1));
    let second = finished(store.as_ref(), ANNA, 5).await;
    draw(store.as_ref(), second.id).await; // made by the server
    assert_eq!(usage(store.as_ref()).await, (20, 2));
}
