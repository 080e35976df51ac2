//! Elements of EBML documents (RFC 8794): Matroska and `WebM`.
//!
//! Finds where elements begin and end, and reads numbers. Doesn't interpret them.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::window::Window;

/// Maximum length of an element's id and size together.
const HEADER: usize = 12;

/// An element: its id, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// Marker bits included, as in the document.
    pub(super) id: u32,
    /// Cut off at the end of the walk's range. Extends to that end if the size is unknown.
    pub(super) body: Range<u64>,
    /// Whether the element claims to be longer than the range.
    pub(super) is_cut: bool,
}

/// Iterates over sibling elements in a range.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    rest: Range<u64>,
}

impl Elements {
    pub(super) fn within(range: Range<u64>) -> Self {
        Self { rest: range }
    }

    /// Returns the next element, or `None` at the end of the range or where no valid element
    /// follows.
    pub(super) fn next<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
    ) -> io::Result<Option<Element>> {
        let start = self.rest.start;
        let room = self.rest.end.saturating_sub(start);
        if room == 0 {
            return Ok(None);
        }
        let Some(header) = Header::parse(&file.peek::<HEADER>(start)?) else {
            return Ok(None);
        };
        let Some(room) = room.checked_sub(header.length) else {
            return Ok(None);
        };
        let body = start + header.length;
        let end = body + header.size.unwrap_or(room).min(room);
        self.rest.start = end;
        let is_cut = header.size.is_some_and(|size| size > room);
        Ok(Some(Element { id: header.id, body: body..end, is_cut }))
    }

    /// Skips to the next element with this id.
    pub(super) fn find<R: Read + Seek>(
        &mut self,
        id: u32,
        file: &mut Window<R>,
    ) -> io::Result<Option<Element>> {
        while let Some(element) = self.next(file)? {
            if element.id == id {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }
}

/// The header of an element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u32,
    /// `None` if the size is unknown (RFC 8794 section 6.2).
    pub(super) size: Option<u64>,
    /// Length of this header in bytes.
    pub(super) length: u64,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let id_length = vint_length(bytes, 4)?;
        let id = bytes[..id_length].iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let bytes = &bytes[id_length..];
        let length = vint_length(bytes, 8)?;
        let digits = bytes[..length].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let most = (1 << (7 * length)) - 1;
        let size = digits & most;
        let size = (size != most).then_some(size);
        Some(Self { id, size, length: (id_length + length) as u64 })
    }
}

/// Length of a variable-size integer (RFC 8794 section 4), if it is complete.
fn vint_length(bytes: &[u8], longest: usize) -> Option<usize> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    (length <= longest && length <= bytes.len()).then_some(length)
}

/// Reads an unsigned integer; zero if it is too long.
pub(super) fn number<R: Read + Seek>(file: &mut Window<R>, element: &Element) -> io::Result<u64> {
    let bytes = file.peek::<8>(element.body.start)?;
    let length = element.body.end - element.body.start;
    let digits = if length > 8 { &[] } else { &bytes[..usize::try_from(length).unwrap_or(0)] };
    Ok(digits.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Reads a floating-point number of 4 or 8 bytes.
pub(super) fn float<R: Read + Seek>(file: &mut Window<R>, element: &Element) -> io::Result<f64> {
    Ok(match element.body.end - element.body.start {
        4 => f32::from_be_bytes(file.peek(element.body.start)?).into(),
        8 => f64::from_be_bytes(file.peek(element.body.start)?),
        _ => 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn a_header_is_an_identifier_and_a_size() {
        let header = Header::parse(&[0x1A, 0x45, 0xDF, 0xA3, 0x40, 0x02, 0, 0]).unwrap();
        assert_eq!(header, Header { id: 0x1A45_DFA3, size: Some(2), length: 6 });
    }

    #[test]
    fn sizes_of_all_ones_are_unknown() {
        for bytes in [&[0xA3, 0xFF][..], &[0xA3, 0x01, 255, 255, 255, 255, 255, 255, 255]] {
            assert_eq!(Header::parse(bytes).unwrap().size, None);
        }
        assert_eq!(Header::parse(&[0xA3, 0xFE]).unwrap().size, Some(126));
    }

    #[test]
    fn truncated_and_too_long_headers_are_refused() {
        for bytes in [&[][..], &[0], &[0x08, 0, 0, 0, 0, 0x81], &[0xA3], &[0xA3, 0x40], &[0xA3, 0]]
        {
            assert_eq!(Header::parse(bytes), None, "{bytes:?}");
        }
    }
}
