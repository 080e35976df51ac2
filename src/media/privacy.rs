//! Which bytes of a file to overwrite, so that it no longer says where, when, by whom and with what it was made.
//!
//! Owns the rule that nothing moves: a plan overwrites in place, and neither size, offsets, pixels, sound,
//! orientation nor colour profile change. Refuses to know where files lie, and who writes the plan into them.
//!
//! Lost are also what some viewers make of metadata: panoramas that turn, motion photos that XMP points at,
//! resolution, captions, music tags.
//!
//! A plan says what bytes should be, and leaves out what already is so: planning for a file that was patched
//! gives nothing. What should go and can't is told beside it. Limits hold for hostile files: half a million reads and 256 MiB read, [`MAX_PATCHES`] patches,
//! [`MAX_BYTES`] of bytes that aren't zero. Where one is reached, the plan is what was found up to there, and may
//! name bytes that already are so.

use std::io::{self, Read, Seek};

use super::{MediaType, Patch};
use plan::{Meter, Plan};

mod boxes;
mod exif;
mod gaps;
mod iso;
mod items;
mod jpeg;
mod movie;
mod names;
mod plan;
mod png;
mod ranges;
mod samples;
mod webp;
mod xmp;

#[cfg(test)]
mod tests;

pub use plan::{MAX_BYTES, MAX_PATCHES};

/// The formats that have a planner.
enum Format {
    Jpeg,
    Png,
    WebP,
    /// MP4, `QuickTime`, 3GP, HEIF, AVIF: all are boxes.
    Iso,
}

impl Format {
    fn of(media_type: &MediaType) -> Option<Self> {
        Some(match media_type.essence() {
            "image/jpeg" => Self::Jpeg,
            "image/png" | "image/apng" | "image/vnd.mozilla.apng" => Self::Png,
            "image/webp" => Self::WebP,
            "image/heic"
            | "image/heif"
            | "image/heic-sequence"
            | "image/heif-sequence"
            | "image/avif"
            | "image/avif-sequence" => Self::Iso,
            "video/mp4" | "audio/mp4" | "application/mp4" | "video/x-m4v" | "audio/x-m4a"
            | "video/quicktime" | "video/3gpp" | "audio/3gpp" | "video/3gpp2" | "audio/3gpp2" => {
                Self::Iso
            }
            _ => return None,
        })
    }
}

/// Whether files of this type are planned for at all.
#[must_use]
pub fn is_handled(media_type: &MediaType) -> bool {
    Format::of(media_type).is_some()
}

/// What becomes of the metadata in a file: what it says of where, when, by whom and with what it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddedMetadata {
    /// It had some, and has none any more.
    Removed,
    /// It was looked into, and has none.
    None,
    /// It keeps all or some of it, as far as anybody can tell.
    Kept,
    /// It wasn't looked into.
    #[default]
    Unknown,
}

impl EmbeddedMetadata {
    /// The word for it in protocol, section 6.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::None => "none",
            Self::Kept => "kept",
            Self::Unknown => "unknown",
        }
    }
}

/// What to overwrite in a file, and what becomes of its metadata by that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// Ordered by offset, not overlapping, within the file.
    pub patches: Vec<Patch>,
    /// Once they are applied.
    pub metadata: EmbeddedMetadata,
}

impl Cleaning {
    /// The same for a file that is to stay as it is.
    #[must_use]
    pub fn omitted(self) -> Self {
        let metadata = match self.metadata {
            EmbeddedMetadata::Removed => EmbeddedMetadata::Kept,
            other => other,
        };
        Self { patches: Vec::new(), metadata }
    }
}

/// What to overwrite in a file of `size` bytes.
///
/// No patches where nothing identifying is found or the type isn't handled. A file that is cut, damaged or not of
/// the type it is said to be is no error: the plan is what was found before the break.
///
/// # Errors
/// `source` can't be read, or ends before `size`.
pub fn cleaning<R: Read + Seek>(
    source: &mut R,
    size: u64,
    media_type: &MediaType,
) -> io::Result<Cleaning> {
    let Some(format) = Format::of(media_type) else {
        return Ok(Cleaning::default());
    };
    let mut plan = Plan::within(size);
    let mut metered = Meter::new(source);
    let walked = match format {
        Format::Jpeg => jpeg::plan(&mut metered, 0..size, &mut plan),
        Format::Png => png::plan(&mut metered, 0..size, &mut plan),
        Format::WebP => webp::plan(&mut metered, 0..size, &mut plan),
        Format::Iso => iso::plan(&mut metered, 0..size, &mut plan),
    };
    if metered.unless_spent(walked)?.is_none() {
        plan.leave();
    }
    let (patches, leaves) = plan.finish(&mut Meter::new(source))?;
    let metadata = match (leaves, patches.is_empty()) {
        (true, _) => EmbeddedMetadata::Kept,
        (false, true) => EmbeddedMetadata::None,
        (false, false) => EmbeddedMetadata::Removed,
    };
    Ok(Cleaning { patches, metadata })
}
