//! Converts the components of a JPEG to pixels.
//!
//! Determines their colour space like libjpeg and browsers, and upsamples components with fewer samples.

use image::{DynamicImage, GrayImage, RgbImage};

use super::super::limits::{ThumbnailError, undecodable};
use super::frame::Frame;
use super::scan::Part;
use super::tables::Tables;

/// The colour space of the components.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Colours {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    /// CMYK whose first three components are coded like Y, Cb and Cr.
    Ycck,
}

impl Colours {
    /// Determined by the JFIF and Adobe markers, or else by the component ids.
    fn of(frame: &Frame, tables: &Tables) -> Self {
        match (&*frame.components, tables.adobe_transform) {
            ([_], _) => Self::Gray,
            ([_, _, _, _], Some(2)) => Self::Ycck,
            ([_, _, _, _], _) => Self::Cmyk,
            _ if tables.is_jfif => Self::YCbCr,
            (_, Some(0)) => Self::Rgb,
            ([r, g, b], None) if [r.id, g.id, b.id] == *b"RGB" => Self::Rgb,
            _ => Self::YCbCr,
        }
    }
}

/// Combines the components.
pub(super) fn pixels(
    frame: &Frame,
    tables: &Tables,
    parts: &[Part],
) -> Result<DynamicImage, ThumbnailError> {
    let (width, height) = frame.scaled_size();
    let colours = Colours::of(frame, tables);
    let channels = if colours == Colours::Gray { 1 } else { 3 };
    let mut pixels = vec![0; width as usize * height as usize * channels];
    let mut spreads: Vec<Spread> = frame
        .components
        .iter()
        .zip(parts)
        .map(|(component, part)| {
            let ratios = (
                Ratio::new(component.across, frame.across),
                Ratio::new(component.down, frame.down),
            );
            Spread::new(part, ratios, (width, height))
        })
        .collect();
    for (y, row) in (0..height).zip(pixels.chunks_exact_mut(width as usize * channels)) {
        for spread in &mut spreads {
            spread.fill(y);
        }
        match &*spreads {
            [gray] => row.copy_from_slice(&gray.row),
            [a, b, c] => three(colours, row, [&a.row, &b.row, &c.row]),
            [a, b, c, key] => {
                let colours = if colours == Colours::Ycck { Colours::YCbCr } else { Colours::Rgb };
                three(colours, row, [&a.row, &b.row, &c.row]);
                darken(colours, row, &key.row);
            }
            _ => {}
        }
    }
    let pixels = if channels == 1 {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    pixels.ok_or_else(|| undecodable("too few pixels"))
}

fn three(colours: Colours, row: &mut [u8], [a, b, c]: [&[u8]; 3]) {
    for (((pixel, a), b), c) in row.as_chunks_mut::<3>().0.iter_mut().zip(a).zip(b).zip(c) {
        *pixel = if colours == Colours::YCbCr { rgb(*a, *b, *c) } else { [*a, *b, *c] };
    }
}

/// Converts as JFIF 1.02 specifies, with 16 fractional bits.
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) << 16) + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    let value = |sum: i32| u8::try_from((sum >> 16).clamp(0, 255)).unwrap_or(0);
    [value(y + 91_881 * cr), value(y - 22_554 * cb - 46_802 * cr), value(y + 116_130 * cb)]
}

/// Applies black. Like browsers, takes all CMYK as inverted: Adobe's is, and hardly anybody else writes CMYK.
fn darken(colours: Colours, row: &mut [u8], key: &[u8]) {
    for (pixel, key) in row.as_chunks_mut::<3>().0.iter_mut().zip(key) {
        for value in pixel {
            let ink = if colours == Colours::YCbCr { 255 - *value } else { *value };
            let mixed = (u16::from(ink) * u16::from(*key) + 127) / 255;
            *value = u8::try_from(mixed).unwrap_or(u8::MAX);
        }
    }
}

/// The number of samples for a number of pixels.
#[derive(Clone, Copy)]
struct Ratio {
    samples: u32,
    pixels: u32,
}

