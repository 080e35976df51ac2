//! The contract of a `BlobStore`.

use std::io::ErrorKind;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use haversack::ids::BlobId;
use haversack::part::Part;
use haversack::storage::{BlobStore, BodyError, READ_BYTES, WriteError, Written};

use super::Blobs;

/// A second beyond every clock's.
const FAR_FUTURE: u64 = 4_000_000_000;

/// Bytes that differ by position, so that a shifted part shows.
pub(crate) fn pattern(range: Range<u64>) -> Vec<u8> {
    range.map(|at| (at * 31 + at / 251) as u8).collect()
}

pub(crate) fn part(offset: u64, bytes: &[u8]) -> Part {
    Part { offset, size: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
}

/// Writes `bytes` in frames of at most `frame` bytes.
pub(crate) async fn write(
    store: &dyn BlobStore,
    blob: BlobId,
    offset: u64,
    bytes: &[u8],
    frame: usize,
) -> Written {
    write_beside(store, blob, offset, bytes, frame, 0).await
}

/// The same, into a blob of which so many bytes are on record.
pub(crate) async fn write_beside(
    store: &dyn BlobStore,
    blob: BlobId,
    offset: u64,
    bytes: &[u8],
    frame: usize,
    stored: u64,
) -> Written {
    let frames: Vec<_> = bytes.chunks(frame).map(Bytes::copy_from_slice).collect();
    let body = stream::iter(frames.into_iter().map(Ok));
    let limit = bytes.len() as u64;
    let written = store.write_part(blob, offset, limit, stored, pin!(body)).await;
    written.expect("the part is written")
}

/// All of `range`, or the kind of the error that opening or reading met.
pub(crate) async fn read(
    store: &dyn BlobStore,
    blob: BlobId,
    range: Range<u64>,
) -> Result<Vec<u8>, ErrorKind> {
    let pieces = store.read(blob, range, READ_BYTES).await.map_err(|error| error.kind())?;
    let joined = pieces.try_fold(Vec::new(), async |all, piece| Ok([all, piece.to_vec()].concat()));
    joined.await.map_err(|error| error.kind())
}

pub(crate) async fn a_written_part_is_told_by_size_and_checksum(blobs: &dyn Blobs) {
    let store = blobs.open();
    let written = write(store.as_ref(), BlobId::random(), 7, b"123456789", 4).await;
    let known = Written {
        size: 9,
        crc32: 0xCBF4_3926, // the check value of CRC-32
    };
    assert_eq!(written, known);
}

pub(crate) async fn parts_written_in_any_order_make_the_blob(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..2500);
    for range in [1000..2000, 2000..2500, 0..1000] {
        write(store.as_ref(), blob, range.start as u64, &whole[range], 333).await;
    }
    let parts =
        [part(0, &whole[..1000]), part(1000, &whole[1000..2000]), part(2000, &whole[2000..])];
    store.seal(blob, &parts).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..2500).await, Ok(whole));
}

pub(crate) async fn parts_written_side_by_side_make_the_blob(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..64 * 700);
    let writers = whole.chunks(700).enumerate().map(|(index, bytes)| {
        let (store, bytes) = (Arc::clone(&store), bytes.to_vec());
        let offset = index as u64 * 700;
        tokio::spawn(async move { write(store.as_ref(), blob, offset, &bytes, 100).await })
    });
    for written in future::join_all(writers).await {
        written.expect("no writer panics");
    }
    let parts: Vec<Part> = whole
        .chunks(700)
        .enumerate()
        .map(|(index, bytes)| part(index as u64 * 700, bytes))
        .collect();
    store.seal(blob, &parts).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..whole.len() as u64).await, Ok(whole));
}

pub(crate) async fn writing_a_range_again_replaces_it(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..300);
    write(store.as_ref(), blob, 0, &whole[..100], 100).await;
    write(store.as_ref(), blob, 100, &[0; 100], 9).await;
    write(store.as_ref(), blob, 200, &whole[200..], 100).await;
    write(store.as_ref(), blob, 100, &whole[100..200], 9).await;
    store.seal(blob, &[part(0, &whole)]).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..300).await, Ok(whole));
}

