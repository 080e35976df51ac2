//! The displayed size of TIFF pictures (TIFF 6.0 section 2, Adobe's technical note on `BigTIFF`): that of the first
//! picture that isn't a preview.
//!
//! imagesize 0.14 returns the size of a preview that comes first, and ignores the orientation.

use std::io::{self, Read, Seek};

use super::window::Window;

/// Maximum number of directories that are examined; at most a preview or two come first.
const DIRECTORIES: u32 = 8;
/// Limit on the number of entries, higher than in any real directory.
const ENTRIES: u64 = 1024;

/// Returns width and height in pixels.
pub(super) fn size<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<(u32, u32)>> {
    let order = match &file.peek(0)? {
        b"II" => Order { is_big_endian: false },
        b"MM" => Order { is_big_endian: true },
        _ => return Ok(None),
    };
    let layout = match order.short(file.peek(2)?) {
        42 => Layout { order, offset: 4, count: 2, entry: 12 },
        43 => Layout { order, offset: 8, count: 8, entry: 20 },
        _ => return Ok(None),
    };
    let mut at = layout.number(file, layout.offset, layout.offset)?;
    let mut preview = None;
    for _ in 0..DIRECTORIES {
        if at == 0 {
            break;
        }
        let directory = Directory::read(file, &layout, at)?;
        if !directory.is_preview {
            return Ok(directory.shown().or(preview));
        }
        preview = preview.or(directory.shown());
        at = layout.number(file, directory.end, layout.offset)?;
    }
    Ok(preview)
}

#[derive(Clone, Copy)]
struct Order {
    is_big_endian: bool,
}

impl Order {
    fn short(self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

/// Widths of fields: 32 bits, or 64 in a `BigTIFF`.
struct Layout {
    order: Order,
    /// Width of an offset in bytes, which is also where the first one lies.
    offset: u64,
    count: u64,
    entry: u64,
}

impl Layout {
    /// Reads a number of 2, 4 or 8 bytes. Fails with `UnexpectedEof` if the file ends before.
    fn number<R: Read + Seek>(&self, file: &mut Window<R>, at: u64, bytes: u64) -> io::Result<u64> {
        if at.saturating_add(bytes) > file.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = file.peek::<8>(at)?;
        let used = usize::try_from(bytes).unwrap_or(8).min(8);
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Ok(if self.order.is_big_endian {
            number[..used].iter().fold(0, add)
        } else {
            number[..used].iter().rev().fold(0, add)
        })
    }
}

/// What a directory says about its picture.
#[derive(Default)]
struct Directory {
    width: u64,
    height: u64,
    is_turned: bool,
    is_preview: bool,
    /// Where the offset of the next directory is stored.
    end: u64,
}

impl Directory {
    fn read<R: Read + Seek>(file: &mut Window<R>, layout: &Layout, at: u64) -> io::Result<Self> {
        const SHORT: u16 = 3;
        const LONG8: u16 = 16;
        let mut directory = Self::default();
        let count = layout.number(file, at, layout.count)?.min(ENTRIES);
        let first = at.saturating_add(layout.count);
        for entry in 0..count {
            let at = first.saturating_add(entry * layout.entry);
            let [a, b, c, d] = file.peek(at)?;
            let (tag, kind) = (layout.order.short([a, b]), layout.order.short([c, d]));
            let value = at.saturating_add(layout.entry - layout.offset);
            let width = match kind {
                SHORT => 2,
                LONG8 => layout.offset,
                _ => 4,
            };
            let value = layout.number(file, value, width)?;
            match tag {
                254 => directory.is_preview = value & 1 == 1,
                256 => directory.width = value,
                257 => directory.height = value,
                274 => directory.is_turned = (5..=8).contains(&value),
                _ => {}
            }
        }
        directory.end = first.saturating_add(count * layout.entry);
        Ok(directory)
    }

    fn shown(&self) -> Option<(u32, u32)> {
        let (width, height) = (u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?);
        Some(if self.is_turned { (height, width) } else { (width, height) })
    }
}
