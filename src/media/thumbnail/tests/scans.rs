//! Compares decoded pixels with decoders that are known to be right.

use std::fs;

use super::*;

fn pictures(start: &str) -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/pictures");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(start))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{start}");
    names
        .into_iter()
        .map(|name| (name.clone(), fs::read(format!("{folder}/{name}")).unwrap()))
        .collect()
}

fn decoded(file: &[u8]) -> DynamicImage {
    let source = Cursor::new(file);
    let decoded =
        if file.starts_with(b"RIFF") { webp::decode(source) } else { jpeg::decode(source) };
    decoded.unwrap().pixels
}

#[test]
fn every_sampling_looks_the_same_in_every_kind_of_scan() {
    for (name, file) in pictures("together-") {
        let together = decoded(&file);
        let sampling = name.strip_prefix("together-").unwrap();
        for kind in ["apart", "progressive", "restarts"] {
            let (other, file) = pictures(&format!("{kind}-{sampling}")).remove(0);
            assert!(decoded(&file) == together, "{other}");
        }
    }
}

#[test]
fn every_sampling_has_the_picture_s_colours() {
    for (name, file) in pictures("together-") {
        let pixels = decoded(&file).into_rgb8();
        assert_eq!(pixels.dimensions(), (75, 53));
        for ((x, y), expected) in [
            ((15, 10), RED),
            ((32, 22), RED),
            ((44, 10), GREEN),
            ((74, 0), GREEN),
            ((10, 33), BLUE),
            ((0, 52), BLUE),
            ((60, 40), WHITE),
            ((74, 52), WHITE),
        ] {
            let seen = pixels.get_pixel(x, y).0;
            let is_near = seen.iter().zip(expected).all(|(is, was)| is.abs_diff(was) < 40);
            assert!(is_near, "{name}: {seen:?} at {x}, {y}");
        }
    }
}

#[test]
fn pixels_are_those_of_other_decoders() {
    // Where the other decoder is right: usual subsampling, in one scan.
    for sampling in ["1x1-1x1-1x1", "2x1-1x1-1x1", "2x2-1x1-1x1"] {
        let (name, file) = pictures(&format!("together-{sampling}")).remove(0);
        let ours = decoded(&file).into_rgb8();
        let others = image::load_from_memory(&file).unwrap().into_rgb8();
        // Within the areas of one colour: decoders upsample differently at their edges.
        for (x, y, pixel) in ours.enumerate_pixels().filter(|(x, y, _)| x % 37 > 9 && y % 27 > 9) {
            let other = others.get_pixel(x, y).0;
            let is_near = pixel.0.iter().zip(other).all(|(is, was)| is.abs_diff(was) < 8);
            assert!(is_near, "{name}: {pixel:?}, {other:?} at {x}, {y}");
        }
    }
}

#[test]
fn pictures_are_the_same_at_every_scale() {
    // A row of blocks of 300 to 24,000 pixels: decoded in full, and at a half, a quarter and an eighth.
    for width in [760, 1600, 3200, 6400] {
        let picture = drawn(&jpeg_with(&fields(width, 48).into(), &[]), "jpeg").unwrap();
        assert_eq!(picture.width, 512);
        assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE], "{width}");
    }
}

/// A JPEG with one component, this size, and this entropy-coded data.
fn gray_jpeg(frame: u8, (width, height): (u16, u16), scan: [u8; 3], coded: &[u8]) -> Vec<u8> {
    let mut file = b"\xFF\xD8".to_vec();
    files::segment(&mut file, 0xDB, &[[0].as_slice(), &[16; 64]].concat());
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    files::segment(&mut file, frame, &[&[8], size.as_slice(), &[1, 1, 0x11, 0]].concat());
    files::segment(&mut file, 0xDA, &[&[1, 1, 0], scan.as_slice()].concat());
    [&file, coded, b"\xFF\xD9"].concat()
}

#[test]
fn two_hundred_megapixels_are_drawn() {
    // Blocks equal to the previous one: two bits for that, and four for "no more coefficients".
    let blocks = 2040 * 1530 / 4;
    let sequential = gray_jpeg(0xC0, (16_320, 12_240), [0, 63, 0], &b"\x28\xA2\x8A".repeat(blocks));
    let progressive = gray_jpeg(0xC2, (16_320, 12_240), [0, 0, 0], &vec![0; blocks]);
    for file in [sequential, progressive] {
        let picture = drawn(&file, "jpeg").unwrap();
        assert_eq!((picture.width, picture.height), (512, 384));
        assert!(seen(&picture).into_luma8().iter().all(|value| value.abs_diff(128) < 2));
    }
}

#[test]
fn every_picture_within_the_limits_of_size_fits_into_memory() {
    for kind in [0xC0, 0xC2] {
        for side in [1, 1535, 1536, 3071, 3072, 6143, 6144, 16_384_u16] {
            // Four components without subsampling.
            let body = [&[8][..], &side.to_be_bytes(), &side.to_be_bytes(), &[4]].concat();
            let components = (1..=4).flat_map(|id| [id, 0x11, 0]);
            let body: Vec<u8> = body.into_iter().chain(components).collect();
            assert!(jpeg::memory(kind, &body) < MAX_MEMORY, "{side}");
        }
    }
}

#[test]
fn webp_is_decoded_to_the_last_bit() {
    let files = ["slopes", "clear", "few", "alpha"].iter().flat_map(|start| pictures(start));
    for (name, file) in files {
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(&file)).unwrap();
        let mut others = vec![0; decoder.output_buffer_size().unwrap()];
        decoder.read_image(&mut others).unwrap();
        assert!(decoded(&file).as_bytes() == others, "{name}");
    }
}

#[test]
fn lossless_webp_of_a_size_that_no_file_length_tells_is_drawn() {
    // A megabyte of noise, which used to exceed the memory limit.
    let mut noise = files::noise();
    let pixels = RgbImage::from_fn(700, 600, |_, _| Rgb([noise(), noise(), noise()]));
    let file = webp_chunks(&pixels.into(), &[]);
    assert!(file.len() > 1 << 20);
    assert_eq!(drawn(&file, "webp").unwrap().width, 512);
}
