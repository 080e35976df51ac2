//! `WebP` chunks, and what the first one announces.

use super::{patched, plan, tiff, turned, turning_packet};

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    let padding = &[0][..data.len() % 2];
    [kind, &length, data, padding].concat()
}

/// A picture whose first chunk has these flags.
fn file(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let features = chunk(b"VP8X", &[flags, 0, 0, 0, 1, 0, 0, 1, 0, 0]);
    let body = [b"WEBP".to_vec(), features, chunk(b"VP8L", b"pixel"), chunks.concat()].concat();
    chunk(b"RIFF", &body)
}

fn becomes(before: (u8, &[Vec<u8>]), after: (u8, &[Vec<u8>])) {
    assert_eq!(patched(&file(before.0, before.1), "image/webp"), file(after.0, after.1));
}

#[test]
fn the_orientation_in_exif_and_its_flag_stay() {
    becomes((0x3E, &[chunk(b"EXIF", &tiff(6))]), (0x3A, &[chunk(b"EXIF", &turned(6))]));
}

#[test]
fn exif_may_begin_with_its_name() {
    let named = [b"Exif\0\0".as_slice(), &tiff(3)].concat();
    let after = [turned(3), vec![0; 6]].concat();
    becomes((0x08, &[chunk(b"EXIF", &named)]), (0x08, &[chunk(b"EXIF", &after)]));
}

#[test]
fn exif_without_orientation_becomes_junk() {
    becomes((0x08, &[chunk(b"EXIF", &tiff(0))]), (0, &[chunk(b"JUNK", &[0; 34])]));
}

#[test]
fn xmp_that_pictures_need_and_its_flag_stay() {
    let (before, after) = turning_packet("a:b='secret'");
    becomes((0x04, &[chunk(b"XMP ", &before)]), (0x04, &[chunk(b"XMP ", &after)]));
}

#[test]
fn xmp_and_unknown_chunks_become_junk() {
    let before = [chunk(b"XMP ", b"<x/>!"), chunk(b"C2PA", b"who")];
    let after = [chunk(b"JUNK", &[0; 5]), chunk(b"JUNK", &[0; 3])];
    becomes((0x24, &before), (0x20, &after));
}

#[test]
fn what_pixels_and_colour_need_stays() {
    let frame = [[1; 16].to_vec(), chunk(b"ALPH", b"a"), chunk(b"VP8 ", b"pixel")].concat();
    let kept = [chunk(b"ICCP", b"profile"), chunk(b"ANIM", &[1; 6]), chunk(b"ANMF", &frame)];
    becomes((0x32, &kept), (0x32, &kept));
}

#[test]
fn unknown_chunks_of_frames_become_junk() {
    let frame = |kind: &[u8], data: &[u8]| {
        chunk(b"ANMF", &[[1; 16].to_vec(), chunk(b"VP8L", b"pixel"), chunk(kind, data)].concat())
    };
    becomes((2, &[frame(b"note", b"me")]), (2, &[frame(b"JUNK", &[0; 2])]));
}

#[test]
fn bytes_after_the_image_are_zeroed() {
    let before = [file(0, &[]), b"trailer".to_vec()].concat();
    assert_eq!(patched(&before, "image/webp"), [file(0, &[]), vec![0; 7]].concat());
}

#[test]
fn a_features_chunk_of_another_length_ends_the_plan() {
    let chunks = [b"WEBP".to_vec(), chunk(b"VP8X", &[0; 2]), vec![0; 8], chunk(b"note", b"me!!")];
    assert_eq!(plan(&chunk(b"RIFF", &chunks.concat()), "image/webp"), []);
}

#[test]
fn a_size_that_excludes_the_image_zeroes_nothing() {
    let mut wrong = file(0, &[]);
    wrong[4..8].fill(0);
    assert_eq!(plan(&wrong, "image/webp"), []);
}
