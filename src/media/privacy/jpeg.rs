//! Plans for JPEG files (ITU T.81 annex B).
//!
//! Decides which segments stay, and what may follow an image. What decoding and colour need stays: JFIF without its
//! thumbnail, ICC profiles, Adobe's colour transform, the index of a multi-picture file, and ISO 21496-1 gain maps. The
//! orientation and the XMP of gain maps stay too. Every other `APPn` segment is zeroed, and so is a comment, which also
//! becomes an APP15, because viewers would show an empty comment.
//!
//! The whole file is read, scans included: there may be segments between and after scans, and more images after the end
//! of one. What looks like a segment in the middle of a damaged scan stays. Further images are treated like the first. A video, as phones append it, is treated as an MP4. Anything
//! else, such as a Samsung trailer with all its contents, is zeroed.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, first_other, read_up_to};
use super::{exif, iso, xmp};
use crate::media::boxes::read_at;
use crate::media::orientation;

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const COM: u8 = 0xFE;
const APP1: u8 = 0xE1;
const APP15: u8 = 0xEF;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const BLOCK: usize = 64 * 1024;

/// Segments that stay, by marker and first bytes.
const KEPT: [(u8, &[u8]); 5] = [
    (0xE0, b"AVI1"), // fields of Motion JPEG
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"MPF\0"),
    (0xE2, b"urn:iso:std:iso:ts:21496:-1\0"),
    (0xEE, b"Adobe"),
];
/// The number of bytes that tell segments apart.
const NAME: usize = 32;

