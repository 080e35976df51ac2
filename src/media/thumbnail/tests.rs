//! What previews look like. The files are built here; `hostile` has malicious ones.

use std::io::{self, BufReader, Cursor, Read};

use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};

use super::limits::{MAX_MEMORY, check_size};
use super::*;

mod cases;
mod cut;
mod files;
mod hostile;
mod scans;

use files::{exif, jpeg_with, png, webp_animation, webp_chunks};

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255, 255, 255];

fn drawn(file: &[u8], subtype: &str) -> Result<Picture, ThumbnailError> {
    let media_type = MediaType::parse(&format!("image/{subtype}")).unwrap();
    thumbnail(Cursor::new(file), &media_type)
}

fn seen(picture: &Picture) -> DynamicImage {
    let seen = image::load_from_memory(&picture.bytes).unwrap();
    assert_eq!((seen.width(), seen.height()), (picture.width, picture.height));
    seen
}

/// Four quadrants: red, green; blue, white.
fn fields(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

fn field_png(width: u32, height: u32) -> Vec<u8> {
    png(width, height, png::ColorType::Rgb, png::BitDepth::Eight, &fields(width, height))
}

/// The colours in the middle of the four quadrants.
fn corners(picture: &Picture) -> [[u8; 3]; 4] {
    let seen = seen(picture).into_rgb8();
    let (x, y) = (picture.width / 4, picture.height / 4);
    [(x, y), (3 * x, y), (x, 3 * y), (3 * x, 3 * y)]
        .map(|(x, y)| seen.get_pixel(x, y).0.map(|value| if value > 127 { 255 } else { 0 }))
}

#[test]
fn pictures_are_upright() {
    let table = [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ];
    for (orientation, expected) in table {
        let file = jpeg_with(&fields(96, 64).into(), &[(0xE1, exif(orientation))]);
        let picture = drawn(&file, "jpeg").unwrap();
        assert_eq!(corners(&picture), expected, "orientation {orientation}");
        assert_eq!(picture.width < picture.height, orientation > 4, "orientation {orientation}");
    }
}

#[test]
fn the_orientation_of_a_webp_file_is_ignored() {
    for skip in [0, 6] {
        let exif = (*b"EXIF", exif(6)[skip..].to_vec());
        let file = webp_chunks(&fields(96, 64).into(), &[exif]);
        assert_eq!(corners(&drawn(&file, "webp").unwrap()), [RED, GREEN, BLUE, WHITE]);
    }
}

#[test]
fn large_images_are_scaled_to_the_longest_side() {
    let picture = drawn(&field_png(1200, 900), "png").unwrap();
    assert_eq!((picture.width, picture.height), (512, 384));
    assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn small_images_are_never_enlarged() {
    for (width, height) in [(1, 1), (100, 7), (512, 512)] {
        let picture = drawn(&field_png(width, height), "png").unwrap();
        assert_eq!((picture.width, picture.height), (width, height));
    }
}

#[test]
fn a_very_narrow_image_stays_a_pixel_wide() {
    for (size, expected) in [((1, 32_768), (1, 512)), ((32_768, 1), (512, 1))] {
        let picture = drawn(&field_png(size.0, size.1), "png").unwrap();
        assert_eq!((picture.width, picture.height), expected);
    }
}

fn half_clear(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| {
        Rgba(if x < width / 2 { [0, 255, 0, 0] } else { [255, 0, 0, 255] })
    })
}

#[test]
fn transparency_stays() {
    for width in [64, 1024] {
        let pixels = half_clear(width, 64);
        let file = png(width, 64, png::ColorType::Rgba, png::BitDepth::Eight, &pixels);
        let picture = drawn(&file, "png").unwrap();
        assert_eq!(picture.media_type.as_str(), "image/webp");
        let seen = seen(&picture).into_rgba8();
        assert_eq!(seen.get_pixel(2, 2).0[3], 0);
        assert_eq!(seen.get_pixel(picture.width - 2, 2).0, [255, 0, 0, 255]);
    }
}

#[test]
fn invisible_colours_do_not_bleed() {
    let pixels = half_clear(1022, 64); // the edge lies within a pixel
    let file = png(1022, 64, png::ColorType::Rgba, png::BitDepth::Eight, &pixels);
    let seen = seen(&drawn(&file, "png").unwrap()).into_rgba8();
    assert!(seen.pixels().all(|pixel| pixel.0[3] == 0 || pixel.0[1] == 0));
}

#[test]
fn opaque_alpha_is_dropped() {
    let opaque = DynamicImage::from(fields(64, 64)).into_rgba8();
    let file = png(64, 64, png::ColorType::Rgba, png::BitDepth::Eight, &opaque);
    let picture = drawn(&file, "png").unwrap();
    assert_eq!(picture.media_type.as_str(), "image/jpeg");
    assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn a_transparent_photograph_becomes_jpeg() {
    let mut noise = files::noise();
    let pixels = RgbaImage::from_fn(512, 512, |_, _| Rgba([noise(), noise(), noise(), noise()]));
    let file = png(512, 512, png::ColorType::Rgba, png::BitDepth::Eight, &pixels);
    assert_eq!(drawn(&file, "png").unwrap().media_type.as_str(), "image/jpeg");
}

#[test]
fn gray_stays_gray() {
    let gray = DynamicImage::from(fields(640, 64)).into_luma8();
    let png = png(640, 64, png::ColorType::Grayscale, png::BitDepth::Eight, &gray);
    let jpeg = jpeg_with(&gray.into(), &[]);
    for (file, subtype) in [(png, "png"), (jpeg, "jpeg")] {
        let picture = drawn(&file, subtype).unwrap();
        assert!(matches!(seen(&picture), DynamicImage::ImageLuma8(_)), "{subtype}");
    }
}

#[test]
fn gray_with_alpha_stays_transparent() {
    let pixels = [200, 255, 200, 0].repeat(32 * 64);
    let file = png(64, 64, png::ColorType::GrayscaleAlpha, png::BitDepth::Eight, &pixels);
    let picture = drawn(&file, "png").unwrap();
    let seen = seen(&picture).into_rgba8();
    assert_eq!(seen.get_pixel(0, 0).0, [200, 200, 200, 255]);
    assert_eq!(seen.get_pixel(1, 0).0[3], 0);
}

#[test]
fn sixteen_bits_become_eight() {
    let pixels: Vec<u8> = fields(64, 64).iter().flat_map(|value| [*value, *value]).collect();
    let file = png(64, 64, png::ColorType::Rgb, png::BitDepth::Sixteen, &pixels);
    assert_eq!(corners(&drawn(&file, "png").unwrap()), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn palettes_have_their_colours() {
    let picture = drawn(&files::palette_png(64), "png").unwrap();
    assert_eq!(picture.media_type.as_str(), "image/webp"); // the last colour of the palette is transparent
    assert_eq!(seen(&picture).into_rgba8().get_pixel(0, 0).0, [255, 0, 0, 255]);
}

#[test]
fn interlaced_images_are_whole() {
    let picture = drawn(&files::interlaced_png(&fields(61, 47)), "png").unwrap();
    assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn the_first_frame_of_a_gif_lies_on_its_canvas() {
    let file = files::gif((64, 32), (16, 8, 32, 16), 3);
    let picture = drawn(&file, "gif").unwrap();
    assert_eq!((picture.width, picture.height), (64, 32));
    let seen = seen(&picture).into_rgba8();
    assert_eq!(seen.get_pixel(0, 0).0[3], 0); // outside the frame
    assert_eq!(seen.get_pixel(16, 8).0, [255, 0, 0, 255]);
    assert_eq!(seen.get_pixel(17, 8).0[3], 0); // the frame's transparent colour
}

#[test]
fn the_first_frame_of_a_webp_animation_is_drawn() {
    let first = DynamicImage::from(fields(64, 64));
    let file = webp_animation((64, 64), &[first, RgbImage::new(64, 64).into()]);
    assert_eq!(corners(&drawn(&file, "webp").unwrap()), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn cmyk_looks_right_and_loses_its_profile() {
    let file = include_bytes!("../../../tests/media/images/cmyk.jpg");
    let mut with_profile = file[..2].to_vec();
    files::segment(
        &mut with_profile,
        0xE2,
        &files::icc_piece(1, 1, &files::profile(*b"CMYK", 400)),
    );
    with_profile.extend(&file[2..]);
    let picture = drawn(&with_profile, "jpeg").unwrap();
    assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE]);
    assert!(!contains(&picture.bytes, b"ICC_PROFILE"));
}

#[test]
fn an_rgb_profile_is_kept() {
    let profile = files::profile(*b"RGB ", 3000);
    let (first, second) = profile.split_at(1000);
    let pieces = [(0xE2, files::icc_piece(2, 2, second)), (0xE2, files::icc_piece(1, 2, first))];
    let jpeg = jpeg_with(&fields(64, 64).into(), &pieces);
    assert!(contains(&drawn(&jpeg, "jpeg").unwrap().bytes, &profile));
    let webp = webp_chunks(&half_clear(64, 64).into(), &[(*b"ICCP", profile.clone())]);
    assert!(contains(&drawn(&webp, "webp").unwrap().bytes, &profile));
    let png = files::png_with_profile(&fields(64, 64), &profile);
    assert!(contains(&drawn(&png, "png").unwrap().bytes, &profile));
}

#[test]
fn a_profile_that_does_not_fit_is_dropped() {
    for profile in [
        files::profile(*b"GRAY", 400),
        files::profile(*b"RGB ", 17 << 10),
        files::profile(*b"RGB ", 400)[..300].to_vec(),
        b"RGB ".repeat(100),
    ] {
        let file = jpeg_with(&fields(64, 64).into(), &[(0xE2, files::icc_piece(1, 1, &profile))]);
        assert!(!contains(&drawn(&file, "jpeg").unwrap().bytes, b"ICC_PROFILE"));
    }
}

#[test]
fn metadata_is_not_copied() {
    let secret = b"48.8584 N, 2.2945 E";
    let jpeg = jpeg_with(
        &fields(64, 64).into(),
        &[
            (0xE1, [exif(1).as_slice(), secret].concat()),
            (0xE1, [b"http://ns.adobe.com/xap/1.0/\0".as_slice(), secret].concat()),
            (0xED, [b"Photoshop 3.0\0".as_slice(), secret].concat()),
            (0xFE, secret.to_vec()),
        ],
    );
    let chunks = [(*b"EXIF", [exif(1).as_slice(), secret].concat()), (*b"XMP ", secret.to_vec())];
    let webp = webp_chunks(&half_clear(64, 64).into(), &chunks);
    let text = [b"Comment\0".as_slice(), secret].concat();
    let png = files::png_with_chunk(&field_png(64, 64), *b"tEXt", &text);
    for (file, subtype) in [(jpeg, "jpeg"), (webp, "webp"), (png, "png")] {
        assert!(contains(&file, secret));
        let bytes = drawn(&file, subtype).unwrap().bytes;
        for trace in [secret.as_slice(), b"Exif", b"EXIF", b"XMP ", b"adobe", b"Photoshop"] {
            assert!(!contains(&bytes, trace), "{subtype} {trace:?}");
        }
    }
}

#[test]
fn progressive_files_are_drawn() {
    let file = include_bytes!("../../../tests/media/images/progressive.jpg");
    assert_eq!(corners(&drawn(file, "jpeg").unwrap()), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn lossy_webp_is_drawn() {
    let file = include_bytes!("../../../tests/media/images/lossy.webp");
    assert_eq!(corners(&drawn(file, "webp").unwrap()), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn unsupported_and_damaged_files_are_reported() {
    let bmp = MediaType::parse("image/bmp").unwrap();
    assert!(!is_drawable(&bmp));
    assert!(matches!(drawn(b"BM", "bmp"), Err(ThumbnailError::Unsupported(named)) if named == bmp));
    for subtype in ["jpeg", "png", "gif", "webp"] {
        assert!(is_drawable(&MediaType::parse(&format!("image/{subtype}")).unwrap()));
        assert!(matches!(drawn(b"<svg/>", subtype), Err(ThumbnailError::Undecodable(_))));
        assert!(matches!(drawn(b"", subtype), Err(ThumbnailError::Undecodable(_))));
    }
}

#[test]
fn a_failing_source_is_not_reported_as_a_damaged_file() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.position() {
                0 => self.0.read(&mut buf[..1]),
                _ => Err(io::Error::other("a broken disk")),
            }
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    for subtype in ["jpeg", "png", "gif", "webp"] {
        let first = match subtype {
            "jpeg" => 0xFF,
            "png" => 0x89,
            "gif" => b'G',
            _ => b'R',
        };
        let source = BufReader::new(Failing(Cursor::new(vec![first; 1000])));
        let media_type = MediaType::parse(&format!("image/{subtype}")).unwrap();
        assert!(matches!(thumbnail(source, &media_type), Err(ThumbnailError::Io(_))), "{subtype}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
