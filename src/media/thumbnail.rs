//! A small picture that stands for an image.

use std::io::{self, BufRead, Seek};

use super::MediaType;

/// A picture made by this server.
#[derive(Clone, Debug)]
pub struct Picture {
    /// JPEG or WebP.
    pub media_type: MediaType,
    /// The encoded picture.
    pub bytes: Vec<u8>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// a
    #[error("not made yet {0}")]
    Undecodable(String),
    /// b
    #[error("io {0}")]
    Io(io::Error),
}

/// Makes it.
pub fn thumbnail(
    _source: impl BufRead + Seek,
    _type: &MediaType,
) -> Result<Picture, ThumbnailError> {
    Err(ThumbnailError::Undecodable(String::new()))
}

/// Whether a picture of this type can be decoded here.
pub fn is_drawable(media_type: &MediaType) -> bool {
    ["image/jpeg", "image/png", "image/gif", "image/webp"].contains(&media_type.essence())
}