impl Ratio {
    fn new(samples: u32, pixels: u32) -> Self {
        Self { samples, pixels }
    }

    /// Returns the two samples that a pixel lies between, and the weight of the second one in 256ths. A sample lies in
    /// the middle of its pixels (as JFIF 1.02 says; T.81 leaves it open).
    fn place(self, pixel: u32, last: u32) -> (usize, usize, u16) {
        let middle = (2 * pixel + 1) * self.samples * 128 / self.pixels;
        let from_first = middle.saturating_sub(128);
        let first = (from_first / 256).min(last);
        let nearness = u16::try_from(from_first % 256).unwrap_or(0);
        (first as usize, (first + 1).min(last) as usize, nearness)
    }
}

/// A component, upsampled row by row.
struct Spread<'a> {
    part: &'a Part,
    down: Ratio,
    /// The last row of samples with pixels.
    last_row: u32,
    /// Where the pixels of a row lie among the samples; `None` if each pixel has its own sample.
    places: Option<Vec<(usize, usize, u16)>>,
    row: Vec<u8>,
    /// A row interpolated from two rows of samples.
    mixed: Vec<u8>,
}

impl<'a> Spread<'a> {
    fn new(part: &'a Part, (across, down): (Ratio, Ratio), (width, height): (u32, u32)) -> Self {
        let last = |pixels: u32, ratio: Ratio| (pixels * ratio.samples).div_ceil(ratio.pixels) - 1;
        let last_column = last(width, across);
        let places = || (0..width).map(|x| across.place(x, last_column)).collect();
        Self {
            part,
            down,
            last_row: last(height, down),
            places: (across.samples != across.pixels).then(places),
            row: vec![0; width as usize],
            mixed: vec![0; last_column as usize + 1],
        }
    }

    /// Fills `row` with the pixels at `y`.
    fn fill(&mut self, y: u32) {
        let (first, second, nearness) = self.down.place(y, self.last_row);
        let plane = &self.part.plane;
        let samples = |row: usize| plane.samples.get(row * plane.stride..).unwrap_or_default();
        for ((mixed, first), second) in
            self.mixed.iter_mut().zip(samples(first)).zip(samples(second))
        {
            *mixed = mix(*first, *second, nearness);
        }
        match &self.places {
            None => self.row.copy_from_slice(&self.mixed),
            Some(places) => {
                for (pixel, (first, second, nearness)) in self.row.iter_mut().zip(places) {
                    *pixel = mix(self.mixed[*first], self.mixed[*second], *nearness);
                }
            }
        }
    }
}

fn mix(first: u8, second: u8, nearness: u16) -> u8 {
    let sum = u16::from(first) * (256 - nearness) + u16::from(second) * nearness;
    u8::try_from((u32::from(sum) + 128) >> 8).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Ratio, mix, rgb};

    #[test]
    fn colours_are_those_of_jfif() {
        assert_eq!(rgb(76, 85, 255), [254, 0, 0]);
        assert_eq!(rgb(150, 44, 21), [0, 255, 1]);
        assert_eq!(rgb(29, 255, 107), [0, 0, 254]);
        assert_eq!(rgb(200, 128, 128), [200, 200, 200]);
    }

    #[test]
    fn pixels_lie_between_the_middles_of_samples() {
        let half = Ratio::new(1, 2);
        let places: Vec<_> = (0..6).map(|pixel| half.place(pixel, 2)).collect();
        assert_eq!(
            places,
            [(0, 1, 0), (0, 1, 64), (0, 1, 192), (1, 2, 64), (1, 2, 192), (2, 2, 64)]
        );
        assert_eq!(Ratio::new(2, 2).place(5, 9), (5, 6, 0));
        assert_eq!(Ratio::new(2, 3).place(0, 9), (0, 1, 0));
    }

    #[test]
    fn an_interpolated_sample_lies_between_its_sources() {
        for (nearness, expected) in [(0, 0), (64, 64), (128, 128), (255, 254)] {
            assert_eq!(mix(0, 255, nearness), expected);
            assert_eq!(mix(200, 200, nearness), 200);
        }
    }
}
