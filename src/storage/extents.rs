//! Where bytes are stored: a list of extents, in the order of the bytes. Pure.
//!
//! A received part has extents, and a File has those of its parts. Code that reads, cleans, checks or deletes a file
//! gets the extents from the records and knows nothing else about where it is stored.

use std::ops::Range;

use crate::ids::BlobId;
use crate::media::Patch;

/// A sequence of consecutive bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Bytes of a blob.
    Stored {
        /// The blob.
        blob: BlobId,
        /// The offset in the blob at which they begin.
        offset: u64,
        /// Number of bytes.
        size: u64,
    },
    /// This many zeros, which are stored nowhere.
    Zeros(u64),
}

impl Extent {
    /// The size in bytes.
    pub fn size(&self) -> u64 {
        match *self {
            Self::Stored { size, .. } | Self::Zeros(size) => size,
        }
    }

    /// The part of it within `range`.
    fn slice(&self, range: Range<u64>) -> Self {
        let size = range.end - range.start;
        match *self {
            Self::Stored { blob, offset, .. } => {
                Self::Stored { blob, offset: offset + range.start, size }
            }
            Self::Zeros(_) => Self::Zeros(size),
        }
    }

    /// Merges both into one if `next` continues this one.
    fn joined(&self, next: &Self) -> Option<Self> {
        match (*self, *next) {
            (Self::Zeros(size), Self::Zeros(more)) => Some(Self::Zeros(size + more)),
            (
                Self::Stored { blob, offset, size },
                Self::Stored { blob: next_blob, offset: next_offset, size: more },
            ) if blob == next_blob && offset + size == next_offset => {
                Some(Self::Stored { blob, offset, size: size + more })
            }
            _ => None,
        }
    }
}

/// Extents in the order of the bytes that they represent. Adjacent bytes of one blob are always one extent, and no
/// extent is empty, so equal lists are equal values. The list for no bytes is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extents(Vec<Extent>);

impl Extents {
    /// The `size` bytes of a blob starting at `offset`.
    pub fn stored(blob: BlobId, offset: u64, size: u64) -> Self {
        Self::from_iter([Extent::Stored { blob, offset, size }])
    }

    /// Adds an extent at the end.
    pub fn push(&mut self, next: Extent) {
        if next.size() == 0 {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && let Some(joined) = last.joined(&next)
        {
            *last = joined;
            return;
        }
        self.0.push(next);
    }

    /// The total size in bytes.
    pub fn size(&self) -> u64 {
        self.0.iter().map(Extent::size).sum()
    }

    /// All extents, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Extent> {
        self.0.iter()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The blob, if the extents are the beginning of a single blob and nothing else. Every ordinary file on disk is.
    pub fn single_blob(&self) -> Option<BlobId> {
        match self.0[..] {
            [Extent::Stored { blob, offset: 0, .. }] => Some(blob),
            _ => None,
        }
    }

    /// The blobs that contain bytes of these extents, each once, with the offset at which the last of these bytes ends.
    pub fn blobs(&self) -> Vec<(BlobId, u64)> {
        let mut blobs: Vec<(BlobId, u64)> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for extent in &self.0 {
            if let Extent::Stored { blob, offset, size } = *extent {
                let at = *known.entry(blob).or_insert(blobs.len());
                match blobs.get_mut(at) {
                    Some((_, end)) => *end = (*end).max(offset + size),
                    None => blobs.push((blob, offset + size)),
                }
            }
        }
        blobs
    }

    /// The extents of the bytes in `range`, or of fewer bytes if these end before the range does.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let mut start = 0;
        let mut slice = Self::default();
        for extent in &self.0 {
            if start >= range.end {
                break;
            }
            let end = start + extent.size();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                slice.push(extent.slice(from - start..to - start));
            }
            start = end;
        }
        slice
    }

    /// Applies patches without overwriting stored bytes. Returns the new extents, and the literal bytes that must be
    /// stored in the blob `literals`. The patches are in order, don't overlap, and don't extend past the end.
    pub fn patched(&self, patches: &[Patch], literals: BlobId) -> (Self, Vec<u8>) {
        let (mut result, mut bytes) = (Self::default(), Vec::new());
        let mut rest = ExtentCursor { extents: self.0.iter(), current: None };
        let mut at = 0;
        for patch in patches {
            rest.take(patch.offset - at, |kept| result.push(kept));
            let (offset, size) = (bytes.len() as u64, patch.bytes.len() as u64);
            result.push(Extent::Stored { blob: literals, offset, size });
            result.push(Extent::Zeros(patch.zeros));
            bytes.extend_from_slice(&patch.bytes);
            rest.take(size + patch.zeros, |_| {});
            at = patch.end();
        }
        rest.take(u64::MAX, |kept| result.push(kept));
        (result, bytes)
    }
}

/// A cursor over extents.
struct ExtentCursor<'a> {
    extents: std::slice::Iter<'a, Extent>,
    /// The rest of the extent from which the last bytes were taken.
    current: Option<Extent>,
}

