//! What drawing may cost, and why there is no picture.

use std::io;

use crate::media::MediaType;

/// The longest side of a picture, in pixels: sharp at the 256 px of a message's preview on a dense screen.
pub const MAX_SIDE: u32 = 512;

/// The longest side of an image that is drawn: what the longest panoramas have. JPEG and GIF can say 65,535,
/// PNG 2^31.
pub(super) const MAX_SOURCE_SIDE: u32 = 32_768;

/// The most pixels of an image that is drawn in full, in a second; of JPEG, which isn't, more are taken.
pub(super) const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// What drawing may hold in memory at once, in bytes: all pixels of the image, what its decoder needs beside
/// them, and its file where that is read as a whole. 64 megapixels of RGBA and 64 MiB besides; images that
/// take more for each pixel have to be smaller.
pub(super) const MAX_MEMORY: u64 = 320 << 20;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// See [`super::is_drawable`].
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

/// Refuses what costs too much, before the pixels have memory: `eighths` of a byte for each pixel, and
/// `beside` bytes. Returns how many bytes are left.
pub(super) fn check_size(
    size: (u32, u32),
    eighths: u64,
    beside: u64,
) -> Result<u64, ThumbnailError> {
    check_pixels(size, MAX_PIXELS)?;
    let pixels = u64::from(size.0) * u64::from(size.1);
    check_memory(size, (pixels * eighths / 8).saturating_add(beside))
}

pub(super) fn check_pixels((width, height): (u32, u32), most: u64) -> Result<(), ThumbnailError> {
    if width == 0 || height == 0 {
        return Err(ThumbnailError::Undecodable("no pixels".to_owned()));
    }
    if width.max(height) > MAX_SOURCE_SIDE || u64::from(width) * u64::from(height) > most {
        return Err(ThumbnailError::TooLarge(format!("{width} x {height} pixels")));
    }
    Ok(())
}

pub(super) fn check_memory(
    (width, height): (u32, u32),
    memory: u64,
) -> Result<u64, ThumbnailError> {
    MAX_MEMORY.checked_sub(memory).ok_or_else(|| {
        let reason = format!("{width} x {height} pixels of this kind take {memory} bytes");
        ThumbnailError::TooLarge(reason)
    })
}

pub(super) fn undecodable(reason: impl std::fmt::Display) -> ThumbnailError {
    ThumbnailError::Undecodable(reason.to_string())
}
