//! Pixels before they come, and where they lie.

use image::{DynamicImage, GenericImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::limits::{ThumbnailError, undecodable};

/// What pixels are that never come, because the file is cut off or damaged before them.
const GRAY: u8 = 128;

/// Room for so many pixels of so many samples. It is made when the first row is there: a file that claims many pixels
/// and has none costs nothing.
pub(super) fn room((width, height): (u32, u32), samples: usize) -> Vec<u8> {
    vec![0; width as usize * height as usize * samples]
}

/// Makes all rows from this one on gray. Of two samples and of four the last one is alpha.
pub(super) fn gray_from(pixels: &mut [u8], row: u32, width: u32, samples: usize) {
    let start = row as usize * width as usize * samples;
    let missing = pixels.get_mut(start..).unwrap_or_default();
    missing.fill(GRAY);
    if samples.is_multiple_of(2) {
        missing.iter_mut().skip(samples - 1).step_by(samples).for_each(|alpha| *alpha = u8::MAX);
    }
}

/// Pixels as an image: gray or RGB, with or without alpha.
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

/// What [`lay`] holds beside the frame, in bytes.
pub(super) fn memory(canvas: (u32, u32), frame: (u32, u32)) -> u64 {
    if canvas == frame { 0 } else { 4 * u64::from(canvas.0) * u64::from(canvas.1) }
}

/// A frame at its place on a canvas on which there is nothing else.
pub(super) fn lay(
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
