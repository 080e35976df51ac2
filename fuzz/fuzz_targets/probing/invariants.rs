//! Owns what must hold for what any file says of itself, for the fuzz target and for the tests that replay its
//! corpus: it costs no more than the probe's documentation says, whatever the size, and is plausible.

use std::io::{self, Read, Seek, SeekFrom};

use haversack::media::{Facts, MediaType, is_probed, probe, sniff};

/// What the probe's documentation promises.
const MAX_READS: u64 = 20_000;
const MAX_BYTES: u64 = 16 << 20;

/// One of each kind of reader, for bytes that aren't sniffed as it.
const TYPES: [&str; 23] = [
    "video/mp4",
    "video/webm",
    "video/ogg",
    "audio/wav",
    "audio/flac",
    "audio/mpeg",
    "image/heic",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/vnd.microsoft.icon",
    "image/jp2",
    "audio/amr",
    "audio/aiff",
    "audio/midi",
    "video/x-msvideo",
    "video/x-ms-asf",
    "video/x-flv",
    "video/mp2t",
    "video/mpeg",
];

/// An input is how large the file is, which type it is taken for, and its bytes, which come again and again
/// up to that size.
pub(crate) fn check(input: &[u8]) {
    let [scale, kind, file @ ..] = input else { return };
    let sniffed = match TYPES.get(usize::from(*kind)) {
        Some(essence) => MediaType::parse(essence).expect("a type"),
        None => sniff(file, None),
    };
    let length = file.len() as u64;
    // Mostly its own; also somewhat less, more than there is, and up to 2^62.
    for size in [length, length / 2, length + 1, length << (scale % 44)] {
        let mut cost = Cost::default();
        let source = Endless { file, ends: size.max(length), at: 0, cost: &mut cost };
        let facts = probe(source, size, &sniffed);
        check_facts(&facts, &sniffed);
        assert!(is_probed(&sniffed) || cost.reads == 0);
        assert!(cost.reads <= MAX_READS + 1, "{} reads", cost.reads);
        assert!(cost.bytes <= MAX_BYTES + (1 << 20), "{} bytes", cost.bytes);
    }
}

fn check_facts(facts: &Facts, sniffed: &MediaType) {
    let ten_years = 10 * 365 * 24 * 3600;
    assert!(facts.duration_secs.is_none_or(|secs| (1..=ten_years).contains(&secs)), "{facts:?}");
    assert_eq!(facts.width.is_some(), facts.height.is_some(), "{facts:?}");
    assert!(facts.width != Some(0) && facts.height != Some(0), "{facts:?}");
    let (was, is) = (sniffed.essence(), facts.media_type.essence());
    let same = |a: &str, b: &str| a.split_once('/').map(|a| a.1) == b.split_once('/').map(|b| b.1);
    assert!(was == is || same(was, is), "{was} became {is}");
    assert!(was == is || is.starts_with("audio/") || is.starts_with("video/"), "{was} became {is}");
}

#[derive(Default)]
struct Cost {
    reads: u64,
    bytes: u64,
}

/// Bytes over and over, up to an end.
struct Endless<'a> {
    file: &'a [u8],
    ends: u64,
    at: u64,
    cost: &'a mut Cost,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cost.reads += 1;
        if self.file.is_empty() || self.at >= self.ends {
            return Ok(0);
        }
        let from = usize::try_from(self.at % self.file.len() as u64).expect("within the file");
        let left = usize::try_from(self.ends - self.at).unwrap_or(usize::MAX);
        let piece = &self.file[from..];
        let length = piece.len().min(buffer.len()).min(left);
        buffer[..length].copy_from_slice(&piece[..length]);
        self.at += length as u64;
        self.cost.bytes += length as u64;
        Ok(length)
    }
}

impl Seek for Endless<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.ends.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
