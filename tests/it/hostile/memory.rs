//! Pictures and containers designed to be expensive, sent to the binary: the memory and processor time they take.
//! `media::hostile` tests the replies.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::measured::figures;
use crate::media::hostile::{endless_sound, gif_of_frames, huge_jpeg, nested_boxes};
use crate::process::http::{Multipart, Request};
use crate::process::program::{Server, serve, token};

/// Memory that a file may take which is refused by its head, besides the system's cache.
const LITTLE: u64 = 32 << 20;
/// Memory that drawing a picture may take: the limit for thumbnails, plus the request.
const DRAWING: u64 = (320 << 20) + LITTLE;
/// No thumbnail takes longer than this, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(2);
/// Processor time that any file may take: five times what a release build may take.
const LONGEST: Duration = Duration::from_secs(25);

/// A PNG of one colour, which compresses by a factor of a thousand.
fn plain_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    let rows = vec![0; width.div_ceil(8) as usize * height as usize];
    writer.write_image_data(&rows).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The same with another size in its head.
fn resized(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

/// A small PNG whose comment or colour profile is the stream of another one's pixels.
fn png_with_bomb(kind: [u8; 4], zeros: &[u8]) -> Vec<u8> {
    let png = plain_png(8, 8);
    let data = memchr::memmem::find(zeros, b"IDAT").unwrap();
    let length = u32::from_be_bytes(zeros[data - 4..data].try_into().unwrap()) as usize;
    let stream = &zeros[data + 4..data + 4 + length];
    let body = [&kind[..], b"x\0\0", stream].concat();
    let chunk = [
        &u32::try_from(body.len() - 4).unwrap().to_be_bytes()[..],
        &body,
        &crc32fast::hash(&body).to_be_bytes(),
    ]
    .concat();
    [&png[..33], &chunk, &png[33..]].concat()
}

/// A GIF that claims a canvas and a frame of 65,535 x 65,535 pixels.
fn huge_gif() -> Vec<u8> {
    let mut bytes = gif_of_frames(1);
    bytes[6..10].fill(0xFF);
    bytes[24..28].fill(0xFF);
    bytes
}

/// A lossless WebP that claims 16,384 x 16,384 pixels.
fn huge_webp() -> Vec<u8> {
    let mut bytes = include_bytes!("../../media/durations/lossless.webp").to_vec();
    let head = memchr::memmem::find(&bytes, b"VP8L").unwrap() + 9;
    bytes[head..head + 3].fill(0xFF);
    bytes[head + 3] |= 0x0F; // 14 bits each for width and height
    bytes
}

/// The beginning of an MP4, followed by these boxes.
fn mp4_of(boxes: &[u8]) -> Vec<u8> {
    [&crate::harness::mp4()[..24], boxes].concat()
}

/// A box.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&size, &kind[..], body].concat()
}

/// A table that claims very many entries and has none.
fn endless_table() -> Vec<u8> {
    let stts = boxed(b"stts", &[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    let table = boxed(b"stbl", &stts);
    let media = boxed(b"mdia", &boxed(b"minf", &table));
    mp4_of(&boxed(b"moov", &boxed(b"trak", &media)))
}

/// Nested elements, each of which claims to extend to the end.
fn nested_ebml() -> Vec<u8> {
    let film = include_bytes!("../../media/durations/film.webm");
    let master = [0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    [&film[..40], &master.repeat(200_000)].concat()
}

/// Endless pages of an Ogg stream without packets.
fn endless_ogg() -> Vec<u8> {
    let page = b"OggS\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\0\0\0\0\0\0\0\0\0\0\0\0";
    [&include_bytes!("../../media/durations/opus.ogg")[..200], &page.repeat(100_000)].concat()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn files_that_are_made_to_cost_take_bounded_memory_and_time() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(data.path()));
    let zeros = plain_png(16_384, 32_768);
    let mut users = 1..;
    let mut store = |bytes: &[u8]| {
        store(&server, users.next().unwrap(), bytes); // another user, because one user's thumbnails would have to wait
        wait_until_drawn(data.path());
    };
    store(&crate::harness::jpeg()); // once, to allocate its buffers
    let (mut little, mut longest) = (0, Duration::ZERO);
    for (what, bytes, most) in [
        ("a PNG of 65,535 pixels a side", resized(plain_png(8, 8), 65_535, 65_535), LITTLE),
        ("a PNG of 2^31 pixels a side", resized(plain_png(8, 8), 0x7FFF_FFFF, 0x7FFF_FFFF), LITTLE),
        ("a PNG of half a gigapixel", zeros.clone(), LITTLE),
        ("the same that says it is small", resized(zeros.clone(), 8, 8), LITTLE),
        ("a PNG with a bomb for a comment", png_with_bomb(*b"zTXt", &zeros), LITTLE),
        ("a PNG with a bomb for a profile", png_with_bomb(*b"iCCP", &zeros), LITTLE),
        ("a PNG of 64 megapixels", plain_png(8192, 8192), DRAWING),
        ("a GIF of 100,000 frames", gif_of_frames(100_000), LITTLE),
        ("a GIF of 65,535 pixels a side", huge_gif(), LITTLE),
        ("a JPEG of 65,535 pixels a side", huge_jpeg(), LITTLE),
        ("a WebP of 16,384 pixels a side", huge_webp(), LITTLE),
        ("empty boxes", mp4_of(&b"\0\0\0\x08free".repeat(500_000)), LITTLE),
        ("boxes within boxes", nested_boxes(), LITTLE),
        ("a sound of 2^64 units", endless_sound(), LITTLE),
        ("a table of 2^32 entries", endless_table(), LITTLE),
        ("elements within elements", nested_ebml(), LITTLE),
        ("pages without end", endless_ogg(), LITTLE),
        (
            "a JPEG of segments",
            [b"\xFF\xD8", &b"\xFF\xE1\0\x02".repeat(1 << 20)[..]].concat(),
            LITTLE,
        ),
        (
            "MP3 frames that are none",
            [b"ID3\x04\0\0\0\0\0\0".as_slice(), &noise(8 << 20)].concat(),
            LITTLE,
        ),
    ] {
        let before = server.cpu_time();
        let grown = server.grows_by(|| store(&bytes));
        let used = server.cpu_time() - before;
        eprintln!("{what}: {} KiB, {used:?}", grown >> 10);
        if most == LITTLE {
            little = little.max(grown);
        }
        longest = longest.max(used);
        assert!(grown < most, "{what}: {grown} bytes of memory");
        assert!(used < LONGEST, "{what}: {used:?}");
    }
    figures(format_args!(
        "at most {} KiB where none is drawn, {longest:?} of the processor",
        little >> 10
    ));
}

fn store(server: &Server, user: i64, bytes: &[u8]) {
    let form = Multipart::default().file("file", bytes);
    Request::upload(form).token(&token(user)).send(&server.host).expect("a reply").ok();
}

/// The reply doesn't wait for a slow thumbnail, whose cost must be counted here.
fn wait_until_drawn(data: &Path) {
    let database = Connection::open(data.join("haversack.db")).unwrap();
    let undrawn = "SELECT count(*) FROM jobs WHERE kind = 'thumbnail'";
    let begun = Instant::now();
    while database.query_row(undrawn, (), |row| row.get::<_, u64>(0)).unwrap() > 0 {
        assert!(begun.elapsed() < PATIENCE, "a thumbnail is never made");
        std::thread::sleep(Duration::from_millis(1));
    }
}
