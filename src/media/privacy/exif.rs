//! The one thing kept of EXIF: which way up a picture is.
//!
//! Owns the reading of `Orientation` in IFD0 (CIPA DC-008, TIFF 6.0 section 2) and the smallest TIFF that holds it.
//! Refuses to know any other tag.

/// The length of what [`minimal`] writes.
pub(super) const MINIMAL: usize = 26;
/// As much of a payload as is read for finding the orientation, in bytes.
pub(super) const HEAD: usize = 64 * 1024;

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation, 1 to 8, in a TIFF or in one behind `Exif\0\0`.
pub(super) fn orientation(payload: &[u8]) -> Option<u8> {
    let tiff = payload.strip_prefix(b"Exif\0\0").unwrap_or(payload);
    let tiff = Tiff { big: tiff.starts_with(b"MM\0*"), bytes: tiff };
    if !tiff.big && !tiff.bytes.starts_with(b"II*\0") {
        return None;
    }
    let ifd = usize::try_from(tiff.long(4)?).ok()?;
    let entries = ifd.checked_add(2)?;
    (0..usize::from(tiff.short(ifd)?))
        .map_while(|n| {
            let at = entries.checked_add(n * 12)?;
            Some((tiff.short(at)?, tiff.short(at + 2)?, tiff.short(at + 8)?))
        })
        .find(|(tag, kind, _)| (*tag, *kind) == (ORIENTATION, SHORT))
        .and_then(|(_, _, value)| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
}

/// A TIFF of nothing but an orientation.
pub(super) fn minimal(orientation: u8) -> [u8; MINIMAL] {
    let mut tiff = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    tiff[19] = orientation;
    tiff
}

struct Tiff<'a> {
    big: bool,
    bytes: &'a [u8],
}

impl Tiff<'_> {
    fn short(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::{minimal, orientation};

    #[test]
    fn both_byte_orders_are_read() {
        let little =
            b"II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x04\0\0\0ACME\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        assert_eq!(orientation(little), Some(6));
        assert_eq!(orientation(&minimal(3)), Some(3));
    }

    #[test]
    fn a_tiff_may_come_behind_its_name() {
        assert_eq!(orientation(&[b"Exif\0\0".as_slice(), &minimal(8)].concat()), Some(8));
    }

    #[test]
    fn only_orientations_that_exist_count() {
        assert_eq!(orientation(&minimal(0)), None);
        assert_eq!(orientation(&minimal(9)), None);
    }

    #[test]
    fn what_is_cut_or_points_outside_has_none() {
        for end in 0..20 {
            assert_eq!(orientation(&minimal(6)[..end]), None, "{end}");
        }
        assert_eq!(orientation(b"MM\0*\xFF\xFF\xFF\xFF\0\x01"), None);
        assert_eq!(orientation(b"II*\0\xFE\xFF\xFF\xFF\x01\0"), None);
    }
}
