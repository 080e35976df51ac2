//! Which way up browsers show a picture, by its EXIF.
//!
//! Owns the reading of `Orientation` in IFD0 (CIPA DC-008 section 4.6.5, TIFF 6.0 section 2). Like browsers it takes
//! the first that is one SHORT, and nothing else. Refuses to know where formats keep their EXIF.

/// As much of EXIF as is read, in bytes: what a segment of a JPEG holds.
pub(super) const HEAD: usize = 64 << 10;

/// The orientation, 1 to 8, in EXIF with or without the name that introduces it in a JPEG; 1 where it says none.
pub(super) fn of_exif(exif: &[u8]) -> u8 {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    read(tiff)
        .and_then(|value| u8::try_from(value).ok())
        .filter(|n| (1..=8).contains(n))
        .unwrap_or(1)
}

fn read(tiff: &[u8]) -> Option<u16> {
    const ORIENTATION: u16 = 0x0112;
    const SHORT: u16 = 3;
    let (is_big, rest) = match tiff.split_first_chunk()? {
        (b"II*\0", rest) => (false, rest),
        (b"MM\0*", rest) => (true, rest),
        _ => return None,
    };
    let short =
        |bytes: [u8; 2]| if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let long =
        |bytes: [u8; 4]| if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let directory = usize::try_from(long(*rest.first_chunk()?)).ok()?;
    let (count, entries) = tiff.get(directory..)?.split_first_chunk()?;
    let (entries, _) = entries.as_chunks::<12>();
    let mut entries = entries.iter().take(short(*count).into());
    let [.., a, b, _, _] = entries.find(|[a, b, c, d, count @ .., _, _, _, _]| {
        let is_one_short = short([*c, *d]) == SHORT && long(*count) == 1;
        short([*a, *b]) == ORIENTATION && is_one_short
    })?;
    Some(short([*a, *b]))
}

#[cfg(test)]
mod tests {
    use super::of_exif;

    /// EXIF whose only entry is an orientation of this kind.
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
    fn the_first_that_counts_is_taken() {
        let two = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x04\0\0\0\x01\0\0\0\x03\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        assert_eq!(of_exif(two), 6);
    }

    #[test]
    fn what_is_cut_or_impossible_is_upright() {
        let whole = exif(3, 1, [0, 6, 0, 0]);
        for end in 0..whole.len() {
            assert_eq!(of_exif(&whole[..end]), 1, "{end}");
        }
        assert_eq!(of_exif(&exif(3, 1, [0, 9, 0, 0])), 1);
        assert_eq!(of_exif(&exif(3, 1, [0, 0, 0, 0])), 1);
        assert_eq!(of_exif(b"MM\0*\xFF\xFF\xFF\xFF\0\x01"), 1);
    }
}
