//! An image between decoding and drawing.

use image::DynamicImage;
use image::metadata::Orientation;

use super::colours::Colours;
use crate::media::orientation;

/// A decoded image: 8-bit gray or RGB, with or without alpha.
pub(super) struct Decoded {
    pub(super) pixels: DynamicImage,
    pub(super) orientation: Orientation,
    pub(super) colours: Colours,
}

/// The orientation in the EXIF metadata; upright if there is none.
pub(super) fn orientation(exif: Option<&[u8]>) -> Orientation {
    let value = exif.map_or(1, orientation::of_exif);
    Orientation::from_exif(value).unwrap_or(Orientation::NoTransforms)
}
