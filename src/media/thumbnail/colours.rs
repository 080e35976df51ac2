//! The colour space of an image.
//!
//! Reads that of a PNG in the order of precedence of its chunks (PNG third edition, section 4.3): `cICP`, then `iCCP`,
//! `sRGB`, `gAMA` with `cHRM`. An ICC profile is copied into the thumbnail; other colours are converted to sRGB.

use image::DynamicImage;
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, Layout,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, TransformOptions, XyY,
};

/// Luminance of diffuse white in nits, for encodings of absolute luminance (ITU-R BT.2408). Brighter pixels become
/// white.
const WHITE: f32 = 203.0;

/// The colour space of an image.
pub(super) enum Colours {
    /// sRGB, also for images that don't specify any.
    Srgb,
    /// That of an ICC profile.
    Profile(Vec<u8>),
    /// Another one that isn't given as a profile.
    Other(Box<ColorProfile>),
}

impl Colours {
    pub(super) fn of_png(info: &png::Info<'_>) -> Self {
        if let Some(colours) = info.coding_independent_code_points.and_then(coded) {
            return colours;
        }
        if let Some(profile) = &info.icc_profile {
            return Self::Profile(profile.to_vec());
        }
        match (info.srgb, info.gama_chunk, info.chrm_chunk) {
            (Some(_), ..) | (_, None, None) => Self::Srgb,
            (None, gamma, primaries) => {
                let mut profile = ColorProfile::new_srgb();
                profile.cicp = None;
                if let Some(primaries) = primaries {
                    set_primaries(&mut profile, &primaries);
                }
                // Zero means none; the decoder doesn't pass it on.
                if let Some(gamma) = gamma {
                    set_curve(
                        &mut profile,
                        &ToneReprCurve::Parametric(vec![1.0 / gamma.into_value()]),
                    );
                }
                Self::Other(Box::new(profile))
            }
        }
    }

    /// Converts pixels in another colour space to sRGB.
    pub(super) fn apply(&self, pixels: &mut DynamicImage) {
        let Self::Other(profile) = self else { return };
        match pixels {
            DynamicImage::ImageRgb8(pixels) => convert(profile, Layout::Rgb, pixels),
            DynamicImage::ImageRgba8(pixels) => convert(profile, Layout::Rgba, pixels),
            DynamicImage::ImageLuma8(pixels) => {
                let shades = shades(profile);
                pixels.pixels_mut().for_each(|pixel| pixel.0[0] = shades[usize::from(pixel.0[0])]);
            }
            DynamicImage::ImageLumaA8(pixels) => {
                let shades = shades(profile);
                pixels.pixels_mut().for_each(|pixel| pixel.0[0] = shades[usize::from(pixel.0[0])]);
            }
            _ => {}
        }
    }
}

/// The colour space for code points (ITU-T H.273), or `None` if they are unknown.
fn coded(points: png::CodingIndependentCodePoints) -> Option<Colours> {
    let primaries = CicpColorPrimaries::try_from(points.color_primaries).ok()?;
    let transfer = TransferCharacteristics::try_from(points.transfer_function).ok()?;
    if (primaries, transfer) == (CicpColorPrimaries::Bt709, TransferCharacteristics::Srgb) {
        return Some(Colours::Srgb);
    }
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    // The function always returns false; what it sets shows whether it succeeded.
    profile.update_rgb_colorimetry_from_cicp(CicpProfile {
        color_primaries: primaries,
        transfer_characteristics: transfer,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    let is_known = profile.cicp.take().is_some();
    match transfer {
        TransferCharacteristics::Smpte2084 => {
            set_curve(&mut profile, &curve(|value| pq(value) / WHITE));
        }
        TransferCharacteristics::Hlg => set_curve(&mut profile, &curve(|value| hlg(value) / WHITE)),
        _ if !is_known => return None,
        _ => {}
    }
    Some(Colours::Other(Box::new(profile)))
}

fn set_primaries(profile: &mut ColorProfile, said: &png::SourceChromaticities) {
    let point = |(x, y): (png::ScaledFloat, png::ScaledFloat)| Chromaticity {
        x: x.into_value(),
        y: y.into_value(),
    };
    let (white_x, white_y) = said.white;
    let white = XyY { x: white_x.into_value().into(), y: white_y.into_value().into(), yb: 1.0 };
    let primaries =
        ColorPrimaries { red: point(said.red), green: point(said.green), blue: point(said.blue) };
    // Primaries that span no area are a mistake.
    let area = (primaries.red.x - primaries.blue.x) * (primaries.green.y - primaries.blue.y)
        - (primaries.red.y - primaries.blue.y) * (primaries.green.x - primaries.blue.x);
    if white.y > 0.0 && area.abs() > 0.001 {
        profile.update_rgb_colorimetry(white, primaries);
    }
}

fn set_curve(profile: &mut ColorProfile, curve: &ToneReprCurve) {
    for channel in [&mut profile.red_trc, &mut profile.green_trc, &mut profile.blue_trc] {
        *channel = Some(curve.clone());
    }
}

/// Builds a tone curve from a function from values to luminance, both from 0 to 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 to 65,535 by then
fn curve(brightness: impl Fn(f32) -> f32) -> ToneReprCurve {
    let entry = |at: u16| (brightness(f32::from(at) / 1023.0).clamp(0.0, 1.0) * 65_535.0) as u16;
    ToneReprCurve::Lut((0..1024).map(entry).collect())
}

/// Luminance in nits by the perceptual quantizer (SMPTE ST 2084).
fn pq(value: f32) -> f32 {
    let value = value.powf(32.0 / 2523.0);
    let ratio = (value - 0.835_937_5).max(0.0) / (18.851_563 - 18.6875 * value);
    10_000.0 * ratio.powf(16_384.0 / 2610.0)
}

/// Luminance in nits by hybrid log-gamma, on a display of 1000 nits (ITU-R BT.2100).
fn hlg(value: f32) -> f32 {
    let scene = if value <= 0.5 {
        value * value / 3.0
    } else {
        (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0
    };
    1000.0 * scene.powf(1.2)
}

fn convert(profile: &ColorProfile, layout: Layout, pixels: &mut [u8]) {
    let srgb = ColorProfile::new_srgb();
    let before = pixels.to_vec();
    // Colours that can't be converted stay as they are.
    if let Ok(transform) =
        profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
        && transform.transform(&before, pixels).is_err()
    {
        pixels.copy_from_slice(&before);
    }
}

/// Maps each gray value to sRGB.
fn shades(profile: &ColorProfile) -> [u8; 256] {
    let mut shades = [[0; 3]; 256];
    (0..=u8::MAX).zip(&mut shades).for_each(|(value, shade)| *shade = [value; 3]);
    convert(profile, Layout::Rgb, shades.as_flattened_mut());
    shades.map(|[_, green, _]| green)
}

#[cfg(test)]
mod tests {
    use super::{hlg, pq};

    #[test]
    fn diffuse_white_is_where_the_standards_say() {
        assert!((pq(0.58) - 203.0).abs() < 3.0, "{}", pq(0.58));
        assert!((hlg(0.75) - 203.0).abs() < 3.0, "{}", hlg(0.75));
        assert!((pq(1.0) - 10_000.0).abs() < 10.0 && pq(0.0) < 0.001);
        assert!((hlg(1.0) - 1000.0).abs() < 1.0 && hlg(0.0) < 0.001);
    }
}
