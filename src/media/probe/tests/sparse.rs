//! Files of gigabytes that consist mostly of holes: the amount read doesn't grow with the file.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use memchr::memmem;

use super::{KNOWN, fixture, sniffed, within_budget};

const HOLE: u64 = 4 << 30;

/// A file with a hole between its two ends.
fn with_hole(before: &[u8], after: &[u8]) -> File {
    with_hole_of(HOLE, before, after)
}

fn with_hole_of(size: u64, before: &[u8], after: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(before).unwrap();
    file.seek(SeekFrom::Current(size.cast_signed())).unwrap();
    file.write_all(after).unwrap();
    file.set_len(before.len() as u64 + size + after.len() as u64).unwrap();
    file
}

/// Asserts that the file has the same facts as the fixture, and that at most `most` bytes are read.
fn assert_still_known(name: &str, file: &File, most: u64) {
    let whole = fixture(name);
    let (_, media_type, duration_secs, size) =
        KNOWN.into_iter().find(|known| known.0 == name).unwrap();
    let size_of_file = file.metadata().unwrap().len();
    let (facts, read) = within_budget(file, size_of_file, &sniffed(&whole));
    assert_eq!(facts.media_type.as_str(), media_type, "{name}");
    assert_eq!(
        (facts.duration_secs, facts.width.zip(facts.height)),
        (duration_secs, size),
        "{name}"
    );
    assert!(read <= most, "{name}: {read} bytes read");
}

fn last(bytes: &[u8], needle: &[u8]) -> usize {
    memmem::rfind(bytes, needle).unwrap()
}

#[test]
fn an_index_after_gigabytes_is_found() {
    let whole = fixture("index-last.mp4");
    let (data, index) = (last(&whole, b"mdat") - 4, last(&whole, b"moov") - 4);
    let mut front = whole[..data].to_vec();
    front.extend(b"\0\0\0\x01mdat");
    front.extend((16 + HOLE).to_be_bytes());
    assert_still_known("index-last.mp4", &with_hole(&front, &whole[index..]), 64 << 10);
}

#[test]
fn an_index_before_gigabytes_is_found() {
    let whole = fixture("index-first.mp4");
    let mut front = whole[..last(&whole, b"mdat") - 4].to_vec();
    front.extend(b"\0\0\0\x01mdat");
    front.extend((16 + HOLE).to_be_bytes());
    assert_still_known("index-first.mp4", &with_hole(&front, &[]), 64 << 10);
}

#[test]
fn fragments_around_gigabytes_are_found() {
    let whole = fixture("fragmented.mp4");
    let fragment = last(&whole, b"moof") - 4;
    let mut front = whole[..fragment].to_vec();
    front.extend(b"\0\0\0\x01mdat");
    front.extend((16 + HOLE).to_be_bytes());
    assert_still_known("fragmented.mp4", &with_hole(&front, &whole[fragment..]), 64 << 10);
}

#[test]
fn the_last_cluster_of_gigabytes_is_found() {
    let whole = fixture("recorded-sound.webm");
    let cluster = last(&whole, &[0x1F, 0x43, 0xB6, 0x75]);
    // This is the only one: the hole stands for the clusters before it.
    let others = [0x1F, 0x43, 0xB6, 0x75, 0x01, 255, 255, 255, 255, 255, 255, 255, 0xE7, 0x81, 0];
    let front = [&whole[..cluster], &others].concat();
    assert_still_known("recorded-sound.webm", &with_hole(&front, &whole[cluster..]), 256 << 10);
}

#[test]
fn the_last_page_of_gigabytes_is_found() {
    for name in ["opus.ogg", "vorbis.ogg", "flac.ogg", "speex.ogg", "theora.ogv"] {
        let whole = fixture(name);
        let page = last(&whole, b"OggS");
        assert_still_known(name, &with_hole(&whole[..page], &whole[page..]), 256 << 10);
    }
}

#[test]
fn the_last_frame_of_gigabytes_is_found() {
    let whole = fixture("piped.flac");
    let middle = whole.len() / 4;
    assert_still_known("piped.flac", &with_hole(&whole[..middle], &whole[middle..]), 256 << 10);
}

#[test]
fn the_last_times_of_streams_of_gigabytes_are_found() {
    for (name, unit) in
        [("film.ts", 188), ("film.m2ts", 192), ("film.mpg", 2048), ("film.vob", 2048)]
    {
        let whole = fixture(name);
        let middle = whole.len() / 2 / unit * unit;
        // The length of a hole is a multiple of the packet length.
        let hole = HOLE / unit as u64 * unit as u64;
        let file = with_hole_of(hole, &whole[..middle], &whole[middle..]);
        assert_still_known(name, &file, 640 << 10);
    }
}

#[test]
fn the_head_of_a_file_of_gigabytes_is_enough() {
    for name in ["film.avi", "notes.mid", "pcm.aiff"] {
        assert_still_known(name, &with_hole(&fixture(name), &[]), 64 << 10);
    }
}

#[test]
fn the_last_tag_of_gigabytes_is_found() {
    let whole = fixture("live.flv");
    let length = u32::from_be_bytes(*whole.last_chunk().unwrap()) as usize;
    let last = whole.len() - 4 - length;
    assert_still_known("live.flv", &with_hole(&whole[..last], &whole[last..]), 64 << 10);
}

#[test]
fn audio_before_gigabytes_of_nothing_is_counted_to_its_end() {
    for name in [
        "constant.mp3",
        "varying-bare.mp3",
        "varying-xing.mp3",
        "bare.aac",
        "plain.flac",
        "pcm.wav",
    ] {
        assert_still_known(name, &with_hole(&fixture(name), &[]), 256 << 10);
    }
}

#[test]
fn pictures_before_gigabytes_of_nothing_have_the_same_size() {
    for (name, media_type, ..) in KNOWN {
        if media_type.starts_with("image/") {
            assert_still_known(name, &with_hole(&fixture(name), &[]), 64 << 10);
        }
    }
}

#[test]
fn a_cover_of_many_megabytes_isnt_read() {
    let sound = fixture("constant.mp3");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"ID3\x04\0\0\x7F\x7F\x7F\x7F").unwrap();
    file.seek(SeekFrom::Start(10 + (1 << 28) - 1)).unwrap();
    file.write_all(&sound).unwrap();
    assert_still_known("constant.mp3", &file, 64 << 10);
}

#[test]
fn the_rest_of_long_audio_is_extrapolated() {
    let frames = fixture("constant.mp3");
    let long = frames.repeat(4_000); // 24 MB, 12,000 s
    let (facts, read) =
        within_budget(std::io::Cursor::new(&long), long.len() as u64, &sniffed(&long));
    assert_eq!(
        facts.duration_secs.map(|secs| (12_200..12_260).contains(&secs)),
        Some(true),
        "{facts:?}"
    );
    assert!(read < 9 << 20, "{read} bytes read");
}
