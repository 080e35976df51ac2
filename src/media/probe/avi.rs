//! Duration and dimensions of AVI files (Microsoft's `AVI RIFF File Reference`, `OpenDML` 1.02).
//!
//! The libraries we tried (symphonia 0.6, lofty 0.25, imagesize 0.14) don't read AVI.

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::time::Duration;

use super::found::{Found, length};
use super::window::Window;

/// Reads the header list: the duration of each stream, and the dimensions of the first video stream.
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let said = u64::from(u32::from_le_bytes(file.peek(4)?));
    let mut headers = Chunks { rest: 12..file.size() };
    while let Some((kind, body)) = headers.next(file)? {
        if &kind != b"LIST" || file.peek(body.start)? != *b"hdrl" {
            continue;
        }
        let mut streams = Chunks { rest: body.start.saturating_add(4)..body.end };
        let mut whole = None;
        while let Some((kind, body)) = streams.next(file)? {
            match &kind {
                b"avih" => whole = main_header(file, &body)?,
                b"LIST" if file.peek(body.start)? == *b"strl" => {
                    let lasts = stream(file, body.start.saturating_add(4)..body.end, found)?;
                    found.duration = found.duration.max(lasts);
                }
                _ => {}
            }
        }
        found.duration = found.duration.or(whole);
        break;
    }
    // The index comes last. A file shorter than it claims lacks more than the index.
    if said.saturating_add(8) > file.size() {
        found.duration = None;
    }
    Ok(())
}

/// The duration by the number of frames in the first part of the file.
fn main_header<R: Read + Seek>(
    file: &mut Window<R>,
    body: &Range<u64>,
) -> io::Result<Option<Duration>> {
    let micros = u32::from_le_bytes(file.peek_in(body, 0)?);
    let frames = u32::from_le_bytes(file.peek_in(body, 16)?);
    Ok(length(u64::from(micros) * u64::from(frames), 1_000_000).filter(|lasts| !lasts.is_zero()))
}

/// The duration of a stream.
fn stream<R: Read + Seek>(
    file: &mut Window<R>,
    list: Range<u64>,
    found: &mut Found,
) -> io::Result<Option<Duration>> {
    let mut chunks = Chunks { rest: list };
    let mut kind_of_stream = [0; 4];
    let mut lasts = None;
    while let Some((kind, body)) = chunks.next(file)? {
        match &kind {
            b"strh" => {
                kind_of_stream = file.peek_in(&body, 0)?;
                let [scale, rate] =
                    [20, 24].map(|at| file.peek_in(&body, at).map(u32::from_le_bytes));
                let units = u32::from_le_bytes(file.peek_in(&body, 32)?);
                lasts = length(u64::from(units) * u64::from(scale?), rate?.into())
                    .filter(|lasts| !lasts.is_zero());
            }
            b"strf" if &kind_of_stream == b"vids" && found.size.is_none() => {
                let width = i32::from_le_bytes(file.peek_in(&body, 4)?).unsigned_abs();
                // Negative if rows are stored from the top.
                let height = i32::from_le_bytes(file.peek_in(&body, 8)?).unsigned_abs();
                found.size = Some((width, height));
            }
            _ => {}
        }
    }
    Ok(lasts.filter(|_| matches!(&kind_of_stream, b"vids" | b"auds")))
}

/// Iterates over the chunks in a range, up to a truncated one.
struct Chunks {
    rest: Range<u64>,
}

impl Chunks {
    fn next<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
    ) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        let start = self.rest.start;
        if self.rest.end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        let [kind @ .., a, b, c, d] = file.peek::<8>(start)?;
        let size = u64::from(u32::from_le_bytes([a, b, c, d]));
        let body = start + 8..start.saturating_add(8 + size);
        self.rest.start = body.end.saturating_add(size & 1);
        Ok(Some((kind, body)).filter(|(_, body)| body.end <= self.rest.end))
    }
}
