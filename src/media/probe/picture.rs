//! The displayed size of pictures: JPEG, PNG, GIF, `WebP`, BMP, icons, JPEG 2000.
//!
//! Reads only headers, and ignores truncated numbers. The EXIF orientation counts where browsers apply it: in JPEG and
//! PNG, before the pixels, and never in `WebP`.
//!
//! imagesize 0.14 applies no orientation, doesn't know JPEG 2000, and returns 256 for larger icons.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::super::boxes::{Boxes, read_at};
use super::super::orientation;
use super::window::Window;

/// Width and height in pixels.
type Size = Option<(u32, u32)>;

/// Maximum total number of bytes skipped between the segments of a JPEG. Browsers skip any number; cameras and editors
/// leave only a few.
const JPEG_GAPS: u64 = 64 << 10;
/// Minimum length of a JPEG frame header (T.81 section B.2.2), without components.
const FRAME_HEADER: u64 = 8;

/// Returns the size in a JPEG's frame header (T.81 section B.2.2), rotated by the first EXIF before the pixels.
pub(super) fn jpeg<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let mut at = 2_u64;
    let mut gaps_left = JPEG_GAPS;
    let (mut size, mut exif) = (None, None);
    while at < file.size() {
        let [first, marker, high, low] = file.peek::<4>(at)?;
        let body = at.saturating_add(4);
        let segment = u64::from(u16::from_be_bytes([high, low]));
        match (first, marker) {
            (0xFF, 0xFF) => at += 1, // fill byte
            (0xFF, 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, 0xD9 | 0xDA) => break,
            (0xFF, 1..) if segment < 2 => break,
            (0xFF, 1..) => {
                let end = body.saturating_add(segment - 2);
                match marker {
                    // All frame headers; the three excluded codes are tables and reserved ones.
                    0xC0..=0xCF if ![0xC4, 0xC8, 0xCC].contains(&marker) && size.is_none() => {
                        if segment < FRAME_HEADER {
                            break; // the following bytes belong to another segment
                        }
                        let [_, a, b, c, d] = read_at(file, body)?;
                        let height = u16::from_be_bytes([a, b]).into();
                        size = Some((u16::from_be_bytes([c, d]).into(), height));
                    }
                    0xE1 if exif.is_none() && file.peek(body)? == *b"Exif\0\0" => {
                        exif = Some(body..end);
                    }
                    _ => {}
                }
                at = end;
            }
            // Not a segment: like browsers, skip to where one begins.
            _ if gaps_left > 0 => {
                gaps_left -= 1;
                at += 1;
            }
            _ => break,
        }
    }
    let (Some(size), Some(exif)) = (size, exif) else {
        return Ok(size);
    };
    Ok(Some(turned(size, file, exif)?))
}

/// Returns the size in a PNG's `IHDR` (section 11.2.1), rotated by an `eXIf` before the pixels.
pub(super) fn png<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    if file.peek::<4>(12)? != *b"IHDR" {
        return Ok(None);
    }
    let size = png_size(file, 0)?;
    let mut at = 33_u64;
    while at < file.size() {
        let [a, b, c, d, kind @ ..] = file.peek::<8>(at)?;
        let body = at.saturating_add(8);
        let end = body.saturating_add(u32::from_be_bytes([a, b, c, d]).into());
        match &kind {
            b"eXIf" => return turned(size, file, body..end).map(Some),
            b"IDAT" | b"IEND" => break,
            _ => at = end.saturating_add(4), // plus the CRC
        }
    }
    Ok(Some(size))
}

/// Returns the size in the `IHDR` of the PNG at `start`.
fn png_size<R: Read + Seek>(file: &mut Window<R>, start: u64) -> io::Result<(u32, u32)> {
    let [width, height] = [16, 20].map(|at| read_at(file, start + at).map(u32::from_be_bytes));
    Ok((width?, height?))
}

