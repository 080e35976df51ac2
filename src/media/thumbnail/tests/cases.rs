//! Files modelled on real ones (`tests/media/cases`): they look as in browsers.

use std::fs;

use super::*;

fn case(name: &str) -> Picture {
    let path = format!("{}/tests/media/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let subtype = match name.rsplit('.').next().unwrap() {
        "jpg" => "jpeg",
        other => other,
    };
    drawn(&file, subtype).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The mean difference between the samples of two pictures.
fn difference(one: &Picture, other: &Picture) -> f64 {
    let [one, other] = [one, other].map(|picture| seen(picture).into_rgb8());
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: u32 = one.iter().zip(other.iter()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / f64::from(3 * one.width() * one.height())
}

#[test]
fn jpeg_files_with_oddities_look_like_those_without() {
    // All show the same picture. Every decoder can read the first one.
    let plain = case("jpeg-second-exif-has-orientation.jpg");
    assert_eq!((plain.width, plain.height), (512, 337));
    for name in [
        "jpeg-byte-between-segments.jpg",
        "jpeg-fill-before-first-marker.jpg",
        "jpeg-mjpeg-avi1-no-dht.jpg",
        "jpeg-orientation-as-long.jpg",
    ] {
        assert!(difference(&plain, &case(name)) < 0.5, "{name}");
    }
    // The same picture in other formats.
    assert!(difference(&plain, &case("webp-exif-orientation-6.webp")) < 4.0);
    assert!(difference(&plain, &case("gif-screen-1x1-frame-613x403.gif")) < 9.0);
}

#[test]
fn components_in_scans_of_their_own_have_their_colours() {
    // The mean colour, as libjpeg decodes it.
    let picture = seen(&case("jpeg-noninterleaved-420.jpg")).into_rgb8();
    let mean = [0, 1, 2].map(|channel| {
        let sum: u32 = picture.pixels().map(|pixel| u32::from(pixel.0[channel])).sum();
        sum / (picture.width() * picture.height())
    });
    let expected = [127, 126, 120];
    assert!(
        mean.iter().zip(expected).all(|(is, was): (&u32, u32)| is.abs_diff(was) < 3),
        "{mean:?}"
    );
}

#[test]
fn the_gamma_of_a_png_is_applied() {
    let file = field_png(16, 16);
    let shade = |gamma: u32| {
        let gray = png(8, 8, png::ColorType::Rgb, png::BitDepth::Eight, &[64; 192]);
        let with_gamma = files::png_with_chunk(&gray, *b"gAMA", &gamma.to_be_bytes());
        seen(&drawn(&with_gamma, "png").unwrap()).into_rgb8().get_pixel(4, 4).0[1]
    };
    // (64 / 255) ^ (1 / gamma), as sRGB encodes it.
    for (gamma, expected) in [(45_455, 64), (100_000, 137), (55_556, 80), (22_727, 7)] {
        assert!(shade(gamma).abs_diff(expected) < 4, "{gamma}: {}", shade(gamma));
    }
    assert_eq!(corners(&drawn(&file, "png").unwrap()), [RED, GREEN, BLUE, WHITE]);
    // Modelled on a real file: linear light, mostly bright.
    let picture = seen(&case("png-gama-1.0.png")).into_luma8();
    let mean = picture.iter().map(|value| u32::from(*value)).sum::<u32>() / 512 / 337;
    let plain = seen(&case("jpeg-orientation-as-long.jpg")).into_luma8();
    let plain = plain.iter().map(|value| u32::from(*value)).sum::<u32>() / 512 / 337;
    assert!(mean.abs_diff(plain) < 8, "{mean}, {plain}");
}

#[test]
fn colour_chunks_of_a_png_apply_in_order_of_precedence() {
    let shade = |chunks: &[(&[u8; 4], &[u8])]| {
        let mut file = png(8, 8, png::ColorType::Rgb, png::BitDepth::Eight, &[64; 192]);
        for (kind, body) in chunks.iter().rev() {
            file = files::png_with_chunk(&file, **kind, body);
        }
        seen(&drawn(&file, "png").unwrap()).into_rgb8().get_pixel(4, 4).0[1]
    };
    let linear: (&[u8; 4], &[u8]) = (b"gAMA", &100_000_u32.to_be_bytes());
    let srgb: (&[u8; 4], &[u8]) = (b"sRGB", &[0]);
    let coded_srgb: (&[u8; 4], &[u8]) = (b"cICP", &[1, 13, 0, 1]);
    let coded_linear: (&[u8; 4], &[u8]) = (b"cICP", &[1, 8, 0, 1]);
    let bright: (&[u8; 4], &[u8]) = (b"cICP", &[9, 16, 0, 1]);
    let unknown: (&[u8; 4], &[u8]) = (b"cICP", &[2, 2, 0, 1]);
    for (chunks, expected) in [
        (&[linear][..], 137),
        (&[srgb, linear], 64),
        (&[coded_srgb, linear], 64),
        (&[coded_linear, srgb], 137),
        (&[unknown, linear], 137),
        // 64 / 255 by the perceptual quantizer is 5.4 nits of 203.
        (&[bright], 43),
    ] {
        let shade = shade(chunks);
        assert!(shade.abs_diff(expected) < 4, "{chunks:?}: {shade}");
    }
}

#[test]
fn primaries_of_a_png_are_applied() {
    // The primaries of Display P3, in which sRGB's green is no longer pure.
    let primaries: Vec<u8> = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    let green = png(8, 8, png::ColorType::Rgb, png::BitDepth::Eight, &[117, 251, 76].repeat(64));
    let file = files::png_with_chunk(&green, *b"cHRM", &primaries);
    let file = files::png_with_chunk(&file, *b"gAMA", &45_455_u32.to_be_bytes());
    let [r, g, b] = seen(&drawn(&file, "png").unwrap()).into_rgb8().get_pixel(4, 4).0;
    assert!(r < 12 && g > 250 && b < 12, "{r} {g} {b}");
}

#[test]
fn the_first_frame_of_an_animated_png_is_drawn_and_not_its_hidden_image() {
    let picture = seen(&case("apng_hidden_default.png")).into_rgb8();
    assert!(picture.pixels().all(|pixel| pixel.0[1] > 250 && pixel.0[0] < 5));
}

#[test]
fn a_frame_of_a_gif_makes_its_screen_larger() {
    let file = files::gif((8, 64), (16, 8, 32, 16), 1);
    let picture = drawn(&file, "gif").unwrap();
    assert_eq!((picture.width, picture.height), (48, 64));
}

#[test]
fn lossless_webp_of_forty_megapixels_is_drawn() {
    let picture = case("webp-lossless-40MP-90kB.webp");
    assert_eq!((picture.width, picture.height), (512, 465));
}
