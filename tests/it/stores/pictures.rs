//! The contract of a `MetadataStore`: thumbnails that clients send, and those that the server makes.

use haversack::ids::{BlobId, UploadId};
use haversack::metadata::jobs::JobKind;
use haversack::metadata::quota::Quota;
use haversack::metadata::{MetadataStore, Removed, Role, State, Stored};

use super::Records;
use super::records::{
    ANNA, InBlob, begin, draw, end_drawing, file, finish, finished, picture, single, state,
    store_single, take_drawing, thumbnail, undrawn, upload,
};

/// Returns the current thumbnail of a media.
async fn shown(store: &dyn MetadataStore, media: UploadId) -> Option<UploadId> {
    file(store, media).await.thumbnail
}

async fn end_without_picture(store: &dyn MetadataStore, id: UploadId) -> Vec<BlobId> {
    let job = take_drawing(store, id).await.expect("wanted");
    end_drawing(store, id, job.lease, None).await
}

pub(crate) async fn a_sent_thumbnail_is_shown_once_a_picture_was_made_of_it(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let sent = single(ANNA, Some(media));
    store_single(store.as_ref(), &sent, 6).await;
    assert_eq!(shown(store.as_ref(), media).await, None);
    let found = file(store.as_ref(), sent.id).await;
    assert_eq!(
        (found.role, found.parent, found.blob()),
        (Role::Thumbnail, Some(media), sent.blob())
    );

    let (picture, unwanted) = draw(store.as_ref(), sent.id).await;
    assert_eq!(unwanted, [sent.blob()], "the sent bytes");
    assert_eq!(shown(store.as_ref(), media).await, Some(sent.id));
    let found = file(store.as_ref(), sent.id).await;
    assert_eq!((found.blob(), found.size, found.crc32), (picture.blob(), 99, 98));
    assert_eq!(found.facts.media_type, picture.facts.media_type);
    assert_eq!((found.facts.width, found.facts.height), (Some(512), Some(300)));
    let received = store.received_parts(sent.id).await.expect("no error");
    assert_eq!(received, Some(sent.file.received), "recognizes a repeat");
    let found = store.find_files(vec![sent.id]).await.expect("no error");
    assert_eq!(found[0].as_ref().map(|file| file.id), Some(media));
}

pub(crate) async fn a_second_thumbnail_replaces_the_first(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let (first, first_picture) = thumbnail(store.as_ref(), media).await;
    let second = single(ANNA, Some(media));
    store_single(store.as_ref(), &second, 7).await;
    assert_eq!(shown(store.as_ref(), media).await, Some(first), "until the new picture is made");
    let (second_picture, unwanted) = draw(store.as_ref(), second.id).await;
    assert_eq!(unwanted, [second.blob(), first_picture.blob()]);
    assert!(matches!(
        state(store.as_ref(), first).await,
        State::Replaced { parent } if parent == media
    ));
    let unclaimed = store.unclaimed(vec![first_picture.blob(), second_picture.blob()]).await;
    assert_eq!(unclaimed.expect("no error"), [first_picture.blob()]);
    let found = store.find_files(vec![first, second.id]).await;
    for found in found.expect("no error") {
        let found = found.expect("both stand for the media");
        assert_eq!((found.id, found.thumbnail), (media, Some(second.id)));
    }
}

pub(crate) async fn a_late_picture_of_an_older_thumbnail_replaces_nothing(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let older = single(ANNA, Some(media));
    store_single(store.as_ref(), &older, 6).await;
    let job = take_drawing(store.as_ref(), older.id).await.expect("wanted");
    let (newer, _) = thumbnail(store.as_ref(), media).await;
    let late = picture();
    let unwanted = end_drawing(store.as_ref(), older.id, job.lease, Some(late.clone())).await;
    assert_eq!(
        unwanted,
        [late.blob()],
        "the sent bytes were deleted when the newer thumbnail was stored"
    );
    assert_eq!(shown(store.as_ref(), media).await, Some(newer));
    assert!(matches!(state(store.as_ref(), older.id).await, State::Replaced { .. }));
}

pub(crate) async fn a_broken_thumbnail_is_never_shown(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let (good, picture) = thumbnail(store.as_ref(), media).await;
    let broken = single(ANNA, Some(media));
    assert_eq!(store_single(store.as_ref(), &broken, 7).await, []);
    assert_eq!(shown(store.as_ref(), media).await, Some(good), "it is not known to be broken yet");
    assert_eq!(end_without_picture(store.as_ref(), broken.id).await, [picture.blob()]);
    assert_eq!(shown(store.as_ref(), media).await, None);
    assert!(matches!(state(store.as_ref(), good).await, State::Replaced { .. }));
    let found = store.find_files(vec![broken.id]).await.expect("no error");
    assert_eq!(found[0].as_ref().map(|file| file.id), Some(media), "its uuid stands for the media");
    let third = single(ANNA, Some(media));
    let replaced = store_single(store.as_ref(), &third, 8).await;
    assert_eq!(replaced, [broken.blob()], "the next thumbnail replaces it, too");
}

