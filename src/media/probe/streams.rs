//! Length and picture size of MPEG's streams (ISO 13818-1): transport streams, with packets of 188 bytes, or of 192 as
//! camcorders write them; and program streams, as of DVDs.
//!
//! How long they are is written nowhere: times of presentation are, at the beginning and at the end. None of the
//! libraries looked at reads either: symphonia 0.6 and lofty 0.25 take them for bare AAC or MP3 (6.7 s for a film of
//! 3 s), imagesize 0.14 knows neither.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use super::elementary;
use super::found::{Found, length};
use super::window::Window;

/// How much of the beginning is read, and how much of the end at most.
const HEAD: u64 = 512 << 10;
const TAIL: u64 = 1 << 20;
/// As much of a film as is kept for finding its header.
const FILM: usize = 128 << 10;
/// Times among which the earliest is looked for: pictures come in another order than they are shown.
const FIRST: usize = 16;

/// Times are in 90,000ths of a second, and begin anew after 33 bits.
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
            if unit.is_film && picture.is_none() {
                picture = Some((id, Vec::new()));
            }
        }
        if let Some((_, bytes)) =
            picture.as_mut().filter(|(of, bytes)| *of == id && bytes.len() < FILM)
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

/// The times of all units in a piece of a program stream.
fn times(piece: &[u8]) -> impl Iterator<Item = u64> {
    let units = memchr::memmem::find_iter(piece, &[0, 0, 1]);
    units.filter_map(|at| Unit::parse(&piece[at..])?.time)
}

/// The earliest of the first times; one that seems to come long after another came before it.
fn earliest(mut times: impl Iterator<Item = u64>) -> Option<u64> {
    let first = times.next()?;
    let before = |time: &u64| (first + WRAP - *time) % WRAP;
    let earlier = times.take(FIRST).filter(|time| before(time) < 10 * CLOCK);
    earlier.max_by_key(before).or(Some(first))
}

/// How long it is from the first time to the latest of these.
fn since(first: u64, times: impl Iterator<Item = u64>) -> Option<Duration> {
    // Less than none: from a piece of something else.
    let after =
        times.map(|time| (time + WRAP - first) % WRAP).filter(|after| *after < WRAP - 10 * CLOCK);
    length(after.max()?, CLOCK)
}

/// How packets lie in a file.
#[derive(Clone, Copy)]
struct Packets {
    length: usize,
    /// Where each one's first byte lies.
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

    /// The whole packets in a piece of the file that begins at this offset.
    fn within(self, piece: &[u8], offset: u64) -> impl Iterator<Item = &[u8; 188]> {
        let past = usize::try_from(offset % self.length as u64).unwrap_or(0);
        let first = (self.start + self.length - past) % self.length;
        let starts = (first..piece.len()).step_by(self.length);
        starts
            .filter_map(|at| piece[at..].first_chunk())
            .filter(|packet: &&[u8; 188]| packet[0] == Self::SYNC)
    }
}

/// What a packet carries (section 2.4.3.3), behind a field for other purposes.
fn payload(packet: &[u8; 188]) -> Option<&[u8]> {
    match packet[3] >> 4 & 3 {
        1 => packet.get(4..),
        3 => packet.get(5 + usize::from(packet[4])..),
        _ => None,
    }
}

/// A unit of a stream (section 2.4.3.7, `PES packet`).
struct Unit<'a> {
    is_film: bool,
    /// When it is to be shown or heard.
    time: Option<u64>,
    content: &'a [u8],
}

impl<'a> Unit<'a> {
    /// The unit of a film or a sound that begins here.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [0, 0, 1, stream @ (0xBD | 0xC0..=0xEF), _, _, rest @ ..] = bytes else { return None };
        let is_film = *stream >= 0xE0;
        if let [0x80..=0xBF, has_time, length, fields @ ..] = rest {
            let content = fields.get(usize::from(*length)..)?;
            let time = if has_time & 0x80 == 0 { None } else { time(fields) };
            return Some(Self { is_film, time, content });
        }
        // As in MPEG-1: padding, the size of a buffer, then the time.
        let padding = rest.iter().take(16).position(|byte| *byte != 0xFF)?;
        let rest = &rest[padding..];
        let rest = if rest.first()? & 0xC0 == 0x40 { rest.get(2..)? } else { rest };
        let length = match rest.first()? >> 4 {
            2 => 5,
            3 => 10,
            _ => 1,
        };
        let time = if length > 1 { time(rest) } else { None };
        Some(Self { is_film, time, content: rest.get(length..)? })
    }
}

/// A time of 33 bits in five bytes, with marks between them.
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
    fn clocks_begin_anew() {
        let first = WRAP - CLOCK;
        assert_eq!(since(first, [CLOCK, 0].into_iter()).unwrap().as_secs(), 2);
        assert_eq!(since(100, [90].into_iter()), None);
        assert_eq!(earliest([5, WRAP - 5, 20, 7].into_iter()), Some(WRAP - 5));
        assert_eq!(earliest([].into_iter()), None);
    }
}
