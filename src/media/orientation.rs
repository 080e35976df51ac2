//! The EXIF orientation of a picture.
//!
//! Reads `Orientation` in IFD0 (CIPA DC-008 section 4.6.5, TIFF 6.0 section 2). Like browsers, uses only the first
//! entry that is a single SHORT. Doesn't know where formats store their EXIF.

/// Maximum number of EXIF bytes read: the size of a JPEG segment.
pub(super) const HEAD: usize = 64 << 10;

/// The number of the `Orientation` tag.
pub(super) const ORIENTATION: u16 = 0x0112;
/// TIFF field types for integers.
pub(super) const BYTE: u16 = 1;
pub(super) const SHORT: u16 = 3;
pub(super) const LONG: u16 = 4;

/// Returns the orientation, 1 to 8, or 1 if there is none. The EXIF may begin with `Exif\0\0`, as in a JPEG.
pub(super) fn of_exif(exif: &[u8]) -> u8 {
    let first = entries(exif).find(Entry::is_one_short);
    first.filter(Entry::is_valid).and_then(|entry| u8::try_from(entry.number()?).ok()).unwrap_or(1)
}

/// An `Orientation` entry of IFD0, of any integer type.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Whether the EXIF is big-endian.
    pub(super) is_big: bool,
    pub(super) kind: u16,
    /// Number of values.
    pub(super) count: u32,
    value: [u8; 4],
}

impl Entry {
    /// The first value; `None` if the type isn't an integer.
    pub(super) fn number(&self) -> Option<u32> {
        let [a, b, ..] = self.value;
        match self.kind {
            BYTE => Some(a.into()),
            SHORT => Some(short(self.is_big, [a, b]).into()),
            LONG => Some(long(self.is_big, self.value)),
            _ => None,
        }
    }

    pub(super) fn is_one_short(&self) -> bool {
        (self.kind, self.count) == (SHORT, 1)
    }

    /// Whether the value is an orientation, 1 to 8.
    pub(super) fn is_valid(&self) -> bool {
        self.number().is_some_and(|number| (1..=8).contains(&number))
    }
}

/// All `Orientation` entries, in file order.
pub(super) fn entries(exif: &[u8]) -> impl Iterator<Item = Entry> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let (is_big, directory) = directory(tiff).unwrap_or_default();
    directory.iter().filter(move |[a, b, ..]| short(is_big, [*a, *b]) == ORIENTATION).map(
        move |&[_, _, a, b, c, d, e, f, value @ ..]| Entry {
            is_big,
            kind: short(is_big, [a, b]),
            count: long(is_big, [c, d, e, f]),
            value,
        },
    )
}

/// Whether the TIFF is big-endian, and the entries of IFD0 as far as they are present.
fn directory(tiff: &[u8]) -> Option<(bool, &[[u8; 12]])> {
    let (is_big, rest) = match tiff.split_first_chunk()? {
        (b"II*\0", rest) => (false, rest),
        (b"MM\0*", rest) => (true, rest),
        _ => return None,
    };
    let start = usize::try_from(long(is_big, *rest.first_chunk()?)).ok()?;
    let (count, entries) = tiff.get(start..)?.split_first_chunk()?;
    let (entries, _) = entries.as_chunks();
    Some((is_big, &entries[..entries.len().min(short(is_big, *count).into())]))
}

fn short(is_big: bool, bytes: [u8; 2]) -> u16 {
    if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn long(is_big: bool, bytes: [u8; 4]) -> u32 {
    if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

#[cfg(test)]
mod tests {
    use super::of_exif;

    /// EXIF with a single orientation entry of this type.
    fn exif(kind: u8, count: u8, value: [u8; 4]) -> Vec<u8> {
        [b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0".as_slice(), &[kind, 0, 0, 0, count], &value]
            .concat()
    }

    #[test]
    fn both_byte_orders_are_read() {
        let little =
            b"II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x04\0\0\0ACME\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        assert_eq!(of_exif(little), 6);
        assert_eq!(of_exif(&exif(3, 1, [0, 8, 0, 0])), 8);
    }

    #[test]
    fn like_in_browsers_only_one_short_counts() {
        assert_eq!(of_exif(&exif(4, 1, [0, 0, 0, 6])), 1);
        assert_eq!(of_exif(&exif(4, 1, [0, 6, 0, 6])), 1);
        assert_eq!(of_exif(&exif(1, 1, [6, 6, 6, 6])), 1);
        assert_eq!(of_exif(&exif(3, 2, [0, 6, 0, 6])), 1);
    }

    #[test]
    fn the_first_valid_entry_counts() {
        let two = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x04\0\0\0\x01\0\0\0\x03\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        assert_eq!(of_exif(two), 6);
    }

    #[test]
    fn truncated_or_invalid_exif_is_upright() {
        let whole = exif(3, 1, [0, 6, 0, 0]);
        for end in 0..whole.len() {
            assert_eq!(of_exif(&whole[..end]), 1, "{end}");
        }
        assert_eq!(of_exif(&exif(3, 1, [0, 9, 0, 0])), 1);
        assert_eq!(of_exif(&exif(3, 1, [0, 0, 0, 0])), 1);
        assert_eq!(of_exif(b"MM\0*\xFF\xFF\xFF\xFF\0\x01"), 1);
    }
}
