//! Duration and dimensions of MPEG streams (ISO 13818-1): transport streams with packets of 188 bytes, or 192 as
//! camcorders write them, and program streams, as on DVDs.
//!
//! The duration isn't stored; it is the difference between the presentation times at the beginning and at the end. The
//! libraries we tried don't read these streams: symphonia 0.6 and lofty 0.25 take them for AAC or MP3 without a
//! container (6.7 s for a 3 s video), and imagesize 0.14 doesn't know them.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use super::elementary;
use super::found::{Found, length};
use super::window::Window;

/// Number of bytes read at the beginning, and the maximum at the end.
const HEAD: u64 = 512 << 10;
const TAIL: u64 = 1 << 20;
/// Number of video bytes kept to find the header.
const VIDEO: usize = 128 << 10;
/// Number of times among which the earliest is searched: pictures aren't stored in display order.
const FIRST: usize = 16;

/// Times are in units of 1/90,000 s and wrap after 33 bits.
const CLOCK: u64 = 90_000;
const WRAP: u64 = 1 << 33;

/// Reads a transport stream.
pub(super) fn transport<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let head = head(file)?;
    let Some(packets) = Packets::of(&head) else { return Ok(()) };
    let mut picture: Option<(u16, Vec<u8>)> = None;
    let mut times = Vec::new();
    for packet in packets.within(&head, 0) {
        let Some(payload) = payload(packet) else { continue };
        let id = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        if packet[1] & 0x40 != 0
            && let Some(unit) = Unit::parse(payload)
        {
            times.extend(unit.time);
            if unit.is_video && picture.is_none() {
                picture = Some((id, Vec::new()));
            }
        }
        if let Some((_, bytes)) =
            picture.as_mut().filter(|(of, bytes)| *of == id && bytes.len() < VIDEO)
        {
            let unit = Unit::parse(payload).filter(|_| packet[1] & 0x40 != 0);
            bytes.extend_from_slice(unit.map_or(payload, |unit| unit.content));
        }
    }
    found.size = picture.and_then(|(_, bytes)| elementary::size(&bytes));
    let Some(first) = earliest(times.into_iter()) else { return Ok(()) };
    found.duration = file.backwards(0, TAIL, packets.length as u64, |piece, offset| {
        let units = packets.within(piece, offset).filter(|packet| packet[1] & 0x40 != 0);
        since(first, units.filter_map(payload).filter_map(|payload| Unit::parse(payload)?.time))
    })?;
    Ok(())
}

/// Reads a program stream.
pub(super) fn program<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let head = head(file)?;
    found.size = elementary::size(&head);
    let Some(first) = earliest(times(&head)) else { return Ok(()) };
    found.duration = file.backwards(0, TAIL, 32, |piece, _| since(first, times(piece)))?;
    Ok(())
}

fn head<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Presentation times in a piece of a program stream.
fn times(piece: &[u8]) -> impl Iterator<Item = u64> {
    let units = memchr::memmem::find_iter(piece, &[0, 0, 1]);
    units.filter_map(|at| Unit::parse(&piece[at..])?.time)
}

/// Returns the earliest of the first times. A time that seems to be far after another one lies before it.
fn earliest(mut times: impl Iterator<Item = u64>) -> Option<u64> {
    let first = times.next()?;
    let before = |time: &u64| (first + WRAP - *time) % WRAP;
    let earlier = times.take(FIRST).filter(|time| before(time) < 10 * CLOCK);
    earlier.max_by_key(before).or(Some(first))
}

/// Returns the duration from `first` to the latest of `times`.
fn since(first: u64, times: impl Iterator<Item = u64>) -> Option<Duration> {
    // Negative: the piece belongs to something else.
    let after =
        times.map(|time| (time + WRAP - first) % WRAP).filter(|after| *after < WRAP - 10 * CLOCK);
    length(after.max()?, CLOCK)
}

/// The layout of packets in a file.
#[derive(Clone, Copy)]
struct Packets {
    length: usize,
    /// Offset of a sync byte in the layout.
    start: usize,
}

impl Packets {
    const SYNC: u8 = 0x47;

