//! Truncated fixtures, and fixtures with changed bytes.

use std::io::{Cursor, Seek, SeekFrom};

use super::{Counted, KNOWN, facts, fixture, sniffed, within_budget};
use crate::media::MediaType;
use crate::media::probe::probe;

/// Pseudo-random numbers, the same in every run (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Number of lengths to which each fixture is truncated, besides those within its first bytes.
const CUTS: usize = 300;

#[test]
fn a_truncated_file_gives_no_wrong_facts() {
    let mut wrong = Vec::new();
    for (name, _, seconds, size) in KNOWN {
        let whole = fixture(name);
        let media_type = sniffed(&whole);
        let lengths = (0..whole.len()).step_by(whole.len() / CUTS + 1);
        for length in (0..CUTS.min(whole.len())).chain(lengths) {
            let cut = &whole[..length];
            let (facts, _) = within_budget(Cursor::new(cut), length as u64, &media_type);
            let shown = facts.width.zip(facts.height);
            // A PNG whose EXIF is missing isn't rotated, which is right.
            let is_right = shown.is_none() || shown == size || name == "turned.png";
            if facts.duration_secs > seconds || !is_right {
                wrong.push((name, length, facts.duration_secs, shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_truncated_number_is_ignored() {
    let size = Some((613, 403));
    let of_words = |head: &[u8], words: [u32; 2], order: fn(u32) -> [u8; 4]| {
        [head, &words.map(order).concat(), &[8; 40]].concat()
    };
    let entry =
        |tag: u8, value: u32| [&[tag, 1, 4, 0, 1, 0, 0, 0][..], &value.to_le_bytes()].concat();
    let tiff = [&b"II*\0\x08\0\0\0\x02\0"[..], &entry(0, 613), &entry(1, 403)].concat();
    let jp2 = b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x38jp2h\0\0\0\x30ihdr";
    let icon = b"\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x16\0\0\0\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR";
    for (media_type, file) in [
        ("image/png", of_words(&icon[22..], [613, 403], u32::to_be_bytes)),
        ("image/vnd.microsoft.icon", of_words(icon, [613, 403], u32::to_be_bytes)),
        ("image/jp2", of_words(jp2, [403, 613], u32::to_be_bytes)),
        (
            "image/bmp",
            of_words(&[[40; 1], [0; 1]].concat().repeat(9), [613, 403], u32::to_le_bytes),
        ),
        ("image/gif", of_words(b"GIF89a", [(403 << 16) + 613, 0], u32::to_le_bytes)),
        (
            "image/jpeg",
            of_words(b"\xFF\xD8\xFF\xC0\0\x0B\x08", [(403 << 16) + 613, 0], u32::to_be_bytes),
        ),
        ("image/tiff", tiff),
    ] {
        let media_type = MediaType::parse(media_type).unwrap();
        let sizes = (0..=file.len()).map(|length| {
            let (facts, _) =
                within_budget(Cursor::new(&file[..length]), length as u64, &media_type);
            facts.width.zip(facts.height)
        });
        let mut sizes: Vec<_> = sizes.collect();
        sizes.dedup();
        assert_eq!(sizes, [None, size], "{media_type:?}");
    }
}

#[test]
fn a_file_with_changed_bytes_is_read_like_any_other() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for (name, ..) in KNOWN {
        let whole = fixture(name);
        let media_type = sniffed(&whole);
        for _ in 0..200 {
            let mut changed = whole.clone();
            // Probes read mostly heads and tails.
            let reach = [64, 1024, changed.len()][dice.below(3)].min(changed.len());
            let from = if dice.below(2) == 0 { 0 } else { changed.len() - reach };
            for _ in 0..=dice.below(8) {
                let value = [0, 1, 0x7F, 0x80, 0xFF, dice.below(256)][dice.below(6)];
                changed[from + dice.below(reach)] = u8::try_from(value).unwrap();
            }
            let _ = within_budget(Cursor::new(&changed), changed.len() as u64, &media_type);
        }
    }
}

#[test]
fn a_file_shorter_than_it_claims_has_no_duration() {
    for name in [
        "index-first.mp4",
        "fragmented.mp4",
        "film.webm",
        "sound.mka",
        "pcm.wav",
        "varying-xing.mp3",
    ] {
        let whole = fixture(name);
        assert_eq!(facts(&whole[..whole.len() * 2 / 3]).duration_secs, None, "{name}");
    }
}

#[test]
fn a_truncated_recording_lasts_as_long_as_its_remaining_data() {
    for (name, seconds) in
        [("recorded-sound.webm", 2), ("opus.ogg", 1), ("bare.aac", 1), ("piped.wav", 1)]
    {
        let whole = fixture(name);
        assert_eq!(facts(&whole[..whole.len() / 2]).duration_secs, Some(seconds), "{name}");
    }
}

#[test]
fn a_source_shorter_than_its_size_is_read_like_any_other() {
    for (name, ..) in KNOWN {
        let whole = fixture(name);
        for size in [whole.len() as u64 + 1, 1 << 40, u64::MAX] {
            let _ = within_budget(Cursor::new(&whole), size, &sniffed(&whole));
        }
    }
}

#[test]
fn the_end_of_a_source_is_not_read_repeatedly() {
    let mut source = Counted::new(Cursor::new(b"nothing"));
    let _ = probe(&mut source, u64::MAX, &MediaType::parse("audio/mpeg").unwrap());
    assert!(source.reads < 5, "{} reads", source.reads);
}

#[test]
fn a_failing_source_gives_no_facts() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Other.into())
        }
    }
    impl Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
            Ok(0)
        }
    }
    for (name, ..) in KNOWN {
        let media_type = sniffed(&fixture(name));
        let facts = probe(Broken, 1 << 20, &media_type);
        assert_eq!(
            (facts.media_type, facts.duration_secs, facts.width),
            (media_type, None, None),
            "{name}"
        );
    }
}
