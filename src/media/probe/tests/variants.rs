//! Files like real ones, built here: variants written by other encoders and in other versions of a format.

use super::hostile::{element, iso, mp4, page, webm};
use super::{facts, fixture};

/// `mvhd` or `mdhd` of this version, with 10 units per second.
fn clock(kind: &[u8], version: u8, duration: u64) -> Vec<u8> {
    let times = vec![0; if version == 1 { 16 } else { 8 }];
    let duration = duration.to_be_bytes();
    let duration = &duration[if version == 1 { 0 } else { 4 }..];
    let parts = [&[version, 0, 0, 0][..], &times, &10_u32.to_be_bytes(), duration, &[0; 80]];
    iso(kind, &parts.concat())
}

fn track(version: u8, duration: u64) -> Vec<u8> {
    let times = iso(b"stts", b"\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0\x0A\0\0\0\x01\0\0\0\x14");
    let table = iso(b"minf", &iso(b"stbl", &times));
    iso(b"trak", &iso(b"mdia", &[clock(b"mdhd", version, duration), table].concat()))
}

#[test]
fn a_duration_of_all_ones_is_unknown_in_every_box() {
    for (version, unknown) in [(0, u64::from(u32::MAX)), (1, u64::MAX), (0, 0)] {
        // First each box has its turn alone; at the end, only the samples have a duration.
        let film = |movie: u64, track_says: u64| {
            facts(&mp4(&[clock(b"mvhd", version, movie), track(version, track_says)].concat()))
        };
        assert_eq!(film(70, unknown).duration_secs, Some(7), "version {version}");
        assert_eq!(film(unknown, 60).duration_secs, Some(6), "version {version}");
        assert_eq!(film(unknown, unknown).duration_secs, Some(5), "version {version}");
        let whole = [&[version, 0, 0, 0][..], &u64::MAX.to_be_bytes()].concat();
        let fragments = iso(b"mvex", &iso(b"mehd", &whole));
        let film = mp4(&[clock(b"mvhd", version, 70), fragments].concat());
        assert_eq!(facts(&film).duration_secs, Some(7), "version {version}");
    }
}

fn matroska_of(video: &[(u32, u64)]) -> Vec<u8> {
    let video: Vec<u8> =
        video.iter().flat_map(|(id, number)| element(*id, &number.to_be_bytes())).collect();
    let track = [element(0x83, &[1]), element(0xE0, &video)].concat();
    webm(&element(0x1654_AE6B, &element(0xAE, &track)))
}

#[test]
fn a_display_size_that_is_not_in_pixels_is_an_aspect_ratio() {
    let pixels = [(0xB0, 720), (0xBA, 576)];
    for (unit, display, shown) in [
        (0, (1024, 576), (1024, 576)),
        (0, (720, 405), (720, 405)),
        (0, (16, 9), (1024, 576)),
        (1, (40, 30), (768, 576)), // centimetres
        (2, (16, 9), (1024, 576)), // inches
        (3, (16, 9), (1024, 576)),
        (3, (0, 9), (720, 576)),
        (3, (u64::MAX, 1), (720, 576)),
        (4, (16, 9), (720, 576)), // unknown
    ] {
        let display = [(0x54B0, display.0), (0x54BA, display.1), (0x54B2, unit)];
        let facts = facts(&matroska_of(&[&pixels[..], &display].concat()));
        assert_eq!(facts.width.zip(facts.height), Some(shown), "unit {unit}, {display:?}");
    }
}

/// A WAV file with 8,000 Hz and 1,000 bytes of data, in blocks of 100.
fn wav(tag: u16, chunks: &[u8], data: u32) -> Vec<u8> {
    let format = [
        &tag.to_le_bytes()[..],
        &[1, 0],
        &8_000_u32.to_le_bytes(),
        &100_u32.to_le_bytes(),
        &[100, 0, 4, 0, 2, 0],
        &1_600_u16.to_le_bytes(),
    ];
    let format = [&[20, 0, 0, 0][..], &format.concat()].concat();
    let head = if data == u32::MAX { b"RF64" } else { b"RIFF" };
    let data = [&b"data"[..], &data.to_le_bytes(), &[7; 1000]].concat();
    [&head[..], b"\0\0\0\0WAVEfmt ", &format, chunks, &data].concat()
}