/// Returns the size of a GIF's logical screen (`GIF89a` section 18), enlarged, as in browsers, if the first frame
/// extends beyond it.
pub(super) fn gif<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let [a, b, c, d, flags] = read_at(file, 6)?;
    let mut width = u32::from(u16::from_le_bytes([a, b]));
    let mut height = u32::from(u16::from_le_bytes([c, d]));
    let mut at = 13 + gif_palette(flags);
    while at < file.size() {
        match file.peek::<9>(at)? {
            [0x2C, frame @ ..] => {
                let [left, top, across, down] =
                    [0, 2, 4, 6].map(|n| u32::from(u16::from_le_bytes([frame[n], frame[n + 1]])));
                width = width.max(left + across);
                height = height.max(top + down);
                break;
            }
            // An extension: its label, and blocks up to an empty one.
            [0x21, ..] => {
                at = at.saturating_add(2);
                loop {
                    let [length] = file.peek(at)?;
                    at = at.saturating_add(1 + u64::from(length));
                    if length == 0 {
                        break;
                    }
                }
            }
            _ => break,
        }
    }
    Ok(Some((width, height)))
}

/// Length of the colour table that these flags announce.
fn gif_palette(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Returns the size in a BMP's header, of any version. A negative height only reverses the order of rows.
pub(super) fn bmp<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    if u32::from_le_bytes(file.peek(14)?) == 12 {
        let [a, b, c, d] = read_at(file, 18)?;
        return Ok(Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into())));
    }
    let [width, height] = [read_at(file, 18)?, read_at(file, 22)?].map(i32::from_le_bytes);
    Ok(u32::try_from(width).ok().map(|width| (width, height.unsigned_abs())))
}

/// Returns the size of an icon's largest picture. The directory has one byte per side; larger pictures are PNGs, whose
/// header has the size.
pub(super) fn ico<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    /// Limit on the number of pictures, higher than in any real icon.
    const PICTURES: u16 = 256;
    let count = u16::from_le_bytes(file.peek(4)?).min(PICTURES);
    let mut largest = None;
    for picture in 0..u64::from(count) {
        let entry = read_at::<16>(file, 6 + picture * 16)?;
        let [width, height] =
            [entry[0], entry[1]].map(|side| if side == 0 { 256 } else { side.into() });
        let [.., a, b, c, d] = entry;
        let start = u64::from(u32::from_le_bytes([a, b, c, d]));
        let is_png = read_at(file, start)? == *b"\x89PNG";
        let size = if is_png { png_size(file, start)? } else { (width, height) };
        largest = largest.max(Some(size));
    }
    Ok(largest)
}

/// Returns the size in a JPEG 2000 header (ISO 15444-1 annex I.5.3.1).
pub(super) fn jpeg_2000<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let Some(header) = Boxes::within(0..file.size()).find(b"jp2h", file)? else { return Ok(None) };
    let Some(image) = Boxes::within(header.body).find(b"ihdr", file)? else { return Ok(None) };
    let [height, width] =
        [0, 4].map(|at| read_at(file, image.body.start + at).map(u32::from_be_bytes));
    Ok(Some((width?, height?)))
}

/// Returns the size in the first chunk of a `WebP`, which has one of three types (RFC 9649 sections 2.5 to 2.7).
/// Ignores EXIF, as browsers do.
pub(super) fn webp<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Size> {
    let kind = file.peek::<4>(12)?;
    // The shortest file of this kind has no more bytes.
    let length = if &kind == b"VP8L" { 5 } else { 10 };
    if file.size() < 20 + length {
        return Ok(None);
    }
    Ok(match (&kind, file.peek::<10>(20)?) {
        (b"VP8 ", [_, _, _, 0x9D, 0x01, 0x2A, a, b, c, d]) => {
            let number = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
            Some((number([a, b]), number([c, d])))
        }
        (b"VP8L", [0x2F, a, b, c, d, ..]) => {
            let packed = u32::from_le_bytes([a, b, c, d]);
            Some(((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1))
        }
        (b"VP8X", [_, _, _, _, canvas @ ..]) => {
            let side =
                |n: usize| u32::from_le_bytes([canvas[n], canvas[n + 1], canvas[n + 2], 0]) + 1;
            Some((side(0), side(3)))
        }
        _ => None,
    })
}

/// Swaps width and height if the EXIF orientation rotates by 90°.
fn turned<R: Read + Seek>(
    (width, height): (u32, u32),
    file: &mut Window<R>,
    exif: Range<u64>,
) -> io::Result<(u32, u32)> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(exif.start))?;
    let length = exif.end.saturating_sub(exif.start).min(orientation::HEAD as u64);
    file.by_ref().take(length).read_to_end(&mut head)?;
    let is_turned = orientation::of_exif(&head) > 4;
    Ok(if is_turned { (height, width) } else { (width, height) })
}
