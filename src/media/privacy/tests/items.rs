//! Items of HEIF and AVIF.

use super::iso::of;
use super::{patched, plan, tiff, turned, turning_packet};

const FTYP: &[u8] = b"\0\0\0\x10ftypheic\0\0\0\0";
/// An XMP packet without properties.
const XMP: &[u8] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";

/// A picture's `meta` box.
fn meta(boxes: &[Vec<u8>]) -> Vec<u8> {
    let handler = of(b"hdlr", &[&[0; 8], b"pict".as_slice(), &[0; 13]].concat());
    of(b"meta", &[vec![0; 4], handler, boxes.concat()].concat())
}

/// An item's type, and its extents: offset in the data, and length.
type Item<'a> = (&'a [u8], &'a [(usize, usize)]);

fn entries(items: &[Item]) -> Vec<u8> {
    let entry = |(index, (kind, _)): (usize, &Item)| {
        let id = u8::try_from(index + 1).unwrap();
        of(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], *kind].concat())
    };
    let entries: Vec<u8> = items.iter().enumerate().flat_map(entry).collect();
    let count = u8::try_from(items.len()).unwrap();
    of(b"iinf", &[&[0, 0, 0, 0, 0, count], entries.as_slice()].concat())
}

/// Version 1, with 4-byte offsets and lengths relative to `base`.
fn places(items: &[Item], method: u8, base: usize) -> Vec<u8> {
    let count = u8::try_from(items.len()).unwrap();
    let mut body = vec![1, 0, 0, 0, 0x44, 0, 0, count];
    for (index, (_, pieces)) in items.iter().enumerate() {
        body.extend([0, u8::try_from(index + 1).unwrap(), 0, method, 0, 0]);
        body.extend([0, u8::try_from(pieces.len()).unwrap()]);
        for (offset, length) in *pieces {
            body.extend(u32::try_from(base + offset).unwrap().to_be_bytes());
            body.extend(u32::try_from(*length).unwrap().to_be_bytes());
        }
    }
    of(b"iloc", &body)
}

/// A file whose items lie in its `mdat`.
fn file(items: &[Item], data: &[u8]) -> Vec<u8> {
    let index = |base| meta(&[entries(items), places(items, 0, base)]);
    let base = FTYP.len() + index(0).len() + 8;
    [FTYP.to_vec(), index(base), of(b"mdat", data)].concat()
}

fn becomes(items: &[Item], before: &[u8], after: &[u8]) {
    assert_eq!(patched(&file(items, before), "image/heic"), file(items, after));
}

#[test]
fn only_the_orientation_stays_of_exif() {
    let data = |distance: &[u8], tiff: &[u8]| [b"pixels", distance, tiff].concat();
    let items: [Item; 2] = [(b"hvc1", &[(0, 6)]), (b"Exif", &[(6, 38)])];
    becomes(&items, &data(&[0; 4], &tiff(6)), &data(&[0; 4], &turned(6)));
}

#[test]
fn exif_may_lie_after_its_name() {
    let before = [b"\0\0\0\x06Exif\0\0", tiff(8).as_slice()].concat();
    let after = [vec![0; 4], turned(8), vec![0; 6]].concat();
    becomes(&[(b"Exif", &[(0, 44)])], &before, &after);
}

#[test]
fn exif_without_orientation_stays_exif() {
    let before = [vec![0; 4], tiff(0)].concat();
    becomes(&[(b"Exif", &[(0, 38)])], &before, &[vec![0; 4], turned(1)].concat());
    let short = &before[..20];
    becomes(&[(b"Exif", &[(0, 20)])], short, b"\0\0\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0\0\0");
}

#[test]
fn exif_may_be_in_pieces() {
    let scatter = |tiff: &[u8]| [&[0; 4], &tiff[..10], b"pixels", &tiff[10..]].concat();
    let items: [Item; 2] = [(b"Exif", &[(0, 14), (20, 24)]), (b"hvc1", &[(14, 6)])];
    becomes(&items, &scatter(&tiff(3)), &scatter(&turned(3)));
}

