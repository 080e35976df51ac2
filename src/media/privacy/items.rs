//! Plans for items (ISO 14496-12 section 8.11, ISO 23008-12): the EXIF and XMP of HEIF and AVIF.
//!
//! Finds the items' bytes through `iinf` and `iloc`. Of EXIF, only the orientation stays; the properties `irot` and
//! `imir`, which really rotate the picture, stay too. Of XMP, what gain maps need stays. An item's bytes are
//! overwritten only where they lie in media data and don't belong to another item, because a damaged table may point
//! anywhere.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::ops::Range;

use super::boxes::{Media, blank, children, common};
use super::names;
use super::plan::{Plan, read_up_to};
use super::ranges::Ranges;
use super::{exif, xmp};
use crate::media::boxes::{BoxHeader, read_at};
use crate::media::orientation;

/// Maximum number of bytes of the location table that are read; enough for tens of thousands of items.
const MAX_TABLE: usize = 1024 * 1024;
/// Length of a TIFF header, which is enough to be recognised as a TIFF.
const HEADER: usize = 8;
/// Maximum number of bytes of an item's entry that are read: its type, and the content type of a text item.
const MAX_ENTRY: usize = 512;

/// What an item to remove contains.
enum Kind {
    Exif,
    Xmp,
    Other,
}

/// An item to remove, and where its entry states its content encoding. The replacement isn't encoded.
struct RemovedItem {
    kind: Kind,
    encoding: Range<u64>,
}

/// The boxes in a picture's `meta` box that stay.
const KEPT: [&[u8; 4]; 10] =
    [b"hdlr", b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat", b"ipro", b"dinf", b"grpl"];

/// Plans for the items of a `meta` box. Adds the ranges of the items that stay to `needed`. Returns whether the box
/// itself stays.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    media: &Media,
    meta: &BoxHeader,
    needed: &mut Vec<Range<u64>>,
    plan: &mut Plan,
) -> io::Result<bool> {
    let contents = contents(source, meta)?;
    let boxes = children(source, contents)?;
    let of = |kind: &[u8; 4]| boxes.iter().find(|header| header.kind == *kind);
    let inside = of(b"idat").map(|header| header.body.clone());
    if let (Some(entries), Some(places)) = (of(b"iinf"), of(b"iloc")) {
        let removed = removed_items(source, entries)?;
        let table = read_up_to(source, places.body.clone(), MAX_TABLE)?;
        let places = Places { base: media.base, inside: inside.clone() }.read(&table);
        let data = Ranges::new(media.data.iter().cloned().chain(inside).collect());
        let (to_remove, to_keep) = places.into_iter().partition(|(id, _)| removed.contains_key(id));
        let to_keep: Vec<Place> = to_keep;
        let to_keep: Vec<_> = to_keep.into_iter().flat_map(|(_, extents)| extents).collect();
        needed.extend(to_keep.iter().cloned());
        plan_items(source, &removed, to_remove, &Ranges::new(to_keep), &data, plan)?;
    }
    if let Some(properties) = of(b"iprp") {
        zero_properties(source, properties, plan)?;
    }
    let mut is_of_pictures = of(b"pitm").is_some();
    if let Some(handler) = of(b"hdlr") {
        names::replace_handler_name(source, handler, plan)?;
        is_of_pictures |= names::handler_of(source, handler)? == *b"pict";
    }
    for header in &boxes {
        match &header.kind {
            b"uuid" | b"free" | b"skip" => common(source, header, plan)?,
            kept if KEPT.contains(&kept) => {}
            _ => blank(header, plan),
        }
    }
    Ok(is_of_pictures)
}

/// The children of a `meta` box. That of `QuickTime` has no version and flags before them.
pub(super) fn contents(
    source: &mut (impl Read + Seek),
    meta: &BoxHeader,
) -> io::Result<Range<u64>> {
    let Range { start, end } = meta.body;
    if end - start < 8 {
        return Ok(end..end);
    }
    let [.., a, b, c, d] = read_at::<8>(source, start)?;
    Ok(if &[a, b, c, d] == b"hdlr" { start..end } else { start + 4..end })
}

