//! The contract of a `BlobStore`, whether it writes in place or not.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use haversack::ids::BlobId;
use haversack::media::Patch;
use haversack::storage::{
    BlobStore, BodyError, Error, Extent, Extents, READ_BYTES, Target, WriteError, Written,
};

use super::Blobs;

/// A time later than any clock shows.
const FAR_FUTURE: u64 = 4_000_000_000;

/// Bytes that differ by position, so that shifted parts are detected.
pub(crate) fn pattern(range: Range<u64>) -> Vec<u8> {
    range.map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Writes `bytes` in frames of at most `frame` bytes.
pub(crate) async fn write(
    store: &dyn BlobStore,
    target: Target,
    bytes: &[u8],
    frame: usize,
) -> Written {
    let frames: Vec<_> = bytes.chunks(frame).map(Bytes::copy_from_slice).collect();
    let body = stream::iter(frames.into_iter().map(Ok));
    store.write(target, bytes.len() as u64, pin!(body)).await.expect("written")
}

/// Writes bytes into a new blob, and returns their extents.
pub(crate) async fn fresh(store: &dyn BlobStore, bytes: &[u8]) -> Extents {
    let blob = BlobId::random();
    write(store, Target::Fresh(blob), bytes, 4000).await;
    Extents::stored(blob, 0, bytes.len() as u64)
}

/// Returns where to write a part with this range of the file, and the extents of its bytes. In a store that writes in
/// place, they are in `blob`.
fn place(store: &dyn BlobStore, blob: BlobId, range: &Range<usize>) -> (Target, Extents) {
    let (offset, size) = (range.start as u64, range.len() as u64);
    if store.in_place() {
        (Target::At { blob, offset, stored: 0 }, Extents::stored(blob, offset, size))
    } else {
        let own = BlobId::random();
        (Target::Fresh(own), Extents::stored(own, 0, size))
    }
}

/// Reads `range`, or returns the error of opening or reading.
pub(crate) async fn read(
    store: &dyn BlobStore,
    extents: &Extents,
    range: Range<u64>,
) -> Result<Vec<u8>, Error> {
    let pieces = store.read(extents, range, READ_BYTES).await?;
    pieces.try_fold(Vec::new(), async |all, piece| Ok([all, piece.to_vec()].concat())).await
}

/// Reads all bytes.
pub(crate) async fn whole(store: &dyn BlobStore, extents: &Extents) -> Vec<u8> {
    read(store, extents, 0..extents.size()).await.expect("readable")
}

fn joined<'a>(extents: impl IntoIterator<Item = &'a Extents>) -> Extents {
    extents.into_iter().flat_map(Extents::iter).copied().collect()
}

pub(crate) async fn blobs_older_than(store: &dyn BlobStore, unix_secs: u64) -> Vec<BlobId> {
    let mut listed: Vec<_> = store.list_older_than(unix_secs).try_collect().await.expect("listed");
    listed.sort();
    listed
}

pub(crate) async fn writing_returns_size_and_checksum(blobs: &dyn Blobs) {
    let store = blobs.open();
    let written = write(store.as_ref(), Target::Fresh(BlobId::random()), b"123456789", 4).await;
    let known = Written {
        size: 9,
        crc32: 0xCBF4_3926, // the check value of CRC-32
    };
    assert_eq!(written, known);
}

pub(crate) async fn parts_written_in_any_order_make_the_file(blobs: &dyn Blobs) {
    let (store, blob, bytes) = (blobs.open(), BlobId::random(), pattern(0..2500));
    let mut parts = Vec::new();
    for range in [1000..2000, 2000..2500, 0..1000] {
        let (target, extents) = place(store.as_ref(), blob, &range);
        write(store.as_ref(), target, &bytes[range.clone()], 333).await;
        parts.push((range.start, extents));
    }
    parts.sort_by_key(|(start, _)| *start);
    let file = joined(parts.iter().map(|(_, extents)| extents));
    store.settle(&file).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &file).await, bytes);
    assert_eq!(file.single_blob().is_some(), store.in_place(), "{file:?}");
}