pub(crate) async fn a_thumbnail_without_its_picture_yet_is_replaced_at_once(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let mut before = single(ANNA, Some(media));
    store_single(store.as_ref(), &before, 6).await;
    for drawable in [true, false, true] {
        let mut next = single(ANNA, Some(media));
        next.file.drawable = drawable;
        assert_eq!(store_single(store.as_ref(), &next, 7).await, [before.blob()]);
        assert!(matches!(state(store.as_ref(), before.id).await, State::Replaced { .. }));
        assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_bytes, 20);
        before = next;
    }
    assert_eq!(undrawn(store.as_ref()).await, [media, before.id]);
}

pub(crate) async fn a_broken_thumbnail_keeps_the_one_that_the_server_made(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let (made_by_server, _) = draw(store.as_ref(), media).await;
    let mut plain = single(ANNA, Some(media));
    plain.file.drawable = false;
    assert_eq!(store_single(store.as_ref(), &plain, 6).await, []);
    let broken = single(ANNA, Some(media));
    assert_eq!(store_single(store.as_ref(), &broken, 7).await, [plain.blob()]);
    assert_eq!(end_without_picture(store.as_ref(), broken.id).await, []);
    assert_eq!(shown(store.as_ref(), media).await, Some(made_by_server.id));
}

pub(crate) async fn an_attached_media_accepts_no_other_thumbnail(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let (sent, _) = thumbnail(store.as_ref(), media).await;
    store.attach(vec![media]).await.expect("attached");
    let late = single(ANNA, Some(media));
    let stored = store.store_single(late.clone(), Quota::NONE, 7).await.expect("no error");
    assert_eq!(stored, Stored::Attached);
    assert!(store.load(late.id).await.expect("no error").is_none());
    assert_eq!(store.remove(sent, false, 7, 0).await.expect("no error"), Removed::Attached);
    assert_eq!(shown(store.as_ref(), media).await, Some(sent));
    let by_backend = store.remove(sent, true, 7, 0).await.expect("no error");
    assert!(matches!(by_backend, Removed::Removed { .. }));
}

pub(crate) async fn a_late_picture_does_not_change_an_attached_media(records: &dyn Records) {
    let store = records.open();
    let made_by_server = async |media| draw(store.as_ref(), media).await.0.id;
    let sent = async |media| thumbnail(store.as_ref(), media).await.0;
    for (is_sent, broken) in [(false, false), (false, true), (true, false), (true, true)] {
        let media = finished(store.as_ref(), ANNA, 5).await.id;
        let before = if is_sent { sent(media).await } else { made_by_server(media).await };
        let late = single(ANNA, Some(media));
        store_single(store.as_ref(), &late, 6).await;
        let job = take_drawing(store.as_ref(), late.id).await.expect("wanted");
        store.attach(vec![media]).await.expect("attached");
        let drawn = (!broken).then(picture);
        let unwanted = end_drawing(store.as_ref(), late.id, job.lease, drawn.clone()).await;
        let expected = [late.blob()].into_iter().chain(drawn.map(|drawn| drawn.blob()));
        assert_eq!(unwanted, Vec::from_iter(expected));
        assert_eq!(shown(store.as_ref(), media).await, Some(before));
        assert!(matches!(state(store.as_ref(), late.id).await, State::Replaced { .. }));
    }
}

pub(crate) async fn an_attached_media_without_a_thumbnail_accepts_a_late_picture(
    records: &dyn Records,
) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let late = single(ANNA, Some(media));
    store_single(store.as_ref(), &late, 6).await;
    store.attach(vec![media]).await.expect("attached");
    draw(store.as_ref(), late.id).await;
    assert_eq!(shown(store.as_ref(), media).await, Some(late.id));
}

pub(crate) async fn a_thumbnail_may_arrive_before_its_media_is_finished(records: &dyn Records) {
    let store = records.open();
    let media = upload(ANNA, 1);
    begin(store.as_ref(), &media, 5).await;
    let (shown_first, _) = thumbnail(store.as_ref(), media.id).await;
    let found = store.find_files(vec![shown_first]).await.expect("no error");
    assert!(found[0].is_none(), "the media is no File yet");
    finish(store.as_ref(), &media, 6).await;
    assert_eq!(shown(store.as_ref(), media.id).await, Some(shown_first));
}

