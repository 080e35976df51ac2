//! Detects raw photos, and the TIFF files that most of them are.
//!
//! Decides which camera's format a TIFF is. Types that aren't registered have the names used by shared-mime-info.
//! Doesn't read dimensions.

use super::bytes::bytes_at;

const TIFF: &str = "image/tiff";
const DNG: &str = "image/x-adobe-dng";

/// Signatures of camera formats that don't use TIFF's own.
const CAMERAS: [(&[u8], &str); 7] = [
    (b"FUJIFILMCCD-RAW ", "image/x-fuji-raf"),
    (b"IIU\0", "image/x-panasonic-rw2"),
    (b"IIRO", "image/x-olympus-orf"),
    (b"IIRS", "image/x-olympus-orf"),
    (b"MMOR", "image/x-olympus-orf"),
    (b"FOVb", "image/x-sigma-x3f"),
    (b"\0MRM", "image/x-minolta-mrw"),
];

/// Types by extension for TIFF files. Many raw photos are TIFF files that nothing else distinguishes from a scan.
pub(super) const TIFF_BY_EXTENSION: &[(&str, &str)] = &[
    ("3fr", "image/x-hasselblad-3fr"),
    ("arw", "image/x-sony-arw"),
    ("cr2", "image/x-canon-cr2"),
    ("dcr", "image/x-kodak-dcr"),
    ("dng", DNG),
    ("erf", "image/x-epson-erf"),
    ("kdc", "image/x-kodak-kdc"),
    ("nef", "image/x-nikon-nef"),
    ("nrw", "image/x-nikon-nrw"),
    ("pef", "image/x-pentax-pef"),
    ("sr2", "image/x-sony-sr2"),
    ("srw", "image/x-samsung-srw"),
];

/// Cameras whose raw photos keep the picture in a second directory (`SubIFDs`), beside a small preview.
const BY_MAKE: [(&[u8], &str); 2] =
    [(b"NIKON", "image/x-nikon-nef"), (b"SONY", "image/x-sony-arw")];

/// Detects a raw photo or a TIFF (TIFF 6.0 section 2; Adobe's technical note on `BigTIFF`).
pub(super) fn photo(head: &[u8], extension: &str) -> Option<&'static str> {
    if let Some((_, kind)) = CAMERAS.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Some(kind);
    }
    match head.first_chunk()? {
        b"II*\0" if head.get(8..10) == Some(b"CR") => Some("image/x-canon-cr2"),
        b"II*\0" => Some(tiff(&Directory::first(head, false), extension)),
        b"MM\0*" => Some(tiff(&Directory::first(head, true), extension)),
        // Version 43, and 8-byte offsets.
        b"II+\0" => (head.get(4..8) == Some(b"\x08\0\0\0")).then_some(TIFF),
        b"MM\0+" => (head.get(4..8) == Some(b"\0\x08\0\0")).then_some(TIFF),
        _ => None,
    }
}

fn tiff(directory: &Directory<'_>, extension: &str) -> &'static str {
    const SUB_DIRECTORIES: u16 = 0x014A;
    const MAKE: u16 = 0x010F;
    const DNG_VERSION: u16 = 0xC612;
    if directory.offset_of(DNG_VERSION).is_some() {
        return DNG;
    }
    let make = directory.offset_of(MAKE).and_then(|at| directory.head.get(at..)).unwrap_or(&[]);
    let by_make = BY_MAKE.iter().find(|(name, _)| make.starts_with(name));
    let by_make = by_make.filter(|_| directory.offset_of(SUB_DIRECTORIES).is_some());
    let by_name = TIFF_BY_EXTENSION.iter().find(|(known, _)| *known == extension);
    by_name.map(|(_, kind)| *kind).or(by_make.map(|(_, kind)| *kind)).unwrap_or(TIFF)
}

/// The first directory of a TIFF, as far as it is within the head.
struct Directory<'a> {
    head: &'a [u8],
    is_big_endian: bool,
    entries: &'a [[u8; 12]],
}

impl<'a> Directory<'a> {
    fn first(head: &'a [u8], is_big_endian: bool) -> Self {
        let mut directory = Self { head, is_big_endian, entries: &[] };
        let start = bytes_at(head, 4).map(|bytes| directory.long(bytes));
        if let Some(rest) = start.and_then(|start| head.get(start..))
            && let Some((count, rest)) = rest.split_first_chunk()
        {
            let (entries, _) = rest.as_chunks();
            directory.entries = &entries[..entries.len().min(directory.short(*count).into())];
        }
        directory
    }

    /// The last four bytes of an entry: the offset of its value, if that is longer than four bytes.
    fn offset_of(&self, tag: u16) -> Option<usize> {
        let entry = self.entries.iter().find(|[a, b, ..]| self.short([*a, *b]) == tag)?;
        entry.last_chunk().map(|bytes| self.long(*bytes))
    }

    fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn long(&self, bytes: [u8; 4]) -> usize {
        let long =
            if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(long).unwrap_or(usize::MAX)
    }
}
