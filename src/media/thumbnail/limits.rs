//! Limits on what drawing may cost, and the reasons for not drawing.

use std::io;

use crate::media::MediaType;

/// The longest side of a preview in pixels: enough for 256 px in a message on a high-density screen.
pub const MAX_SIDE: u32 = 512;

/// The longest side of a source image, in pixels: that of the longest panoramas. JPEG and GIF allow 65,535, PNG 2^31.
pub(super) const MAX_SOURCE_SIDE: u32 = 32_768;

/// Maximum number of pixels of an image that is decoded in full, which takes a second. JPEG, which isn't, may have
/// more.
pub(super) const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// Maximum number of bytes in memory while drawing: all pixels of the image, what its decoder needs besides, and its
/// file if that is read as a whole. Enough for 64 megapixels of RGBA plus 64 MiB; images with more bytes per pixel must
/// be smaller.
pub(super) const MAX_MEMORY: u64 = 320 << 20;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// See [`super::is_drawable`].
    #[error("files of type {0} get no thumbnail")]
    Unsupported(MediaType),
    /// Drawing would take too much memory or time, as the text explains.
    #[error("too large for a thumbnail: {0}")]
    TooLarge(String),
    /// The file is damaged, truncated, of another type, or of a rare kind.
    #[error("can't be decoded: {0}")]
    Undecodable(String),
    /// The source failed; another attempt may succeed.
    #[error("the file can't be read")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ThumbnailError {
    /// A file that ends early, or that a decoder reports as invalid input, is itself at fault.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput => Self::Undecodable(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

/// Refuses an image that costs too much, before memory for the pixels is allocated: `eighths` of a byte per pixel, plus
/// `beside` bytes. Returns how many bytes of the limit are left.
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
