//! Draws small previews of images.
//!
//! Decides which images are drawn and what drawing one may cost, and makes sure that a preview contains nothing of the
//! source but its appearance. Doesn't know where images come from or where previews are stored. `formats`, `jpeg` and
//! `webp` decode images; `draw` scales, rotates and encodes them.

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

/// Maximum length in bytes of a source file. Files within the limit on pixels are shorter, unless they consist mostly
/// of blocks to skip.
const MAX_FILE: u64 = 256 << 20;

/// Whether images of this type are drawn: JPEG, PNG, GIF and WebP, which browsers support and cameras and phones
/// produce. BMP isn't: clients don't send it, and every decoder is one more that has to handle hostile bytes.
#[must_use]
pub fn is_drawable(media_type: &MediaType) -> bool {
    matches!(media_type.essence(), "image/jpeg" | "image/png" | "image/gif" | "image/webp")
}

/// Draws a preview of `source`, a complete file of type `media_type`.
///
/// The preview has at most [`MAX_SIDE`] pixels on its longest side and is never enlarged. It is rotated by the EXIF
/// orientation, and its only metadata is the image's colour profile. Of an animation, only the first frame is decoded.
/// A truncated or damaged file is drawn as far as possible and the rest is gray; it is an error if nothing can be
/// drawn. The limits above bound memory and time.
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
