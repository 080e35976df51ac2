//! Micro-benchmarks of what every chunk goes through: `cargo bench -p haversack-bench`. Use them to examine a
//! difference that `bench/run` shows; they are not the published figures.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use haversack::http::multipart::{Boundary, Event, Limits, Parser};
use haversack::ids::{BlobId, GenerationId, UploadId, UserId};
use haversack::metadata::quota::Quota;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{Caps, MetadataStore, NewPart, NewUpload, Recorded};
use haversack::part::{Declaration, Layout, Part, place};
use haversack::storage::Durability;

const CHUNK_BYTES: usize = 200 * 1024;
const CHUNK: u64 = CHUNK_BYTES as u64;

fn main() {
    divan::main();
}

#[divan::bench(args = [16, 64, 96, 256])]
fn parse_a_chunk_in_frames_of_kib(bencher: Bencher, frame_kib: usize) {
    let head =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"clip.mp4\"\r\n\r\n";
    let data: Vec<u8> =
        (0..CHUNK).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let body = Bytes::from([head.as_bytes(), &data, b"\r\n--b--\r\n"].concat());
    let boundary = Boundary::from_content_type("multipart/form-data; boundary=b").expect("valid");
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench_local(|| parse(&body, &boundary, frame_kib * 1024));
}

fn parse(body: &Bytes, boundary: &Boundary, frame: usize) -> usize {
    let mut parser = Parser::new(boundary, Limits::default());
    let mut frames = (0..body.len()).step_by(frame);
    let mut bytes = 0;
    loop {
        match parser.next_event().expect("well-formed") {
            Event::NeedData => match frames.next() {
                Some(at) => parser.feed(body.slice(at..body.len().min(at + frame))),
                None => parser.finish(),
            },
            Event::Data(data) => bytes += data.len(),
            Event::Head(_) | Event::PartEnd => {}
            Event::End => return bytes,
        }
    }
}

#[divan::bench(args = [1, 50, 5000])]
fn place_the_next_of_parts(bencher: Bencher, stored: u32) {
    let mut layout = Layout::new(stored + 2);
    for index in 0..stored {
        layout.insert(index, part(index));
    }
    let declared = Declaration {
        index: stored,
        total_parts: Some(stored + 2),
        total_size: None,
        offset: None,
        size: None,
        range: None,
    };
    bencher
        .bench_local(|| place(divan::black_box(&declared), &layout, Some(CHUNK)).expect("a place"));
}

/// One part at a time, which is what a single upload waits for. Durability is `process`, so the disk plays no role.
#[divan::bench]
fn record_a_part(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open_with(folder.path(), Durability::Process).expect("a database");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let new = NewUpload {
        id: UploadId::random(),
        user: UserId::from(1),
        generation: GenerationId::random(),
        blob: Some(BlobId::random()),
        append: None,
        total_parts: u32::MAX,
        reserved: 0,
        filename: None,
        declared_type: None,
        parent: None,
    };
    let caps = Caps { max_unfinished: 100, idle_since: 0, quota: Quota::NONE };
    let of = new.generation();
    runtime.block_on(store.begin_upload(new, caps, 0)).expect("begun");
    let next = AtomicU32::new(0);
    bencher.bench_local(|| {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let part = part(index);
        let new = NewPart { index, part, extents: None, total_size: None, even_size: None };
        let recorded = runtime.block_on(store.record_part(of, new, 0)).expect("recorded");
        assert_eq!(recorded, Recorded::Stored);
    });
}

fn part(index: u32) -> Part {
    Part { offset: u64::from(index) * CHUNK, size: CHUNK, crc32: index }
}