pub(crate) async fn parts_written_concurrently_make_the_file(blobs: &dyn Blobs) {
    let (store, blob, bytes) = (blobs.open(), BlobId::random(), pattern(0..64 * 700));
    let writers = (0..64).map(|index| {
        let range = index * 700..(index + 1) * 700;
        let (target, extents) = place(store.as_ref(), blob, &range);
        let (store, part) = (Arc::clone(&store), bytes[range].to_vec());
        tokio::spawn(async move {
            write(store.as_ref(), target, &part, 100).await;
            extents
        })
    });
    let parts = future::try_join_all(writers).await.expect("no writer panics");
    let file = joined(&parts);
    store.settle(&file).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &file).await, bytes);
}

pub(crate) async fn a_body_up_to_the_limit_is_accepted_and_one_byte_more_is_refused(
    blobs: &dyn Blobs,
) {
    let store = blobs.open();
    for (sizes, fits) in [(vec![6, 4], true), (vec![6, 5], false), (vec![11], false)] {
        let body = stream::iter(sizes.into_iter().map(|size| Ok(Bytes::from(vec![1; size]))));
        match store.write(Target::Fresh(BlobId::random()), 10, pin!(body)).await {
            Ok(written) => assert!(fits && written.size == 10),
            Err(WriteError::TooLong { limit }) => assert!(!fits && limit == 10),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn an_interrupted_body_keeps_the_bytes_that_arrived(blobs: &dyn Blobs) {
    let (store, blob) = (blobs.open(), BlobId::random());
    let frames = [Ok(Bytes::from_static(b"123456789")), Err(BodyError::Aborted)];
    let refused = store.write(Target::Fresh(blob), 100, pin!(stream::iter(frames))).await;
    let Err(WriteError::BrokenOff { error: BodyError::Aborted, safe }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(safe, Written { size: 9, crc32: 0xCBF4_3926 });
    let arrived = Extents::stored(blob, 0, safe.size);
    store.settle(&arrived).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &arrived).await, b"123456789");
}

pub(crate) async fn each_frame_is_dropped_before_the_next_is_polled(blobs: &dyn Blobs) {
    #[allow(dead_code)] // kept for its reference count
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
        assert_eq!(Arc::strong_count(&watched), 2, "an earlier frame was not dropped");
        Ok(Bytes::from_owner(Frame(Arc::clone(&watched))))
    });
    store.write(Target::Fresh(BlobId::random()), 50, pin!(body)).await.expect("written");
    assert_eq!(Arc::strong_count(&alive), 1);
}

pub(crate) async fn settling_missing_bytes_fails(blobs: &dyn Blobs) {
    let store = blobs.open();
    let blob = fresh(store.as_ref(), &pattern(0..99)).await.single_blob().expect("one");
    for missing in [Extents::stored(blob, 0, 100), Extents::stored(BlobId::random(), 0, 1)] {
        assert!(store.settle(&missing).await.is_err());
    }
}

pub(crate) async fn settling_again_is_harmless(blobs: &dyn Blobs) {
    let (store, bytes) = (blobs.open(), pattern(0..100));
    let file = fresh(store.as_ref(), &bytes).await;
    for _ in 0..3 {
        store.settle(&file).await.expect("settled");
    }
    assert_eq!(whole(store.as_ref(), &file).await, bytes);
}

pub(crate) async fn a_file_may_be_empty(blobs: &dyn Blobs) {
    let store = blobs.open();
    let written = write(store.as_ref(), Target::Fresh(BlobId::random()), b"", 1).await;
    assert_eq!((written.size, written.crc32), (0, 0));
    let empty = Extents::default();
    store.settle(&empty).await.expect("settled");
    assert_eq!(whole(store.as_ref(), &empty).await, b"");
    assert_eq!(store.proxy_path(&empty), None);
}

