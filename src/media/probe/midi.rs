//! The duration of MIDI files (`Standard MIDI Files` 1.0), computed from ticks and tempo changes.
//!
//! The libraries we tried (symphonia 0.6, lofty 0.25) don't read MIDI.

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Limits on tracks and tempo changes, higher than in any real file.
const TRACKS: u16 = 1024;
const TEMPOS: usize = 20_000;

/// Returns the time of the last event of the longest track.
pub(super) fn duration<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<Duration>> {
    let [b'M', b'T', b'h', b'd', a, b, c, d, _, _, high, low, division @ ..] =
        file.peek::<14>(0)?
    else {
        return Ok(None);
    };
    let tracks = u16::from_be_bytes([high, low]).min(TRACKS);
    let mut at = 8_u64.saturating_add(u32::from_be_bytes([a, b, c, d]).into());
    let (mut end, mut tempos) = (0, Vec::new());
    for _ in 0..tracks {
        let [kind @ .., a, b, c, d] = file.peek::<8>(at)?;
        let body = at.saturating_add(8);
        at = body.saturating_add(u32::from_be_bytes([a, b, c, d]).into());
        if at > file.size() {
            return Ok(None); // truncated
        }
        if &kind == b"MTrk" {
            end = end.max(track(file, body..at, &mut tempos)?);
        }
    }
    let [high, low] = division;
    if high >= 0x80 {
        // Frames per second, as a negative number, and ticks per frame.
        let frames = u64::from(high.cast_signed().unsigned_abs());
        return Ok(length(end, frames * u64::from(low)));
    }
    tempos.sort_by_key(|(tick, _)| *tick);
    Ok(timed(end, &tempos, u16::from_be_bytes(division)))
}

/// Returns the tick of a track's last event, and collects tempo changes (microseconds per quarter note).
fn track<R: Read + Seek>(
    file: &mut Window<R>,
    track: Range<u64>,
    tempos: &mut Vec<(u64, u32)>,
) -> io::Result<u64> {
    let mut events = Events { at: track.start, end: track.end };
    let (mut tick, mut running) = (0_u64, 0);
    while events.at < events.end {
        tick = tick.saturating_add(events.number(file)?);
        let first = events.byte(file)?;
        // An event without a status byte has the previous status.
        let status = if first & 0x80 == 0 { running } else { first };
        let has_data = first & 0x80 == 0;
        match status {
            0xFF => {
                let kind = events.byte(file)?;
                let length = events.number(file)?;
                match kind {
                    0x51 if tempos.len() < TEMPOS => {
                        let [a, b, c] = file.peek(events.at)?;
                        tempos.push((tick, u32::from_be_bytes([0, a, b, c])));
                    }
                    0x2F => break,
                    _ => {}
                }
                events.skip(length);
            }
            0xF0 | 0xF7 => {
                let length = events.number(file)?;
                events.skip(length);
            }
            0xC0..=0xDF => events.skip(u64::from(!has_data)),
            0x80..=0xEF => events.skip(2 - u64::from(has_data)),
            _ => break, // invalid event
        }
        if status < 0xF0 {
            running = status;
        }
    }
    Ok(tick)
}

struct Events {
    at: u64,
    end: u64,
}

impl Events {
    fn byte<R: Read + Seek>(&mut self, file: &mut Window<R>) -> io::Result<u8> {
        let [byte] = file.peek_in(&(self.at..self.end), 0)?;
        self.skip(1);
        Ok(byte)
    }

    /// Reads a number of up to four bytes with seven bits each.
    fn number<R: Read + Seek>(&mut self, file: &mut Window<R>) -> io::Result<u64> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.byte(file)?;
            number = number << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(number)
    }

    fn skip(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
    }
}

/// Converts `end` ticks to a duration.
fn timed(end: u64, tempos: &[(u64, u32)], per_quarter: u16) -> Option<Duration> {
    const USUAL: u32 = 500_000;
    let (mut from, mut tempo, mut sum) = (0, USUAL, 0_u128);
    for (tick, next) in tempos.iter().copied().filter(|(tick, _)| *tick < end).chain([(end, USUAL)])
    {
        sum += u128::from(tick - from) * u128::from(tempo);
        (from, tempo) = (tick, next);
    }
    let micros = sum.checked_div(per_quarter.into())?;
    length(u64::try_from(micros).ok()?, 1_000_000)
}
