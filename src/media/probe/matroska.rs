//! Duration, tracks and dimensions of Matroska and `WebM` (RFC 9559).
//!
//! Recorders that can't rewrite the beginning of a file, browsers among them, leave out the duration and the sizes of
//! segment and clusters. In that case, the last cluster is found by searching from the end of the file, and its last
//! block ends the recording.

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::time::Duration;

use memchr::memmem;

use super::super::MediaType;
use super::ebml::{Element, Elements, Header, float, number};
use super::found::{Found, LONGEST, length, with_tracks};
use super::window::Window;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
const VIDEO: u32 = 0xE0;
const PIXEL_WIDTH: u32 = 0xB0;
const PIXEL_HEIGHT: u32 = 0xBA;
const DISPLAY_WIDTH: u32 = 0x54B0;
const DISPLAY_HEIGHT: u32 = 0x54BA;
const DISPLAY_UNIT: u32 = 0x54B2;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const CHECKSUM: u32 = 0xBF;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;

/// Number of bytes at the end of a file that are searched for the last cluster: about half a minute of video.
const TAIL: u64 = 12 << 20;
/// Usual duration of a frame in nanoseconds; that of the last frame isn't stored.
const FRAME: u64 = 20_000_000;

/// What comes before the clusters.
#[derive(Debug)]
struct Head {
    /// Nanoseconds per tick.
    scale: u64,
    /// In ticks.
    duration: f64,
    has_sound: bool,
    has_film: bool,
    size: Option<(u32, u32)>,
    clusters: Option<Range<u64>>,
}

/// Reads the first segment. Files with several are unknown in practice.
pub(super) fn read<R: Read + Seek>(
    file: &mut Window<R>,
    sniffed: &MediaType,
    found: &mut Found,
) -> io::Result<()> {
    let Some(segment) = Elements::within(0..file.size()).find(SEGMENT, file)? else {
        return Ok(());
    };
    let head = Head::read(file, segment.body)?;
    found.media_type = with_tracks(sniffed, head.has_sound, head.has_film);
    found.size = head.size;
    if segment.is_cut {
        return Ok(());
    }
    found.duration = match head.clusters {
        Some(clusters) if head.duration == 0.0 => played(file, clusters, head.scale)?,
        _ => head.stated_duration(),
    };
    Ok(())
}

impl Head {
    fn read<R: Read + Seek>(file: &mut Window<R>, segment: Range<u64>) -> io::Result<Self> {
        let mut head = Self {
            scale: 1_000_000, // default (RFC 9559 section 5.1.2.9)
            duration: 0.0,
            has_sound: false,
            has_film: false,
            size: None,
            clusters: None,
        };
        let end = segment.end;
        let mut elements = Elements::within(segment);
        while let Some(element) = elements.next(file)? {
            match element.id {
                INFO | TRACKS if element.is_cut => break,
                INFO => head.read_info(file, element)?,
                TRACKS => head.read_tracks(file, element)?,
                CLUSTER => {
                    head.clusters = Some(element.body.start..end);
                    break;
                }
                _ => {}
            }
        }
        Ok(head)
    }