/// Plans for the images that follow each other in `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    if file.end - file.start < 4 || read_at(source, file.start)? != SOI {
        return Ok(());
    }
    let mut start = file.start;
    while let Some(end) = image(source, start..file.end, plan)? {
        match after_image(source, end..file.end, plan)? {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok(())
}

/// Plans for the image at the beginning of `range`. Returns where it ends, or `None` if it has no end.
fn image(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    let mut at = range.start + SOI.len() as u64;
    let mut end = None;
    let mut exifs = Exifs::default();
    let mut scans = Scans::default();
    while let Some((marker, kind)) = next_marker(source, at..range.end)? {
        if scans.are_interrupted(source, at..marker - 1)? {
            plan.mark_incomplete();
        }
        if matches!(kind, SOS | EOI) {
            for held in scans.held.drain(..) {
                segment(source, &held, &mut exifs, plan)?;
            }
        }
        if kind == EOI {
            end = Some(marker + 1);
            break;
        }
        if range.end - marker < 3 {
            break;
        }
        // The length includes its own two bytes. Like libjpeg, treat a smaller one as an empty segment.
        let length = u64::from(u16::from_be_bytes(read_at(source, marker + 1)?)).max(2);
        at = (marker + 1 + length).min(range.end);
        scans.last = Some(kind);
        scans.begun |= kind == SOS;
        if kind == COM || (0xE0..=0xEF).contains(&kind) {
            let found = Segment { kind, marker, end: at };
            if scans.broken {
                plan.mark_incomplete();
            } else if scans.begun {
                scans.held.push(found);
            } else {
                segment(source, &found, &mut exifs, plan)?;
            }
        }
    }
    for held in scans.held {
        segment(source, &held, &mut exifs, plan)?;
    }
    exifs.plan(plan);
    Ok(end)
}

/// An `APPn` or comment segment.
struct Segment {
    kind: u8,
    /// The second byte of its marker.
    marker: u64,
    end: u64,
}

/// What is known of an image's scans. In a damaged file, bytes of a scan may look like segments, and decoders go on with
/// the scan behind them, each in its own way: to change such bytes could change what is seen. So segments behind a scan
/// are held until the next scan or the end of the image follows them.
#[derive(Default)]
struct Scans {
    begun: bool,
    /// Other bytes than segments came between a segment behind a scan and what ends that.
    broken: bool,
    /// The kind of the last segment.
    last: Option<u8>,
    /// Segments since the last scan.
    held: Vec<Segment>,
}

impl Scans {
    /// Notes the bytes between the last segment and the next marker. Returns whether segments are left as they are
    /// because of them.
    fn are_interrupted(
        &mut self,
        source: &mut (impl Read + Seek),
        gap: Range<u64>,
    ) -> io::Result<bool> {
        if !self.begun || self.last == Some(SOS) || first_other(source, gap, &[0xFF])?.is_none() {
            return Ok(false);
        }
        self.broken = true;
        let had_some = !self.held.is_empty();
        self.held.clear();
        Ok(had_some)
    }
}

/// Finds the next marker that begins a segment or ends the image. Returns the offset of its second byte, and that byte.
/// Skips entropy-coded data, and other bytes that decoders skip.
fn next_marker(
    source: &mut (impl Read + Seek),
    mut range: Range<u64>,
) -> io::Result<Option<(u64, u8)>> {
    let mut block = 16; // between segments, the marker comes first
    while range.end - range.start >= 2 {
        let bytes = read_up_to(source, range.clone(), block)?;
        let found = memchr::memchr_iter(0xFF, &bytes[..bytes.len() - 1])
            .map(|at| (range.start + at as u64 + 1, bytes[at + 1]))
            .find(|(_, kind)| !matches!(kind, 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF));
        if found.is_some() {
            return Ok(found);
        }
        range.start += bytes.len() as u64 - 1;
        block = BLOCK;
    }
    Ok(None)
}

/// Plans for an `APPn` or comment segment.
fn segment(
    source: &mut (impl Read + Seek),
    &Segment { kind, marker, end }: &Segment,
    exifs: &mut Exifs,
    plan: &mut Plan,
) -> io::Result<()> {
    let payload = marker + 3..end;
    if kind == COM {
        plan.write(marker..marker + 1, &[APP15]);
        plan.zero(payload);
        return Ok(());
    }
    let name = read_up_to(source, payload.clone(), NAME)?;
    let is_one_of =
        |list: &[(u8, &[u8])]| list.iter().any(|(k, n)| *k == kind && name.starts_with(n));
    if (kind, name.get(..5)) == (0xE0, Some(b"JFIF\0")) {
        plan.zero(payload.start + 12..payload.end); // the thumbnail: width, height, pixels
    } else if kind == APP1 && name.starts_with(EXIF) {
        exifs.add(&read_up_to(source, payload.clone(), orientation::HEAD)?, payload, plan);
    } else if kind == APP1 && name.starts_with(XMP) {
        let kept = xmp_replacement(source, payload.clone())?;
        plan.write(payload, &kept);
    } else if !is_one_of(&KEPT) {
        plan.zero(payload);
    }
    Ok(())
}

/// An image's EXIF segments. Of several, some readers use the first one and others the last one with an orientation, so
/// the first stays the first even if it has no orientation.
#[derive(Default)]
struct Exifs {
    count: u32,
    /// The first segment, if it has no orientation and enough space for a TIFF.
    first_empty: Option<Range<u64>>,
}

impl Exifs {
    fn add(&mut self, bytes: &[u8], payload: Range<u64>, plan: &mut Plan) {
        self.count += 1;
        let has_room = bytes.len() >= EXIF.len() + exif::MINIMAL;
        match exif::reduced(bytes).filter(|_| has_room) {
            Some(tiff) => plan.write(payload, &[EXIF, &tiff].concat()),
            None if has_room && self.count == 1 => self.first_empty = Some(payload),
            None => plan.zero(payload),
        }
    }

    fn plan(self, plan: &mut Plan) {
        if let Some(payload) = self.first_empty {
            // Some readers skip a segment without entries and use the second one. If it is the only one, readers fall
            // back to XMP.
            let tiff = if self.count > 1 { exif::upright() } else { exif::without_entries() };
            plan.write(payload, &[EXIF, &tiff].concat());
        }
    }
}

/// The replacement for an XMP segment.
fn xmp_replacement(source: &mut (impl Read + Seek), payload: Range<u64>) -> io::Result<Vec<u8>> {
    let kept = xmp::read(source, &(payload.start + XMP.len() as u64..payload.end))?;
    Ok(kept.map(|packet| [XMP, &packet].concat()).unwrap_or_default())
}

/// Plans for what follows an image. Returns where the next image begins, if there is one.
fn after_image(
    source: &mut (impl Read + Seek),
    mut range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    while let Some(at) = first_other(source, range.clone(), &[0x00, 0xFF])? {
        // The last bytes of the filler may be the first bytes of what follows.
        let start = at.saturating_sub(4).max(range.start);
        let bytes = read_up_to(source, start..range.end, 16)?;
        let before = usize::try_from(at - start).unwrap_or(0);
        if before > 0 && bytes[before - 1..].starts_with(&[0xFF, 0xD8, 0xFF]) {
            return Ok(Some(at - 1));
        }
        let clip = bytes.windows(4).take(before + 5).position(|four| four == b"ftyp");
        let clip = clip.and_then(|name| name.checked_sub(4)).map(|clip| start + clip as u64);
        let end = match clip {
            Some(clip) => iso::plan_embedded(source, clip..range.end, plan)?,
            None => None,
        };
        let Some(end) = end else {
            plan.zero(at..range.end);
            break;
        };
        range.start = end;
    }
    Ok(None)
}
