//! Buffers of pixels before they are decoded, and frames on a canvas.

use image::{DynamicImage, GenericImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::limits::{ThumbnailError, undecodable};

/// The value of pixels that are missing because the file is truncated or damaged.
const GRAY: u8 = 128;

/// Allocates a buffer of pixels with this number of samples. Call it when the first row has been decoded: then a file
/// that claims many pixels and has none costs nothing.
pub(super) fn allocate((width, height): (u32, u32), samples: usize) -> Vec<u8> {
    vec![0; width as usize * height as usize * samples]
}

/// Makes all rows from this one on gray. With two or four samples, the last one is alpha.
pub(super) fn gray_from(pixels: &mut [u8], row: u32, width: u32, samples: usize) {
    let start = row as usize * width as usize * samples;
    let missing = pixels.get_mut(start..).unwrap_or_default();
    missing.fill(GRAY);
    if samples.is_multiple_of(2) {
        missing.iter_mut().skip(samples - 1).step_by(samples).for_each(|alpha| *alpha = u8::MAX);
    }
}

/// Turns pixels into an image: gray or RGB, with or without alpha.
pub(super) fn image(
    (width, height): (u32, u32),
    samples: usize,
    bytes: Vec<u8>,
) -> Result<DynamicImage, ThumbnailError> {
    let pixels = match samples {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        2 => GrayAlphaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
    };
    pixels.ok_or_else(|| undecodable("too few pixels"))
}

/// Number of bytes that [`place`] allocates besides the frame.
pub(super) fn memory(canvas: (u32, u32), frame: (u32, u32)) -> u64 {
    if canvas == frame { 0 } else { 4 * u64::from(canvas.0) * u64::from(canvas.1) }
}

/// Places a frame on an empty canvas.
pub(super) fn place(
    frame: DynamicImage,
    (left, top): (u32, u32),
    canvas: (u32, u32),
) -> Result<DynamicImage, ThumbnailError> {
    if (frame.width(), frame.height()) == canvas && (left, top) == (0, 0) {
        return Ok(frame);
    }
    let mut whole = RgbaImage::new(canvas.0, canvas.1);
    whole.copy_from(&frame, left, top).map_err(|_| undecodable("a frame beyond its canvas"))?;
    Ok(whole.into())
}
