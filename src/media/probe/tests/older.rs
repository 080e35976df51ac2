//! Hostile files in older containers and streams: truncated, endless, or with impossible numbers.

use std::io::Cursor;

use super::{fixture, sniffed, within_budget};
use crate::media::{Facts, MediaType};

/// Probes a file as this type.
fn facts_as(media_type: &str, file: &[u8]) -> Facts {
    let media_type = MediaType::parse(media_type).unwrap();
    within_budget(Cursor::new(file), file.len() as u64, &media_type).0
}

fn says_nothing(media_type: &str, file: &[u8]) {
    let facts = facts_as(media_type, file);
    assert_eq!((facts.duration_secs, facts.width), (None, None), "{media_type}");
}

#[test]
fn older_files_shorter_than_they_claim_have_no_duration() {
    for name in ["pcm.aiff", "film.avi", "film.wmv", "film.flv", "live.flv", "notes.mid"] {
        let whole = fixture(name);
        let facts = facts_as(sniffed(&whole).essence(), &whole[..whole.len() * 2 / 3]);
        assert_eq!(facts.duration_secs, None, "{name}");
    }
}

#[test]
fn a_truncated_stream_lasts_as_long_as_its_remaining_data() {
    for (name, least) in [("film.ts", 1), ("film.m2ts", 1), ("film.mpg", 1), ("narrow.amr", 1)] {
        let whole = fixture(name);
        let facts = facts_as(sniffed(&whole).essence(), &whole[..whole.len() / 2]);
        assert!((least..3).contains(&facts.duration_secs.unwrap()), "{name}");
    }
}

#[test]
fn reading_stops_in_endless_frames_of_amr() {
    let sound = [&b"#!AMR\n"[..], &vec![0x7C; 20 << 20]].concat(); // frames without data, one byte each
    assert_eq!(facts_as("audio/amr", &sound).duration_secs, Some((20 << 20) / 50));
    says_nothing("audio/amr", b"#!AMR\n\xFF\xFF\xFF");
    says_nothing("audio/amr", b"#!AMR");
    says_nothing("audio/amr-wb", &[&b"#!AMR-WB_MC1.0\n\0\0\0\0"[..], &[0x54; 9]].concat());
}