/// Finds the items to remove.
fn removed_items(
    source: &mut (impl Read + Seek),
    entries: &BoxHeader,
) -> io::Result<BTreeMap<u64, RemovedItem>> {
    let mut removed = BTreeMap::new();
    let Range { start, end } = entries.body;
    if end - start < 8 {
        return Ok(removed);
    }
    let [version] = read_at(source, start)?;
    let start = start + if version == 0 { 6 } else { 8 };
    for entry in children(source, start..end)? {
        if entry.kind == *b"infe" {
            let bytes = read_up_to(source, entry.body.clone(), MAX_ENTRY)?;
            removed.extend(removed_item(&bytes, &entry.body));
        }
    }
    Ok(removed)
}

fn removed_item(bytes: &[u8], body: &Range<u64>) -> Option<(u64, RemovedItem)> {
    let mut entry = Cursor(bytes);
    let version = entry.number(1)?;
    entry.number(3)?;
    let id = entry.number(if version >= 3 { 4 } else { 2 })?;
    entry.number(2)?;
    let (kind, rest) = entry.0.split_first_chunk::<4>()?;
    let removed = |kind, encoding| Some((id, RemovedItem { kind, encoding }));
    let nowhere = body.end..body.end;
    match kind {
        b"Exif" => removed(Kind::Exif, nowhere),
        b"uri " => removed(Kind::Other, nowhere),
        b"mime" => {
            let name = rest.iter().position(|byte| *byte == 0).map_or(rest.len(), |end| end + 1);
            let media_type = rest[name..].split(|byte| *byte == 0).next().unwrap_or_default();
            let before = bytes.len() - rest.len() + name + media_type.len() + 1;
            let encoding = (body.start + before as u64).min(body.end)..body.end;
            match media_type {
                b"application/rdf+xml" => removed(Kind::Xmp, encoding),
                picture if picture.starts_with(b"image/") => None,
                _ => removed(Kind::Other, encoding),
            }
        }
        _ => None,
    }
}

/// Reads numbers from the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Reads a big-endian number of 0 to 8 bytes.
    fn number(&mut self, length: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit)))
    }
}

/// An item's id and its extents.
type Place = (u64, Vec<Range<u64>>);

/// The bases of item offsets.
struct Places {
    base: u64,
    inside: Option<Range<u64>>,
}

impl Places {
    /// Reads `iloc` (section 8.11.3) as far as it is complete.
    fn read(&self, table: &[u8]) -> Vec<Place> {
        let mut cursor = Cursor(table);
        let mut places = Vec::new();
        let Some((version, widths, count)) = head(&mut cursor) else {
            return places;
        };
        for _ in 0..count {
            match self.item(&mut cursor, version, widths) {
                Some(place) => places.push(place),
                None => break,
            }
        }
        places
    }

    fn item(&self, table: &mut Cursor<'_>, version: u64, widths: [usize; 4]) -> Option<Place> {
        let [offset_width, length_width, base_width, index_width] = widths;
        let id = table.number(if version == 2 { 4 } else { 2 })?;
        let method = if version == 0 { 0 } else { table.number(2)? & 15 };
        let in_this_file = table.number(2)? == 0;
        let base = table.number(base_width)?;
        let mut extents = Vec::new();
        for _ in 0..table.number(2)? {
            table.number(index_width)?;
            let offset = table.number(offset_width)?;
            let length = table.number(length_width)?;
            if in_this_file {
                extents.extend(self.extent(method, base.saturating_add(offset), length));
            }
            if offset_width + length_width + index_width == 0 {
                break; // the count can be anything, because the entries take no bytes
            }
        }
        Some((id, extents))
    }

    fn extent(&self, method: u64, offset: u64, length: u64) -> Option<Range<u64>> {
        let base = match method {
            0 => self.base,
            1 => self.inside.as_ref()?.start,
            _ => return None, // derived from other items
        };
        let start = base.saturating_add(offset);
        Some(start..start.saturating_add(length))
    }
}

