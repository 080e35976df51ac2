//! Real files in `tests/media/durations` (made by `tests/media/make-durations.sh`), whole and damaged, and hostile
//! files.

mod damaged;
mod hostile;
mod older;
mod sparse;
mod variants;

use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::window::{BYTES, READS};
use super::{Facts, is_probed, probe};
use crate::media::{MediaType, SNIFF_LEN, sniff};

/// File, type, seconds, width and height.
type Known = (&'static str, &'static str, Option<u64>, Option<(u32, u32)>);

const KNOWN: [Known; 74] = [
    ("index-first.mp4", "video/mp4", Some(3), Some((64, 48))),
    ("index-last.mp4", "video/mp4", Some(3), Some((64, 48))),
    ("fragmented.mp4", "video/mp4", Some(3), Some((64, 48))),
    ("fragmented-sidx.mp4", "video/mp4", Some(3), Some((64, 48))),
    ("fragmented-sound.mp4", "audio/mp4", Some(4), None),
    ("upright.mov", "video/quicktime", Some(3), Some((64, 48))),
    ("rotated.mov", "video/quicktime", Some(3), Some((48, 64))),
    ("sound.mov", "video/quicktime", Some(2), None),
    ("sound.m4a", "audio/mp4", Some(2), None),
    ("sound.mp4", "audio/mp4", Some(2), None),
    ("cover-track.mp4", "audio/mp4", Some(2), None),
    ("film.3gp", "video/3gpp", Some(2), Some((176, 144))),
    ("sound.3gp", "audio/3gpp", Some(2), None),
    ("wide-pixels.mp4", "video/mp4", Some(1), Some((128, 48))),
    ("film.webm", "video/webm", Some(3), Some((64, 48))),
    ("sound.webm", "audio/webm", Some(3), None),
    ("recorded.webm", "video/webm", Some(3), Some((64, 48))),
    ("recorded-sound.webm", "audio/webm", Some(5), None),
    ("piped.webm", "video/webm", Some(3), Some((64, 48))),
    ("film.mkv", "video/matroska", Some(3), Some((64, 48))),
    ("sound.mka", "audio/matroska", Some(2), None),
    ("wide-pixels.webm", "video/webm", Some(1), Some((128, 48))),
    ("constant.mp3", "audio/mpeg", Some(3), None),
    ("varying-xing.mp3", "audio/mpeg", Some(3), None),
    ("varying-bare.mp3", "audio/mpeg", Some(6), None),
    ("cover.mp3", "audio/mpeg", Some(3), None),
    ("vorbis.ogg", "audio/ogg", Some(3), None),
    ("opus.ogg", "audio/ogg", Some(3), None),
    ("flac.ogg", "audio/ogg", Some(2), None),
    ("speex.ogg", "audio/ogg", Some(3), None),
    ("theora.ogv", "video/ogg", Some(3), Some((64, 48))),
    ("pcm.wav", "audio/wav", Some(2), None),
    ("piped.wav", "audio/wav", Some(2), None),
    ("plain.flac", "audio/flac", Some(2), None),
    ("piped.flac", "audio/flac", Some(2), None),
    ("bare.aac", "audio/aac", Some(3), None),
    ("plain.jpg", "image/jpeg", None, Some((60, 40))),
    ("plain.png", "image/png", None, Some((60, 40))),
    ("plain.gif", "image/gif", None, Some((60, 40))),
    ("plain.bmp", "image/bmp", None, Some((60, 40))),
    ("lossy.webp", "image/webp", None, Some((60, 40))),
    ("lossless.webp", "image/webp", None, Some((60, 40))),
    ("animated.webp", "image/webp", None, Some((60, 40))),
    ("plain.heic", "image/heic", None, Some((60, 40))),
    ("plain.avif", "image/avif", None, Some((60, 40))),
    ("turned.jpg", "image/jpeg", None, Some((40, 60))),
    ("turned.png", "image/png", None, Some((40, 60))),
    ("turned.webp", "image/webp", None, Some((60, 40))),
    ("turned.heic", "image/heic", None, Some((40, 60))),
    ("turned.avif", "image/avif", None, Some((40, 60))),
    ("exif-turned.heic", "image/heic", None, Some((60, 40))),
    ("plain.tif", "image/tiff", None, Some((60, 40))),
    ("turned.tif", "image/tiff", None, Some((40, 60))),
    ("preview.tif", "image/tiff", None, Some((60, 40))),
    ("plain.jp2", "image/jp2", None, Some((60, 40))),
    ("plain.ico", "image/vnd.microsoft.icon", None, Some((256, 256))),
    ("narrow.amr", "audio/amr", Some(3), None),
    ("wide.amr", "audio/amr-wb", Some(3), None),
    ("pcm.aiff", "audio/aiff", Some(2), None),
    ("packed.aifc", "audio/aiff", Some(2), None),
    ("notes.mid", "audio/midi", Some(4), None),
    ("film.ts", "video/mp2t", Some(3), Some((64, 48))),
    ("film.m2ts", "video/mp2t", Some(3), Some((64, 48))),
    ("hevc.ts", "video/mp2t", Some(3), Some((64, 48))),
    ("wide-pixels.ts", "video/mp2t", Some(1), Some((128, 48))),
    ("sound.ts", "video/mp2t", Some(2), None),
    ("wide.ts", "video/mp2t", Some(3), Some((85, 48))),
    ("film.mpg", "video/mpeg", Some(3), Some((64, 48))),
    ("film.vob", "video/mpeg", Some(3), Some((64, 48))),
    ("film.avi", "video/x-msvideo", Some(3), Some((64, 48))),
    ("film.wmv", "video/x-ms-asf", Some(3), Some((64, 48))),
    ("sound.wma", "video/x-ms-asf", Some(2), None),
    ("film.flv", "video/x-flv", Some(3), Some((64, 48))),
    ("live.flv", "video/x-flv", Some(3), Some((64, 48))),
];

