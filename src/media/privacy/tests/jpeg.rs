//! JPEG segments, and bytes after an image.

use super::{apply, outcome, patched, plan, tiff, turned, turning_packet};
use crate::media::privacy::EmbeddedMetadata;

const SCAN: &[u8] = b"\xFF\xDA\0\x02scan\xFF\0data\xFF\xD0more";
const EOI: &[u8] = b"\xFF\xD9";

fn segment(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, kind], length.as_slice(), payload].concat()
}

/// An image with these segments.
fn image(segments: &[Vec<u8>]) -> Vec<u8> {
    [b"\xFF\xD8", segments.concat().as_slice(), SCAN, EOI].concat()
}

fn cleaned(bytes: &[u8]) -> Vec<u8> {
    patched(bytes, "image/jpeg")
}

fn becomes(before: &[Vec<u8>], after: &[Vec<u8>]) {
    assert_eq!(cleaned(&image(before)), image(after));
}

fn exif(tiff: &[u8]) -> Vec<u8> {
    segment(0xE1, &[b"Exif\0\0", tiff].concat())
}

#[test]
fn only_the_orientation_stays_of_exif() {
    becomes(&[exif(&tiff(6))], &[exif(&turned(6))]);
}

/// EXIF without entries.
fn silent() -> Vec<u8> {
    exif(&[b"MM\0*\0\0\0\x08".as_slice(), &[0; 26]].concat())
}

#[test]
fn exif_without_orientation_stays_exif() {
    becomes(&[exif(&tiff(9))], &[silent()]);
}

#[test]
fn the_first_exif_stays_the_first_and_the_last_to_turn_the_last() {
    becomes(&[exif(&tiff(9)), exif(&tiff(6))], &[exif(&turned(1)), exif(&turned(6))]);
    becomes(&[exif(&tiff(6)), exif(&tiff(9))], &[exif(&turned(6)), segment(0xE1, &[0; 40])]);
    let more = segment(0xE1, b"Exif\0\0what didn't fit into the one before");
    becomes(&[exif(&tiff(6)), more.clone()], &[exif(&turned(6)), segment(0xE1, &[0; 41])]);
}

#[test]
fn xmp_that_pictures_need_stays() {
    let (before, after) = turning_packet("a:b='secret'");
    let xmp = |packet: &[u8]| segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", packet].concat());
    becomes(&[exif(&tiff(0)), xmp(&before)], &[silent(), xmp(&after)]);
}

#[test]
fn exif_too_short_for_an_orientation_is_zeroed() {
    becomes(&[exif(&tiff(6)[..24])], &[segment(0xE1, &[0; 30])]);
}

#[test]
fn xmp_and_its_extension_are_zeroed() {
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x/>";
    let more = b"http://ns.adobe.com/xmp/extension/\0guid and so on";
    becomes(
        &[segment(0xE1, xmp), segment(0xE1, more)],
        &[segment(0xE1, &vec![0; xmp.len()]), segment(0xE1, &vec![0; more.len()])],
    );
}

#[test]
fn manufacturers_segments_are_zeroed() {
    for kind in 0xE0..=0xEF {
        becomes(&[segment(kind, b"anything")], &[segment(kind, &[0; 8])]);
    }
}

#[test]
fn what_colour_and_decoding_need_stays() {
    let mpf = b"MPF\0MM\0*\0\0\0\x08";
    let gain = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0";
    let kept = [
        segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        segment(0xE2, b"ICC_PROFILE\0\x01\x01profile"),
        segment(0xE2, mpf),
        segment(0xE2, gain),
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
        segment(0xDB, &[7; 65]),
        segment(0xC4, &[7; 30]),
        segment(0xC2, &[7; 15]),
    ];
    becomes(&kept, &kept);
}

