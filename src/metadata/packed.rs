//! How values are encoded in columns of any database: states as numbers, and lists packed into bytes. Pure.

use crate::ids::UploadId;
use crate::media::Patch;
use crate::media::privacy::EmbeddedMetadata;
use crate::metadata::Role;
use crate::part::Part;

pub(super) const RECEIVING: i64 = 0;
pub(super) const FINISHED: i64 = 1;
pub(super) const REMOVED: i64 = 2;
pub(super) const EXPIRED: i64 = 3;
pub(super) const REPLACED: i64 = 4;

pub(super) const MEDIA: i64 = 0;
pub(super) const THUMBNAIL: i64 = 1;
pub(super) const PARTIAL: i64 = 2;

/// Returns the number of a role. Partial uploads have a number of their own.
pub(super) fn pack_role(role: Role, is_partial: bool) -> i64 {
    match role {
        Role::Media if is_partial => PARTIAL,
        Role::Media => MEDIA,
        Role::Thumbnail => THUMBNAIL,
    }
}

const REMOVED_METADATA: i64 = 1;
const NO_METADATA: i64 = 2;
const KEPT_METADATA: i64 = 3;

/// Packs the uuids of the partial uploads that an upload was joined from, 16 bytes each.
pub(super) fn pack_pieces(pieces: &[UploadId]) -> Vec<u8> {
    pieces.iter().flat_map(|id| id.to_bytes()).collect()
}

pub(super) fn unpack_pieces(packed: &[u8]) -> Vec<UploadId> {
    let (ids, _) = packed.as_chunks::<16>();
    ids.iter().map(|id| UploadId::from_bytes(*id)).collect()
}

/// Packs sizes and checksums, 12 bytes per part. Offsets needn't be stored because there are no gaps between parts.
pub(super) fn pack(parts: &[Part]) -> Vec<u8> {
    let sizes_and_sums = parts
        .iter()
        .flat_map(|part| part.size.to_le_bytes().into_iter().chain(part.crc32.to_le_bytes()));
    sizes_and_sums.collect()
}

pub(super) fn unpack(packed: &[u8]) -> Vec<Part> {
    let mut offset = 0;
    let (parts, _) = packed.as_chunks::<12>();
    let unpack = parts.iter().map(|&[a, b, c, d, e, f, g, h, crc32 @ ..]| {
        let size = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let part = Part { offset, size, crc32: u32::from_le_bytes(crc32) };
        offset += size;
        part
    });
    unpack.collect()
}

/// Packs patches, each as its offset, the number of bytes, the number of zeros, and the bytes.
pub(super) fn pack_patches(patches: &[Patch]) -> Vec<u8> {
    let mut packed = Vec::new();
    for patch in patches {
        for number in [patch.offset, patch.bytes.len() as u64, patch.zeros] {
            packed.extend_from_slice(&number.to_le_bytes());
        }
        packed.extend_from_slice(&patch.bytes);
    }
    packed
}

pub(super) fn unpack_patches(mut packed: &[u8]) -> Option<Vec<Patch>> {
    let mut patches = Vec::new();
    while !packed.is_empty() {
        let mut number = || {
            let (digits, rest) = packed.split_first_chunk::<8>()?;
            packed = rest;
            Some(u64::from_le_bytes(*digits))
        };
        let (offset, length, zeros) = (number()?, number()?, number()?);
        let (bytes, rest) = packed.split_at_checked(usize::try_from(length).ok()?)?;
        packed = rest;
        patches.push(Patch { offset, bytes: bytes.to_vec(), zeros });
    }
    Some(patches)
}

/// Unpacks what happened to embedded metadata. Files that were finished by versions that didn't record it have none.
pub(super) fn unpack_embedded(packed: Option<i64>) -> EmbeddedMetadata {
    match packed {
        Some(REMOVED_METADATA) => EmbeddedMetadata::Removed,
        Some(NO_METADATA) => EmbeddedMetadata::None,
        Some(KEPT_METADATA) => EmbeddedMetadata::Kept,
        _ => EmbeddedMetadata::Unknown,
    }
}

pub(super) fn pack_embedded(embedded: EmbeddedMetadata) -> Option<i64> {
    match embedded {
        EmbeddedMetadata::Removed => Some(REMOVED_METADATA),
        EmbeddedMetadata::None => Some(NO_METADATA),
        EmbeddedMetadata::Kept => Some(KEPT_METADATA),
        EmbeddedMetadata::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_parts_are_unpacked_without_gaps() {
        let parts = [
            Part { offset: 0, size: 5, crc32: 7 },
            Part { offset: 5, size: u64::from(u32::MAX) + 1, crc32: u32::MAX },
        ];
        assert_eq!(unpack(&pack(&parts)), parts);
    }

    #[test]
    fn packed_patches_are_unpacked_unchanged() {
        let patches = [
            Patch { offset: 7, bytes: b"Exif".to_vec(), zeros: 0 },
            Patch { offset: u64::MAX, bytes: Vec::new(), zeros: 5 },
        ];
        let packed = pack_patches(&patches);
        assert_eq!(unpack_patches(&packed).as_deref(), Some(&patches[..]));
        assert_eq!(unpack_patches(&packed[1..]), None);
    }
}
