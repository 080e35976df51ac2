//! Boxes of ISO base media files (ISO 14496-12 section 4.2): MP4, `QuickTime`, HEIF and AVIF.
//!
//! Finds where boxes begin and end. Reads only their headers and doesn't interpret their contents.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Maximum number of boxes in one walk. A file that consists only of boxes would keep a thread busy for minutes.
const MAX_BOXES: u32 = 100_000;

/// A box: its type, and where it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// The four-character type, such as `moov`.
    pub kind: [u8; 4],
    /// Offset of the header.
    pub start: u64,
    /// The bytes after the header (for `uuid`, its 16-byte id comes first), cut off at the end of the walk's range.
    pub body: Range<u64>,
}

impl BoxHeader {
    /// The whole box, header included.
    pub fn range(&self) -> Range<u64> {
        self.start..self.body.end
    }
}

/// Iterates over sibling boxes in a range: a file, or the body of a container box.
#[derive(Clone, Debug)]
pub struct Boxes {
    rest: Range<u64>,
    left: u32,
    is_cut: bool,
}

impl Boxes {
    /// Walks the boxes in `range` of the file.
    pub fn within(range: Range<u64>) -> Self {
        Self::limited(range, MAX_BOXES)
    }

    /// Walks the boxes in `range`, up to a maximum number.
    pub fn limited(range: Range<u64>, boxes: u32) -> Self {
        Self { rest: range, left: boxes, is_cut: false }
    }

    /// Returns the next box, or `None` at the end of the range, where no valid header follows, or when the maximum
    /// number of boxes is reached.
    pub fn next(&mut self, source: &mut (impl Read + Seek)) -> io::Result<Option<BoxHeader>> {
        let start = self.rest.start;
        if self.left == 0 || self.rest.end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        self.left -= 1;
        let [a, b, c, d, kind @ ..] = read_at::<8>(source, start)?;
        let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, self.rest.end - start), // extends to the end
            1 if self.rest.end - start >= 16 => {
                (16, u64::from_be_bytes(read_at::<8>(source, start + 8)?))
            }
            size => (8, u64::from(size)),
        };
        if size < header {
            return Ok(None);
        }
        self.is_cut = size > self.rest.end - start;
        let end = start.saturating_add(size).min(self.rest.end);
        self.rest.start = end;
        Ok(Some(BoxHeader { kind, start, body: start + header..end }))
    }

    /// Whether the last box claims to be longer than the range.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The bytes not yet walked. After the walk, the bytes that aren't a box.
    pub fn rest(&self) -> Range<u64> {
        self.rest.clone()
    }

    /// Whether the walk stopped at its maximum, so that there may be more boxes.
    pub fn is_spent(&self) -> bool {
        self.left == 0 && !self.rest.is_empty()
    }

    /// Skips to the next box of this type.
    pub fn find(
        &mut self,
        kind: &[u8; 4],
        source: &mut (impl Read + Seek),
    ) -> io::Result<Option<BoxHeader>> {
        while let Some(header) = self.next(source)? {
            if header.kind == *kind {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}

/// Reads `N` bytes at `offset`. Fails with `UnexpectedEof` if the file ends before.
pub fn read_at<const N: usize>(
    source: &mut (impl Read + Seek),
    offset: u64,
) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.seek(SeekFrom::Start(offset))?;
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn walk(bytes: &[u8]) -> Vec<BoxHeader> {
        let mut source = Cursor::new(bytes);
        let mut boxes = Boxes::within(0..bytes.len() as u64);
        std::iter::from_fn(|| boxes.next(&mut source).unwrap()).collect()
    }

    fn of(kind: [u8; 4], range: Range<u64>, header: u64) -> BoxHeader {
        BoxHeader { kind, start: range.start, body: range.start + header..range.end }
    }

    #[test]
    fn boxes_lie_side_by_side() {
        let bytes = b"\0\0\0\x0Cftypqt  \0\0\0\x08free\0\0\0\x09mdat!";
        assert_eq!(
            walk(bytes),
            [of(*b"ftyp", 0..12, 8), of(*b"free", 12..20, 8), of(*b"mdat", 20..29, 8)]
        );
    }

    #[test]
    fn sizes_may_have_64_bits_or_extend_to_the_end() {
        let bytes = b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab\0\0\0\0moovcdef";
        assert_eq!(walk(bytes), [of(*b"mdat", 0..18, 16), of(*b"moov", 18..30, 8)]);
    }

    #[test]
    fn a_cut_box_ends_with_the_file() {
        let bytes = b"\0\0\x01\0moovabc";
        assert_eq!(walk(bytes), [of(*b"moov", 0..11, 8)]);
        assert_eq!(
            walk(b"\0\0\0\x01mdat\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFab"),
            [of(*b"mdat", 0..18, 16)]
        );
    }

    #[test]
    fn an_invalid_header_ends_the_walk() {
        assert_eq!(walk(b"\0\0\0\x07free\0\0\0\x08free"), []);
        assert_eq!(walk(b"\0\0\0\x08fr"), []);
        assert_eq!(walk(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0F"), []);
    }

    #[test]
    fn a_walk_stops_at_its_maximum_of_boxes() {
        let flood = b"\0\0\0\x08free".repeat(MAX_BOXES as usize + 1);
        assert_eq!(walk(&flood).len(), MAX_BOXES as usize);
    }
}
