//! The duration of AMR files (RFC 4867 section 5). Frames last 20 ms, and the first byte of each determines its length.
//!
//! The libraries we tried (symphonia 0.6, lofty 0.25) don't read AMR.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Number of bytes in which frames are counted. The rest of a longer file is assumed to be similar.
const COUNTED: u64 = 4 << 20;
/// Number of bytes looked at at once.
const BLOCK: usize = 4096;

/// Length in bytes of each frame type, first byte included: speech, comfort noise, and no data (sections 3.6 and
/// 4.3.3). Zero for reserved types.
const NARROW: [u8; 16] = [13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1];
const WIDE: [u8; 16] = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1];

/// A file header (sections 5.1 and 5.2).
struct Kind {
    magic: &'static [u8],
    /// Length of the channel description. Its last four bits are the number of channels.
    description: usize,
    lengths: [u8; 16],
}

const KINDS: [Kind; 4] = [
    Kind { magic: b"#!AMR\n", description: 0, lengths: NARROW },
    Kind { magic: b"#!AMR-WB\n", description: 0, lengths: WIDE },
    Kind { magic: b"#!AMR_MC1.0\n", description: 4, lengths: NARROW },
    Kind { magic: b"#!AMR-WB_MC1.0\n", description: 4, lengths: WIDE },
];

/// Returns the duration up to the first invalid frame.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let head = file.peek::<19>(0)?;
    let Some(kind) = KINDS.iter().find(|kind| head.starts_with(kind.magic)) else {
        return Ok(None);
    };
    let start = kind.magic.len() + kind.description;
    // The frames of the channels alternate.
    let channels = if kind.description > 0 { head[start - 1] & 15 } else { 1 };
    let start = start as u64;
    let (mut at, mut frames) = (start, 0_u64);
    let end = file.size().min(COUNTED);
    'counting: while at < end {
        let (block, block_start) = (file.peek::<BLOCK>(at)?, at);
        while at < end && at < block_start + BLOCK as u64 {
            let first = block[usize::try_from(at - block_start).unwrap_or(0)];
            let length = u64::from(kind.lengths[usize::from(first >> 3 & 15)]);
            // Bits that are always zero distinguish frames from other data.
            if length == 0 || first & 0x83 != 0 || length > file.size().saturating_sub(at) {
                break 'counting;
            }
            at += length;
            frames += 1;
        }
    }
    if at >= COUNTED {
        let scaled = u128::from(frames) * u128::from(file.size() - start) / u128::from(at - start);
        frames = u64::try_from(scaled).unwrap_or(0);
    }
    Ok(length(frames / u64::from(channels.max(1)), 50))
}
