//! The samples of one component, decoded at a fraction of their size.
//!
//! Implements the inverse transform (ITU T.81 section A.3.3) for as many frequencies as that fraction needs.

/// The order in which coefficients are coded (T.81 figure 5): the index of each one in a block, row by row.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The value of missing samples.
const GRAY: u8 = 128;

/// A block's dequantized coefficients, row by row.
pub(super) type Block = [f32; 64];

/// Rows of samples, in whole blocks.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    transform: Transform,
}

impl Plane {
    /// A gray plane of this number of blocks, of which `scale` samples across and down are decoded.
    pub(super) fn new((across, down): (u32, u32), scale: u32) -> Self {
        let stride = across as usize * scale as usize;
        let samples = vec![GRAY; stride * down as usize * scale as usize];
        Self { samples, stride, transform: Transform::new(scale) }
    }

    /// Stores a block's mean, in a plane with one sample per block.
    pub(super) fn put_mean(&mut self, (x, y): (u32, u32), lowest: f32) {
        let at = y as usize * self.stride + x as usize;
        if let Some(mean) = self.samples.get_mut(at) {
            *mean = sample(lowest / 8.0);
        }
    }

    /// Decodes a block into the plane.
    pub(super) fn put(&mut self, (x, y): (u32, u32), block: &Block) {
        let scale = self.transform.scale();
        let start = y as usize * scale * self.stride + x as usize * scale;
        let Some(samples) = self.samples.get_mut(start..) else { return };
        match &self.transform {
            Transform::Mean => samples[0] = sample(block[0] / 8.0),
            Transform::Two(basis) => transform(basis, block, samples, self.stride),
            Transform::Four(basis) => transform(basis, block, samples, self.stride),
            Transform::Eight(basis) => transform(basis, block, samples, self.stride),
        }
    }
}

/// The transform of a block: how much each frequency (first index) adds to each sample (second index).
enum Transform {
    /// The lowest frequency is the mean.
    Mean,
    Two([[f32; 2]; 2]),
    Four([[f32; 4]; 4]),
    Eight([[f32; 8]; 8]),
}

impl Transform {
    fn new(scale: u32) -> Self {
        match scale {
            1 => Self::Mean,
            2 => Self::Two(basis()),
            4 => Self::Four(basis()),
            _ => Self::Eight(basis()),
        }
    }

    fn scale(&self) -> usize {
        match self {
            Self::Mean => 1,
            Self::Two(_) => 2,
            Self::Four(_) => 4,
            Self::Eight(_) => 8,
        }
    }
}

/// The cosines of `N` samples, scaled like those of eight.
#[allow(clippy::cast_precision_loss)] // of numbers below 16
fn basis<const N: usize>() -> [[f32; N]; N] {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|at| {
            let angle =
                (2 * at + 1) as f32 * frequency as f32 * std::f32::consts::PI / (2 * N) as f32;
            angle.cos() * if frequency == 0 { 0.125_f32.sqrt() } else { 0.5 }
        })
    })
}

/// Transforms the columns and then the rows.
fn transform<const N: usize>(
    basis: &[[f32; N]; N],
    block: &Block,
    samples: &mut [u8],
    stride: usize,
) {
    let mut rows = [[0.0_f32; N]; N];
    for (coefficients, basis) in block.chunks_exact(8).zip(basis) {
        let coefficients: &[f32; N] = coefficients.first_chunk().unwrap_or(&[0.0; N]);
        if coefficients.iter().all(|coefficient| *coefficient == 0.0) {
            continue;
        }
        for (row, weight) in rows.iter_mut().zip(basis) {
            for (sum, coefficient) in row.iter_mut().zip(coefficients) {
                *sum += coefficient * weight;
            }
        }
    }
    for (row, samples) in rows.iter().zip(samples.chunks_mut(stride)) {
        let mut sums = [0.0_f32; N];
        for (coefficient, basis) in row.iter().zip(basis) {
            for (sum, weight) in sums.iter_mut().zip(basis) {
                *sum += coefficient * weight;
            }
        }
        for (to, sum) in samples.iter_mut().zip(sums) {
            *to = sample(sum);
        }
    }
}

/// Converts a value around zero to a sample.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 to 255 by then
fn sample(value: f32) -> u8 {
    (value + 128.5).clamp(0.0, 255.0) as u8
}

/// Clamps a coefficient. Valid ones have slightly more than 12 bits.
pub(super) fn clamp(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use super::{Plane, ZIGZAG};

    #[test]
    fn the_order_is_a_zigzag() {
        let mut places = ZIGZAG;
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..64));
        // Neighbours in this order are neighbours in the block, in each direction.
        for pair in ZIGZAG.windows(2) {
            let [from, to] = [pair[0], pair[1]].map(|at| (i16::from(at / 8), i16::from(at % 8)));
            assert!((from.0 - to.0).abs() <= 1 && (from.1 - to.1).abs() <= 1, "{pair:?}");
        }
    }

    #[test]
    fn the_mean_is_the_same_at_every_scale() {
        let mut block = [0.0; 64];
        (block[0], block[63]) = (-400.0, 0.0);
        for scale in [1, 2, 4, 8] {
            let mut plane = Plane::new((2, 2), scale);
            plane.put((1, 1), &block);
            let side = scale as usize;
            for (at, sample) in plane.samples.iter().enumerate() {
                let is_there = at % plane.stride >= side && at / plane.stride >= side;
                assert_eq!(*sample, if is_there { 78 } else { 128 }, "scale {scale}, {at}");
            }
        }
    }

    #[test]
    fn a_slope_falls_at_every_scale() {
        let mut block = [0.0; 64];
        block[1] = 300.0; // the first horizontal cosine
        for scale in [2, 4, 8] {
            let mut plane = Plane::new((1, 1), scale);
            plane.put((0, 0), &block);
            let row = &plane.samples[..scale as usize];
            assert!(row.is_sorted_by(|a, b| a > b), "{row:?}");
            assert!(plane.samples.chunks(plane.stride).all(|other| other == row));
        }
    }
}