pub(crate) async fn a_part_up_to_its_limit_is_taken_and_one_byte_more_refused(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    for (sizes, fits) in [(vec![6, 4], true), (vec![6, 5], false), (vec![11], false)] {
        let frames = sizes.into_iter().map(|size| Ok(Bytes::from(vec![1; size])));
        let body = stream::iter(frames);
        let written = store.write_part(blob, 0, 10, 0, pin!(body)).await;
        match written {
            Ok(written) => assert!(fits && written.size == 10),
            Err(WriteError::TooLong { limit }) => assert!(!fits && limit == 10),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn a_write_over_its_limit_leaves_the_neighbour_behind_it_alone(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..200);
    write(store.as_ref(), blob, 100, &whole[100..], 100).await;
    let frames = [60, 60].map(|size| Ok(Bytes::from(vec![0xEE; size])));
    let body = stream::iter(frames);
    let refused = store.write_part(blob, 0, 100, 0, pin!(body)).await;
    assert!(matches!(refused, Err(WriteError::TooLong { limit: 100 })));
    write(store.as_ref(), blob, 0, &whole[..100], 100).await;
    store.seal(blob, &[part(0, &whole)]).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..200).await, Ok(whole));
}

pub(crate) async fn a_body_that_breaks_off_fails_the_write_with_its_reason(blobs: &dyn Blobs) {
    let store = blobs.open();
    let frames = [Ok(Bytes::from_static(b"half")), Err(BodyError::Aborted)];
    let body = stream::iter(frames);
    let refused = store.write_part(BlobId::random(), 0, 100, 0, pin!(body)).await;
    assert!(matches!(refused, Err(WriteError::Body(BodyError::Aborted))));
}

pub(crate) async fn each_frame_is_dropped_before_the_next_is_polled(blobs: &dyn Blobs) {
    #[allow(dead_code)] // held for its count
    struct Frame(Arc<()>);
    impl AsRef<[u8]> for Frame {
        fn as_ref(&self) -> &[u8] {
            b"frame"
        }
    }
    let store = blobs.open();
    let alive = Arc::new(());
    let watched = Arc::clone(&alive);
    let body = stream::iter(0..10).map(move |_| {
        assert_eq!(Arc::strong_count(&watched), 2, "an earlier frame is still held");
        Ok(Bytes::from_owner(Frame(Arc::clone(&watched))))
    });
    store.write_part(BlobId::random(), 0, 50, 0, pin!(body)).await.expect("written");
    assert_eq!(Arc::strong_count(&alive), 1);
}

pub(crate) async fn sealing_a_blob_that_lacks_bytes_fails(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    write(store.as_ref(), blob, 0, &pattern(0..99), 99).await;
    let whole = pattern(0..100);
    assert!(store.seal(blob, &[part(0, &whole)]).await.is_err());
    let nowhere = store.seal(BlobId::random(), &[part(0, &whole)]).await;
    assert!(nowhere.is_err());
}

pub(crate) async fn sealing_cuts_off_what_lies_behind_the_last_part(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..150);
    write(store.as_ref(), blob, 0, &whole, 150).await;
    let parts = [part(0, &whole[..60]), part(60, &whole[60..100])];
    store.seal(blob, &parts).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..100).await.as_deref(), Ok(&whole[..100]));
    assert_eq!(read(store.as_ref(), blob, 0..101).await, Err(ErrorKind::UnexpectedEof));
}

pub(crate) async fn sealing_again_is_harmless(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..100);
    write(store.as_ref(), blob, 0, &whole, 100).await;
    for _ in 0..3 {
        store.seal(blob, &[part(0, &whole)]).await.expect("sealed");
    }
    assert_eq!(read(store.as_ref(), blob, 0..100).await, Ok(whole));
}

pub(crate) async fn an_empty_blob_can_be_written_sealed_and_read(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let written = write(store.as_ref(), blob, 0, b"", 1).await;
    assert_eq!((written.size, written.crc32), (0, 0));
    store.seal(blob, &[part(0, b"")]).await.expect("sealed");
    assert_eq!(read(store.as_ref(), blob, 0..0).await, Ok(Vec::new()));
}

