//! The displayed size of HEIC and AVIF pictures (ISO 23008-12): that of the primary item, cropped and rotated.
//!
//! Ignores the EXIF orientation, because readers rotate these pictures only by their properties (section 6.5).

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::ops::Range;

use super::super::boxes::{BoxHeader, Boxes};
use super::window::Window;

/// Length of the version and flags at the beginning of a full box.
const FULL: u64 = 4;

/// Returns width and height in pixels.
pub(super) fn size<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<(u32, u32)>> {
    let mut boxes = Boxes::within(0..file.size());
    let Some(meta) = boxes.find(b"meta", file)?.filter(|_| !boxes.is_cut()) else {
        return Ok(None);
    };
    let (mut primary, mut properties) = (None, None);
    let mut boxes = Boxes::within(after(&meta, FULL));
    while let Some(header) = boxes.next(file)? {
        match &header.kind {
            b"pitm" => primary = Some(primary_item(file, &header)?),
            b"iprp" => properties = Some(header.body),
            _ => {}
        }
    }
    let (Some(primary), Some(properties)) = (primary, properties) else {
        return Ok(None);
    };
    let Some(container) = Boxes::within(properties.clone()).find(b"ipco", file)? else {
        return Ok(None);
    };
    let mut boxes = Boxes::within(properties);
    while let Some(map) = boxes.find(b"ipma", file)? {
        if let Some(indexes) = associated(file, &map, primary)? {
            return apply(file, container, &indexes);
        }
    }
    Ok(None)
}

fn after(header: &BoxHeader, skipped: u64) -> Range<u64> {
    header.body.start.saturating_add(skipped)..header.body.end
}

fn primary_item<R: Read + Seek>(file: &mut Window<R>, pitm: &BoxHeader) -> io::Result<u32> {
    let [version, _, _, _, a, b, c, d] = file.peek_in::<8>(&pitm.body, 0)?;
    Ok(if version == 0 {
        u16::from_be_bytes([a, b]).into()
    } else {
        u32::from_be_bytes([a, b, c, d])
    })
}

/// Returns the 1-based indexes of an item's properties (ISO 23008-12 section 9.3), in order.
fn associated<R: Read + Seek>(
    file: &mut Window<R>,
    ipma: &BoxHeader,
    item: u32,
) -> io::Result<Option<Vec<u16>>> {
    let [version, _, _, flags, a, b, c, d] = file.peek_in::<8>(&ipma.body, 0)?;
    let mut rest = after(ipma, 8);
    let id_size = if version == 0 { 2 } else { 4 };
    let index_size = if flags & 1 == 0 { 1 } else { 2 };
    for _ in 0..u32::from_be_bytes([a, b, c, d]) {
        let [a, b, c, d] = file.peek_in(&rest, 0)?;
        let id = if version == 0 {
            u16::from_be_bytes([a, b]).into()
        } else {
            u32::from_be_bytes([a, b, c, d])
        };
        let [count] = file.peek_in(&rest, id_size)?;
        let length = id_size + 1 + u64::from(count) * index_size;
        if rest.end.saturating_sub(rest.start) < length {
            break; // truncated: the following bytes belong to another box
        }
        if id == item {
            let indexes = (0..u64::from(count)).map(|n| {
                let [a, b] = file.peek_in(&rest, id_size + 1 + n * index_size)?;
                // The first bit marks a property as essential.
                Ok(if index_size == 1 {
                    u16::from(a & 0x7F)
                } else {
                    u16::from_be_bytes([a & 0x7F, b])
                })
            });
            return indexes.collect::<io::Result<_>>().map(Some);
        }
        rest.start += length;
    }
    Ok(None)
}

/// Applies the properties that change the size, in the item's order.
fn apply<R: Read + Seek>(
    file: &mut Window<R>,
    container: BoxHeader,
    indexes: &[u16],
) -> io::Result<Option<(u32, u32)>> {
    let mut wanted: BTreeMap<u16, BoxHeader> = BTreeMap::new();
    let mut boxes = Boxes::within(container.body);
    for index in 1..=u16::MAX {
        let Some(header) = boxes.next(file)? else {
            break;
        };
        if indexes.contains(&index) {
            wanted.insert(index, header);
        }
    }
    let mut size = None;
    for header in indexes.iter().filter_map(|index| wanted.get(index)) {
        let mut word = |at| file.peek_in(&header.body, at).map(u32::from_be_bytes);
        size = match (&header.kind, size) {
            (b"ispe", _) => Some((word(FULL)?, word(FULL + 4)?)),
            (b"clap", Some(_)) => {
                word(0)?.checked_div(word(4)?).zip(word(8)?.checked_div(word(12)?))
            }
            (b"irot", Some((width, height))) if word(0)? >> 24 & 1 == 1 => Some((height, width)),
            (_, size) => size,
        };
    }
    Ok(size)
}
