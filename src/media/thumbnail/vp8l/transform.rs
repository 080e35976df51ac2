//! Reverses the transforms of lossless WebP (RFC 9649 section 4), row by row.

/// A transform, with the rows it needs.
pub(super) enum Transform {
    Predictor { modes: Blocks, before: Vec<u32>, row: Vec<u32>, is_first: bool },
    Colours { factors: Blocks, row: Vec<u32> },
    SubtractGreen { row: Vec<u32> },
    Palette { colours: Vec<u32>, shift: u32, row: Vec<u32> },
}

/// One pixel per block of pixels.
pub(super) struct Blocks {
    shift: u32,
    across: u32,
    pixels: Vec<u32>,
    y: u32,
}

impl Blocks {
    /// The pixels of the blocks in the next row.
    fn next_row(&mut self) -> &[u32] {
        let start = ((self.y >> self.shift) * self.across) as usize;
        self.y += 1;
        self.pixels.get(start..).unwrap_or_default()
    }
}

impl Transform {
    /// Each pixel was predicted from its neighbours. The mode is given per block of size `1 << shift`.
    pub(super) fn predictor(shift: u32, across: u32, pixels: Vec<u32>, width: u32) -> Self {
        let modes = Blocks { shift, across, pixels, y: 0 };
        Self::Predictor { modes, before: vec![0; width as usize], row: Vec::new(), is_first: true }
    }

    /// Multiples of green and red were subtracted from red and blue.
    pub(super) fn colours(shift: u32, across: u32, pixels: Vec<u32>) -> Self {
        Self::Colours { factors: Blocks { shift, across, pixels, y: 0 }, row: Vec::new() }
    }

    pub(super) fn subtract_green() -> Self {
        Self::SubtractGreen { row: Vec::new() }
    }

    /// Pixels, `width` in a row, are colour indexes. Small palettes pack several indexes into one pixel.
    pub(super) fn palette(mut colours: Vec<u32>, width: u32) -> Self {
        for at in 1..colours.len() {
            colours[at] = add(colours[at], colours[at - 1]);
        }
        let shift = match colours.len() {
            0..=2 => 3,
            3..=4 => 2,
            5..=16 => 1,
            _ => 0,
        };
        Self::Palette { colours, shift, row: vec![0; width as usize] }
    }

    /// Base-2 logarithm of the number of indexes per pixel.
    pub(super) fn packed_shift(&self) -> u32 {
        if let Self::Palette { shift, .. } = self { *shift } else { 0 }
    }

    /// Reverses the transform for the next row.
    pub(super) fn undo<'a>(&'a mut self, pixels: &'a [u32]) -> &'a [u32] {
        match self {
            Self::Predictor { modes, before, row, is_first } => {
                std::mem::swap(before, row);
                row.clear();
                row.extend_from_slice(pixels);
                let shift = modes.shift;
                let modes = modes.next_row();
                if *is_first {
                    // The row before counts as a single colour, from which the first pixel is predicted.
                    *is_first = false;
                    let mut left = OPAQUE;
                    for pixel in row.iter_mut() {
                        *pixel = add(*pixel, left);
                        left = *pixel;
                    }
                } else {
                    predict(row, before, shift, modes);
                }
                row
            }
            Self::Colours { factors, row } => {
                let shift = factors.shift;
                let factors = factors.next_row();
                row.clear();
                let factor = |x: usize| factors.get(x >> shift).copied().unwrap_or(0);
                row.extend(
                    pixels.iter().enumerate().map(|(x, pixel)| with_colours(*pixel, factor(x))),
                );
                row
            }
            Self::SubtractGreen { row } => {
                row.clear();
                row.extend(pixels.iter().map(|pixel| add(*pixel, (pixel >> 8 & 0xFF) * 0x1_0001)));
                row
            }
            Self::Palette { colours, shift, row } => {
                let bits = 8 >> *shift;
                let mask = (1_u32 << bits) - 1;
                for (x, pixel) in (0_u32..).zip(row.iter_mut()) {
                    let packed =
                        pixels.get((x >> *shift) as usize).copied().unwrap_or(0) >> 8 & 0xFF;
                    let number = packed >> (bits * (x & ((1 << *shift) - 1))) & mask;
                    *pixel = colours.get(number as usize).copied().unwrap_or(0);
                }
                row
            }
        }
    }
}

const OPAQUE: u32 = 0xFF00_0000;

