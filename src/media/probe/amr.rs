//! The length of AMR files (RFC 4867 section 5): frames of 20 ms, each as long as its first byte says.
//!
//! None of the libraries looked at (symphonia 0.6, lofty 0.25) reads AMR.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Frames are counted in so many bytes; what follows is taken to be like them.
const COUNTED: u64 = 4 << 20;

/// The bytes of each type of frame, its first one included: of speech, of comfort noise, and none (sections 3.6 and
/// 4.3.3). Zero where a type is for future use.
const NARROW: [u8; 16] = [13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1];
const WIDE: [u8; 16] = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1];

/// What a file begins with (sections 5.1 and 5.2).
struct Kind {
    magic: &'static [u8],
    /// Bytes that describe channels; the last four bits say how many there are.
    description: usize,
    lengths: [u8; 16],
}

const KINDS: [Kind; 4] = [
    Kind { magic: b"#!AMR\n", description: 0, lengths: NARROW },
    Kind { magic: b"#!AMR-WB\n", description: 0, lengths: WIDE },
    Kind { magic: b"#!AMR_MC1.0\n", description: 4, lengths: NARROW },
    Kind { magic: b"#!AMR-WB_MC1.0\n", description: 4, lengths: WIDE },
];

/// How long the file plays, up to where a frame is none.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let head = file.peek::<19>(0)?;
    let Some(kind) = KINDS.iter().find(|kind| head.starts_with(kind.magic)) else {
        return Ok(None);
    };
    let start = kind.magic.len() + kind.description;
    // Frames of several channels follow each other.
    let channels = if kind.description > 0 { head[start - 1] & 15 } else { 1 };
    let start = start as u64;
    let (mut at, mut frames) = (start, 0_u64);
    while at < file.size() && at < COUNTED {
        let [first] = file.peek(at)?;
        let length = u64::from(kind.lengths[usize::from(first >> 3 & 15)]);
        // Bits that are always zero tell frames from anything else.
        if length == 0 || first & 0x83 != 0 || length > file.size() - at {
            break;
        }
        at += length;
        frames += 1;
    }
    if at >= COUNTED {
        let scaled = u128::from(frames) * u128::from(file.size() - start) / u128::from(at - start);
        frames = u64::try_from(scaled).unwrap_or(0);
    }
    Ok(length(frames / u64::from(channels.max(1)), 50))
}
