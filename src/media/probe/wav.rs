//! The duration of WAV files (Microsoft's Multimedia Programming Interface 1.0; EBU Tech 3306 for 64-bit sizes).
//!
//! For PCM, this is the size of the data divided by the byte rate. That rate is often wrong for other codecs, so the
//! number of samples takes precedence there.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Whether a size is a placeholder, as written to a pipe: zero, or close to the maximum of 31 or 32 bits.
fn is_unknown(size: u32) -> bool {
    size == 0 || (0x7FFF_0000..0x8000_0000).contains(&size) || size >= 0xFFFF_0000
}

/// The content of the `fmt ` chunk.
#[derive(Default)]
struct Codec {
    /// Whether samples are stored as plain numbers.
    is_pcm: bool,
    rate: u32,
    byte_rate: u32,
    /// Block size in bytes and in samples; zero if it isn't stated.
    block: u16,
    samples_in_block: u16,
}

impl Codec {
    fn parse(body: &[u8; 26], size: u32) -> Self {
        let short = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
        let long = |at: usize| body[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        // In the extensible format, the codec is in an extra field.
        let (tag, is_adpcm) = match short(0) {
            0xFFFE => (short(24), false),
            tag => (tag, matches!(tag, 0x02 | 0x11)),
        };
        Self {
            is_pcm: matches!(tag, 1 | 3 | 6 | 7),
            rate: long(4),
            byte_rate: long(8),
            block: short(12),
            samples_in_block: if is_adpcm && size >= 20 { short(18) } else { 0 },
        }
    }

    /// The duration of `data` bytes. `samples` is the number of samples, if the file states it.
    fn duration(&self, data: u64, samples: Option<u64>) -> Option<Duration> {
        let blocks = data.checked_div(self.block.into()).unwrap_or(0);
        let counted = samples.or(Some(blocks * u64::from(self.samples_in_block)));
        match counted.filter(|samples| *samples > 0 && !self.is_pcm) {
            Some(samples) => length(samples, self.rate.into()),
            None => length(data, self.byte_rate.into()),
        }
    }
}

/// Returns the duration, or `None` if the data is truncated.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let mut codec = Codec::default();
    let (mut samples, mut long_data) = (None, None);
    let mut at = 12_u64;
    while at < file.size() {
        let [kind @ .., a, b, c, d] = file.peek::<8>(at)?;
        let size = u32::from_le_bytes([a, b, c, d]);
        at = at.saturating_add(8);
        match &kind {
            b"fmt " => codec = Codec::parse(&file.peek(at)?, size),
            b"fact" => {
                let count = u32::from_le_bytes(file.peek(at)?);
                samples = samples.or(Some(u64::from(count)).filter(|_| !is_unknown(count)));
            }
            // The sizes of file and data, and the number of samples.
            b"ds64" => {
                long_data = Some(u64::from_le_bytes(file.peek(at.saturating_add(8))?));
                let count = u64::from_le_bytes(file.peek(at.saturating_add(16))?);
                samples = Some(count).filter(|count| *count > 0);
            }
            b"data" => {
                let rest = file.size().saturating_sub(at);
                let said = if size == u32::MAX { long_data } else { None };
                let data = match said.unwrap_or(size.into()) {
                    data if data <= rest && data > 0 => data,
                    _ if said.is_none() && is_unknown(size) => rest,
                    _ => return Ok(None),
                };
                return Ok(codec.duration(data, samples));
            }
            _ => {}
        }
        // Chunks start at even offsets.
        at = at.saturating_add(size.into()).saturating_add(u64::from(size & 1));
    }
    Ok(None)
}
