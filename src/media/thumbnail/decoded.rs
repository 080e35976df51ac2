//! An image between its decoder and what is made of it.

use image::DynamicImage;
use image::metadata::Orientation;

use super::colours::Colours;
use crate::media::orientation;

/// An image as it was decoded: 8 bits of gray or RGB, with or without alpha.
pub(super) struct Decoded {
    pub(super) pixels: DynamicImage,
    pub(super) orientation: Orientation,
    pub(super) colours: Colours,
}

/// The orientation that EXIF metadata tells; upright where it tells none.
pub(super) fn orientation(exif: Option<&[u8]>) -> Orientation {
    let value = exif.map_or(1, orientation::of_exif);
    Orientation::from_exif(value).unwrap_or(Orientation::NoTransforms)
}
