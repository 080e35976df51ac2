//! Plans for `WebP` files (RFC 9649).
//!
//! Decides which chunks stay: those for pixels, animation and colour. Of `EXIF` the orientation stays, and of `XMP `
//! what rendering needs. All others, including unknown chunks, become `JUNK`, RIFF's own type for padding, and `VP8X`
//! no longer announces them. Bytes after the image's RIFF chunk, which readers don't show, become zeros.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, read_up_to};
use super::{exif, xmp};
use crate::media::boxes::read_at;
use crate::media::orientation;

const JUNK: [u8; 4] = *b"JUNK";
const KEPT: [&[u8; 4]; 5] = [b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ICCP"];
/// Flags in the first byte of `VP8X` (section 2.7.1).
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
/// Length of `VP8X`.
const FEATURES: u64 = 10;
/// Offset of the child chunks in `ANMF`.
const FRAME: u64 = 16;

/// Plans for the `WebP` in `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    if file.end - file.start < 12 {
        return Ok(());
    }
    let head: [u8; 12] = read_at(source, file.start)?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WEBP") {
        return Ok(());
    }
    let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let end = (file.start + 8 + size + size % 2).min(file.end);
    let mut chunks = Chunks(file.start + 12..end);
    let (mut features, mut image, mut kept) = (None, false, 0);
    while let Some((kind, body)) = chunks.next(source)? {
        image |= matches!(&kind, b"VP8 " | b"VP8L" | b"ANMF");
        match &kind {
            b"VP8X" if body.end - body.start != FEATURES => {
                plan.mark_incomplete(); // readers disagree on where the next chunk begins
                return Ok(());
            }
            b"VP8X" => features = Some(body.start..body.start + 1),
            b"ANMF" => frame(source, body, plan)?,
            b"EXIF" if keep_orientation(source, body.clone(), plan)? => kept |= HAS_EXIF,
            b"XMP " if keep_xmp(source, body.clone(), plan)? => kept |= HAS_XMP,
            needed if KEPT.contains(&needed) => {}
            _ => junk(body, plan),
        }
    }
    if let Some(flags) = features {
        let [bits] = read_at(source, flags.start)?;
        plan.write(flags, &[bits & (!(HAS_XMP | HAS_EXIF) | kept)]);
    }
    if image {
        plan.zero(end..file.end);
    } else {
        plan.mark_incomplete();
    }
    Ok(())
}

/// Iterates over sibling chunks: the type of each, and where its body lies.
struct Chunks(Range<u64>);

impl Chunks {
    fn next(
        &mut self,
        source: &mut (impl Read + Seek),
    ) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        let Range { start, end } = self.0;
        if end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        let [kind @ .., a, b, c, d] = read_at::<8>(source, start)?;
        let size = u64::from(u32::from_le_bytes([a, b, c, d]));
        self.0.start = (start + 8 + size + size % 2).min(end);
        Ok(Some((kind, start + 8..(start + 8 + size).min(end))))
    }
}

/// Plans for a frame, which contains the chunks of an image and possibly others.
fn frame(source: &mut (impl Read + Seek), body: Range<u64>, plan: &mut Plan) -> io::Result<()> {
    let mut chunks = Chunks(body.start + FRAME..body.end);
    while let Some((kind, body)) = chunks.next(source)? {
        if !KEPT.contains(&&kind) {
            junk(body, plan);
        }
    }
    Ok(())
}

/// Reduces EXIF to the orientation. Returns whether there is one.
fn keep_orientation(
    source: &mut (impl Read + Seek),
    body: Range<u64>,
    plan: &mut Plan,
) -> io::Result<bool> {
    let head = read_up_to(source, body.clone(), orientation::HEAD)?;
    let fits = head.len() >= exif::MINIMAL;
    let kept = exif::reduced(&head).filter(|_| fits);
    if let Some(tiff) = kept {
        plan.write(body, &tiff);
    }
    Ok(kept.is_some())
}

/// Reduces XMP to what rendering needs. Returns whether anything is left.
fn keep_xmp(
    source: &mut (impl Read + Seek),
    body: Range<u64>,
    plan: &mut Plan,
) -> io::Result<bool> {
    let Some(packet) = xmp::read(source, &body)? else { return Ok(false) };
    plan.write(body, &packet);
    Ok(true)
}

fn junk(body: Range<u64>, plan: &mut Plan) {
    plan.write(body.start - 8..body.start - 4, &JUNK);
    plan.zero(body);
}
