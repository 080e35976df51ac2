//! Boxes of ISO base media files (ISO 14496-12 section 4.2): MP4, `QuickTime`, HEIF and AVIF.
//!
//! Owns where boxes begin and end. Refuses to know what is in them, and reads nothing but their headers.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// A walk sees no more boxes than this: a file of nothing else would keep a thread busy for minutes.
const MAX_BOXES: u32 = 100_000;

/// A box: its kind and where it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// Four letters, as in `moov`.
    pub kind: [u8; 4],
    /// Where its header begins.
    pub start: u64,
    /// What follows the header; for `uuid`, its 16 bytes first. Cut off where the walk's range ends.
    pub body: Range<u64>,
}

impl BoxHeader {
    /// The whole box.
    pub fn range(&self) -> Range<u64> {
        self.start..self.body.end
    }
}

/// Walks the boxes that lie side by side in one range: a file, or the body of a box that holds others.
#[derive(Clone, Debug)]
pub struct Boxes {
    rest: Range<u64>,
    left: u32,
    is_cut: bool,
}

impl Boxes {
    /// A walk through `range`, bytes of the file.
    pub fn within(range: Range<u64>) -> Self {
        Self::limited(range, MAX_BOXES)
    }

    /// A walk that sees no more boxes than this.
    pub fn limited(range: Range<u64>, boxes: u32) -> Self {
        Self { rest: range, left: boxes, is_cut: false }
    }

    /// The next box; `None` at the end of the range, where no header fits any more or what is there is none,
    /// and after very many boxes.
    pub fn next(&mut self, source: &mut (impl Read + Seek)) -> io::Result<Option<BoxHeader>> {
        let start = self.rest.start;
        if self.left == 0 || self.rest.end.saturating_sub(start) < 8 {
            return Ok(None);
        }
        self.left -= 1;
        let [a, b, c, d, kind @ ..] = read_at::<8>(source, start)?;
        let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, self.rest.end - start), // to the end
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

    /// Whether the box that came last says it is longer than the range.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What the walk hasn't gone through; once it has ended, what isn't a box.
    pub fn rest(&self) -> Range<u64> {
        self.rest.clone()
    }

    /// Whether the walk ended because it saw enough, and there may be more.
    pub fn is_spent(&self) -> bool {
        self.left == 0 && !self.rest.is_empty()
    }

    /// The next box of this kind, leaving out others.
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

/// `N` bytes at `offset`; an error of the kind `UnexpectedEof` where the file has fewer.
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
    fn sizes_may_be_of_64_bits_or_reach_to_the_end() {
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
    fn what_is_no_header_ends_the_walk() {
        assert_eq!(walk(b"\0\0\0\x07free\0\0\0\x08free"), []);
        assert_eq!(walk(b"\0\0\0\x08fr"), []);
        assert_eq!(walk(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0F"), []);
    }

    #[test]
    fn a_flood_of_boxes_is_cut() {
        let flood = b"\0\0\0\x08free".repeat(MAX_BOXES as usize + 1);
        assert_eq!(walk(&flood).len(), MAX_BOXES as usize);
    }
}
