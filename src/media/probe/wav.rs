//! The length of WAV files (Microsoft's Multimedia Programming Interface 1.0): their data at their byte rate.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::length;
use super::window::Window;

/// What writers to a pipe put where they can't know a size: zero, or nearly as much as the 31 or 32 bits hold.
fn is_unknown(size: u32) -> bool {
    size == 0 || (0x7FFF_0000..0x8000_0000).contains(&size) || size >= 0xFFFF_0000
}

/// How long the file plays; `None` if its data is cut.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let mut byte_rate = None;
    let mut at = 12_u64;
    while at < file.size() {
        let [kind @ .., a, b, c, d] = file.peek::<8>(at)?;
        let size = u32::from_le_bytes([a, b, c, d]);
        at = at.saturating_add(8);
        match &kind {
            b"fmt " => byte_rate = Some(u32::from_le_bytes(file.peek(at.saturating_add(8))?)),
            b"data" => {
                let rest = file.size().saturating_sub(at);
                let data = match u64::from(size) {
                    data if data <= rest && data > 0 => data,
                    _ if is_unknown(size) => rest,
                    _ => return Ok(None),
                };
                return Ok(byte_rate.and_then(|rate| length(data, rate.into())));
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        at = at.saturating_add(size.into()).saturating_add(u64::from(size & 1));
    }
    Ok(None)
}
