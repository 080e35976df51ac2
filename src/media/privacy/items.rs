//! What to overwrite of items (ISO 14496-12 section 8.11, ISO 23008-12): the EXIF and XMP of HEIF and AVIF.
//!
//! Owns the way from `iinf` and `iloc` to bytes. Of EXIF the orientation stays, though what turns the picture is a
//! property of its own (`irot`, `imir`), which stays as well; of XMP what gain maps need. An item's bytes are overwritten only where media lie,
//! and no other item's: a damaged table may point anywhere.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::ops::Range;

use super::boxes::{Media, children, common, forget as forget_box};
use super::names;
use super::plan::{Plan, read_up_to};
use super::ranges::Ranges;
use super::{exif, xmp};
use crate::media::boxes::{BoxHeader, read_at};
use crate::media::orientation;

/// As much of the table of places as is read, in bytes; ten thousands of items fit in.
const MAX_TABLE: usize = 1024 * 1024;
/// The length of a TIFF's header, which alone says that it is one.
const HEADER: usize = 8;
/// As much of an item's entry as is read: its kind, and a text item's type.
const MAX_ENTRY: usize = 512;

/// What of an item goes.
enum Kind {
    Exif,
    Xmp,
    Other,
}

/// An item that goes, and where its entry says how it is compressed. What it becomes isn't.
struct Doomed {
    kind: Kind,
    encoding: Range<u64>,
}

/// The boxes of a `meta` box of pictures that stay.
const KEPT: [&[u8; 4]; 10] =
    [b"hdlr", b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat", b"ipro", b"dinf", b"grpl"];

/// Plans for the items of a `meta` box; whether the box itself is to stay. Adds to `needed` where the items lie that
/// do.
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
        let doomed = doomed(source, entries)?;
        let table = read_up_to(source, places.body.clone(), MAX_TABLE)?;
        let places = Places { base: media.base, inside: inside.clone() }.read(&table);
        let data = Ranges::new(media.data.iter().cloned().chain(inside).collect());
        let (going, staying) = places.into_iter().partition(|(id, _)| doomed.contains_key(id));
        let staying: Vec<Place> = staying;
        let staying: Vec<_> = staying.into_iter().flat_map(|(_, pieces)| pieces).collect();
        needed.extend(staying.iter().cloned());
        forget(source, &doomed, going, &Ranges::new(staying), &data, plan)?;
    }
    if let Some(properties) = of(b"iprp") {
        forget_properties(source, properties, plan)?;
    }
    let mut is_of_pictures = of(b"pitm").is_some();
    if let Some(handler) = of(b"hdlr") {
        names::forget_handler(source, handler, plan)?;
        is_of_pictures |= names::handler_of(source, handler)? == *b"pict";
    }
    for header in &boxes {
        match &header.kind {
            b"uuid" | b"free" | b"skip" => common(source, header, plan)?,
            kept if KEPT.contains(&kept) => {}
            _ => forget_box(header, plan),
        }
    }
    Ok(is_of_pictures)
}

/// What a `meta` box holds: `QuickTime`'s has no version before it.
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

/// The items that go.
fn doomed(
    source: &mut (impl Read + Seek),
    entries: &BoxHeader,
) -> io::Result<BTreeMap<u64, Doomed>> {
    let mut doomed = BTreeMap::new();
    let Range { start, end } = entries.body;
    if end - start < 8 {
        return Ok(doomed);
    }
    let [version] = read_at(source, start)?;
    let start = start + if version == 0 { 6 } else { 8 };
    for entry in children(source, start..end)? {
        if entry.kind == *b"infe" {
            let bytes = read_up_to(source, entry.body.clone(), MAX_ENTRY)?;
            doomed.extend(doomed_entry(&bytes, &entry.body));
        }
    }
    Ok(doomed)
}

fn doomed_entry(bytes: &[u8], body: &Range<u64>) -> Option<(u64, Doomed)> {
    let mut entry = Cursor(bytes);
    let version = entry.number(1)?;
    entry.number(3)?;
    let id = entry.number(if version >= 3 { 4 } else { 2 })?;
    entry.number(2)?;
    let (kind, rest) = entry.0.split_first_chunk::<4>()?;
    let doomed = |kind, encoding| Some((id, Doomed { kind, encoding }));
    let nowhere = body.end..body.end;
    match kind {
        b"Exif" => doomed(Kind::Exif, nowhere),
        b"uri " => doomed(Kind::Other, nowhere),
        b"mime" => {
            let name = rest.iter().position(|byte| *byte == 0).map_or(rest.len(), |end| end + 1);
            let media_type = rest[name..].split(|byte| *byte == 0).next().unwrap_or_default();
            let before = bytes.len() - rest.len() + name + media_type.len() + 1;
            let encoding = (body.start + before as u64).min(body.end)..body.end;
            match media_type {
                b"application/rdf+xml" => doomed(Kind::Xmp, encoding),
                picture if picture.starts_with(b"image/") => None,
                _ => doomed(Kind::Other, encoding),
            }
        }
        _ => None,
    }
}

