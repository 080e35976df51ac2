//! Duration, tracks and dimensions of Ogg files (RFC 3533): Opus, Vorbis, FLAC, Speex, Theora.
//!
//! The first pages identify the streams, and the granule position of a stream's last page says where it ends. A file
//! may be a chain of links (RFC 3533 section 4), each with its own streams, as in a voice message that was paused.

use std::io::{self, Read, Seek};
use std::time::Duration;

use memchr::memmem;

use super::super::MediaType;
use super::flac;
use super::found::{Found, length};
use super::window::Window;

/// Length of a page header without its lacing values.
const HEADER: usize = 27;
/// Maximum number of lacing values in a page.
const LACING: usize = 255;
/// Number of bytes at the end of a file that are searched for the last page with a granule position.
const TAIL: u64 = 1 << 20;
/// Limit on the number of streams, higher than in any real file.
const STREAMS: usize = 32;
/// Files up to this size are walked page by page, which is the only reliable way to find a chain.
const WALKED: u64 = 16 << 20;

/// How a stream's granule position is converted to time.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// Sample rate in Hz, and the number of leading samples that players skip.
    Samples { rate: u32, skipped: u16 },
    /// Frames: the number up to the last key frame in the bits above `shift`, and the number since then in those below.
    Frames { numerator: u32, denominator: u32, shift: u32 },
}

impl Clock {
    fn time(self, granule: u64) -> Option<Duration> {
        match self {
            Self::Samples { rate, skipped } => {
                length(granule.saturating_sub(skipped.into()), rate.into())
            }
            Self::Frames { numerator, denominator, shift } => {
                let key = granule.checked_shr(shift)?;
                let frames = key.checked_add(granule & ((1 << shift) - 1))?;
                length(frames.checked_mul(denominator.into())?, numerator.into())
            }
        }
    }
}

/// Reads which streams there are, and then their duration.
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let first = Link::read(file, 0)?;
    if first.is_video || !first.clocks.is_empty() {
        let kind = if first.is_video { "video/ogg" } else { "audio/ogg" };
        found.media_type = Some(MediaType::known(kind));
    }
    found.size = first.size;
    found.duration = first.duration_from_end(file)?;
    if file.size() <= WALKED
        && let Some(chain) = chain(file, first)?
    {
        found.duration = Some(chain);
    }
    Ok(())
}

/// Streams that begin together.
#[derive(Debug, Default)]
struct Link {
    clocks: Vec<(u32, Clock)>,
    is_video: bool,
    size: Option<(u32, u32)>,
    /// Offset after the first pages.
    body: u64,
}

impl Link {
    /// Reads the first pages at `start`. All of them come before any other page.
    fn read<R: Read + Seek>(file: &mut Window<R>, start: u64) -> io::Result<Self> {
        let mut link = Self { body: start, ..Self::default() };
        for _ in 0..STREAMS {
            let page = Page::read(file, link.body)?.filter(|(page, _)| page.is_first);
            let Some((page, body)) = page else { break };
            let packet = file.peek::<64>(body.start)?;
            link.is_video |=
                [&b"\x80theora"[..], b"BBCD\0", b"OVP80"].iter().any(|id| packet.starts_with(id));
            if let Some(clock) = clock(&packet) {
                link.clocks.push((page.serial, clock));
            }
            if packet.starts_with(b"\x80theora") {
                link.size = link.size.or(Some(theora_size(&packet)));
            }
            link.body = body.end;
        }
        Ok(link)
    }

    /// Returns the time at the end of a page, if the page belongs to this link.
    fn time(&self, page: &Page) -> Option<Duration> {
        let (_, clock) = self.clocks.iter().find(|(serial, _)| *serial == page.serial)?;
        clock.time(page.granule?)
    }

    /// Returns this link's duration by the last pages of the file.
    fn duration_from_end<R: Read + Seek>(
        &self,
        file: &mut Window<R>,
    ) -> io::Result<Option<Duration>> {
        let size = file.size();
        file.backwards(self.body, TAIL, (HEADER + LACING) as u64, |piece, offset| {
            let room = size.saturating_sub(offset);
            let pages = memmem::find_iter(piece, b"OggS");
            pages.filter_map(|at| end(&piece[at..], room.saturating_sub(at as u64), self)).max()
        })
    }
}