#[test]
fn impossible_rates_of_aiff_are_unknown() {
    let aiff = |samples: u32, rate: [u8; 10]| {
        let body = [&[0, 1][..], &samples.to_be_bytes(), &[0, 8], &rate].concat();
        let sound = [&b"SSND\0\0\0\x08"[..], &[0; 8]].concat();
        [&b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12"[..], &body, &sound].concat()
    };
    // 2^n is stored as 16,383 + n, and a leading 1 bit.
    let power = |n: u16| {
        let [high, low] = (16_383 + n).to_be_bytes();
        [high, low, 0x80, 0, 0, 0, 0, 0, 0, 0]
    };
    assert_eq!(facts_as("audio/aiff", &aiff(16_384, power(13))).duration_secs, Some(2));
    for rate in [power(0), power(63), power(900), [0; 10], [0xFF; 10], [0x80; 10]] {
        says_nothing("audio/aiff", &aiff(u32::MAX, rate));
    }
    says_nothing("audio/aiff", &[&b"FORM\0\0\0\0AIFF"[..], &vec![0; 1 << 20]].concat());
}

fn chunk(kind: &[u8], body: &[u8]) -> Vec<u8> {
    [kind, &u32::try_from(body.len()).unwrap().to_le_bytes(), body].concat()
}

fn avi(streams: &[u8]) -> Vec<u8> {
    let list = chunk(b"LIST", &[b"hdrl", streams].concat());
    [&b"RIFF\0\0\0\0AVI "[..], &list].concat()
}

#[test]
fn impossible_numbers_of_avi_are_unknown() {
    let stream = |kind: &[u8], scale: u32, rate: u32, units: u32| {
        let times = [scale.to_le_bytes(), rate.to_le_bytes(), [0; 4], units.to_le_bytes()].concat();
        let header = chunk(b"strh", &[kind, &[0; 16], &times].concat());
        chunk(b"LIST", &[b"strl", &header[..]].concat())
    };
    let read = |streams: &[u8]| facts_as("video/x-msvideo", &avi(streams)).duration_secs;
    assert_eq!(read(&stream(b"vids", 1, 25, 50)), Some(2));
    assert_eq!(read(&stream(b"txts", 1, 25, 50)), None);
    for (scale, rate, units) in [(0, 25, 50), (1, 0, 50), (u32::MAX, 1, u32::MAX), (1, 25, 0)] {
        assert_eq!(read(&stream(b"vids", scale, rate, units)), None);
    }
    says_nothing("video/x-msvideo", &avi(&chunk(b"LIST", b"strl").repeat(500_000)));
    says_nothing("video/x-msvideo", &avi(&chunk(b"junk", b"").repeat(1_000_000)));
}

/// An ASF file with one object of this size.
fn asf(kind: &[u8], size: u64, body: &[u8]) -> Vec<u8> {
    let object = [kind, &size.to_le_bytes(), body].concat();
    let length = 30 + object.len() as u64;
    let head = b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\0\xAA\0\x62\xCE\x6C";
    [&head[..], &length.to_le_bytes(), &[1, 0, 0, 0, 1, 2], &object].concat()
}

#[test]
fn impossible_numbers_of_asf_are_unknown() {
    let kind = b"\xA1\xDC\xAB\x8C\x47\xA9\xCF\x11\x8E\xE4\x00\xC0\x0C\x20\x53\x65";
    let properties = |ticks: u64, preroll: u64, flags: u8| {
        let numbers = [[0; 8], [0; 8], ticks.to_le_bytes(), [0; 8], preroll.to_le_bytes()].concat();
        [&[0; 24][..], &numbers, &[flags, 0, 0, 0]].concat()
    };
    let read = |body: &[u8]| facts_as("video/x-ms-asf", &asf(kind, 92, body)).duration_secs;
    assert_eq!(read(&properties(50_000_000, 3000, 0)), Some(2));
    assert_eq!(read(&properties(50_000_000, 3000, 1)), None); // live
    for (ticks, preroll) in [(u64::MAX, 0), (1, u64::MAX), (0, 0)] {
        assert_eq!(read(&properties(ticks, preroll, 0)), None);
    }
    for size in [0, 23, u64::MAX] {
        let _ = facts_as("video/x-ms-asf", &asf(kind, size, &properties(50_000_000, 3000, 0)));
    }
    let flood = [[0; 16].to_vec(), 24_u64.to_le_bytes().to_vec()].concat().repeat(400_000);
    says_nothing("video/x-ms-asf", &asf(&[0; 16], 24, &flood));
}

/// A tag of Flash video, and its length.
fn tag(kind: u8, time: u32, body: &[u8]) -> Vec<u8> {
    let [high, low @ ..] = time.to_be_bytes();
    let size = &u32::try_from(body.len()).unwrap().to_be_bytes()[1..];
    let length = u32::try_from(body.len() + 11).unwrap().to_be_bytes();
    [&[kind][..], size, &low, &[high, 0, 0, 0], body, &length].concat()
}

#[test]
fn impossible_numbers_of_flv_are_unknown() {
    let file = |tags: &[u8]| [&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..], tags].concat();
    let said = |number: f64| {
        let body =
            [&b"\x02\0\x0AonMetaData\x08\0\0\0\x01\0\x08duration\0"[..], &number.to_be_bytes()];
        file(&[tag(18, 0, &body.concat()), tag(8, 5000, b"sound")].concat())
    };
    let read = |file: &[u8]| facts_as("video/x-flv", file).duration_secs;
    assert_eq!(read(&said(2.0)), Some(2));
    // Otherwise the last tag counts.
    let times = [tag(8, 1000, b"a"), tag(8, 5000, b"b")].concat();
    assert_eq!(read(&file(&times)), Some(4));
    for number in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert_eq!(read(&said(number)), None, "{number}");
    }
    assert_eq!(read(&said(f64::MAX)), None);
    assert_eq!(read(&file(&[tag(8, 0, b"a"), tag(8, u32::MAX, b"b")].concat())), Some(4_294_967));
    says_nothing("video/x-flv", b"FLV\x01\x05\xFF\xFF\xFF\xFF");
    says_nothing("video/x-flv", &file(&[0xFF; 1000]));
    let _ = facts_as("video/x-flv", &file(&tag(8, 0, b"").repeat(1_000_000)));
}

