//! Truncated and damaged files: the available rows are drawn, and the rest is gray.

use super::*;

/// Colours with noise, so that half of a file contains about half of its rows.
fn noisy(width: u32, height: u32) -> RgbImage {
    let mut noise = files::noise();
    let mut fields = fields(width, height);
    for pixel in fields.pixels_mut() {
        pixel.0 = pixel.0.map(|value| value.saturating_sub(noise() / 8).max(noise() / 8));
    }
    fields
}

/// The number of rows with the expected colours before the gray ones.
fn rows_there(file: &[u8], subtype: &str) -> u32 {
    let picture = drawn(file, subtype).unwrap_or_else(|e| panic!("{subtype}: {e}"));
    let seen = seen(&picture).into_rgb8();
    let is_gray = |y: u32| {
        let mut row = (0..seen.width()).map(|x| seen.get_pixel(x, y).0);
        row.all(|pixel| pixel.iter().all(|value| value.abs_diff(128) < 6))
    };
    let there = (0..seen.height()).find(|y| is_gray(*y)).unwrap_or(seen.height());
    assert!((there + 9..seen.height()).all(is_gray), "{subtype}: gray begins at {there}");
    let [left, right] = [seen.width() / 4, seen.width() * 3 / 4];
    for y in (2..there.saturating_sub(9).min(seen.height() / 2 - 2)).step_by(5) {
        let [left, right] = [left, right].map(|x| seen.get_pixel(x, y).0);
        assert!(left[0] > 150 && left[1] < 100, "{subtype}: {left:?} at {y}");
        assert!(right[1] > 150 && right[0] < 100, "{subtype}: {right:?} at {y}");
    }
    there
}

fn gif_of(pixels: &RgbImage, interlaced: bool) -> Vec<u8> {
    let (width, height) = (pixels.width(), pixels.height());
    let [across, down] = [width, height].map(|side| u16::try_from(side).unwrap());
    // Six shades of each colour.
    let palette: Vec<u8> =
        (0..216).flat_map(|n| [n / 36, n / 6 % 6, n % 6].map(|n| n * 51)).collect();
    let number =
        |pixel: &Rgb<u8>| pixel.0.iter().fold(0, |sum, value| sum * 6 + (value / 2 + 13) / 26);
    let numbers: Vec<u8> = pixels.pixels().map(number).collect();
    let mut frame = gif::Frame::from_palette_pixels(across, down, numbers, palette, None);
    if interlaced {
        let rows: Vec<_> = frame.buffer.chunks(width as usize).map(<[u8]>::to_vec).collect();
        let order = [(0, 8), (4, 8), (2, 4), (1, 2)]
            .into_iter()
            .flat_map(|(first, step)| (first..rows.len()).step_by(step));
        frame.buffer = order.flat_map(|row| rows[row].clone()).collect::<Vec<u8>>().into();
        frame.interlaced = true;
    }
    let mut file = Vec::new();
    gif::Encoder::new(&mut file, across, down, &[]).unwrap().write_frame(&frame).unwrap();
    file
}

/// The same picture, 200 x 200, in all formats that are coded row by row.
fn all() -> Vec<(Vec<u8>, &'static str)> {
    let pixels = noisy(200, 200);
    let mut rgba = DynamicImage::from(pixels.clone()).into_rgba8();
    rgba.get_pixel_mut(199, 199).0[3] = 254;
    vec![
        (jpeg_with(&pixels.clone().into(), &[]), "jpeg"),
        (png(200, 200, png::ColorType::Rgb, png::BitDepth::Eight, &pixels), "png"),
        (gif_of(&pixels, false), "gif"),
        (webp_chunks(&pixels.into(), &[]), "webp"),
        (webp_chunks(&rgba.into(), &[]), "webp"),
    ]
}

#[test]
fn the_remaining_rows_of_a_truncated_file_are_drawn() {
    for (file, subtype) in all() {
        assert_eq!(rows_there(&file, subtype), 200, "{subtype}");
        let mut before = 0;
        for tenths in [4, 6, 8] {
            let there = rows_there(&file[..file.len() * tenths / 10], subtype);
            assert!((before + 10..200).contains(&there), "{subtype}: {there} rows");
            before = there;
        }
    }
}

#[test]
fn the_remaining_rows_of_a_truncated_lossy_webp_are_drawn() {
    // Colours with noise, 320 x 320, encoded by cwebp.
    let file = include_bytes!("../../../../tests/media/pictures/noisy.webp");
    assert_eq!(rows_there(file, "webp"), 320);
    let mut before = 0;
    for tenths in [4, 6, 8] {
        let there = rows_there(&file[..file.len() * tenths / 10], "webp");
        assert!((before + 16..320).contains(&there), "{there} rows");
        before = there;
    }
}