/// Files modelled on real ones, in `tests/media/cases`.
const CASES: [Known; 17] = [
    ("jpeg-byte-between-segments.jpg", "image/jpeg", None, Some((613, 403))),
    ("jpeg-fill-before-first-marker.jpg", "image/jpeg", None, Some((613, 403))),
    ("jpeg-mjpeg-avi1-no-dht.jpg", "image/jpeg", None, Some((613, 403))),
    ("jpeg-orientation-as-long.jpg", "image/jpeg", None, Some((613, 403))),
    ("jpeg-second-exif-has-orientation.jpg", "image/jpeg", None, Some((613, 403))),
    ("webp-exif-orientation-6.webp", "image/webp", None, Some((613, 403))),
    ("webp-lossless-40MP-90kB.webp", "image/webp", None, Some((6_600, 6_000))),
    ("gif-screen-1x1-frame-613x403.gif", "image/gif", None, Some((613, 403))),
    ("apng_hidden_default.png", "image/png", None, Some((32, 32))),
    ("mp4-mvhd-duration-all-ones.mp4", "video/mp4", Some(3), Some((64, 48))),
    ("mov-begins-with-free.mov", "video/quicktime", Some(1), Some((64, 48))),
    ("mkv-divx-display-4x3.mkv", "video/matroska", Some(1), Some((320, 240))),
    ("wav-adpcm-10s.wav", "audio/wav", Some(10), None),
    ("amr-wb.amr", "audio/amr-wb", Some(1), None),
    ("bigtiff.tif", "image/tiff", None, Some((64, 48))),
    ("sound.aifc", "audio/aiff", Some(1), None),
    ("ogg-opus-chained-3s-5s.ogg", "audio/ogg", Some(8), None),
];

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/durations/");
    fs::read(format!("{folder}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn sniffed(bytes: &[u8]) -> MediaType {
    sniff(&bytes[..bytes.len().min(SNIFF_LEN)], None)
}

/// Probes a file in memory.
fn facts(bytes: &[u8]) -> Facts {
    within_budget(Cursor::new(bytes), bytes.len() as u64, &sniffed(bytes)).0
}

/// Probes a file. Returns the facts and the number of bytes read. Fails if the probe exceeds its budget.
fn within_budget<R: Read + Seek>(source: R, size: u64, sniffed: &MediaType) -> (Facts, u64) {
    let mut source = Counted::new(source);
    let begun = used_by_this_thread();
    let facts = probe(&mut source, size, sniffed);
    assert!(source.reads <= READS && source.bytes <= BYTES, "{} reads", source.reads);
    // Twice the time limit of a probe, in processor time, so that a busy machine makes no difference.
    let used = used_by_this_thread().saturating_sub(begun);
    assert!(used < Duration::from_secs(4), "{used:?}");
    (facts, source.bytes)
}

fn used_by_this_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it only ever grows from zero")
}