/// Adds channel by channel, each modulo 256.
fn add(a: u32, b: u32) -> u32 {
    const ODD: u32 = 0x00FF_00FF;
    let odd = (a & ODD).wrapping_add(b & ODD) & ODD;
    let even = (a >> 8 & ODD).wrapping_add(b >> 8 & ODD) & ODD;
    even << 8 | odd
}

/// Reverses the prediction (section 4.1) of a row that has a row before it.
fn predict(row: &mut [u32], before: &[u32], shift: u32, modes: &[u32]) {
    let Some(first) = row.first_mut() else { return };
    *first = add(*first, before[0]);
    let mut left = *first;
    for x in 1..row.len() {
        let (top_left, top) = (before[x - 1], before[x]);
        // At the right end, the first pixel of the row itself is used.
        let top_right = before.get(x + 1).copied().unwrap_or(row[0]);
        let mode = modes.get(x >> shift).map_or(0, |pixel| pixel >> 8 & 15);
        let predicted = match mode {
            1 => left,
            2 => top,
            3 => top_right,
            4 => top_left,
            5 => average(average(left, top_right), top),
            6 => average(left, top_left),
            7 => average(left, top),
            8 => average(top_left, top),
            9 => average(top, top_right),
            10 => average(average(left, top_left), average(top, top_right)),
            11 => select(left, top, top_left),
            12 => each(|n| clamp(channel(left, n) + channel(top, n) - channel(top_left, n))),
            13 => {
                let middle = average(left, top);
                each(|n| {
                    let middle = channel(middle, n);
                    clamp(middle + (middle - channel(top_left, n)) / 2)
                })
            }
            _ => OPAQUE,
        };
        left = add(row[x], predicted);
        row[x] = left;
    }
}

/// The average of each channel, rounded down.
fn average(a: u32, b: u32) -> u32 {
    (a & b).wrapping_add((a ^ b) >> 1 & 0x7F7F_7F7F)
}

/// Selects the neighbour that is closer to left + top − top-left.
fn select(left: u32, top: u32, top_left: u32) -> u32 {
    let distance = |other: u32| -> i32 {
        (0..4).map(|n| (channel(other, n) - channel(top_left, n)).abs()).sum()
    };
    // The distance of left from that estimate equals that of top from top-left.
    if distance(top) < distance(left) { left } else { top }
}

fn channel(pixel: u32, number: u32) -> i32 {
    (pixel >> (8 * number) & 0xFF).cast_signed()
}

fn clamp(value: i32) -> u32 {
    value.clamp(0, 255).cast_unsigned()
}

fn each(value: impl Fn(u32) -> u32) -> u32 {
    (0..4).map(|n| value(n) << (8 * n)).sum()
}

/// Reverses the colour transform (section 4.2) for a pixel.
fn with_colours(pixel: u32, factors: u32) -> u32 {
    let signed =
        |number: u32, shift: usize| i32::from(number.to_le_bytes()[shift / 8].cast_signed());
    let delta = |factor: i32, colour: i32| ((factor * colour) >> 5).cast_unsigned();
    let (green_to_red, green_to_blue, red_to_blue) =
        (signed(factors, 0), signed(factors, 8), signed(factors, 16));
    let green = signed(pixel, 8);
    let red = (pixel >> 16).wrapping_add(delta(green_to_red, green)) & 0xFF;
    let blue = pixel
        .wrapping_add(delta(green_to_blue, green))
        .wrapping_add(delta(red_to_blue, signed(red, 0)));
    pixel & 0xFF00_FF00 | red << 16 | blue & 0xFF
}

#[cfg(test)]
mod tests {
    use super::{add, average, select, with_colours};

    #[test]
    fn channels_do_not_carry() {
        assert_eq!(add(0xFF01_80FF, 0x0102_8001), 0x0003_0000);
        assert_eq!(average(0xFF01_80FF, 0x0102_8101), 0x8001_8080);
    }

    #[test]
    fn the_nearer_neighbour_is_selected() {
        assert_eq!(select(10, 20, 10), 20);
        assert_eq!(select(10, 20, 20), 10);
    }

    #[test]
    fn colours_are_signed() {
        // Green is -2: red gets (16 * -2) >> 5; blue gets nothing from green, and (32 * -1) >> 5 from red.
        assert_eq!(with_colours(0xFF00_FE00, 0x0020_0010), 0xFFFF_FEFF);
    }
}