    fn of(head: &[u8]) -> Option<Self> {
        let kinds = [(188, 0), (192, 4)].map(|(length, start)| Self { length, start });
        let fits = |packets: &Self| {
            let mut starts = (packets.start..head.len()).step_by(packets.length).take(5);
            starts.len() > 2 && starts.all(|at| head[at] == Self::SYNC)
        };
        kinds.into_iter().find(fits)
    }

    /// Iterates over complete packets in a piece of the file that begins at `offset`.
    fn within(self, piece: &[u8], offset: u64) -> impl Iterator<Item = &[u8; 188]> {
        let past = usize::try_from(offset % self.length as u64).unwrap_or(0);
        let first = (self.start + self.length - past) % self.length;
        let starts = (first..piece.len()).step_by(self.length);
        starts
            .filter_map(|at| piece[at..].first_chunk())
            .filter(|packet: &&[u8; 188]| packet[0] == Self::SYNC)
    }
}

/// The payload of a packet (section 2.4.3.3), after the adaptation field.
fn payload(packet: &[u8; 188]) -> Option<&[u8]> {
    match packet[3] >> 4 & 3 {
        1 => packet.get(4..),
        3 => packet.get(5 + usize::from(packet[4])..),
        _ => None,
    }
}

/// A PES packet (section 2.4.3.7).
struct Unit<'a> {
    is_video: bool,
    /// Presentation time.
    time: Option<u64>,
    content: &'a [u8],
}

impl<'a> Unit<'a> {
    /// Parses the audio or video packet that begins here.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [0, 0, 1, stream @ (0xBD | 0xC0..=0xEF), _, _, rest @ ..] = bytes else { return None };
        let is_video = *stream >= 0xE0;
        if let [0x80..=0xBF, has_time, length, fields @ ..] = rest {
            let content = fields.get(usize::from(*length)..)?;
            let time = if has_time & 0x80 == 0 { None } else { time(fields) };
            return Some(Self { is_video, time, content });
        }
        // As in MPEG-1: stuffing, buffer size, then the time.
        let padding = rest.iter().take(16).position(|byte| *byte != 0xFF)?;
        let rest = &rest[padding..];
        let rest = if rest.first()? & 0xC0 == 0x40 { rest.get(2..)? } else { rest };
        let length = match rest.first()? >> 4 {
            2 => 5,
            3 => 10,
            _ => 1,
        };
        let time = if length > 1 { time(rest) } else { None };
        Some(Self { is_video, time, content: rest.get(length..)? })
    }
}

/// A 33-bit time in five bytes, with marker bits between.
fn time(fields: &[u8]) -> Option<u64> {
    let field: &[u8; 5] = fields.first_chunk()?;
    let is_marked = matches!(field[0] >> 4, 2 | 3) && field[0] & field[2] & field[4] & 1 == 1;
    let [high, middle, low] = [(0, 1), (1, 3), (3, 5)].map(|(from, to)| {
        field[from..to].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) >> 1
    });
    is_marked.then_some((high & 7) << 30 | middle << 15 | low)
}

#[cfg(test)]
mod tests {
    use super::{CLOCK, WRAP, earliest, since, time};

    #[test]
    fn times_have_33_bits() {
        assert_eq!(time(&[0x21, 0, 1, 0, 1]), Some(0));
        assert_eq!(time(&[0x3F, 0xFF, 0xFF, 0xFF, 0xFF]), Some(WRAP - 1));
        assert_eq!(time(&[0x21, 0, 1, 0x05, 0xBF]), Some(735));
        assert_eq!(time(&[0x20, 0, 1, 0, 1]), None);
        assert_eq!(time(&[0x21, 0, 1, 0]), None);
    }

    #[test]
    fn clocks_wrap() {
        let first = WRAP - CLOCK;
        assert_eq!(since(first, [CLOCK, 0].into_iter()).unwrap().as_secs(), 2);
        assert_eq!(since(100, [90].into_iter()), None);
        assert_eq!(earliest([5, WRAP - 5, 20, 7].into_iter()), Some(WRAP - 5));
        assert_eq!(earliest([].into_iter()), None);
    }
}