/// A file of several extents, and its bytes.
async fn of_several_extents(store: &dyn BlobStore) -> (Extents, Vec<u8>) {
    let (first, second) = (pattern(0..600_000), pattern(7..100_007)); // more than a reader reads at once
    let (a, b) = (fresh(store, &first).await, fresh(store, &second).await);
    let zeros = Extents::from_iter([Extent::Zeros(200_000)]);
    let file = joined([&a.slice(5..550_000), &zeros, &b, &a.slice(1..2)]);
    let bytes = [&first[5..550_000], &[0; 200_000], &second[..], &first[1..2]].concat();
    store.settle(&file).await.expect("settled");
    (file, bytes)
}

pub(crate) async fn every_range_of_a_file_of_several_extents_can_be_read(blobs: &dyn Blobs) {
    let store = blobs.open();
    let (file, bytes) = of_several_extents(store.as_ref()).await;
    let (border, end) = (549_995, bytes.len() as u64);
    for range in [0..1, 0..end, end - 1..end, 262_143..262_145, border - 1..border + 1, 5..5] {
        let expected = &bytes[range.start as usize..range.end as usize];
        let found = read(store.as_ref(), &file, range.clone()).await.expect("readable");
        assert!(found == expected, "{range:?}");
    }
    let pieces = store.read(&file, 0..end, 1000).await.expect("open");
    let joined = pieces.try_fold(Vec::new(), async |all, piece| {
        assert!(piece.len() <= 1000);
        Ok([all, piece.to_vec()].concat())
    });
    assert!(joined.await.expect("readable") == bytes);
    assert_eq!(store.proxy_path(&file), None, "a web server can't join blobs");
}

pub(crate) async fn a_reader_seeks_anywhere_in_a_file_of_several_extents(blobs: &dyn Blobs) {
    let store = blobs.open();
    let (file, bytes) = of_several_extents(store.as_ref()).await;
    let read = tokio::task::spawn_blocking(move || {
        let mut reader = store.reader(&file).expect("opened");
        let mut end = vec![0; 300_000];
        reader.seek(SeekFrom::End(-300_000)).expect("seek");
        reader.read_exact(&mut end).expect("read");
        let mut all = Vec::new();
        reader.rewind().expect("seek");
        reader.read_to_end(&mut all).expect("read");
        (end, all)
    });
    let (end, all) = read.await.expect("no panic");
    assert!(all == bytes && all.ends_with(&end));
}

pub(crate) async fn reading_missing_bytes_returns_the_matching_error(blobs: &dyn Blobs) {
    let store = blobs.open();
    let file = fresh(store.as_ref(), &pattern(0..100)).await;
    store.settle(&file).await.expect("settled");
    let longer = Extents::stored(file.single_blob().expect("one"), 0, 6000);
    for (extents, range) in
        [(&file, 0..101), (&longer, 0..101), (&longer, 100..101), (&longer, 5000..5001)]
    {
        let found = read(store.as_ref(), extents, range.clone()).await;
        assert!(matches!(found, Err(Error::Short)), "{range:?}: {found:?}");
    }
    let nothing = Extents::stored(BlobId::random(), 0, 1);
    let found = read(store.as_ref(), &nothing, 0..1).await;
    assert!(matches!(found, Err(Error::NotFound)), "{found:?}");
    assert!(matches!(store.reader(&nothing), Err(Error::NotFound)));
}

