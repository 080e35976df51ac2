//! What to overwrite in a JPEG (ITU T.81 annex B).
//!
//! Owns which segments stay, and what may lie behind an image. Stay: what decoding and colour need, namely JFIF
//! without its thumbnail, ICC profiles, Adobe's colour transform, the index of a multi-picture file and ISO
//! 21496-1 gain maps; the orientation, and what XMP says of gain maps. Every other `APPn`, and comments, become
//! zeros; a comment becomes an APP15, as an empty one would still be shown.
//!
//! The whole file is read, scans too: segments may lie between and behind them, and further images behind an end.
//! Those are treated as the first is; a clip, as phones append it, as an MP4; anything else,
//! Samsung's trailers with all that they hold among it, becomes zeros.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, first_other, read_up_to};
use super::{exif, iso, xmp};
use crate::media::boxes::read_at;
use crate::media::orientation;

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: [u8; 2] = [0xFF, 0xD9];
const COM: u8 = 0xFE;
const APP1: u8 = 0xE1;
const APP15: u8 = 0xEF;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const BLOCK: usize = 64 * 1024;

/// Segments that stay, by marker and how they begin.
const KEPT: [(u8, &[u8]); 5] = [
    (0xE0, b"AVI1"), // fields of Motion JPEG
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"MPF\0"),
    (0xE2, b"urn:iso:std:iso:ts:21496:-1\0"),
    (0xEE, b"Adobe"),
];
/// The longest beginning that tells segments apart.
const NAME: usize = 32;

/// Plans for the images that lie one behind the other in `file`.
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
        match behind(source, end..file.end, plan)? {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok(())
}

/// Plans for the image that `range` begins with; where it ends, if it does.
fn image(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    let mut at = range.start + SOI.len() as u64;
    let mut end = None;
    let mut exifs = Exifs::default();
    while let Some((marker, kind)) = next_marker(source, at..range.end)? {
        if kind == EOI[1] {
            end = Some(marker + 1);
            break;
        }
        if range.end - marker < 3 {
            break;
        }
        // A length counts itself; too small a one is as good as none to libjpeg too.
        let length = u64::from(u16::from_be_bytes(read_at(source, marker + 1)?)).max(2);
        at = (marker + 1 + length).min(range.end);
        if kind == COM || (0xE0..=0xEF).contains(&kind) {
            segment(source, kind, marker, at, &mut exifs, plan)?;
        }
    }
    exifs.plan(plan);
    Ok(end)
}

/// The next marker that a segment follows, or an image's end: where its second byte lies, and that byte.
/// Passes over a scan's bytes, and those that decoders pass over too.
fn next_marker(
    source: &mut (impl Read + Seek),
    mut range: Range<u64>,
) -> io::Result<Option<(u64, u8)>> {
    let mut block = 16; // between segments it is the first
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

/// Plans for an `APPn` or a comment.
fn segment(
    source: &mut (impl Read + Seek),
    kind: u8,
    marker: u64,
    end: u64,
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
        let kept = reduced(source, payload.clone())?;
        plan.write(payload, &kept);
    } else if !is_one_of(&KEPT) {
        plan.zero(payload);
    }
    Ok(())
}

/// An image's EXIF segments. Of several, some readers take the first, others the last that turns the picture: the
/// first stays the first, even if it says nothing.
#[derive(Default)]
struct Exifs {
    count: u32,
    /// The first one, if it says nothing and has room to say so.
    silent: Option<Range<u64>>,
}

impl Exifs {
    fn add(&mut self, bytes: &[u8], payload: Range<u64>, plan: &mut Plan) {
        self.count += 1;
        let has_room = bytes.len() >= EXIF.len() + exif::MINIMAL;
        match exif::reduced(bytes).filter(|_| has_room) {
            Some(tiff) => plan.write(payload, &[EXIF, &tiff].concat()),
            None if has_room && self.count == 1 => self.silent = Some(payload),
            None => plan.zero(payload),
        }
    }

    fn plan(self, plan: &mut Plan) {
        if let Some(payload) = self.silent {
            // Some readers pass over one without entries to the second; alone it leaves the word to XMP.
            let tiff = if self.count > 1 { exif::upright() } else { exif::silent() };
            plan.write(payload, &[EXIF, &tiff].concat());
        }
    }
}

/// What an XMP segment becomes.
fn reduced(source: &mut (impl Read + Seek), payload: Range<u64>) -> io::Result<Vec<u8>> {
    let kept = xmp::read(source, &(payload.start + XMP.len() as u64..payload.end))?;
    Ok(kept.map(|packet| [XMP, &packet].concat()).unwrap_or_default())
}

/// Plans for what lies behind an image; where the next image begins, if there is one.
fn behind(
    source: &mut (impl Read + Seek),
    mut range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    while let Some(at) = first_other(source, range.clone(), &[0x00, 0xFF])? {
        // The filler's last bytes may be the first ones of what is there.
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