#[test]
fn a_file_without_rows_is_not_drawn() {
    for (file, subtype) in all() {
        let start = match subtype {
            "jpeg" => memchr::memmem::find(&file, &[0xFF, 0xDA]).unwrap() + 14,
            "png" => memchr::memmem::find(&file, b"IDAT").unwrap() + 8,
            "gif" => file.iter().rposition(|byte| *byte == b',').unwrap().min(800),
            _ => 60,
        };
        assert!(matches!(drawn(&file[..start], subtype), Err(ThumbnailError::Undecodable(_))));
    }
}

#[test]
fn a_file_that_lacks_only_its_end_is_drawn_in_full() {
    for (file, subtype) in all() {
        let end = match subtype {
            "jpeg" => 2,
            "png" => 12,
            "gif" => 1,
            _ => 20,
        };
        assert_eq!(rows_there(&file[..file.len() - end], subtype), 200, "{subtype}");
    }
}

#[test]
fn wrong_checksums_in_a_png_are_ignored() {
    let pixels = noisy(64, 64);
    let file = png(64, 64, png::ColorType::Rgb, png::BitDepth::Eight, &pixels);
    let data = memchr::memmem::find(&file, b"IDAT").unwrap();
    let end = memchr::memmem::find(&file, b"IEND").unwrap() - 4;
    for at in [29, end - 1, end - 5] {
        // Of the header, of the data, and of the compressed data.
        let mut wrong = file.clone();
        wrong[at] ^= 0xFF;
        assert!(data > 29);
        assert_eq!(rows_there(&wrong, "png"), 64, "{at}");
    }
}

#[test]
fn damage_in_the_middle_leaves_what_comes_before_it() {
    for (file, subtype) in all() {
        let mut damaged = file.clone();
        let middle = file.len() * 6 / 10;
        damaged[middle..middle + 40].fill(0xFF);
        // The rest may be anything, but the beginning is right.
        let picture = drawn(&damaged, subtype).unwrap_or_else(|e| panic!("{subtype}: {e}"));
        let seen = seen(&picture).into_rgb8();
        let [left, right] = [50, 150].map(|x| seen.get_pixel(x, 30).0);
        assert!(left[0] > 150 && left[1] < 100 && right[1] > 150, "{subtype}: {left:?} {right:?}");
    }
}

#[test]
fn interlaced_files_are_whole_but_coarse_where_they_are_cut() {
    let png = files::interlaced_png(&fields(61, 47));
    let gif = gif_of(&noisy(200, 200), true);
    for (file, subtype) in [(png, "png"), (gif, "gif")] {
        assert_eq!(corners(&drawn(&file, subtype).unwrap()), [RED, GREEN, BLUE, WHITE]);
        let cut = drawn(&file[..file.len() * 7 / 10], subtype).unwrap();
        assert_eq!(corners(&cut), [RED, GREEN, BLUE, WHITE], "{subtype}");
    }
}

#[test]
fn a_cut_progressive_jpeg_is_whole_but_coarse() {
    let file = include_bytes!("../../../../tests/media/images/progressive.jpg");
    let first = memchr::memmem::find(file, &[0xFF, 0xDA]).unwrap();
    let second = first + 2 + memchr::memmem::find(&file[first + 2..], &[0xFF, 0xDA]).unwrap();
    assert_eq!(corners(&drawn(&file[..second], "jpeg").unwrap()), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn a_damaged_jpeg_continues_at_the_next_restart_marker() {
    let file = include_bytes!("../../../../tests/media/pictures/restarts-1x1-1x1-1x1.jpg");
    let whole = seen(&drawn(file, "jpeg").unwrap()).into_rgb8();
    let restarts: Vec<_> = memchr::memchr_iter(0xFF, file)
        .filter(|at| (0xD0..=0xD7).contains(&file[at + 1]))
        .collect();
    assert_eq!(restarts.len(), 6);
    // Damaged between the second and the third marker, and with a missing marker.
    let mut broken = file.to_vec();
    broken[restarts[1] + 3..restarts[2]].fill(0xFE);
    let gone = [&file[..restarts[1]], &file[restarts[2]..]].concat();
    for (damaged, name) in [(broken, "broken"), (gone, "gone")] {
        let damaged = seen(&drawn(&damaged, "jpeg").unwrap()).into_rgb8();
        for y in (0..16).chain(24..53) {
            let [was, is] = [&whole, &damaged].map(|picture| picture.get_pixel(10, y).0);
            assert!(was.iter().zip(is).all(|(was, is)| was.abs_diff(is) < 40), "{name}: row {y}");
        }
    }
}
