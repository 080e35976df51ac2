//! Turns a decoded image into a preview.
//!
//! Scales and rotates, and decides on the output format and which colour profiles are kept. Doesn't know the source
//! format.

use fast_image_resize::{FilterType, MulDiv, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ImageEncoder, RgbImage, RgbaImage};

use super::colours::Colours;
use super::decoded::Decoded;
use super::limits::{MAX_SIDE, ThumbnailError, undecodable};
use crate::media::MediaType;

/// A preview made by this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `image/jpeg`, or `image/webp` if it has transparency.
    pub media_type: MediaType,
    /// The file. Its only metadata is a colour profile.
    pub bytes: Vec<u8>,
    /// In pixels, 1 to [`MAX_SIDE`].
    pub width: u32,
    /// In pixels, 1 to [`MAX_SIDE`].
    pub height: u32,
}

/// JPEG quality: at this size, no difference to a higher one is visible.
const QUALITY: u8 = 80;

/// A transparent picture whose file is larger than this, in bytes, is a photograph: it becomes a JPEG on white.
const MAX_TRANSPARENT: usize = 400 << 10;

/// Maximum length in bytes of a profile that is kept: profiles of RGB spaces have 0.5 to 4 KiB; those of printers have
/// hundreds, more than the picture.
const MAX_PROFILE: usize = 16 << 10;

pub(super) fn draw(decoded: Decoded) -> Result<Picture, ThumbnailError> {
    let mut pixels = scale(decoded.pixels)?;
    decoded.colours.apply(&mut pixels);
    pixels.apply_orientation(decoded.orientation);
    let pixels = without_opaque_alpha(pixels);
    let profile = match decoded.colours {
        Colours::Profile(profile) => Some(profile).filter(|profile| fits(profile, &pixels)),
        Colours::Srgb | Colours::Other(_) => None,
    };
    let (width, height) = (pixels.width(), pixels.height());
    let (essence, bytes) = encode(pixels, profile)?;
    Ok(Picture { media_type: MediaType::known(essence), bytes, width, height })
}

/// Scales down to [`MAX_SIDE`]. A smaller image keeps its pixels.
fn scale(mut pixels: DynamicImage) -> Result<DynamicImage, ThumbnailError> {
    let Some((width, height)) = scaled_size(pixels.width(), pixels.height()) else {
        return Ok(pixels);
    };
    let alpha = pixels.color().has_alpha();
    let mul_div = MulDiv::new();
    // Weights colours by alpha, in place: the resizer would do this in a copy of the image.
    if alpha {
        mul_div.multiply_alpha_inplace(&mut pixels).map_err(undecodable)?;
    }
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .use_alpha(false);
    let mut small = DynamicImage::new(width, height, pixels.color());
    Resizer::new().resize(&pixels, &mut small, &options).map_err(undecodable)?;
    if alpha {
        mul_div.divide_alpha_inplace(&mut small).map_err(undecodable)?;
    }
    Ok(small)
}

/// The scaled size, or `None` if the image is small enough. No side becomes less than one pixel.
fn scaled_size(width: u32, height: u32) -> Option<(u32, u32)> {
    let longest = width.max(height);
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(MAX_SIDE) + u64::from(longest / 2))
            / u64::from(longest.max(1));
        u32::try_from(rounded.max(1)).unwrap_or(MAX_SIDE)
    };
    (longest > MAX_SIDE).then(|| (scaled(width), scaled(height)))
}

/// Drops an alpha channel if all pixels are opaque.
fn without_opaque_alpha(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLumaA8(gray) if gray.pixels().all(|pixel| pixel.0[1] == u8::MAX) => {
            DynamicImage::ImageLumaA8(gray).into_luma8().into()
        }
        DynamicImage::ImageRgba8(rgba) if rgba.pixels().all(|pixel| pixel.0[3] == u8::MAX) => {
            DynamicImage::ImageRgba8(rgba).into_rgb8().into()
        }
        other => other,
    }
}

/// Whether a profile describes these pixels: it is for their colour space (ICC.1 section 7.2), no longer than
/// [`MAX_PROFILE`], and as long as it claims. A CMYK profile for pixels converted to RGB, or a gray one for pixels that
/// WebP stores as RGB, would be wrong.
fn fits(profile: &[u8], pixels: &DynamicImage) -> bool {
    let space = match pixels {
        DynamicImage::ImageLuma8(_) => b"GRAY",
        DynamicImage::ImageLumaA8(_) => return false,
        _ => b"RGB ",
    };
    let said = profile.first_chunk().map(|said| u32::from_be_bytes(*said) as usize);
    profile.len() <= MAX_PROFILE
        && said == Some(profile.len())
        && profile.get(16..20) == Some(space)
        && profile.get(36..40) == Some(b"acsp")
}

fn encode(
    pixels: DynamicImage,
    profile: Option<Vec<u8>>,
) -> Result<(&'static str, Vec<u8>), ThumbnailError> {
    if !pixels.color().has_alpha() {
        return Ok(("image/jpeg", jpeg(&pixels, profile)?));
    }
    let pixels = pixels.into_rgba8();
    let webp = webp(&pixels, profile.clone())?;
    if webp.len() <= MAX_TRANSPARENT {
        return Ok(("image/webp", webp));
    }
    Ok(("image/jpeg", jpeg(&on_white(&pixels).into(), profile)?))
}

fn jpeg(pixels: &DynamicImage, profile: Option<Vec<u8>>) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).map_err(undecodable)?;
    }
    let (width, height, color) = (pixels.width(), pixels.height(), pixels.color());
    encoder.encode(pixels.as_bytes(), width, height, color.into()).map_err(undecodable)?;
    Ok(bytes)
}

fn webp(pixels: &RgbaImage, profile: Option<Vec<u8>>) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).map_err(undecodable)?;
    }
    let (width, height) = pixels.dimensions();
    encoder
        .write_image(pixels, width, height, image::ExtendedColorType::Rgba8)
        .map_err(undecodable)?;
    Ok(bytes)
}

fn on_white(pixels: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [colour @ .., alpha] = pixels.get_pixel(x, y).0;
        let alpha = u16::from(alpha);
        let blend = |value: u8| (u16::from(value) * alpha + 255 * (255 - alpha) + 127) / 255;
        image::Rgb(colour.map(|value| u8::try_from(blend(value)).unwrap_or(u8::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_is_scaled_and_the_ratio_kept() {
        assert_eq!(scaled_size(8064, 6048), Some((512, 384)));
        assert_eq!(scaled_size(6048, 8064), Some((384, 512)));
        assert_eq!(scaled_size(513, 513), Some((512, 512)));
    }

    #[test]
    fn images_within_the_maximum_are_not_scaled() {
        assert_eq!(scaled_size(512, 512), None);
        assert_eq!(scaled_size(1, 1), None);
    }

    #[test]
    fn no_side_vanishes() {
        assert_eq!(scaled_size(1, 32_768), Some((1, 512)));
        assert_eq!(scaled_size(32_768, 30), Some((512, 1)));
    }

    #[test]
    fn transparent_pixels_become_white() {
        let pixels = RgbaImage::from_raw(3, 1, vec![9, 9, 9, 0, 10, 20, 30, 255, 0, 0, 0, 128]);
        assert_eq!(
            on_white(&pixels.unwrap()).into_raw(),
            [255, 255, 255, 10, 20, 30, 127, 127, 127]
        );
    }
}