/// Reads the head of `iloc`: its version, the widths of offset, length, base and index, and the number of items.
fn head(table: &mut Cursor<'_>) -> Option<(u64, [usize; 4], u64)> {
    let version = table.number(1)?;
    table.number(3)?;
    let widths = table.number(2)?;
    let width = |shift: u32| usize::try_from(widths >> shift & 15).ok().filter(|width| *width <= 8);
    let index = if version == 0 { 0 } else { width(0)? };
    let widths = [width(12)?, width(8)?, width(4)?, index];
    let count = table.number(if version == 2 { 4 } else { 2 })?;
    Some((version, widths, count))
}

/// Plans for the items to remove.
fn plan_items(
    source: &mut (impl Read + Seek),
    removed: &BTreeMap<u64, RemovedItem>,
    to_remove: Vec<Place>,
    to_keep: &Ranges,
    data: &Ranges,
    plan: &mut Plan,
) -> io::Result<()> {
    for (id, extents) in to_remove {
        if extents.iter().any(|extent| !data.holds(extent) || to_keep.touches(extent)) {
            plan.mark_incomplete();
            continue;
        }
        let Some(RemovedItem { kind, encoding }) = removed.get(&id) else { continue };
        let kept = match kind {
            Kind::Exif => exif_replacement(&read(source, &extents, orientation::HEAD)?),
            Kind::Xmp => xmp_replacement(&read(source, &extents, xmp::MAX + 1)?),
            Kind::Other => Vec::new(),
        };
        plan.zero(encoding.clone());
        let mut rest = kept.as_slice();
        for extent in extents {
            let length = usize::try_from(extent.end - extent.start).unwrap_or(usize::MAX);
            let (here, next) = rest.split_at(rest.len().min(length));
            plan.write(extent, here);
            rest = next;
        }
    }
    Ok(())
}

/// Reads the first bytes of an item.
fn read(
    source: &mut (impl Read + Seek),
    extents: &[Range<u64>],
    limit: usize,
) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    for extent in extents {
        head.extend(read_up_to(source, extent.clone(), limit - head.len())?);
    }
    Ok(head)
}

/// The replacement for an EXIF item: the offset of the TIFF (ISO 23008-12 annex A.2.1), and a TIFF with an orientation.
/// The TIFF is required because libavif refuses a picture whose EXIF isn't one. Readers rotate pictures by item
/// properties, not by this.
fn exif_replacement(head: &[u8]) -> Vec<u8> {
    let Some((distance, payload)) = head.split_first_chunk::<4>() else {
        return Vec::new();
    };
    let distance = usize::try_from(u32::from_be_bytes(*distance)).unwrap_or(usize::MAX);
    let tiff = payload.get(distance..).and_then(exif::reduced).unwrap_or_else(exif::upright);
    let length =
        if payload.len() < exif::MINIMAL { payload.len().min(HEADER) } else { exif::MINIMAL };
    [[0; 4].as_slice(), &tiff[..length]].concat()
}

/// The replacement for an XMP item. Readers report zeros as damage, so it is an empty packet if nothing is kept.
fn xmp_replacement(packet: &[u8]) -> Vec<u8> {
    let is_whole = packet.len() <= xmp::MAX;
    match xmp::reduced(packet).filter(|_| is_whole) {
        Some(packet) => packet,
        None if packet.len() >= xmp::EMPTY.len() => xmp::EMPTY.to_vec(),
        None => Vec::new(),
    }
}

/// Zeroes the properties that contain times and descriptions (ISO 23008-12 section 6.5).
fn zero_properties(
    source: &mut (impl Read + Seek),
    properties: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    for list in children(source, properties.body.clone())? {
        if list.kind != *b"ipco" {
            continue;
        }
        for property in children(source, list.body)? {
            if matches!(&property.kind, b"crtt" | b"mdft" | b"udes" | b"altt") {
                plan.zero(property.body.start + 4..property.body.end); // keep version and flags
            }
        }
    }
    Ok(())
}
