//! Length and picture size of ASF files: Windows Media (Microsoft's `Advanced Systems Format Specification` 1.20.03).
//!
//! None of the libraries looked at (symphonia 0.6, lofty 0.25, imagesize 0.14) reads ASF.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::found::{Found, length};
use super::window::Window;

/// Identifiers, as files have them: of objects, and of a kind of stream.
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
            break; // none, or cut
        }
        let body = at + 24..next;
        match kind {
            FILE_PROPERTIES => read_file_properties(file, &body, found)?,
            STREAM_PROPERTIES if file.peek_in(&body, 0)? == VIDEO && found.size.is_none() => {
                // Behind 54 bytes that streams of all kinds have.
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

/// Section 3.2: the time it takes to play, which begins with a time in which players only load.
fn read_file_properties<R: Read + Seek>(
    file: &mut Window<R>,
    body: &Range<u64>,
    found: &mut Found,
) -> io::Result<()> {
    let size = u64::from_le_bytes(file.peek_in(body, 16)?);
    let ticks = u64::from_le_bytes(file.peek_in(body, 40)?); // of 100 ns
    let preroll = u64::from_le_bytes(file.peek_in(body, 56)?); // in milliseconds
    let [flags, ..] = file.peek_in::<4>(body, 64)?;
    let is_live = flags & 1 == 1; // then nothing of this is true
    let is_cut = size > file.size();
    let played = ticks.saturating_sub(preroll.saturating_mul(10_000));
    found.duration = length(played, 10_000_000).filter(|_| !is_live && !is_cut);
    Ok(())
}
