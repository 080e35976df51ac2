//! The contract of a `MetadataStore`: uploads that never had a chunk.

use haversack::ids::{BlobId, GenerationId};
use haversack::metadata::{Generation, Recorded};

use super::Records;
use super::append::in_order;
use super::records::{
    ANNA, InBlob, begin, plain_part, record, single, store_single, to_delete, unfinished, upload,
};

pub(crate) async fn an_upload_that_never_had_a_chunk_is_withdrawn_once(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 2);
    begin(store.as_ref(), &new, 10).await;
    assert_eq!(store.unused_uploads(10, 9).await.expect("no error"), []);
    assert_eq!(store.unused_uploads(11, 9).await.expect("no error"), [new.id]);
    assert_eq!(store.unused_uploads(11, 0).await.expect("no error"), []);
    let (listed, _) = store.list(ANNA.into(), None, 9).await.expect("no error");
    assert!(listed.is_empty(), "{listed:?}");
    let other = Generation { id: GenerationId::random(), ..new.generation() };
    assert!(!store.withdraw_upload(other, 11).await.expect("no error"), "another generation");
    assert!(store.withdraw_upload(new.generation(), 11).await.expect("no error"));
    assert!(!store.withdraw_upload(new.generation(), 11).await.expect("no error"));
    assert!(store.load(new.id).await.expect("no error").is_none());
    assert_eq!(to_delete(store.as_ref()).await, [new.blob()]);
    let usage = store.usage(ANNA.into()).await.expect("no error");
    assert_eq!((usage.user_bytes, usage.user_files), (0, 0));
    begin(store.as_ref(), &new, 12).await;
}

pub(crate) async fn used_uploads_are_not_withdrawn(records: &dyn Records) {
    let store = records.open();
    let (begun, with_thumbnail, in_order) =
        (upload(ANNA, 2), upload(ANNA, 2), in_order(ANNA, Some(20)));
    for new in [&begun, &with_thumbnail, &in_order] {
        begin(store.as_ref(), new, 10).await;
    }
    let stored = record(store.as_ref(), begun.generation(), plain_part(0, 0, 10), 11).await;
    assert_eq!(stored, Recorded::Stored);
    store_single(store.as_ref(), &single(ANNA, Some(with_thumbnail.id)), 11).await;
    let mut used = vec![begun.generation(), with_thumbnail.generation(), in_order.generation()];
    // An upload that started over had chunks, and its sender knows of it.
    let again = upload(ANNA, 2);
    begin(store.as_ref(), &again, 10).await;
    let next = Generation { id: GenerationId::random(), ..again.generation() };
    let restart = store.restart_upload(again.generation(), next.id, Some(BlobId::random()));
    assert!(restart.await.expect("no error"));
    used.push(next);
    assert_eq!(store.unused_uploads(99, 9).await.expect("no error"), []);
    for of in used {
        assert!(!store.withdraw_upload(of, 12).await.expect("no error"));
        unfinished(store.as_ref(), of.upload).await;
    }
    let (listed, _) = store.list(ANNA.into(), None, 9).await.expect("no error");
    let listed: Vec<_> = listed.iter().map(haversack::metadata::Listed::id).collect();
    assert_eq!(listed, [again.id, in_order.id, begun.id]);
}
