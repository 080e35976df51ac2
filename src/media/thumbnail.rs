//! A small picture that stands for an image.
//!
//! Owns which images are drawn, what drawing one may cost, and that nothing of the source but its look gets
//! into the result. Refuses to know where pictures come from and where they are kept. How pixels are had of
//! each format is `formats`', `jpeg`'s and `webp`'s, what becomes of them `draw`'s.

use std::io::{self, BufRead, Seek, SeekFrom};

use image::DynamicImage;
use image::metadata::Orientation;

use super::{MediaType, orientation};
use colours::Colours;

mod canvas;
mod colours;
mod draw;
mod formats;
mod jpeg;
#[cfg(test)]
mod tests;
mod vp8l;
mod webp;

/// The longest side of a picture, in pixels: sharp at the 256 px of a message's preview on a dense screen.
pub const MAX_SIDE: u32 = 512;

/// The longest side of an image that is drawn: what the longest panoramas have. JPEG and GIF can say 65,535,
/// PNG 2^31.
const MAX_SOURCE_SIDE: u32 = 32_768;

/// The most pixels of an image that is drawn in full, in a second; of JPEG, which isn't, more are taken.
const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// What drawing may hold in memory at once, in bytes: all pixels of the image, what its decoder needs beside
/// them, and its file where that is read as a whole. 64 megapixels of RGBA and 64 MiB besides; images that
/// take more for each pixel have to be smaller.
const MAX_MEMORY: u64 = 320 << 20;

/// The longest file that is drawn from, in bytes. Pixels within the limits take less; a flood of blocks to
/// be skipped takes more.
const MAX_FILE: u64 = 256 << 20;

/// A picture made by this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `image/jpeg`, or `image/webp` where something shines through.
    pub media_type: MediaType,
    /// The file, without any metadata but a profile of colours.
    pub bytes: Vec<u8>,
    /// In pixels, 1 to [`MAX_SIDE`].
    pub width: u32,
    /// In pixels, 1 to [`MAX_SIDE`].
    pub height: u32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// See [`is_drawable`].
    #[error("files of the type {0} are not drawn")]
    Unsupported(MediaType),
    /// Drawing it would cost too much memory or time. The words tell what.
    #[error("too large to be drawn: {0}")]
    TooLarge(String),
    /// The file is damaged, cut off, of another type, or of a rare kind.
    #[error("can't be decoded: {0}")]
    Undecodable(String),
    /// The source failed; another try may succeed.
    #[error("the file can't be read")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ThumbnailError {
    /// A file that ends early, and what decoders complain of as input, is the file's fault.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput => Self::Undecodable(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

/// An image as it was decoded: 8 bits of gray or RGB, with or without alpha.
struct Decoded {
    pixels: DynamicImage,
    orientation: Orientation,
    colours: Colours,
}

/// Whether images of this type are drawn: JPEG, PNG, GIF and WebP, what browsers take and cameras and phones
/// give. BMP is not: no client sends it, and each decoder is one more that meets hostile bytes.
#[must_use]
pub fn is_drawable(media_type: &MediaType) -> bool {
    matches!(media_type.essence(), "image/jpeg" | "image/png" | "image/gif" | "image/webp")
}

/// Draws `source`, a whole file of the type `media_type`.
///
/// The picture has at most [`MAX_SIDE`] pixels on its longest side and is never enlarged. It is upright by
/// the EXIF orientation and has no metadata but the image's profile of colours. Of an animation the first
/// frame is drawn, and further ones are not decoded. A file that was cut off is drawn as far as it goes, the
/// rest gray, and so is a damaged one; it is an error where nothing is left to draw. Memory and time are bounded by the
/// limits above.
pub fn thumbnail<R: BufRead + Seek>(
    mut source: R,
    media_type: &MediaType,
) -> Result<Picture, ThumbnailError> {
    let file_len = source.seek(SeekFrom::End(0))?;
    if file_len > MAX_FILE {
        return Err(ThumbnailError::TooLarge(format!("a file of {file_len} bytes")));
    }
    source.rewind()?;
    let decoded = match media_type.essence() {
        "image/jpeg" => jpeg::decode(source),
        "image/png" => formats::png(source),
        "image/gif" => formats::gif(source),
        "image/webp" => webp::decode(source),
        _ => Err(ThumbnailError::Unsupported(media_type.clone())),
    }?;
    draw::draw(decoded)
}

/// Refuses what costs too much, before the pixels have memory: `eighths` of a byte for each pixel, and
/// `beside` bytes. Returns how many bytes are left.
fn check_size(size: (u32, u32), eighths: u64, beside: u64) -> Result<u64, ThumbnailError> {
    check_pixels(size, MAX_PIXELS)?;
    let pixels = u64::from(size.0) * u64::from(size.1);
    check_memory(size, (pixels * eighths / 8).saturating_add(beside))
}

fn check_pixels((width, height): (u32, u32), most: u64) -> Result<(), ThumbnailError> {
    if width == 0 || height == 0 {
        return Err(ThumbnailError::Undecodable("no pixels".to_owned()));
    }
    if width.max(height) > MAX_SOURCE_SIDE || u64::from(width) * u64::from(height) > most {
        return Err(ThumbnailError::TooLarge(format!("{width} x {height} pixels")));
    }
    Ok(())
}

fn check_memory((width, height): (u32, u32), memory: u64) -> Result<u64, ThumbnailError> {
    MAX_MEMORY.checked_sub(memory).ok_or_else(|| {
        let reason = format!("{width} x {height} pixels of this kind take {memory} bytes");
        ThumbnailError::TooLarge(reason)
    })
}

/// The orientation that EXIF metadata tells; upright where it tells none.
fn orientation(exif: Option<&[u8]>) -> Orientation {
    let value = exif.map_or(1, orientation::of_exif);
    Orientation::from_exif(value).unwrap_or(Orientation::NoTransforms)
}

fn undecodable(reason: impl std::fmt::Display) -> ThumbnailError {
    ThumbnailError::Undecodable(reason.to_string())
}
