//! Bands of coefficients in progressive scans (ITU T.81 section G.1.2).

use super::huffman::{Bits, Broken, Table};
use super::plane::clamp;

/// The coefficients of each block that a scan contains.
pub(super) struct Band {
    /// The first and the last coefficient.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Whether earlier scans contained the higher bits.
    pub(super) is_refinement: bool,
    /// Number of low bits that later scans contain.
    pub(super) missing_bits: u32,
}

/// Decodes the first scan of a band: all bits but the lowest ones (section G.1.2.2).
pub(super) fn first(
    bits: &mut Bits,
    table: &Table,
    band: &Band,
    skipped: &mut u32,
    kept: &mut [i16],
) -> Result<(), Broken> {
    if *skipped > 0 {
        *skipped -= 1;
        return Ok(());
    }
    let mut at = band.first;
    while at <= band.last {
        let symbol = bits.symbol(table)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => at += 16,
            (run, 0) => {
                *skipped = blocks(bits, run) - 1;
                break;
            }
            (zeros, size) => {
                at += usize::from(zeros);
                let value = bits.value(size.into()) << band.missing_bits;
                *kept.get_mut(at).ok_or(Broken)? = clamp(value);
                at += 1;
            }
        }
    }
    Ok(())
}

/// Number of blocks without further coefficients, including this one.
fn blocks(bits: &mut Bits, run: u8) -> u32 {
    (1 << run) + bits.take(run.into())
}

/// Decodes one more bit of each coefficient of a band (section G.1.2.3).
pub(super) fn refined(
    bits: &mut Bits,
    table: &Table,
    band: &Band,
    skipped: &mut u32,
    kept: &mut [i16],
) -> Result<(), Broken> {
    let bit = 1_i16 << band.missing_bits;
    let kept = kept.get_mut(band.first..=band.last).ok_or(Broken)?;
    let mut coefficients = kept.iter_mut();
    while *skipped == 0 {
        let symbol = bits.symbol(table)?;
        let (mut zeros, value) = match (symbol >> 4, symbol & 15) {
            (zeros, 1) => (zeros, if bits.take(1) == 1 { bit } else { -bit }),
            (15, 0) => (15, 0),
            (run, 0) => {
                *skipped = blocks(bits, run);
                break;
            }
            _ => return Err(Broken),
        };
        // Skip this number of zeros, and all non-zero coefficients, to find the place of a new one.
        loop {
            match coefficients.next() {
                None => return Ok(()),
                Some(old) if *old != 0 => refine(bits, old, bit),
                Some(_) if zeros > 0 => zeros -= 1,
                Some(new) => {
                    *new = value;
                    break;
                }
            }
        }
        if coefficients.len() == 0 {
            return Ok(());
        }
    }
    *skipped -= 1;
    coefficients.filter(|old| **old != 0).for_each(|old| refine(bits, old, bit));
    Ok(())
}

fn refine(bits: &mut Bits, old: &mut i16, bit: i16) {
    if bits.take(1) == 1 && *old & bit == 0 {
        *old = old.saturating_add(if *old > 0 { bit } else { -bit });
    }
}
