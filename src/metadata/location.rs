//! Where the bytes of an unfinished upload are stored. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ids::BlobId;
use crate::storage::{Extent, Extents};

/// Where the parts of an unfinished upload are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// All parts are in this blob, each at its offset in the file: the store writes in place.
    InPlace(BlobId),
    /// Each part is in blobs of its own. The extents, by their offset in the file.
    Apart(BTreeMap<u64, Extent>),
}

impl Location {
    /// Adds a part's extents, unless they follow from its offset.
    pub fn add(&mut self, offset: u64, extents: &Extents) {
        if let Self::Apart(parts) = self {
            let mut at = offset;
            for extent in extents {
                parts.insert(at, *extent);
                at += extent.size();
            }
        }
    }

    /// Returns the extents of the parts that make up this range of the file.
    pub fn of(&self, range: Range<u64>) -> Extents {
        match self {
            Self::InPlace(blob) => Extents::stored(*blob, range.start, range.end - range.start),
            Self::Apart(parts) => parts.range(range).map(|(_, extent)| *extent).collect(),
        }
    }

    /// Returns the blob that contains all parts; `None` if each part is stored apart.
    pub fn blob(&self) -> Option<BlobId> {
        match self {
            Self::InPlace(blob) => Some(*blob),
            Self::Apart(_) => None,
        }
    }

    /// Returns the blobs that contain bytes of any part.
    pub fn blobs(&self) -> Vec<BlobId> {
        match self {
            Self::InPlace(blob) => vec![*blob],
            Self::Apart(parts) => {
                let all: Extents = parts.values().copied().collect();
                all.blobs().into_iter().map(|(blob, _)| blob).collect()
            }
        }
    }
}
