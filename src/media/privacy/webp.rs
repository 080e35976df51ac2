//! What to overwrite in a `WebP` (RFC 9649).
//!
//! Owns which chunks stay: those that pixels, animation and colour need. Of `EXIF` the orientation stays, of `XMP `
//! what pictures need; the rest, and what the format doesn't know, become `JUNK`, RIFF's own name for what says
//! nothing, and `VP8X` no longer announces it. What lies behind the image's RIFF chunk no reader shows; it becomes zeros.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, read_up_to};
use super::{exif, xmp};
use crate::media::boxes::read_at;
use crate::media::orientation;

const JUNK: [u8; 4] = *b"JUNK";
const KEPT: [&[u8; 4]; 5] = [b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ICCP"];
/// Bits of the first byte of `VP8X` (section 2.7.1).
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
/// The length of `VP8X`.
const FEATURES: u64 = 10;
/// Where a frame's chunks begin in `ANMF`.
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
                plan.leave(); // readers don't agree where the next chunk begins
                return Ok(());
            }
            b"VP8X" => features = Some(body.start..body.start + 1),
            b"ANMF" => frame(source, body, plan)?,
            b"EXIF" if turn(source, body.clone(), plan)? => kept |= HAS_EXIF,
            b"XMP " if reduce(source, body.clone(), plan)? => kept |= HAS_XMP,
            needed if KEPT.contains(&needed) => {}
            _ => forget(body, plan),
        }
    }
    if let Some(flags) = features {
        let [bits] = read_at(source, flags.start)?;
        plan.write(flags, &[bits & (!(HAS_XMP | HAS_EXIF) | kept)]);
    }
    if image {
        plan.zero(end..file.end);
    } else {
        plan.leave();
    }
    Ok(())
}

/// Chunks side by side: each one's kind, and where its body lies.
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

/// A frame holds an image's chunks, and may hold others.
fn frame(source: &mut (impl Read + Seek), body: Range<u64>, plan: &mut Plan) -> io::Result<()> {
    let mut chunks = Chunks(body.start + FRAME..body.end);
    while let Some((kind, body)) = chunks.next(source)? {
        if !KEPT.contains(&&kind) {
            forget(body, plan);
        }
    }
    Ok(())
}

/// Leaves of EXIF the orientation; whether there is one.
fn turn(source: &mut (impl Read + Seek), body: Range<u64>, plan: &mut Plan) -> io::Result<bool> {
    let head = read_up_to(source, body.clone(), orientation::HEAD)?;
    let fits = head.len() >= exif::MINIMAL;
    let kept = exif::reduced(&head).filter(|_| fits);
    if let Some(tiff) = kept {
        plan.write(body, &tiff);
    }
    Ok(kept.is_some())
}

/// Leaves of XMP what pictures need; whether that is anything.
fn reduce(source: &mut (impl Read + Seek), body: Range<u64>, plan: &mut Plan) -> io::Result<bool> {
    let Some(packet) = xmp::read(source, &body)? else { return Ok(false) };
    plan.write(body, &packet);
    Ok(true)
}

fn forget(body: Range<u64>, plan: &mut Plan) {
    plan.write(body.start - 8..body.start - 4, &JUNK);
    plan.zero(body);
}
