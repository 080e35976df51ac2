//! A small picture that stands for an image.
//!
//! Owns which images are drawn, what drawing one may cost, and that nothing of the source but its look gets
//! into the result. Refuses to know where pictures come from and where they are kept. How pixels are had of
//! each format is `formats`', `jpeg`'s and `webp`'s, what becomes of them `draw`'s.

use std::io::{BufRead, Seek, SeekFrom};

use super::MediaType;
pub use draw::Picture;
pub use limits::{MAX_SIDE, ThumbnailError};

mod canvas;
mod colours;
mod decoded;
mod draw;
mod formats;
mod jpeg;
mod limits;
#[cfg(test)]
mod tests;
mod vp8l;
mod webp;

/// The longest file that is drawn from, in bytes. Pixels within the limits take less; a flood of blocks to
/// be skipped takes more.
const MAX_FILE: u64 = 256 << 20;

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