pub(crate) async fn every_range_of_a_blob_can_be_read(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..600_000); // more than a reader takes at once
    write(store.as_ref(), blob, 0, &whole, 100_000).await;
    store.seal(blob, &[part(0, &whole)]).await.expect("sealed");
    for range in [0..1, 0..600_000, 599_999..600_000, 262_143..262_145, 5..5] {
        let expected = &whole[range.start as usize..range.end as usize];
        let found = read(store.as_ref(), blob, range.clone()).await;
        assert_eq!(found.as_deref(), Ok(expected), "{range:?}");
    }
}

pub(crate) async fn reading_past_the_end_or_nothing_fails_by_its_kind(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let whole = pattern(0..100);
    write(store.as_ref(), blob, 0, &whole, 100).await;
    store.seal(blob, &[part(0, &whole)]).await.expect("sealed");
    for range in [0..101, 100..101, 5000..5001] {
        let found = read(store.as_ref(), blob, range.clone()).await;
        assert_eq!(found, Err(ErrorKind::UnexpectedEof), "{range:?}");
    }
    let found = read(store.as_ref(), BlobId::random(), 0..1).await;
    assert_eq!(found, Err(ErrorKind::NotFound));
}

pub(crate) async fn a_deleted_blob_is_gone_and_deleting_it_again_says_so(blobs: &dyn Blobs) {
    let (store, blob, other) = (blobs.open(), BlobId::random(), BlobId::random());
    for blob in [blob, other] {
        write(store.as_ref(), blob, 0, b"bytes", 5).await;
    }
    assert!(store.delete(blob).await.expect("deleted"));
    assert!(!store.delete(blob).await.expect("nothing to delete"));
    assert_eq!(read(store.as_ref(), blob, 0..5).await, Err(ErrorKind::NotFound));
    assert_eq!(read(store.as_ref(), other, 0..5).await, Ok(b"bytes".to_vec()));
}

pub(crate) async fn of_many_deleters_one_deletes(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    write(store.as_ref(), blob, 0, b"bytes", 5).await;
    let deleters = (0..16).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.delete(blob).await.expect("no error") })
    });
    let deleted = future::join_all(deleters).await;
    let winners = deleted.into_iter().filter(|done| *done.as_ref().expect("no panic"));
    assert_eq!(winners.count(), 1);
}

pub(crate) async fn blobs_are_listed_by_their_age(blobs: &dyn Blobs) {
    let store = blobs.open();
    assert_eq!(store.list_older_than(FAR_FUTURE).await.expect("listed"), []);
    let mut written = [BlobId::random(), BlobId::random(), BlobId::random()];
    for blob in written {
        write(store.as_ref(), blob, 0, b"bytes", 5).await;
    }
    let mut listed = store.list_older_than(FAR_FUTURE).await.expect("listed");
    listed.sort();
    written.sort();
    assert_eq!(listed, written);
    assert_eq!(store.list_older_than(1).await.expect("listed"), []);
    store.delete(written[1]).await.expect("deleted");
    let listed = store.list_older_than(FAR_FUTURE).await.expect("listed");
    assert!(listed.len() == 2 && !listed.contains(&written[1]));
}

pub(crate) async fn blobs_outlive_the_store(blobs: &dyn Blobs) {
    let (sealed, unsealed) = (BlobId::random(), BlobId::random());
    let whole = pattern(0..1000);
    {
        let store = blobs.open();
        write(store.as_ref(), sealed, 0, &whole, 100).await;
        store.seal(sealed, &[part(0, &whole)]).await.expect("sealed");
        write(store.as_ref(), unsealed, 500, &whole[500..], 100).await;
    }
    let store = blobs.open();
    assert_eq!(read(store.as_ref(), sealed, 0..1000).await, Ok(whole.clone()));
    write(store.as_ref(), unsealed, 0, &whole[..500], 100).await;
    let parts = [part(0, &whole[..500]), part(500, &whole[500..])];
    store.seal(unsealed, &parts).await.expect("sealed");
    assert_eq!(read(store.as_ref(), unsealed, 0..1000).await, Ok(whole));
}

pub(crate) async fn a_healthy_store_says_so_and_its_probe_leaves_no_blob(blobs: &dyn Blobs) {
    let store = blobs.open();
    store.check().await.expect("healthy");
    assert_eq!(store.list_older_than(FAR_FUTURE).await.expect("listed"), []);
}
