//! What the index says about a track (ISO 14496-12 section 8.3).

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::time::Duration;

use crate::media::boxes::{BoxHeader, Boxes};
use crate::media::probe::found::length;
use crate::media::probe::window::Window;

/// A time scale in units per second, and a duration in these units, zero if unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pub(super) scale: u32,
    pub(super) duration: u64,
}

impl Clock {
    pub(super) fn length(self) -> Option<Duration> {
        length(self.duration, self.scale.into())
    }

    /// Reads `mvhd` or `mdhd`, which begin with the same fields (ISO 14496-12 sections 8.2.2 and 8.4.2).
    pub(super) fn read<R: Read + Seek>(
        file: &mut Window<R>,
        header: &BoxHeader,
    ) -> io::Result<Self> {
        let body = &header.body;
        let [version] = file.peek_in(body, 0)?;
        let (scale, duration) = if version == 1 { (20, 24) } else { (12, 16) };
        let duration = read_duration(file, body, version, duration)?;
        Ok(Self { scale: u32::from_be_bytes(file.peek_in(body, scale)?), duration })
    }
}

/// Reads a duration at `offset`, with 64 bits in version 1 of a box and otherwise 32. A value of all ones means unknown
/// (ISO 14496-12 section 8.2.2), as zero does.
pub(super) fn read_duration<R: Read + Seek>(
    file: &mut Window<R>,
    body: &Range<u64>,
    version: u8,
    offset: u64,
) -> io::Result<u64> {
    Ok(if version == 1 {
        Some(u64::from_be_bytes(file.peek_in(body, offset)?)).filter(|units| *units != u64::MAX)
    } else {
        let units = u32::from_be_bytes(file.peek_in(body, offset)?);
        Some(units.into()).filter(|_| units != u32::MAX)
    }
    .unwrap_or(0))
}

/// What is known about a track.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) handler: [u8; 4],
    pub(super) is_enabled: bool,
    pub(super) clock: Clock,
    pub(super) size: (u32, u32),
    /// Whether its samples are still pictures, and how many there are.
    pub(super) is_stills: bool,
    pub(super) samples: u32,
    /// Default duration of a sample in fragments.
    pub(super) sample_duration: u32,
    /// The time range of the fragments, in the track's units.
    pub(super) fragments: Option<Range<u64>>,
}

impl Track {
    /// A cover, or pictures of chapters, don't count as video.
    pub(super) fn is_video(&self) -> bool {
        let is_cover = self.is_stills && (self.samples == 1 || !self.is_enabled);
        self.handler == *b"vide" && !is_cover
    }
}

impl Track {
    pub(super) fn read<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        trak: Range<u64>,
    ) -> io::Result<()> {
        let mut boxes = Boxes::within(trak);
        while let Some(header) = boxes.next(file)? {
            match &header.kind {
                b"tkhd" => self.read_header(file, &header)?,
                b"mdia" => self.read_media(file, header.body)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads `tkhd` (ISO 14496-12 section 8.3.2). Its matrix rotates the picture by 90° if only the coefficients that
    /// swap the axes are set.
    fn read_header<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        header: &BoxHeader,
    ) -> io::Result<()> {
        let body = &header.body;
        let [version, _, _, flags] = file.peek_in(body, 0)?;
        let (id, matrix) = if version == 1 { (20, 52) } else { (12, 40) };
        self.is_enabled = flags & 1 == 1;
        self.id = u32::from_be_bytes(file.peek_in(body, id)?);
        let matrix = file.peek_in::<44>(body, matrix)?;
        let (words, _) = matrix.as_chunks::<4>();
        let is_zero = |n: usize| words[n] == [0; 4];
        let is_turned = is_zero(0) && is_zero(4) && !is_zero(1) && !is_zero(3);
        // Fixed-point numbers with 16 fractional bits.
        let [width, height] = [9, 10].map(|n: usize| u32::from_be_bytes(words[n]) >> 16);
        self.size = if is_turned { (height, width) } else { (width, height) };
        Ok(())
    }

    fn read_media<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        media: Range<u64>,
    ) -> io::Result<()> {
        let mut boxes = Boxes::within(media);
        while let Some(header) = boxes.next(file)? {
            match &header.kind {
                b"mdhd" => self.clock = Clock::read(file, &header)?,
                b"hdlr" => self.handler = file.peek_in(&header.body, 8)?,
                b"minf" => {
                    if let Some(table) = Boxes::within(header.body).find(b"stbl", file)? {
                        self.read_table(file, table.body)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_table<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        table: Range<u64>,
    ) -> io::Result<()> {
        let mut boxes = Boxes::within(table);
        while let Some(header) = boxes.next(file)? {
            match &header.kind {
                b"stsd" => {
                    let entries = header.body.start.saturating_add(8)..header.body.end;
                    if let Some(entry) = Boxes::within(entries).next(file)? {
                        self.is_stills = is_stills(file, &entry)?;
                    }
                }
                b"stsz" => self.samples = u32::from_be_bytes(file.peek_in(&header.body, 8)?),
                b"stts" if self.clock.duration == 0 => {
                    self.clock.duration = samples_last(file, &header.body)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The total duration of a track's samples (ISO 14496-12 section 8.6.1.2), for a track whose header has none.
fn samples_last<R: Read + Seek>(file: &mut Window<R>, stts: &Range<u64>) -> io::Result<u64> {
    let runs = u32::from_be_bytes(file.peek_in(stts, 4)?);
    let mut total = 0_u64;
    for run in 0..u64::from(runs) {
        let at = 8 + run * 8;
        if stts.start.saturating_add(at) >= stts.end {
            break;
        }
        let [a, b, c, d, duration @ ..] = file.peek_in::<8>(stts, at)?;
        let count = u32::from_be_bytes([a, b, c, d]);
        let run = u64::from(count) * u64::from(u32::from_be_bytes(duration));
        total = total.saturating_add(run);
    }
    Ok(total)
}

/// Whether a track's format (its entry in `stsd`) is JPEG or PNG, by name or by number (ISO 14496-1 section 7.2.6.6).
fn is_stills<R: Read + Seek>(file: &mut Window<R>, entry: &BoxHeader) -> io::Result<bool> {
    /// Length of a video sample entry before its child boxes.
    const ENTRY: u64 = 78;
    match &entry.kind {
        b"jpeg" | b"png " | b"mjpa" | b"mjpb" => return Ok(true),
        b"mp4v" => {}
        _ => return Ok(false),
    }
    let boxes = entry.body.start.saturating_add(ENTRY)..entry.body.end;
    let Some(descriptor) = Boxes::within(boxes).find(b"esds", file)? else {
        return Ok(false);
    };
    // A version; a tag, a length of up to four bytes, an id and flags; then the format.
    let bytes = file.peek_in::<32>(&descriptor.body, 4)?;
    let after_length =
        |at: usize| bytes[at..].iter().position(|b| b & 0x80 == 0).map(|n| at + n + 1);
    let kind = after_length(1)
        .map(|at| at + 3)
        .filter(|at| bytes.get(*at) == Some(&4))
        .and_then(|at| after_length(at + 1))
        .and_then(|at| bytes.get(at));
    Ok(matches!(kind, Some(0x6C | 0x6D)))
}