/// A source that counts reads and bytes.
struct Counted<R> {
    source: R,
    reads: u32,
    bytes: u64,
}

impl<R> Counted<R> {
    fn new(source: R) -> Self {
        Self { source, reads: 0, bytes: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(out)?;
        self.reads += 1;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

fn expected((_, media_type, duration_secs, size): Known) -> Facts {
    Facts {
        media_type: MediaType::parse(media_type).unwrap(),
        duration_secs,
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
    }
}

#[test]
fn fixtures_have_the_known_type_duration_and_size() {
    for known in KNOWN {
        assert_eq!(facts(&fixture(known.0)), expected(known), "{}", known.0);
    }
}

#[test]
fn files_modelled_on_real_ones_have_the_known_type_duration_and_size() {
    let wrong = CASES.map(|known| {
        let path = format!("{}/tests/media/cases/{}", env!("CARGO_MANIFEST_DIR"), known.0);
        let file = fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        Some((known.0, facts(&file))).filter(|(_, facts)| *facts != expected(known))
    });
    assert_eq!(wrong, [const { None }; CASES.len()]);
}

#[test]
fn audio_after_a_tag_longer_than_the_head_is_detected() {
    // Seven bits per byte: a tag of 0x80 * 0x80 bytes.
    let tag = [&b"ID3\x04\0\0\0\x01\0\0"[..], &[0; 0x4000]].concat();
    for (name, media_type, seconds) in [
        ("plain.flac", "audio/flac", 2),
        ("bare.aac", "audio/aac", 3),
        ("constant.mp3", "audio/mpeg", 3),
    ] {
        let facts = facts(&[&tag[..], &fixture(name)].concat());
        assert_eq!((facts.media_type.as_str(), facts.duration_secs), (media_type, Some(seconds)));
    }
}

#[test]
fn an_mp4_of_unknown_brand_is_what_its_tracks_are() {
    for (name, media_type) in [("index-last.mp4", "video/mp4"), ("sound.m4a", "audio/mp4")] {
        let mut file = fixture(name);
        let end = usize::from(file[3]);
        file[8..end].fill(b'x');
        assert_eq!(sniffed(&file).as_str(), "application/mp4");
        assert_eq!(facts(&file).media_type.as_str(), media_type);
    }
}

#[test]
fn types_without_facts_are_not_read() {
    for other in ["text/plain", "image/svg+xml", "application/zip", "application/octet-stream"] {
        let media_type = MediaType::parse(other).unwrap();
        let mut source = Counted::new(Cursor::new(fixture("index-first.mp4")));
        let facts = probe(&mut source, 10_849, &media_type);
        assert_eq!((facts.media_type, facts.duration_secs, facts.width), (media_type, None, None));
        assert_eq!(source.reads, 0);
    }
}

#[test]
fn every_fixture_is_probed() {
    for (name, ..) in KNOWN {
        assert!(is_probed(&sniffed(&fixture(name))), "{name}");
    }
}

#[test]
fn every_fixture_is_known() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/durations");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<_> = KNOWN.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort();
    known.sort();
    assert_eq!(names, known);
}