/// Returns the total duration of the links in a chain, starting with `first`. `None` if the file isn't a chain, or the
/// pages aren't contiguous up to its end.
fn chain<R: Read + Seek>(file: &mut Window<R>, first: Link) -> io::Result<Option<Duration>> {
    let mut at = first.body;
    let mut link = first;
    let (mut before, mut latest) = (None, Duration::ZERO);
    while at < file.size() {
        let Some((page, body)) = Page::read(file, at)? else { return Ok(None) };
        if page.is_first {
            before = Some(before.unwrap_or(Duration::ZERO).saturating_add(latest));
            latest = Duration::ZERO;
            link = Link::read(file, at)?;
            at = link.body;
            continue;
        }
        // Players don't play a truncated page.
        if body.end <= file.size() {
            latest = latest.max(link.time(&page).unwrap_or_default());
        }
        at = body.end;
    }
    Ok(before.map(|before| before.saturating_add(latest)))
}

/// Returns the end time of the page that begins here, if it belongs to this link and isn't truncated: `room` is the
/// number of bytes up to the end of the file.
fn end(bytes: &[u8], room: u64, link: &Link) -> Option<Duration> {
    let page = Page::parse(bytes.first_chunk()?)?;
    let lacing = bytes.get(HEADER..)?.get(..bytes[HEADER - 1].into())?;
    if page_length(lacing) > room {
        return None;
    }
    link.time(&page)
}

/// A page header (RFC 3533 section 6).
#[derive(Clone, Copy, Debug)]
struct Page {
    is_first: bool,
    /// `None` for a page on which no packet ends.
    granule: Option<u64>,
    serial: u32,
}

impl Page {
    fn parse(header: &[u8; HEADER]) -> Option<Self> {
        let rest = header.strip_prefix(b"OggS\0")?;
        let (flags, rest) = rest.split_first()?;
        let granule = u64::from_le_bytes(*rest.first_chunk()?);
        let serial = u32::from_le_bytes(*rest[8..].first_chunk()?);
        // Positions are signed; negative ones mean none.
        let granule = (granule >> 63 == 0).then_some(granule);
        (flags & !7 == 0).then_some(Self { is_first: flags & 2 != 0, granule, serial })
    }

    /// Reads the page at `at`. Returns it with the range of its payload.
    fn read<R: Read + Seek>(
        file: &mut Window<R>,
        at: u64,
    ) -> io::Result<Option<(Self, std::ops::Range<u64>)>> {
        let header = file.peek::<HEADER>(at)?;
        let Some(page) = Self::parse(&header) else {
            return Ok(None);
        };
        let start = at.saturating_add(HEADER as u64);
        let lacing = file.peek::<LACING>(start)?;
        let lacing = &lacing[..header[HEADER - 1].into()];
        let body = start.saturating_add(lacing.len() as u64);
        Ok(Some((page, body..at.saturating_add(page_length(lacing)))))
    }
}

/// Length of a page with these lacing values, header included.
fn page_length(lacing: &[u8]) -> u64 {
    let payload: u64 = lacing.iter().map(|byte| u64::from(*byte)).sum();
    (HEADER + lacing.len()) as u64 + payload
}

/// The clock of the stream that begins with this packet.
fn clock(packet: &[u8; 64]) -> Option<Clock> {
    let le = |at: usize| packet[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let be = |at: usize| packet[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let rate = match packet {
        // RFC 7845 section 5.1: always 48,000 Hz, whatever the rate of the original.
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', _, _, low, high, ..] => {
            let skipped = u16::from_le_bytes([*low, *high]);
            return Some(Clock::Samples { rate: 48_000, skipped });
        }
        [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => le(12),
        [b'S', b'p', b'e', b'e', b'x', b' ', b' ', b' ', ..] => le(36),
        // RFC 9639 section 10.1: a marker, the native marker, a block header, and then `STREAMINFO`.
        [0x7F, b'F', b'L', b'A', b'C', ..] => flac::rate(packet[17..].first_chunk()?),
        // Theora specification, section 6.2; the shift is in bits 5 to 9 of two bytes.
        [0x80, b't', b'h', b'e', b'o', b'r', b'a', ..] => {
            let shift = (u32::from(packet[40]) << 8 | u32::from(packet[41])) >> 5 & 31;
            return Some(Clock::Frames { numerator: be(22), denominator: be(26), shift });
        }
        _ => return None,
    };
    Some(Clock::Samples { rate, skipped: 0 })
}

/// The size of the picture region, corrected by the pixel aspect ratio (Theora specification, section 6.2).
fn theora_size(packet: &[u8; 64]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes([0, packet[at], packet[at + 1], packet[at + 2]]);
    let (width, height) = (number(14), number(17));
    let (across, down) = (number(30), number(33));
    let shown = (u64::from(width) * u64::from(across)).checked_div(down.into());
    let shown = shown.and_then(|shown| u32::try_from(shown).ok()).filter(|shown| *shown > 0);
    (shown.unwrap_or(width), height)
}
