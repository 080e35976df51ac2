//! Duration and dimensions of ASF files, that is, Windows Media (Microsoft's `Advanced Systems Format Specification`
//! 1.20.03).
//!
//! The libraries we tried (symphonia 0.6, lofty 0.25, imagesize 0.14) don't read ASF.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::found::{Found, length};
use super::window::Window;

/// GUIDs of objects and of a stream type, in the byte order of files.
const FILE_PROPERTIES: [u8; 16] =
    *b"\xA1\xDC\xAB\x8C\x47\xA9\xCF\x11\x8E\xE4\x00\xC0\x0C\x20\x53\x65";
const STREAM_PROPERTIES: [u8; 16] =
    *b"\x91\x07\xDC\xB7\xB7\xA9\xCF\x11\x8E\xE6\x00\xC0\x0C\x20\x53\x65";
const VIDEO: [u8; 16] = *b"\xC0\xEF\x19\xBC\x4D\x5B\xCF\x11\xA8\xFD\x00\x80\x5F\x5C\x44\x2B";

/// Reads the objects in the header (section 3.1).
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let end = u64::from_le_bytes(file.peek(16)?).min(file.size());
    let mut at = 30_u64;
    while at < end {
        let kind = file.peek::<16>(at)?;
        let size = u64::from_le_bytes(file.peek(at + 16)?);
        let next = at.saturating_add(size);
        if size < 24 || next > end {
            break; // no object, or a truncated one
        }
        let body = at + 24..next;
        match kind {
            FILE_PROPERTIES => read_file_properties(file, &body, found)?,
            STREAM_PROPERTIES if file.peek_in(&body, 0)? == VIDEO && found.size.is_none() => {
                // After the 54 bytes common to all streams.
                let [width, height] =
                    [54, 58].map(|at| file.peek_in(&body, at).map(u32::from_le_bytes));
                found.size = Some((width?, height?));
            }
            _ => {}
        }
        at = next;
    }
    Ok(())
}

/// Reads the duration (section 3.2), which includes the preroll: time for which players only buffer.
fn read_file_properties<R: Read + Seek>(
    file: &mut Window<R>,
    body: &Range<u64>,
    found: &mut Found,
) -> io::Result<()> {
    let size = u64::from_le_bytes(file.peek_in(body, 16)?);
    let ticks = u64::from_le_bytes(file.peek_in(body, 40)?); // in 100 ns units
    let preroll = u64::from_le_bytes(file.peek_in(body, 56)?); // in milliseconds
    let [flags, ..] = file.peek_in::<4>(body, 64)?;
    let is_live = flags & 1 == 1; // then none of these fields is valid
    let is_cut = size > file.size();
    let played = ticks.saturating_sub(preroll.saturating_mul(10_000));
    found.duration = length(played, 10_000_000).filter(|_| !is_live && !is_cut);
    Ok(())
}