impl ExtentCursor<'_> {
    /// Takes the next `size` bytes, or as many as are left.
    fn take(&mut self, mut size: u64, mut give: impl FnMut(Extent)) {
        while size > 0
            && let Some(extent) = self.current.take().or_else(|| self.extents.next().copied())
        {
            let some = extent.size().min(size);
            give(extent.slice(0..some));
            if some < extent.size() {
                self.current = Some(extent.slice(some..extent.size()));
            }
            size -= some;
        }
    }
}

impl FromIterator<Extent> for Extents {
    fn from_iter<I: IntoIterator<Item = Extent>>(extents: I) -> Self {
        let mut all = Self::default();
        for extent in extents {
            all.push(extent);
        }
        all
    }
}

impl IntoIterator for Extents {
    type Item = Extent;
    type IntoIter = std::vec::IntoIter<Extent>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Extents {
    type Item = &'a Extent;
    type IntoIter = std::slice::Iter<'a, Extent>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extent(blob: BlobId, offset: u64, size: u64) -> Extent {
        Extent::Stored { blob, offset, size }
    }

    #[test]
    fn neighbours_in_one_blob_are_one_extent() {
        let (a, b) = (BlobId::random(), BlobId::random());
        let parts = [extent(a, 0, 5), extent(a, 5, 7), extent(b, 12, 1), extent(a, 12, 1)];
        let extents = Extents::from_iter(parts);
        let merged = [extent(a, 0, 12), extent(b, 12, 1), extent(a, 12, 1)];
        assert_eq!(extents.0, merged);
        assert_eq!((extents.size(), extents.blobs()), (14, vec![(a, 13), (b, 13)]));
        assert_eq!(extents.single_blob(), None);
    }

    #[test]
    fn zeros_are_stored_in_no_blob() {
        let zeros = Extents::from_iter([Extent::Zeros(3), Extent::Zeros(4), Extent::Zeros(0)]);
        assert_eq!(zeros.0, [Extent::Zeros(7)]);
        assert_eq!((zeros.blobs(), zeros.single_blob()), (vec![], None));
    }

    #[test]
    fn only_the_beginning_of_a_blob_is_a_single_blob() {
        let blob = BlobId::random();
        assert_eq!(Extents::stored(blob, 0, 5).single_blob(), Some(blob));
        assert_eq!(Extents::stored(blob, 1, 5).single_blob(), None);
        assert_eq!(Extents::default().single_blob(), None);
    }

    /// Maps each byte to its blob and its offset there.
    fn bytes(extents: &Extents) -> Vec<Option<(BlobId, u64)>> {
        let each = extents.iter().flat_map(|extent| match *extent {
            Extent::Stored { blob, offset, size } => {
                (offset..offset + size).map(|at| Some((blob, at))).collect::<Vec<_>>()
            }
            Extent::Zeros(size) => (0..size).map(|_| None).collect(),
        });
        each.collect()
    }

    fn any_extents() -> impl Strategy<Value = Extents> {
        let blobs = [BlobId::random(), BlobId::random()];
        let any_extent = (0..3_usize, 0..20_u64, 0..20_u64);
        prop::collection::vec(any_extent, 0..8).prop_map(move |extents| {
            let each = extents.into_iter().map(|(blob, offset, size)| match blobs.get(blob) {
                Some(blob) => extent(*blob, offset, size),
                None => Extent::Zeros(size),
            });
            each.collect()
        })
    }

    proptest! {
        #[test]
        fn a_slice_has_the_bytes_of_its_range(extents in any_extents(), from in 0..100_u64, size in 0..100_u64) {
            let all = bytes(&extents);
            let range = usize::try_from(from).unwrap()..usize::try_from(from + size).unwrap();
            let expected: Vec<_> = all.get(range.start..range.end.min(all.len())).unwrap_or_default().to_vec();
            prop_assert_eq!(bytes(&extents.slice(from..from + size)), expected);
        }

        #[test]
        fn patching_changes_only_the_patched_bytes(
            extents in any_extents(),
            gaps in prop::collection::vec((0..20_u64, 0..9_u64, 0..9_u64), 0..6),
        ) {
            let literals = BlobId::random();
            let mut expected = bytes(&extents);
            let (mut patches, mut at, mut stored) = (Vec::new(), 0, 0);
            for (gap, length, zeros) in gaps {
                let patch = Patch { offset: at + gap, bytes: vec![7; usize::try_from(length).unwrap()], zeros };
                if patch.end() > extents.size() {
                    break;
                }
                at = patch.end();
                let literal = (stored..stored + length).map(|at| Some((literals, at)));
                let by = literal.chain((0..zeros).map(|_| None));
                expected.splice(usize::try_from(patch.offset).unwrap()..usize::try_from(at).unwrap(), by);
                stored += length;
                patches.push(patch);
            }
            let (patched, literal_bytes) = extents.patched(&patches, literals);
            prop_assert_eq!(bytes(&patched), expected);
            prop_assert_eq!(literal_bytes, vec![7; usize::try_from(stored).unwrap()]);
        }
    }
}
