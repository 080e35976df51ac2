//! Files with false claims: endless, nested, or with impossible numbers. For each, the result is "unknown", within the
//! budget.

use super::{Counted, facts, fixture, sniffed, within_budget};
use crate::media::MediaType;
use crate::media::probe::probe;

pub(super) fn iso(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + body.len()).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

fn brand() -> Vec<u8> {
    iso(b"ftyp", b"isom\0\0\0\0isommp41")
}

/// A movie header, version 1.
fn movie_header(scale: u32, duration: u64) -> Vec<u8> {
    let times = [&[1, 0, 0, 0][..], &[0; 16], &scale.to_be_bytes(), &duration.to_be_bytes()];
    iso(b"mvhd", &[&times.concat()[..], &[0; 80]].concat())
}

pub(super) fn mp4(index: &[u8]) -> Vec<u8> {
    [brand(), iso(b"moov", index)].concat()
}

/// An element with an eight-byte size.
pub(super) fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let size = (body.len() as u64 | 1 << 56).to_be_bytes();
    [&id, &size[..], body].concat()
}

/// A `WebM` file whose segment has this content.
pub(super) fn webm(content: &[u8]) -> Vec<u8> {
    let head = element(0x1A45_DFA3, &element(0x4282, b"webm"));
    [head, element(0x1853_8067, content)].concat()
}

fn info(scale: u64, duration: f64) -> Vec<u8> {
    let scale = element(0x2A_D7B1, &scale.to_be_bytes());
    element(0x1549_A966, &[scale, element(0x4489, &duration.to_be_bytes())].concat())
}

/// A page with its lacing values and this payload.
pub(super) fn page(flags: u8, granule: u64, payload: &[u8]) -> Vec<u8> {
    let head = [b"OggS\0", &[flags][..], &granule.to_le_bytes(), &[7, 0, 0, 0], &[0; 8]].concat();
    [&head[..], &[1, u8::try_from(payload.len()).unwrap()], payload].concat()
}

fn opus_until(granule: u64) -> Vec<u8> {
    let head = b"OpusHead\x01\x01\0\0\x80\xBB\0\0\0\0\0";
    [page(2, 0, head), page(4, granule, b"sound")].concat()
}