#[test]
fn thumbnails_in_jfif_are_zeroed() {
    becomes(
        &[
            segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01RGB"),
            segment(0xE0, b"JFXX\0\x10abc"),
        ],
        &[segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0\0\0\0"), segment(0xE0, &[0; 9])],
    );
}

#[test]
fn comments_are_zeroed_and_renamed() {
    becomes(&[segment(0xFE, b"by me")], &[segment(0xEF, &[0; 5])]);
    becomes(&[segment(0xFE, b"")], &[segment(0xEF, b"")]);
}

#[test]
fn fill_bytes_and_stray_bytes_before_a_marker_are_skipped() {
    let before = [b"\xFF\xD8stray\xFF\xFF".as_slice(), &segment(0xED, b"iptc"), SCAN, EOI].concat();
    let after = [b"\xFF\xD8stray\xFF\xFF".as_slice(), &segment(0xED, &[0; 4]), SCAN, EOI].concat();
    assert_eq!(cleaned(&before), after);
}

#[test]
fn a_length_below_two_counts_as_two() {
    for length in [0, 1] {
        let before =
            [b"\xFF\xD8\xFF\xE5\0".as_slice(), &[length], &segment(0xED, b"iptc")].concat();
        let after = [b"\xFF\xD8\xFF\xE5\0".as_slice(), &[length], &segment(0xED, &[0; 4])].concat();
        assert_eq!(cleaned(&before), after);
    }
}

#[test]
fn a_truncated_segment_is_zeroed_up_to_the_end() {
    assert_eq!(cleaned(b"\xFF\xD8\xFF\xEC\xFF\xFFsecret"), b"\xFF\xD8\xFF\xEC\xFF\xFF\0\0\0\0\0\0");
}

#[test]
fn bytes_after_an_image_are_zeroed() {
    let before = [image(&[]).as_slice(), b"\0\0trailer SEFT"].concat();
    let after = [image(&[]).as_slice(), &[0; 14]].concat();
    assert_eq!(cleaned(&before), after);
}

#[test]
fn segments_between_scans_count_where_the_scan_is_read() {
    let with =
        |comment: &[u8], end: &[u8]| [image(&[]).as_slice(), comment, SCAN, EOI, end].concat();
    let start = image(&[]).len() - 2;
    let without_eoi = |mut bytes: Vec<u8>| {
        bytes.drain(start..start + 2);
        bytes
    };
    let before = without_eoi(with(&segment(0xFE, b"me"), b"trailer"));
    let after = without_eoi(with(&segment(0xEF, &[0; 2]), &[0; 7]));
    assert_eq!(cleaned(&before), after);
}

#[test]
fn what_looks_like_a_segment_in_a_damaged_scan_stays() {
    let comment = segment(0xFE, b"me");
    let broken = |segments: &[Vec<u8>]| {
        let scan = [SCAN, &segments.concat(), b"the scan goes on", &comment, EOI].concat();
        [b"\xFF\xD8".as_slice(), &scan, &image(&[])].concat()
    };
    for segments in [vec![comment.clone()], vec![comment.clone(), segment(0xDB, b"table")]] {
        let bytes = broken(&segments);
        assert_eq!(cleaned(&bytes), bytes);
        assert_eq!(outcome(&bytes, "image/jpeg"), EmbeddedMetadata::Kept);
    }
    let after_scan = [b"\xFF\xD8".as_slice(), SCAN, &comment, EOI].concat();
    let emptied = [b"\xFF\xD8".as_slice(), SCAN, &segment(0xEF, &[0; 2]), EOI].concat();
    assert_eq!(cleaned(&after_scan), emptied, "nothing goes on behind it");
}

#[test]
fn further_images_are_treated_as_the_first() {
    let index = segment(0xE2, b"MPF\0");
    let file = |first: &[u8], second: &[u8]| {
        let padding = b"\0\0\xFF\xFF\0".as_slice();
        let first = image(&[index.clone(), exif(first)]);
        [first.as_slice(), padding, &image(&[exif(second)]), &image(&[])].concat()
    };
    assert_eq!(cleaned(&file(&tiff(6), &tiff(1))), file(&turned(6), &turned(1)));
}

#[test]
fn a_video_after_an_image_is_treated_as_a_video() {
    let clip = |name: &[u8], body: &[u8]| {
        let boxes = [b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x0C".as_slice(), name, body];
        [boxes.concat(), b"\0\0\0\x0Cmdatdata".to_vec()].concat()
    };
    let before = [image(&[]), clip(b"udta", b"here"), b"SEFHtrailer".to_vec()].concat();
    let after = [image(&[]), clip(b"free", &[0; 4]), vec![0; 11]].concat();
    assert_eq!(cleaned(&before), after);
    assert_eq!(plan(&after, "image/jpeg"), []);
}

#[test]
fn bytes_that_only_look_like_a_video_are_zeroed() {
    let before = [image(&[]).as_slice(), b"\0\0\0\x03ftypisom"].concat();
    let after = [image(&[]).as_slice(), &[0; 12]].concat();
    assert_eq!(cleaned(&before), after);
}

#[test]
fn other_files_are_left_alone() {
    for other in [b"".as_slice(), b"\xFF\xD8", b"\x89PNG\r\n\x1A\n", b"GIF89a\xFF\xFE\0\x08secret"]
    {
        assert_eq!(plan(other, "image/jpeg"), []);
    }
}

#[test]
fn a_clean_image_needs_no_patches() {
    let clean = image(&[exif(&turned(6))]);
    let plan = plan(&clean, "image/jpeg");
    assert_eq!(apply(&clean, &plan), clean);
    assert_eq!(plan, []);
}