#[test]
fn xmp_becomes_an_empty_packet() {
    let before = [b'x'; 50];
    let after = [XMP, &[0; 13]].concat();
    becomes(&[(b"mime\0application/rdf+xml\0", &[(0, 50)])], &before, &after);
    becomes(&[(b"mime\0application/rdf+xml\0", &[(0, 5)])], b"<xmp>", &[0; 5]);
}

#[test]
fn the_replacement_for_compressed_xmp_is_not_compressed() {
    let compressed: [Item; 1] = [(b"mime\0application/rdf+xml\0deflate\0", &[(0, 50)])];
    let plain: [Item; 1] = [(b"mime\0application/rdf+xml\0\0\0\0\0\0\0\0\0", &[(0, 50)])];
    let after = [XMP, &[0; 13]].concat();
    assert_eq!(patched(&file(&compressed, &[7; 50]), "image/heic"), file(&plain, &after));
}

#[test]
fn xmp_that_pictures_need_stays() {
    let (before, after) = turning_packet("a:b='secret'");
    let item: [Item; 1] = [(b"mime\0application/rdf+xml\0", &[(0, before.len())])];
    becomes(&item, &before, &after);
}

#[test]
fn other_texts_are_removed_and_pictures_stay() {
    becomes(&[(b"mime\0text/plain\0", &[(0, 6)])], b"secret", &[0; 6]);
    becomes(&[(b"uri \0urn:x\0", &[(0, 6)])], b"secret", &[0; 6]);
    becomes(&[(b"mime\0image/jpeg\0", &[(0, 6)])], b"pixels", b"pixels");
}

#[test]
fn items_may_lie_in_the_index() {
    let items: [Item; 1] = [(b"mime\0text/plain\0", &[(2, 6)])];
    let file = |data: &[u8]| {
        let index = meta(&[entries(&items), places(&items, 1, 0), of(b"idat", data)]);
        [FTYP.to_vec(), index].concat()
    };
    assert_eq!(patched(&file(b"a secret z"), "image/avif"), file(b"a \0\0\0\0\0\0 z"));
}

#[test]
fn bytes_of_pictures_are_left_alone() {
    let items: [Item; 2] = [(b"hvc1", &[(0, 6)]), (b"Exif", &[(4, 8)])];
    assert_eq!(plan(&file(&items, b"pixels and"), "image/heic"), []);
}

#[test]
fn items_in_other_files_are_left_alone() {
    let mut file = file(&[(b"Exif", &[(0, 10)])], b"is another");
    let table = file.windows(4).position(|four| four == b"iloc").unwrap() + 4;
    file[table + 8 + 5] = 1; // after the item's id and construction method
    assert_eq!(plan(&file, "image/heic"), []);
}

#[test]
fn manufacturers_boxes_and_the_handlers_name_are_removed() {
    let file = |kind: &[u8], body: &[u8], name: &[u8]| {
        let handler = of(b"hdlr", &[&[0; 8], b"pict".as_slice(), &[0; 12], name].concat());
        let boxes = [vec![0; 4], handler, of(kind, body), of(b"pitm", b"\0\0\0\0\0\x01")];
        [FTYP.to_vec(), of(b"meta", &boxes.concat())].concat()
    };
    for kind in [b"uuid", b"xml ", b"Exif"] {
        let before = file(kind, b"secret", b"jane's app\0");
        assert_eq!(patched(&before, "image/heic"), file(b"free", &[0; 6], &[0; 11]));
    }
}

#[test]
fn bytes_outside_of_media_are_left_alone() {
    for piece in [(0, 100), (9, 4), (1 << 31, 4)] {
        assert_eq!(plan(&file(&[(b"Exif", &[piece])], b"pixels"), "image/heic"), []);
    }
}

#[test]
fn times_and_descriptions_are_zeroed() {
    let file = |time: &[u8]| {
        let property = |kind: &[u8]| of(kind, &[&[0; 4], time].concat());
        let list = [property(b"crtt"), property(b"udes"), of(b"irot", &[1])].concat();
        [FTYP.to_vec(), meta(&[of(b"iprp", &of(b"ipco", &list))])].concat()
    };
    assert_eq!(patched(&file(b"when"), "image/heic"), file(&[0; 4]));
}