#[test]
fn impossible_numbers_of_midi_are_unknown() {
    let piece = |division: [u8; 2], tracks: u16, events: &[u8]| {
        let [high, low] = tracks.to_be_bytes();
        let head = [&b"MThd\0\0\0\x06\0\x01"[..], &[high, low], &division].concat();
        let length = u32::try_from(events.len()).unwrap().to_be_bytes();
        [&head[..], b"MTrk", &length, events].concat()
    };
    let read = |file: &[u8]| facts_as("audio/midi", file).duration_secs;
    let end = b"\x83\x00\xFF\x2F\0"; // after 384 ticks
    assert_eq!(read(&piece([0, 96], 1, end)), Some(2));
    assert_eq!(read(&piece([0xE7, 96], 1, end)), Some(1)); // 25 frames per second
    assert_eq!(read(&piece([0, 0], 1, end)), None);
    assert_eq!(read(&piece([0x80, 0], 1, end)), None);
    assert_eq!(read(&piece([0, 96], 0, end)), None);
    // Tracks that don't exist, and endless events.
    assert_eq!(read(&piece([0, 96], u16::MAX, end)), None);
    let events = b"\xFF\xFF\xFF\x7F\x90\x40\x40".repeat(300_000);
    assert_eq!(read(&piece([0, 1], 1, &events)), None);
    let _ = read(&piece([0, 96], 1, &vec![0; 4 << 20]));
    let tempos = b"\0\xFF\x51\x03\0\0\0".repeat(300_000);
    assert_eq!(read(&piece([0, 96], 1, &[&tempos[..], end].concat())), None);
}

/// A transport stream packet that begins a PES packet with this content.
fn packet(content: &[u8]) -> Vec<u8> {
    let mut packet = [&[0x47, 0x41, 0, 0x10][..], content].concat();
    packet.resize(188, 0xFF);
    packet
}

/// The beginning of a video PES packet with this presentation time.
fn unit(time: u64) -> Vec<u8> {
    let bits = |shift: u64, mask: u64| u8::try_from(time >> shift & mask).unwrap();
    let time = [
        0x21 | bits(30, 7) << 1,
        bits(22, 0xFF),
        bits(15, 0x7F) << 1 | 1,
        bits(7, 0xFF),
        bits(0, 0x7F) << 1 | 1,
    ];
    [&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5][..], &time].concat()
}

#[test]
fn streams_of_impossible_times_are_unknown() {
    let file = |times: &[u64]| -> Vec<u8> {
        let packets = times.iter().flat_map(|time| packet(&unit(*time)));
        packets.chain(packet(&[0; 9]).repeat(4)).collect()
    };
    let read = |file: &[u8]| facts_as("video/mp2t", file).duration_secs;
    assert_eq!(read(&file(&[90_000, 270_000])), Some(2));
    // The clock wraps after 33 bits.
    assert_eq!(read(&file(&[(1 << 33) - 90_000, 90_000])), Some(2));
    assert_eq!(read(&file(&[90_000])), None);
    assert_eq!(read(&packet(&[0; 9]).repeat(100_000)), None);
    assert_eq!(read(&vec![0x47; 100_000]), None);
    // An adaptation field longer than its packet.
    assert_eq!(read(&[&[0x47, 0x41, 0, 0x30, 255][..], &[0; 183]].concat().repeat(50)), None);
    let program = |times: &[u64]| times.iter().flat_map(|time| unit(*time)).collect::<Vec<_>>();
    let read = |file: &[u8]| facts_as("video/mpeg", file).duration_secs;
    assert_eq!(read(&program(&[90_000, 270_000])), Some(2));
    assert_eq!(read(&[0, 0, 1].repeat(5_000_000)), None);
    assert_eq!(read(&program(&[5]).repeat(300_000)), None);
}

