//! The length of AIFF and AIFF-C files (Apple's AIFF 1.3, AIFF-C draft of 1991).
//!
//! symphonia 0.6 refuses AIFF-C with packed sound, and files whose head says a few bytes too few; lofty 0.25 counts a
//! packet of 64 samples as one (31 ms for 2 s).

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// How long the file plays, as its description says; `None` if its data is cut.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let is_packed = file.peek(8)? == *b"AIFC";
    let (mut lasts, mut has_sound) = (None, false);
    let mut at = 12_u64;
    while at < file.size() && !(has_sound && lasts.is_some()) {
        let [kind @ .., a, b, c, d] = file.peek::<8>(at)?;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        at = at.saturating_add(8);
        match &kind {
            b"COMM" => lasts = described(&file.peek(at)?, is_packed),
            b"SSND" => has_sound = size <= file.size().saturating_sub(at),
            _ => {}
        }
        // Chunks begin at even offsets.
        at = at.saturating_add(size).saturating_add(size & 1);
    }
    Ok(lasts.filter(|_| has_sound))
}

/// What the chunk `COMM` says: channels, samples of each, bits, samples a second, and how they are packed.
fn described(body: &[u8; 22], is_packed: bool) -> Option<Duration> {
    let samples = u64::from(u32::from_be_bytes(*body[2..].first_chunk()?));
    let in_one = match &body[18..] {
        b"ima4" if is_packed => 64,
        b"MAC3" | b"MAC6" if is_packed => 6,
        _ => 1,
    };
    let (per_second, shift) = rate(*body[8..].first_chunk()?)?;
    length(samples.checked_mul(in_one)?.checked_mul(1 << shift)?, per_second)
}

/// Bits of fraction: more than any rate has.
const FRACTION: u32 = 8;

/// A number of 80 bits (IEEE 754 extended), as a whole number and the power of two that it has to be divided by.
fn rate(bytes: [u8; 10]) -> Option<(u64, u32)> {
    let (exponent, mantissa) = bytes.split_first_chunk()?;
    let exponent = u32::from(u16::from_be_bytes(*exponent)).checked_sub(16_383)?;
    let mantissa = u64::from_be_bytes(*mantissa.first_chunk()?);
    let shift = 63_u32.checked_sub(exponent + FRACTION)?;
    Some((mantissa >> shift, FRACTION))
}