pub(crate) async fn rewriting_changes_only_the_patched_bytes(blobs: &dyn Blobs) {
    let (store, bytes) = (blobs.open(), pattern(0..200_000));
    let patches = [
        Patch { offset: 10, bytes: b"Exif".to_vec(), zeros: 3 },
        Patch { offset: 17, bytes: Vec::new(), zeros: 100_000 },
        Patch { offset: 199_998, bytes: b"ab".to_vec(), zeros: 0 },
    ];
    let mut expected = bytes.clone();
    for (at, piece) in patches.iter().flat_map(Patch::pieces) {
        expected[at as usize..at as usize + piece.len()].copy_from_slice(piece);
    }
    let file = fresh(store.as_ref(), &bytes).await;
    for _ in 0..2 {
        let rewritten = store.rewrite(&file, &patches).await.expect("rewritten");
        store.settle(&rewritten).await.expect("settled");
        assert!(whole(store.as_ref(), &rewritten).await == expected);
        assert_eq!(rewritten == file, store.in_place());
    }
    let left = whole(store.as_ref(), &file).await;
    assert!(left == if store.in_place() { expected } else { bytes });
    let nothing = Extents::stored(BlobId::random(), 0, 200_000);
    let lost = store.rewrite(&nothing, &patches).await;
    assert!(!store.in_place() || matches!(lost, Err(Error::NotFound)), "{lost:?}");
}

pub(crate) async fn deleting_blobs_is_idempotent(blobs: &dyn Blobs) {
    let store = blobs.open();
    let mut files = Vec::new();
    for _ in 0..3 {
        files.push(fresh(store.as_ref(), b"bytes").await);
    }
    let deleted = [&files[0], &files[1]].map(|file| file.single_blob().expect("one"));
    for _ in 0..2 {
        store.delete(&deleted).await.expect("deleted");
    }
    for file in &files[..2] {
        let found = read(store.as_ref(), file, 0..5).await;
        assert!(matches!(found, Err(Error::NotFound)), "{found:?}");
    }
    assert_eq!(whole(store.as_ref(), &files[2]).await, b"bytes");
}

pub(crate) async fn blobs_are_listed_by_their_age(blobs: &dyn Blobs) {
    let store = blobs.open();
    assert_eq!(blobs_older_than(store.as_ref(), FAR_FUTURE).await, []);
    let mut written = Vec::new();
    for _ in 0..3 {
        written.push(fresh(store.as_ref(), b"bytes").await.single_blob().expect("one"));
    }
    written.sort();
    assert_eq!(blobs_older_than(store.as_ref(), FAR_FUTURE).await, written);
    assert_eq!(blobs_older_than(store.as_ref(), 1).await, []);
    store.delete(&written[1..2]).await.expect("deleted");
    assert_eq!(blobs_older_than(store.as_ref(), FAR_FUTURE).await, [written[0], written[2]]);
    assert_eq!(store.size(written[0]).await.expect("no error"), Some(5));
    assert_eq!(store.size(written[1]).await.expect("no error"), None);
}

pub(crate) async fn bytes_outlive_the_store(blobs: &dyn Blobs) {
    let (blob, bytes) = (BlobId::random(), pattern(0..1000));
    let unsettled = {
        let store = blobs.open();
        let (target, extents) = place(store.as_ref(), blob, &(500..1000));
        write(store.as_ref(), target, &bytes[500..], 100).await;
        extents
    };
    let store = blobs.open();
    let (target, extents) = place(store.as_ref(), blob, &(0..500));
    write(store.as_ref(), target, &bytes[..500], 100).await;
    let file = joined([&extents, &unsettled]);
    store.settle(&file).await.expect("settled");
    drop(store);
    assert_eq!(whole(blobs.open().as_ref(), &file).await, bytes);
}

pub(crate) async fn the_check_of_a_healthy_store_succeeds_and_leaves_no_blob(blobs: &dyn Blobs) {
    let store = blobs.open();
    store.check().await.expect("healthy");
    assert_eq!(blobs_older_than(store.as_ref(), FAR_FUTURE).await, []);
}

pub(crate) async fn a_store_keeps_its_marker(blobs: &dyn Blobs) {
    let (store, id) = (blobs.open(), BlobId::random());
    assert_eq!(store.marker().await.expect("read"), None);
    store.mark(id).await.expect("marked");
    drop(store);
    let store = blobs.open();
    assert_eq!(store.marker().await.expect("read"), Some(id));
    store.is_itself().await.expect("the same");
}
