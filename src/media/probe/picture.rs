//! The size of pictures as shown: JPEG, PNG, GIF, `WebP`, BMP.
//!
//! Reads headers only. EXIF's orientation turns a picture by a quarter or not; where browsers look for it (before
//! the pixels, in `WebP` anywhere) it is looked for.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::window::Window;

/// Width and height in pixels.
type Size = Option<(u32, u32)>;

/// A JPEG's frame header (T.81 section B.2.2), turned by EXIF in a segment before it.
pub(super) fn jpeg<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let mut at = 2_u64;
    let mut is_turned = None;
    while at < file.size() {
        let [0xFF, marker, high, low] = file.peek::<4>(at)? else {
            return Ok(None);
        };
        let body = at.saturating_add(4);
        let segment = u64::from(u16::from_be_bytes([high, low]));
        match marker {
            0xFF => at += 1, // fill
            0x01 | 0xD0..=0xD8 => at += 2,
            0xD9 | 0xDA => return Ok(None),
            // All frame headers but tables and what is reserved among them.
            0xC0..=0xCF if ![0xC4, 0xC8, 0xCC].contains(&marker) => {
                let [_, a, b, c, d] = file.peek(body)?;
                let height = u16::from_be_bytes([a, b]).into();
                let width = u16::from_be_bytes([c, d]).into();
                return Ok(Some(turned((width, height), is_turned == Some(true))));
            }
            _ if segment < 2 => return Ok(None),
            _ => {
                let end = body.saturating_add(segment - 2);
                if marker == 0xE1 && is_turned.is_none() {
                    is_turned = exif(file, body..end)?;
                }
                at = end;
            }
        }
    }
    Ok(None)
}

/// A PNG's `IHDR` (section 11.2.1), turned by an `eXIf` before the pixels.
pub(super) fn png<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    if file.peek::<4>(12)? != *b"IHDR" {
        return Ok(None);
    }
    let size = (u32::from_be_bytes(file.peek(16)?), u32::from_be_bytes(file.peek(20)?));
    let mut at = 33_u64;
    while at < file.size() {
        let [a, b, c, d, kind @ ..] = file.peek::<8>(at)?;
        let body = at.saturating_add(8);
        let end = body.saturating_add(u32::from_be_bytes([a, b, c, d]).into());
        match &kind {
            b"eXIf" => return Ok(Some(turned(size, is_turned(file, body..end)? == Some(true)))),
            b"IDAT" | b"IEND" => break,
            _ => at = end.saturating_add(4), // a checksum
        }
    }
    Ok(Some(size))
}

/// A GIF's logical screen (`GIF89a` section 18).
pub(super) fn gif<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let [a, b, c, d] = file.peek(6)?;
    Ok(Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into())))
}

/// A BMP's size, in the header of any of its versions; heights below zero only turn rows over.
pub(super) fn bmp<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    if u32::from_le_bytes(file.peek(14)?) == 12 {
        let [a, b, c, d] = file.peek(18)?;
        return Ok(Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into())));
    }
    let width = i32::from_le_bytes(file.peek(18)?);
    let height = i32::from_le_bytes(file.peek(22)?);
    Ok(u32::try_from(width).ok().map(|width| (width, height.unsigned_abs())))
}

/// A `WebP`'s size in one of its three first chunks (RFC 9649 sections 2.5 to 2.7).
pub(super) fn webp<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let body = file.peek::<10>(20)?;
    Ok(match (&file.peek::<4>(12)?, body) {
        (b"VP8 ", [_, _, _, 0x9D, 0x01, 0x2A, a, b, c, d]) => {
            let number = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
            Some((number([a, b]), number([c, d])))
        }
        (b"VP8L", [0x2F, a, b, c, d, ..]) => {
            let packed = u32::from_le_bytes([a, b, c, d]);
            Some(((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1))
        }
        (b"VP8X", [flags, _, _, _, canvas @ ..]) => {
            let [width, height] = [0, 3]
                .map(|n| u32::from_le_bytes([canvas[n], canvas[n + 1], canvas[n + 2], 0]) + 1);
            let is_turned = flags & 8 != 0 && webp_exif(file)? == Some(true);
            Some(turned((width, height), is_turned))
        }
        _ => None,
    })
}

fn webp_exif<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<bool>> {
    let mut at = 12_u64;
    while at < file.size() {
        let [kind @ .., a, b, c, d] = file.peek::<8>(at)?;
        let size = u32::from_le_bytes([a, b, c, d]);
        let body = at.saturating_add(8);
        let end = body.saturating_add(size.into());
        if &kind == b"EXIF" {
            // Some writers put the bytes here that introduce it in a JPEG.
            return Ok(exif(file, body..end)?.or(is_turned(file, body..end)?));
        }
        at = end.saturating_add((size & 1).into());
    }
    Ok(None)
}

/// EXIF behind its introduction, as in a JPEG.
fn exif<R: Read + Seek>(file: &mut Window<R>, body: Range<u64>) -> io::Result<Option<bool>> {
    if file.peek::<6>(body.start)? != *b"Exif\0\0" {
        return Ok(None);
    }
    is_turned(file, body.start.saturating_add(6)..body.end)
}

/// Whether EXIF's orientation (CIPA DC-008 section 4.6.4, tag 274) changes sides; `None` if it has none.
fn is_turned<R: Read + Seek>(file: &mut Window<R>, tiff: Range<u64>) -> io::Result<Option<bool>> {
    let is_big = match &file.peek::<4>(tiff.start)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return Ok(None),
    };
    let u16_of = |bytes| if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let [a, b, c, d] = file.peek(tiff.start.saturating_add(4))?;
    let first =
        if is_big { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
    let mut at = tiff.start.saturating_add(first.into());
    let entries = u16_of(file.peek(at)?);
    at = at.saturating_add(2);
    for _ in 0..entries {
        if at >= tiff.end {
            break;
        }
        let [a, b, _, _, _, _, _, _, c, d, _, _] = file.peek(at)?;
        if u16_of([a, b]) == 274 {
            return Ok(Some((5..=8).contains(&u16_of([c, d]))));
        }
        at = at.saturating_add(12);
    }
    Ok(None)
}

fn turned((width, height): (u32, u32), is_turned: bool) -> (u32, u32) {
    if is_turned { (height, width) } else { (width, height) }
}