/// Bytes read from the front.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// A number of 0 to 8 bytes.
    fn number(&mut self, length: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit)))
    }
}

/// An item's number and its pieces.
type Place = (u64, Vec<Range<u64>>);

/// What places count from.
struct Places {
    base: u64,
    inside: Option<Range<u64>>,
}

impl Places {
    /// Reads `iloc` (section 8.11.3) as far as it is whole.
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
        let mut pieces = Vec::new();
        for _ in 0..table.number(2)? {
            table.number(index_width)?;
            let offset = table.number(offset_width)?;
            let length = table.number(length_width)?;
            if in_this_file {
                pieces.extend(self.piece(method, base.saturating_add(offset), length));
            }
            if offset_width + length_width + index_width == 0 {
                break; // as many pieces as one likes, all of them nothing
            }
        }
        Some((id, pieces))
    }

    fn piece(&self, method: u64, offset: u64, length: u64) -> Option<Range<u64>> {
        let base = match method {
            0 => self.base,
            1 => self.inside.as_ref()?.start,
            _ => return None, // made of other items
        };
        let start = base.saturating_add(offset);
        Some(start..start.saturating_add(length))
    }
}

/// The version of `iloc`, how wide offset, length, base and index are, and how many items follow.
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

/// Plans for the items that go.
fn forget(
    source: &mut (impl Read + Seek),
    doomed: &BTreeMap<u64, Doomed>,
    going: Vec<Place>,
    staying: &Ranges,
    data: &Ranges,
    plan: &mut Plan,
) -> io::Result<()> {
    for (id, pieces) in going {
        if pieces.iter().any(|piece| !data.holds(piece) || staying.touches(piece)) {
            plan.leave();
            continue;
        }
        let Some(Doomed { kind, encoding }) = doomed.get(&id) else { continue };
        let kept = match kind {
            Kind::Exif => turned(&read(source, &pieces, orientation::HEAD)?),
            Kind::Xmp => reduced(&read(source, &pieces, xmp::MAX + 1)?),
            Kind::Other => Vec::new(),
        };
        plan.zero(encoding.clone());
        let mut rest = kept.as_slice();
        for piece in pieces {
            let length = usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX);
            let (here, behind) = rest.split_at(rest.len().min(length));
            plan.write(piece, here);
            rest = behind;
        }
    }
    Ok(())
}

/// An item's first bytes.
fn read(
    source: &mut (impl Read + Seek),
    pieces: &[Range<u64>],
    limit: usize,
) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    for piece in pieces {
        head.extend(read_up_to(source, piece.clone(), limit - head.len())?);
    }
    Ok(head)
}

/// What an EXIF item becomes: how far its TIFF is away (ISO 23008-12 annex A.2.1), and one of an orientation.
/// There has to be a TIFF: libavif refuses a picture whose EXIF isn't one. Readers turn pictures by properties of
/// their own, not by this.
fn turned(head: &[u8]) -> Vec<u8> {
    let Some((distance, payload)) = head.split_first_chunk::<4>() else {
        return Vec::new();
    };
    let distance = usize::try_from(u32::from_be_bytes(*distance)).unwrap_or(usize::MAX);
    let tiff = payload.get(distance..).and_then(exif::reduced).unwrap_or_else(exif::upright);
    let length =
        if payload.len() < exif::MINIMAL { payload.len().min(HEADER) } else { exif::MINIMAL };
    [[0; 4].as_slice(), &tiff[..length]].concat()
}

/// What an XMP item becomes: readers take zeros for a broken one.
fn reduced(packet: &[u8]) -> Vec<u8> {
    let is_whole = packet.len() <= xmp::MAX;
    match xmp::reduced(packet).filter(|_| is_whole) {
        Some(packet) => packet,
        None if packet.len() >= xmp::EMPTY.len() => xmp::EMPTY.to_vec(),
        None => Vec::new(),
    }
}

/// Properties that tell times and descriptions (ISO 23008-12 section 6.5) become empty.
fn forget_properties(
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
                plan.zero(property.body.start + 4..property.body.end); // its version stays
            }
        }
    }
    Ok(())
}
