//! Plans which bytes of a file to overwrite, so that its metadata no longer says where, when, by whom and with what it
//! was made.
//!
//! A plan only overwrites bytes in place. Size, offsets, pixels, sound, orientation and colour profile stay the same.
//! Doesn't know where files are stored or who applies the plan.
//!
//! Features that depend on metadata are lost: interactive panoramas, motion photos referenced from XMP, resolution,
//! captions and music tags.
//!
//! A plan leaves out bytes that already have the right value, so planning for a cleaned file returns no patches. It
//! also reports whether something remains that should have been removed. Limits protect against hostile files: 500,000
//! reads, 256 MiB read, [`MAX_PATCHES`] patches and [`MAX_BYTES`] non-zero bytes. When one is reached, the plan
//! contains what was found so far, and may include bytes that already have the right value.

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

/// Formats whose metadata can be removed.
enum Format {
    Jpeg,
    Png,
    WebP,
    /// MP4, `QuickTime`, 3GP, HEIF and AVIF, which all consist of boxes.
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

/// Whether metadata can be removed from files of this type.
#[must_use]
pub fn is_handled(media_type: &MediaType) -> bool {
    Format::of(media_type).is_some()
}

/// The state of a file's embedded metadata: what says where, when, by whom and with what it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddedMetadata {
    /// The file had metadata, and all of it was removed.
    Removed,
    /// The file was examined and has no metadata.
    None,
    /// The file still has metadata, or may have some.
    Kept,
    /// The file wasn't examined.
    #[default]
    Unknown,
}

impl EmbeddedMetadata {
    /// The value of this state in the protocol (section 6).
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

/// The patches that remove a file's metadata, and the resulting state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// Sorted by offset, not overlapping, within the file.
    pub patches: Vec<Patch>,
    /// The state once the patches are applied.
    pub metadata: EmbeddedMetadata,
}

impl Cleaning {
    /// The result for a file that is left unchanged.
    #[must_use]
    pub fn omitted(self) -> Self {
        let metadata = match self.metadata {
            EmbeddedMetadata::Removed => EmbeddedMetadata::Kept,
            other => other,
        };
        Self { patches: Vec::new(), metadata }
    }
}

/// Plans the removal of metadata from a file of `size` bytes.
///
/// There are no patches if nothing identifying is found or the type isn't handled. A truncated, damaged or mislabelled
/// file is not an error: the plan contains what was found before the damage.
///
/// # Errors
/// Fails if `source` can't be read or ends before `size`.
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
        plan.mark_incomplete();
    }
    let (patches, is_incomplete) = plan.finish(&mut Meter::new(source))?;
    let metadata = match (is_incomplete, patches.is_empty()) {
        (true, _) => EmbeddedMetadata::Kept,
        (false, true) => EmbeddedMetadata::None,
        (false, false) => EmbeddedMetadata::Removed,
    };
    Ok(Cleaning { patches, metadata })
}
