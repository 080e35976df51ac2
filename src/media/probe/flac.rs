//! The duration of FLAC streams (RFC 9639), with or without a tag before them.
//!
//! The stream header contains it. Encoders that write to a pipe leave it out; then it follows from the number of the
//! last frame.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::found::length;
use super::window::Window;

/// Number of bytes at the end of a file that are searched for the last frame.
const TAIL: u64 = 1 << 20;
/// Maximum length of a frame header, checksum included.
const HEADER: usize = 16;

/// The content of `STREAMINFO` (RFC 9639 section 8.2).
struct Stream {
    block: u64,
    rate: u32,
    channels: u8,
    samples: u64,
}

impl Stream {
    fn parse(info: &[u8; 18]) -> Self {
        let samples = u64::from_be_bytes(*info.last_chunk().unwrap_or(&[0; 8]));
        Self {
            block: u64::from(u16::from_be_bytes([info[2], info[3]])),
            rate: u32::from_be_bytes([0, info[10], info[11], info[12]]) >> 4,
            channels: (info[12] >> 1 & 7) + 1,
            samples: samples & 0xF_FFFF_FFFF,
        }
    }
}

/// Returns the sample rate in the body of `STREAMINFO`, as in the first packet of an Ogg stream.
pub(super) fn rate(info: &[u8; 18]) -> u32 {
    Stream::parse(info).rate
}

/// Returns the duration of the stream at `start`, which may begin with a tag.
pub(super) fn duration<R: Read + Seek>(
    file: &mut Window<R>,
    start: u64,
) -> io::Result<Option<Duration>> {
    let tag = super::super::frames::id3_length(&file.peek::<10>(start)?).unwrap_or(0);
    let start = start.saturating_add(tag as u64);
    let [b'f', b'L', b'a', b'C', kind, _, _, _] = file.peek::<8>(start)? else {
        return Ok(None);
    };
    if kind & 0x7F != 0 {
        return Ok(None);
    }
    let stream = Stream::parse(&file.peek(start.saturating_add(8))?);
    if stream.samples > 0 {
        return Ok(length(stream.samples, stream.rate.into()));
    }
    let last = file.backwards(start, TAIL, HEADER as u64, |piece, _| {
        (0..piece.len()).rev().find_map(|at| samples_after(&piece[at..], &stream))
    })?;
    Ok(last.and_then(|samples| length(samples, stream.rate.into())))
}

/// Returns the number of samples up to the end of the frame that begins here (RFC 9639 section 9.1).
fn samples_after(bytes: &[u8], stream: &Stream) -> Option<u64> {
    let [0xFF, 0xF8 | 0xF9, sizes, layout, ..] = *bytes else {
        return None;
    };
    let (number, at) = coded_number(bytes.get(4..)?)?;
    let at = at + 4;
    let (block, at) = match sizes >> 4 {
        1 => (192, at),
        code @ 2..=5 => (144 << code, at),
        6 => (u64::from(*bytes.get(at)?) + 1, at + 1),
        7 => (u64::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)) + 1, at + 2),
        code @ 8.. => (1 << code, at),
        _ => return None,
    };
    let at = at
        + match sizes & 15 {
            12 => 1,
            13 | 14 => 2,
            15 => return None,
            _ => 0,
        };
    let channels = match layout >> 4 {
        independent @ 0..=7 => independent + 1,
        8..=10 => 2,
        _ => return None,
    };
    // The sync code alone is weak, so everything else that is known must match as well.
    if layout & 1 != 0 || channels != stream.channels || crc8(bytes.get(..at)?) != *bytes.get(at)? {
        return None;
    }
    let is_variable = bytes[1] & 1 == 1;
    let before = if is_variable { number } else { number.checked_mul(stream.block)? };
    before.checked_add(block)
}

/// Decodes a number coded like UTF-8 (RFC 9639 section 9.1.5). Returns it with its length in bytes.
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = match first.leading_ones() {
        0 => return Some((first.into(), 1)),
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let start = u64::from(first) & (0x7F >> length);
    bytes
        .get(1..length)?
        .iter()
        .try_fold(start, |number, byte| {
            (byte >> 6 == 2).then(|| number << 6 | u64::from(byte & 0x3F))
        })
        .map(|number| (number, length))
}

/// Checksum of frame headers, with polynomial x^8 + x^2 + x + 1.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 7 })
    })
}

#[cfg(test)]
mod tests {
    use super::{Stream, coded_number, crc8, samples_after};

    const STREAM: Stream = Stream { block: 4096, rate: 8000, channels: 2, samples: 0 };

    #[test]
    fn frame_numbers_are_coded_like_utf_8() {
        assert_eq!(coded_number(&[0x7F]), Some((0x7F, 1)));
        assert_eq!(coded_number("\u{20AC}".as_bytes()), Some((0x20AC, 3)));
        let most = [0xFE, 0xBF, 0xBF, 0xBF, 0xBF, 0xBF, 0xBF];
        assert_eq!(coded_number(&most), Some(((1 << 36) - 1, 7)));
        for bytes in [&[][..], &[0x80], &[0xFF, 0xBF], &[0xC2], &[0xC2, 0x41]] {
            assert_eq!(coded_number(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn frames_say_where_they_end() {
        let end = |header: &[u8]| samples_after(&[header, &[crc8(header)]].concat(), &STREAM);
        assert_eq!(end(&[0xFF, 0xF8, 0xC9, 0xA8, 2]), Some(3 * 4096), "fixed block size");
        assert_eq!(
            end(&[0xFF, 0xF8, 0x69, 0x18, 2, 99]),
            Some(2 * 4096 + 100),
            "a shorter last one"
        );
        let variable = [0xFF, 0xF9, 0x7D, 0x18, 0xC4, 0x80, 1, 0, 0, 0];
        assert_eq!(end(&variable), Some(256 + 257), "variable block size");
        assert_eq!(end(&[0xFF, 0xF8, 0xC9, 0x08, 2]), None, "another number of channels");
    }

    #[test]
    fn a_frame_with_a_wrong_checksum_is_ignored() {
        let header = [0xFF, 0xF8, 0xC9, 0xA8, 2];
        assert_eq!(samples_after(&[&header[..], &[!crc8(&header)]].concat(), &STREAM), None);
    }
}