#[test]
fn impossible_sizes_of_streams_are_unknown() {
    let film = |header: &[u8]| [&unit(0)[..], header].concat();
    let size = |header: &[u8]| {
        let facts = facts_as("video/mpeg", &film(header));
        facts.width.zip(facts.height)
    };
    assert_eq!(
        size(b"\0\0\x01\xB3\x16\x01\x20\x13\xFF\xFF\xE0\x18\0\0\x01\xB8\0\0\0"),
        Some((352, 288))
    );
    assert_eq!(size(b"\0\0\x01\xB3\0\0\0\x13\xFF\xFF\xE0\x18\0\0\x01\xB8\0\0\0"), None);
    // Numbers of up to 32 bits, in headers of H.264 and H.265.
    for fill in [0x00, 0x01, 0x55, 0xFF] {
        let _ = size(&[&b"\0\0\x01\x67\x42\0\x0A"[..], &[fill; 200]].concat());
        let _ = size(&[&b"\0\0\x01\x67\x64\0\x0A"[..], &[fill; 200]].concat());
        let _ = size(&[&b"\0\0\x01\x42\x01"[..], &[fill; 200]].concat());
    }
}

#[test]
fn a_big_tiff_has_numbers_of_any_width_in_either_order() {
    // Numbers of 2, 4 and 8 bytes are stored at the beginning of their 8 bytes.
    for (kind, width) in [(3_u16, 2), (4, 4), (16, 8)] {
        let big = |value: u64| [&value.to_be_bytes()[8 - width..], &[0; 8][width..]].concat();
        let entry = |tag: u16, value: u64| {
            [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &1_u64.to_be_bytes(), &big(value)]
                .concat()
        };
        let head = b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x02";
        let file = [&head[..], &entry(256, 613), &entry(257, 403)].concat();
        let facts = facts_as("image/tiff", &file);
        assert_eq!((facts.width, facts.height), (Some(613), Some(403)), "{kind}");
        let little = |value: u64| {
            [&kind.to_le_bytes()[..], &1_u64.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let head = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0";
        let file = [&head[..], b"\0\x01", &little(613), b"\x01\x01", &little(403)].concat();
        let facts = facts_as("image/tiff", &file);
        assert_eq!((facts.width, facts.height), (Some(613), Some(403)), "{kind}");
    }
}

#[test]
fn reading_stops_in_endless_directories() {
    let tiff = |entries: u16, next: u32| {
        let entry = b"\0\xFE\0\x04\0\0\0\x01\0\0\0\x01".repeat(entries.into());
        let count = entries.to_be_bytes();
        [&b"MM\0*\0\0\0\x08"[..], &count, &entry, &next.to_be_bytes()].concat()
    };
    says_nothing("image/tiff", &tiff(1, 8)); // a preview followed by itself
    says_nothing("image/tiff", &tiff(u16::MAX, 8));
    says_nothing("image/tiff", b"MM\0*\xFF\xFF\xFF\xFF");
    says_nothing(
        "image/tiff",
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
    );
    let icon = [&b"\0\0\x01\0\xFF\xFF"[..], &[0xFF; 16].repeat(65_535)].concat();
    says_nothing("image/vnd.microsoft.icon", &icon);
    says_nothing("image/jp2", &b"\0\0\0\x08jp2h".repeat(300_000));
}