    fn read_info<R: Read + Seek>(&mut self, file: &mut Window<R>, info: Element) -> io::Result<()> {
        let mut elements = Elements::within(info.body);
        while let Some(element) = elements.next(file)? {
            match element.id {
                TIMESTAMP_SCALE => self.scale = number(file, &element)?,
                DURATION => self.duration = float(file, &element)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_tracks<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        tracks: Element,
    ) -> io::Result<()> {
        let mut elements = Elements::within(tracks.body);
        while let Some(track) = elements.find(TRACK, file)? {
            let mut size = None;
            let mut kind = 0;
            let mut elements = Elements::within(track.body);
            while let Some(element) = elements.next(file)? {
                match element.id {
                    TRACK_TYPE => kind = number(file, &element)?,
                    VIDEO => size = video_size(file, element)?,
                    _ => {}
                }
            }
            match kind {
                1 => {
                    self.has_film = true;
                    self.size = self.size.or(size);
                }
                2 => self.has_sound = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn stated_duration(&self) -> Option<Duration> {
        let scale = u32::try_from(self.scale).ok()?;
        let seconds = self.duration * f64::from(scale) / 1e9;
        Duration::try_from_secs_f64(seconds).ok().filter(|length| *length <= LONGEST)
    }
}

/// Returns the display size. If its unit isn't pixels (RFC 9559 section 5.1.4.1.28.14: centimetres, inches, aspect
/// ratio), only the aspect ratio counts, and the height is that of the picture. A display size smaller than the picture
/// in both dimensions is also taken as an aspect ratio: `DivX` wrote ratios without the unit, and players never scale
/// down.
fn video_size<R: Read + Seek>(
    file: &mut Window<R>,
    video: Element,
) -> io::Result<Option<(u32, u32)>> {
    let (mut pixels, mut display, mut unit) = ([0; 2], [0; 2], 0);
    let mut elements = Elements::within(video.body);
    while let Some(element) = elements.next(file)? {
        let value = match element.id {
            PIXEL_WIDTH => &mut pixels[0],
            PIXEL_HEIGHT => &mut pixels[1],
            DISPLAY_WIDTH => &mut display[0],
            DISPLAY_HEIGHT => &mut display[1],
            DISPLAY_UNIT => &mut unit,
            _ => continue,
        };
        *value = number(file, &element)?;
    }
    let [width, height] = match (unit, display) {
        (_, [0, _] | [_, 0]) => pixels,
        (0, [across, down]) if across >= pixels[0] || down >= pixels[1] => display,
        (0..=3, [across, down]) => {
            let [width, height] = pixels;
            // Round to the nearest pixel; ignore an aspect ratio that overflows 64 bits.
            let shown = height.checked_mul(across).map(|wide| wide.saturating_add(down / 2) / down);
            [shown.unwrap_or(width), height]
        }
        _ => pixels,
    };
    Ok(u32::try_from(width).ok().zip(u32::try_from(height).ok()))
}

/// The duration of the clusters, from the time of the first one to the end of the last block. `clusters` begins with
/// the body of the first one.
fn played<R: Read + Seek>(
    file: &mut Window<R>,
    clusters: Range<u64>,
    scale: u64,
) -> io::Result<Option<Duration>> {
    let first = Elements::within(clusters.clone()).find(TIMESTAMP, file)?;
    let Some(first) = first.map(|element| number(file, &element)).transpose()? else {
        return Ok(None);
    };
    let Some(last) = last_cluster(file, &clusters)? else {
        return Ok(None);
    };
    let Some(end) = end_of_cluster(file, last..clusters.end)? else {
        return Ok(None);
    };
    let nanos = end.saturating_sub(first).saturating_mul(scale).saturating_add(FRAME);
    Ok(length(nanos, 1_000_000_000))
}

/// Finds the body of the last cluster.
fn last_cluster<R: Read + Seek>(
    file: &mut Window<R>,
    clusters: &Range<u64>,
) -> io::Result<Option<u64>> {
    // A cluster starts with its timestamp or a checksum, which distinguishes it from the same bytes in a picture.
    const OVERLAP: u64 = 24;
    let found = file.backwards(clusters.start, TAIL, OVERLAP, |piece, offset| {
        memmem::rfind_iter(piece, &CLUSTER.to_be_bytes()).find_map(|at| {
            let header = Header::parse(&piece[at..])?;
            let body = usize::try_from(header.length).ok()?.checked_add(at)?;
            let first = Header::parse(piece.get(body..)?)?;
            let is_short = first.size.is_some_and(|size| size <= 8);
            (is_short && [TIMESTAMP, CHECKSUM].contains(&first.id)).then_some(offset + body as u64)
        })
    })?;
    // A single cluster isn't found, because its header lies before the range.
    let was_all_searched = file.size().saturating_sub(clusters.start) <= TAIL;
    Ok(found.or_else(|| was_all_searched.then_some(clusters.start)))
}

/// The end of the last block in a cluster, in ticks. A truncated block doesn't count.
fn end_of_cluster<R: Read + Seek>(
    file: &mut Window<R>,
    cluster: Range<u64>,
) -> io::Result<Option<u64>> {
    let mut start = None;
    let mut latest = 0_i16;
    let mut elements = Elements::within(cluster);
    while let Some(element) = elements.next(file)? {
        match element.id {
            TIMESTAMP => start = Some(number(file, &element)?),
            SIMPLE_BLOCK if !element.is_cut => latest = latest.max(block_time(file, &element)?),
            BLOCK_GROUP if !element.is_cut => {
                let block = Elements::within(element.body).find(BLOCK, file)?;
                if let Some(block) = block {
                    latest = latest.max(block_time(file, &block)?);
                }
            }
            // Another cluster follows, so this wasn't the last one.
            CLUSTER => return Ok(None),
            // Ids of elements that follow a cluster are longer than those within one.
            0x100_0000.. => break,
            _ => {}
        }
    }
    Ok(start.map(|start| start.saturating_add_signed(latest.into())))
}

/// A block's time relative to its cluster (RFC 9559 section 10.1). Also handles two-byte track numbers.
fn block_time<R: Read + Seek>(file: &mut Window<R>, block: &Element) -> io::Result<i16> {
    let bytes = file.peek::<4>(block.body.start)?;
    let [high, low] =
        if bytes[0] & 0x80 == 0 { [bytes[2], bytes[3]] } else { [bytes[1], bytes[2]] };
    Ok(i16::from_be_bytes([high, low]))
}