fn wav(byte_rate: u32, data: u32) -> Vec<u8> {
    let format = [&[1, 0, 1, 0, 0, 0, 0, 0][..], &byte_rate.to_le_bytes(), &[1, 0, 8, 0]].concat();
    [b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", &format[..], b"data", &data.to_le_bytes(), &[9; 100]]
        .concat()
}

fn flac(rate_to_samples: u64) -> Vec<u8> {
    let blocks = [0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    [b"fLaC\x80\0\0\x22", &blocks[..], &rate_to_samples.to_be_bytes(), &[0; 16]].concat()
}

#[test]
fn the_files_built_here_are_read() {
    assert_eq!(facts(&mp4(&movie_header(1000, 2000))).duration_secs, Some(2));
    assert_eq!(facts(&webm(&info(1_000_000, 2000.0))).duration_secs, Some(2));
    assert_eq!(facts(&opus_until(96_000)).duration_secs, Some(2));
    assert_eq!(facts(&wav(50, 100)).duration_secs, Some(2));
    assert_eq!(facts(&flac((8_000 << 44) + 16_000)).duration_secs, Some(2));
}

#[test]
fn impossible_durations_in_mp4_are_ignored() {
    for (scale, duration) in [
        (0, 1),
        (1, u64::MAX),
        (1, u64::MAX - 1),
        (1, 1 << 63),
        (u32::MAX, u64::MAX),
        (1, 315_360_001),
    ] {
        let file = mp4(&movie_header(scale, duration));
        assert_eq!(facts(&file).duration_secs, None, "{duration} / {scale}");
    }
}

#[test]
fn impossible_durations_in_webm_are_ignored() {
    for (scale, duration) in [
        (1_000_000, f64::NAN),
        (1_000_000, f64::INFINITY),
        (1_000_000, -1.0),
        (1_000_000, f64::MAX),
        (0, 2000.0),
        (u64::MAX, 2000.0),
    ] {
        assert_eq!(
            facts(&webm(&info(scale, duration))).duration_secs,
            None,
            "{duration} * {scale}"
        );
    }
}

#[test]
fn impossible_times_of_clusters_are_unknown() {
    for (scale, time) in [(u64::MAX, 1), (1_000_000, u64::MAX), (u64::MAX, u64::MAX)] {
        let cluster = |time: u64| {
            let block = element(0xA3, &[0x81, 0x7F, 0xFF, 0, 1]);
            element(0x1F43_B675, &[element(0xE7, &time.to_be_bytes()), block].concat())
        };
        let content = [info(scale, 0.0), cluster(0), cluster(time)].concat();
        assert_eq!(facts(&webm(&content)).duration_secs, None, "{time} * {scale}");
    }
}

#[test]
fn impossible_durations_in_audio_are_ignored() {
    for file in [
        opus_until(u64::MAX),
        opus_until(u64::MAX >> 1),
        wav(0, 100),
        wav(50, 101),
        wav(50, 1 << 30),
        flac(16_000),
        flac(1 << 44 | 0xF_FFFF_FFFF),
    ] {
        assert_eq!(facts(&file).duration_secs, None, "{file:?}");
    }
}

#[test]
fn impossible_fragments_are_unknown() {
    let index = |id: u8| {
        let header = [&[0; 12][..], &[0, 0, 0, id], &[0; 68]].concat();
        let media = [&[0; 12][..], &1_u32.to_be_bytes(), &[0; 8]].concat();
        let track = [iso(b"tkhd", &header), iso(b"mdia", &iso(b"mdhd", &media))].concat();
        let extends =
            iso(b"mvex", &iso(b"trex", &[0, 0, 0, 0, 0, 0, 0, id, 0, 0, 0, 1, 255, 255, 255, 255]));
        [movie_header(1, 0), iso(b"trak", &track), extends].concat()
    };
    let run = |count: u32| iso(b"trun", &[&[0; 4], &count.to_be_bytes()[..]].concat());
    let fragment = |runs: Vec<u8>| {
        let header = iso(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
        let time = iso(b"tfdt", &[&[1, 0, 0, 0], &u64::MAX.to_be_bytes()[..]].concat());
        iso(b"moof", &iso(b"traf", &[header, time, runs].concat()))
    };
    let runs = run(u32::MAX).repeat(9);
    let file = [mp4(&index(1)), fragment(runs.clone()), fragment(runs)].concat();
    assert_eq!(facts(&file).duration_secs, None);
}

#[test]
fn reading_stops_in_endless_boxes() {
    for kind in [b"free", b"moof", b"moov", b"meta"] {
        let flood = [brand(), iso(kind, b"").repeat(3_000_000)].concat();
        assert_eq!(facts(&flood).duration_secs, None);
    }
}

#[test]
fn reading_stops_in_an_index_of_endless_boxes() {
    for kind in [b"trak", b"mvex", b"mvhd"] {
        let file = mp4(&iso(kind, b"").repeat(1_000_000));
        assert_eq!(facts(&file).duration_secs, None);
    }
}

#[test]
fn reading_stops_in_endlessly_nested_boxes() {
    let mut nested = Vec::new();
    for kind in
        [b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"].into_iter().cycle().take(2_000)
    {
        nested = iso(kind, &nested);
    }
    assert_eq!(facts(&mp4(&nested)).duration_secs, None);
}

#[test]
fn reading_stops_in_endless_samples() {
    let runs = iso(b"trun", &[&[0, 0, 1, 0, 255, 255, 255, 255][..], &vec![1; 30 << 20]].concat());
    let file = [
        mp4(&[movie_header(1, 0), iso(b"mvex", b"")].concat()),
        iso(b"moof", &iso(b"traf", &runs)),
    ];
    assert_eq!(facts(&file.concat()).duration_secs, None);
}

#[test]
fn reading_stops_in_endless_elements() {
    let tracks = element(0x1654_AE6B, &[0xAE, 0x80].repeat(10_000_000));
    for content in [[0xEC, 0x80].repeat(10_000_000), tracks] {
        assert_eq!(facts(&webm(&content)).duration_secs, None);
    }
}

#[test]
fn elements_of_unknown_size_cause_no_recursion() {
    let file = webm(&[0x1F, 0x43, 0xB6, 0x75, 0xFF].repeat(1_000_000));
    assert_eq!(facts(&file).duration_secs, None);
}

#[test]
fn reading_stops_in_endless_first_pages() {
    let flood = page(2, 0, b"OpusHead\x01\x01\0\0\x80\xBB\0\0\0\0\0").repeat(400_000);
    let facts = facts(&flood);
    assert_eq!((facts.media_type.as_str(), facts.duration_secs), ("audio/ogg", None));
}

#[test]
fn reading_stops_in_endless_chunks_and_segments() {
    let chunks = [b"RIFF\0\0\0\0WAVE".to_vec(), b"LIST\0\0\0\0".repeat(3_000_000)].concat();
    assert_eq!(facts(&chunks).duration_secs, None);
    let png = [
        &b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR"[..],
        &[0; 17],
        &b"\0\0\0\0tEXt\0\0\0\0".repeat(2_000_000),
    ];
    assert_eq!(facts(&png.concat()).width, None);
    let jpeg = [&b"\xFF\xD8"[..], &b"\xFF\xE1\0\x02".repeat(6_000_000)].concat();
    assert_eq!(facts(&jpeg).width, None);
}

#[test]
fn a_flood_of_half_frames_is_not_audio() {
    // Each looks like a frame, until the next one should follow.
    let flood = [&fixture("constant.mp3")[..500], &[0xFF, 0xF3, 0x20, 0xC4, 0].repeat(4_000_000)];
    let flood = flood.concat();
    let media_type = MediaType::parse("audio/mpeg").unwrap();
    let (facts, _) = within_budget(std::io::Cursor::new(&flood), flood.len() as u64, &media_type);
    assert!(facts.duration_secs.is_none_or(|seconds| seconds == 1), "{facts:?}");
}

#[test]
fn reading_stops_in_endless_properties() {
    let map = [&[0, 0, 0, 0][..], &u32::MAX.to_be_bytes(), &vec![0; 20 << 20]].concat();
    let properties = [iso(b"ipco", b""), iso(b"ipma", &map)].concat();
    let primary = iso(b"pitm", &[0, 0, 0, 0, 0, 1]);
    let meta = [&[0; 4][..], &primary, &iso(b"iprp", &properties)].concat();
    let file = [iso(b"ftyp", b"heic\0\0\0\0heicmif1"), iso(b"meta", &meta)].concat();
    assert_eq!(facts(&file).width, None);
}

/// A picture of 64 x 48 pixels, cropped to 60 x 40 and rotated: `ftyp` and `meta`.
fn cropped_and_turned() -> [Vec<u8>; 2] {
    let numbers =
        |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let extents = iso(b"ispe", &numbers(&[0, 64, 48]));
    let crop = iso(b"clap", &numbers(&[120, 2, 40, 1, 0, 1, 0, 1]));
    let container = iso(b"ipco", &[extents, crop, iso(b"irot", &[3])].concat());
    let map = iso(b"ipma", &[0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 1, 0, 7, 3, 1, 0x82, 0x83]);
    let primary = iso(b"pitm", &[0, 0, 0, 0, 0, 7]);
    let meta = [&[0; 4][..], &primary, &iso(b"iprp", &[container, map].concat())].concat();
    [iso(b"ftyp", b"heic\0\0\0\0heicmif1"), iso(b"meta", &meta)]
}

#[test]
fn a_picture_is_cropped_and_turned_by_its_properties() {
    let facts = facts(&cropped_and_turned().concat());
    assert_eq!((facts.width, facts.height), (Some(40), Some(60)));
}

#[test]
fn bytes_after_a_truncated_box_are_ignored() {
    let [kind, meta] = cropped_and_turned();
    for cut in 1..=16 {
        let mut short = meta.clone();
        let length = meta.len() - cut;
        short[..4].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        let of_others = facts(&[&kind[..], &short, &[0; 40]].concat());
        short[length..].fill(0);
        assert_eq!(of_others, facts(&[&kind[..], &short, &[0; 40]].concat()), "{cut} bytes");
    }
}

#[test]
fn bytes_after_a_truncated_frame_header_are_ignored() {
    let width = |length: u8| {
        let header = b"\x08\0\x28\0\x3C\x01\x01\x11\0";
        facts(&[b"\xFF\xD8\xFF\xC0\0", &[length][..], header].concat()).width
    };
    assert_eq!(width(11), Some(60));
    for length in 2..8 {
        assert_eq!(width(length), None, "{length}");
    }
}

#[test]
fn an_orientation_of_endless_entries_is_none() {
    let exif = [&b"\xFF\xE1\xFF\xFFExif\0\0II*\0\x08\0\0\0\xFF\xFF"[..], &vec![1; 65_517]].concat();
    let frame = b"\xFF\xC0\0\x0B\x08\0\x28\0\x3C\x01\x01\x11\0";
    let facts = facts(&[b"\xFF\xD8", &exif[..], frame].concat());
    assert_eq!((facts.width, facts.height), (Some(60), Some(40)));
}

#[test]
fn a_source_of_single_bytes_ends_with_the_budget() {
    struct Drops<'a>(std::io::Cursor<&'a [u8]>);
    impl std::io::Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let one = out.len().min(1);
            self.0.read(&mut out[..one])
        }
    }
    impl std::io::Seek for Drops<'_> {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let flood = fixture("constant.mp3").repeat(40);
    let mut source = Counted::new(Drops(std::io::Cursor::new(&flood)));
    let facts = probe(&mut source, flood.len() as u64, &sniffed(&flood));
    assert_eq!((facts.duration_secs, source.reads), (None, super::READS));
}