pub(crate) async fn a_picture_of_a_media_becomes_its_thumbnail(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await;
    assert_eq!(undrawn(store.as_ref()).await, [media.id]);
    let (picture, unwanted) = draw(store.as_ref(), media.id).await;
    assert_eq!(unwanted, []);
    assert_eq!(undrawn(store.as_ref()).await, []);
    assert_eq!(shown(store.as_ref(), media.id).await, Some(picture.id));
    let found = file(store.as_ref(), picture.id).await;
    assert_eq!(
        (&found.user, found.role, found.parent),
        (&ANNA.into(), Role::Thumbnail, Some(media.id))
    );
    assert_eq!((found.blob(), found.size, found.crc32), (picture.blob(), 99, 98));
    assert_eq!(store.received_parts(picture.id).await.expect("no error"), Some(Vec::new()));
    assert_eq!(found.facts, picture.facts);
    assert_eq!(
        file(store.as_ref(), media.id).await.blob(),
        media.blob(),
        "the media keeps its bytes"
    );
}

pub(crate) async fn a_sent_thumbnail_replaces_the_one_that_the_server_made(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let early = single(ANNA, Some(media));
    store_single(store.as_ref(), &early, 6).await; // sent before the other one is made, drawn after it
    let (made_by_server, _) = draw(store.as_ref(), media).await;
    let (_, unwanted) = draw(store.as_ref(), early.id).await;
    assert_eq!(unwanted, [early.blob(), made_by_server.blob()]);
    assert_eq!(shown(store.as_ref(), media).await, Some(early.id));
}

pub(crate) async fn a_media_with_a_thumbnail_needs_no_picture(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let (sent, _) = thumbnail(store.as_ref(), media).await;
    let (late, unwanted) = draw(store.as_ref(), media).await;
    assert_eq!(unwanted, [late.blob()]);
    assert_eq!(shown(store.as_ref(), media).await, Some(sent));

    let media = upload(ANNA, 1);
    begin(store.as_ref(), &media, 5).await;
    thumbnail(store.as_ref(), media.id).await;
    finish(store.as_ref(), &media, 6).await;
    assert_eq!(undrawn(store.as_ref()).await, [], "no picture is to be made");
}

pub(crate) async fn a_picture_of_a_removed_file_is_deleted(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let job = take_drawing(store.as_ref(), media).await.expect("wanted");
    store.remove(media, false, 6, 0).await.expect("removed");
    let late = picture();
    let unwanted = end_drawing(store.as_ref(), media, job.lease, Some(late.clone())).await;
    assert_eq!(unwanted, [late.blob()]);
    assert_eq!(undrawn(store.as_ref()).await, []);
    assert!(store.load(late.id).await.expect("no error").is_none());
}

pub(crate) async fn only_the_picture_of_the_lease_holder_is_kept(records: &dyn Records) {
    let store = records.open();
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let slow = take_drawing(store.as_ref(), media).await.expect("wanted");
    let second = store.take_jobs(&[JobKind::Thumbnail], &[], 1, 3000, 4000).await;
    let second = second.expect("no error").remove(0);
    let (late, good) = (picture(), picture());
    let unwanted = end_drawing(store.as_ref(), media, slow.lease, Some(late.clone())).await;
    assert_eq!(unwanted, [late.blob()]);
    assert_eq!(shown(store.as_ref(), media).await, None);
    let unwanted = end_drawing(store.as_ref(), media, second.lease, Some(good.clone())).await;
    assert_eq!(unwanted, []);
    assert_eq!(shown(store.as_ref(), media).await, Some(good.id));
}

pub(crate) async fn ending_a_drawing_again_discards_the_second_picture(records: &dyn Records) {
    let store = records.open();
    let mut plain = single(ANNA, None);
    plain.file.drawable = false;
    store_single(store.as_ref(), &plain, 5).await;
    assert_eq!(undrawn(store.as_ref()).await, [], "no picture is to be made");
    let media = finished(store.as_ref(), ANNA, 5).await.id;
    let job = take_drawing(store.as_ref(), media).await.expect("wanted");
    let (first, second) = (picture(), picture());
    end_drawing(store.as_ref(), media, job.lease, Some(first.clone())).await;
    let unwanted = end_drawing(store.as_ref(), media, job.lease, Some(second.clone())).await;
    assert_eq!(unwanted, [second.blob()]);
    assert_eq!(shown(store.as_ref(), media).await, Some(first.id));
}
