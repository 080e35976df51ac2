//! The duration of AIFF and AIFF-C files (Apple's AIFF 1.3, AIFF-C draft of 1991).
//!
//! symphonia 0.6 refuses compressed AIFF-C, and files whose header states a size a few bytes too small. lofty 0.25
//! counts a packet of 64 samples as one (31 ms for 2 s).

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Returns the duration in the file's header, or `None` if the data is truncated.
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
        // Chunks start at even offsets.
        at = at.saturating_add(size).saturating_add(size & 1);
    }
    Ok(lasts.filter(|_| has_sound))
}

/// The duration in the `COMM` chunk: channels, sample frames, bits, sample rate and compression.
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

/// Number of fractional bits; no sample rate needs more.
const FRACTION: u32 = 8;

/// Converts an 80-bit IEEE 754 extended number to an integer and the power of two to divide it by.
fn rate(bytes: [u8; 10]) -> Option<(u64, u32)> {
    let (exponent, mantissa) = bytes.split_first_chunk()?;
    let exponent = u32::from(u16::from_be_bytes(*exponent)).checked_sub(16_383)?;
    let mantissa = u64::from_be_bytes(*mantissa.first_chunk()?);
    let shift = 63_u32.checked_sub(exponent + FRACTION)?;
    Some((mantissa >> shift, FRACTION))
}
