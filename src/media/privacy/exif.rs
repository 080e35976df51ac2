//! Reduces EXIF to the orientation.
//!
//! Writes the smallest TIFF with an `Orientation` (CIPA DC-008, TIFF 6.0 section 2). Knows no other tag.

use crate::media::orientation::{self, BYTE, Entry, ORIENTATION, SHORT};

/// Length of the smallest TIFF with an orientation.
pub(super) const MINIMAL: usize = 26;

/// Returns a TIFF with only the orientation of this one, or `None` if it has none.
///
/// Byte order, field type and count stay the same: some readers ignore an orientation that isn't a single SHORT and
/// others don't, and the picture must look the same in all of them. Of several entries, the first that is a single
/// SHORT is kept. The payload may begin with `Exif\0\0`.
pub(super) fn reduced(payload: &[u8]) -> Option<[u8; MINIMAL]> {
    let entries = || orientation::entries(payload);
    let entry = entries().find(Entry::is_one_short).or_else(|| entries().find(Entry::is_valid))?;
    let number = entry.number().filter(|_| entry.is_valid())?;
    Some(written(entry.is_big, entry.kind, entry.count, number))
}

/// A TIFF that says that the picture is upright.
pub(super) fn upright() -> [u8; MINIMAL] {
    written(true, SHORT, 1, 1)
}

/// A TIFF whose directory is empty. Readers that fall back to XMP where EXIF has no orientation still do so.
pub(super) fn without_entries() -> [u8; MINIMAL] {
    let mut tiff = [0; MINIMAL];
    tiff[..8].copy_from_slice(b"MM\0*\0\0\0\x08");
    tiff
}

fn written(big: bool, kind: u16, count: u32, value: u32) -> [u8; MINIMAL] {
    let short = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let long = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let value = match (kind, u16::try_from(value), u8::try_from(value)) {
        (BYTE, _, Ok(value)) => [value, 0, 0, 0],
        (SHORT, Ok(value), _) => {
            let [a, b] = short(value);
            [a, b, 0, 0]
        }
        _ => long(value),
    };
    let mut tiff = [0; MINIMAL];
    tiff[..4].copy_from_slice(if big { b"MM\0*" } else { b"II*\0" });
    tiff[4..8].copy_from_slice(&long(8)); // offset of the directory
    tiff[8..10].copy_from_slice(&short(1)); // number of entries
    tiff[10..12].copy_from_slice(&short(ORIENTATION));
    tiff[12..14].copy_from_slice(&short(kind));
    tiff[14..18].copy_from_slice(&long(count));
    tiff[18..22].copy_from_slice(&value);
    tiff
}

#[cfg(test)]
mod tests {
    use super::{BYTE, SHORT, reduced, upright, without_entries, written};
    use crate::media::orientation::LONG;

    #[test]
    fn both_byte_orders_are_read_and_stay() {
        let little =
            b"II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x04\0\0\0ACME\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        assert_eq!(reduced(little), Some(written(false, SHORT, 1, 6)));
        assert_eq!(reduced(&written(true, SHORT, 1, 3)), Some(written(true, SHORT, 1, 3)));
    }

    #[test]
    fn type_and_count_of_values_stay() {
        for (big, kind) in [(true, LONG), (false, LONG), (true, BYTE), (false, BYTE)] {
            for count in [0, 1, 33] {
                let tiff = written(big, kind, count, 6);
                assert_eq!(reduced(&[tiff.as_slice(), b"secret"].concat()), Some(tiff));
            }
        }
        assert_eq!(reduced(&written(true, 5, 1, 6)), None, "a fraction");
    }

    #[test]
    fn a_tiff_may_follow_the_exif_prefix() {
        let tiff = written(true, SHORT, 1, 8);
        assert_eq!(reduced(&[b"Exif\0\0".as_slice(), &tiff].concat()), Some(tiff));
    }

    #[test]
    fn only_orientations_that_exist_count() {
        assert_eq!(reduced(&written(true, SHORT, 1, 0)), None);
        assert_eq!(reduced(&written(true, SHORT, 1, 9)), None);
        assert_eq!(reduced(&without_entries()), None);
        assert_eq!(reduced(&upright()), Some(upright()));
    }

    #[test]
    fn the_entry_that_viewers_use_stays() {
        let after = |first: &[u8; 10]| {
            let second = b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
            [b"II*\0\x08\0\0\0\x02\0\x12\x01", first.as_slice(), second].concat()
        };
        let [text, long] = [b"\x02\0\x04\0\0\0ACME", b"\x04\0\x01\0\0\0\x03\0\0\0"];
        for two in [after(text), after(long)] {
            assert_eq!(reduced(&two), Some(written(false, SHORT, 1, 6)));
        }
    }

    #[test]
    fn truncated_exif_has_no_orientation() {
        for end in 0..20 {
            assert_eq!(reduced(&written(true, SHORT, 1, 6)[..end]), None, "{end}");
        }
        assert_eq!(reduced(b"MM\0*\xFF\xFF\xFF\xFF\0\x01"), None);
        assert_eq!(reduced(b"II*\0\xFE\xFF\xFF\xFF\x01\0"), None);
    }
}