fn fact(samples: u32) -> Vec<u8> {
    [&b"fact\x04\0\0\0"[..], &samples.to_le_bytes()].concat()
}

#[test]
fn samples_count_where_a_codec_has_no_fixed_rate() {
    for (file, seconds) in [
        (wav(0x02, &fact(40_000), 1000), 5),
        (wav(0x55, &fact(40_000), 1000), 5),
        (wav(0x11, &[], 1000), 2),      // ten blocks of 1,600 samples
        (wav(0x02, &fact(0), 1000), 2), // as written to a pipe
        (wav(0x55, &fact(u32::MAX), 1000), 10),
        (wav(0x01, &fact(40_000), 1000), 10), // for PCM, the bytes count
    ] {
        assert_eq!(facts(&file).duration_secs, Some(seconds), "{:?}", &file[..60]);
    }
}

#[test]
fn sizes_of_64_bits_count_in_rf64() {
    let sizes = |data: u64, samples: u64| {
        [&b"ds64\x1C\0\0\0"[..], &[0; 8], &data.to_le_bytes(), &samples.to_le_bytes(), &[0; 4]]
            .concat()
    };
    assert_eq!(facts(&wav(0x01, &sizes(1000, 0), u32::MAX)).duration_secs, Some(10));
    assert_eq!(facts(&wav(0x01, &sizes(500, 0), u32::MAX)).duration_secs, Some(5));
    assert_eq!(facts(&wav(0x01, &sizes(1001, 0), u32::MAX)).duration_secs, None); // truncated
    assert_eq!(facts(&wav(0x02, &sizes(1000, 40_000), u32::MAX)).duration_secs, Some(5));
}

#[test]
fn links_of_a_chain_count_even_under_the_same_serial() {
    let head = b"OpusHead\x01\x01\0\0\x80\xBB\0\0\0\0\0";
    let link = |seconds: u64| [page(2, 0, head), page(4, 48_000 * seconds, b"sound")].concat();
    assert_eq!(facts(&link(3)).duration_secs, Some(3));
    assert_eq!(facts(&[link(3), link(5)].concat()).duration_secs, Some(8));
    assert_eq!(facts(&[link(3), link(5), link(1)].concat()).duration_secs, Some(9));
    // The last page is truncated.
    let whole = [link(3), link(5)].concat();
    assert_eq!(facts(&whole[..whole.len() - 1]).duration_secs, Some(3));
    let fixture = [fixture("opus.ogg"), fixture("vorbis.ogg"), fixture("opus.ogg")].concat();
    assert_eq!(facts(&fixture).duration_secs, Some(9));
}

#[test]
fn a_gif_is_as_large_as_its_screen_and_first_frame() {
    let gif = |flags: u8, before: &[u8], frame: [u8; 8]| {
        let palette = if flags == 0 { vec![] } else { vec![9; 12] };
        [b"GIF89a\x0A\0\x14\0", &[flags, 0, 0][..], &palette, before, b",", &frame, &[0; 9]]
            .concat()
    };
    let comment = b"\x21\xFE\x03abc\x02de\0";
    for (file, size) in [
        (gif(0, b"", [0, 0, 0, 0, 5, 0, 5, 0]), (10, 20)),
        (gif(0x81, comment, [6, 0, 0, 0, 5, 0, 5, 0]), (11, 20)),
        (gif(0, comment, [0, 0, 16, 0, 5, 0, 5, 0]), (10, 21)),
        (gif(0, b"", [255; 8]), (131_070, 131_070)),
    ] {
        let facts = facts(&file);
        assert_eq!(facts.width.zip(facts.height), Some(size));
    }
}

#[test]
fn bytes_between_segments_of_a_jpeg_are_skipped() {
    let file = fixture("turned.jpg");
    let exif = memchr::memmem::find(&file, b"\xFF\xE1").unwrap();
    for gap in [&b"\0"[..], b"\0\xFF\0", b"\xFF\xFF", &[7; 1000]] {
        let with_gap = [&file[..exif], gap, &file[exif..]].concat();
        let facts = facts(&with_gap);
        assert_eq!((facts.width, facts.height), (Some(40), Some(60)), "{gap:?}");
    }
}
