//! The placement rules of the protocol (section 4): where a part goes. Pure.
//!
//! A *part* is what is placed and stored; what a client sends is a chunk. Knows nothing of requests, stores or users.
//! Indexes are 0-based; offsets and sizes are in bytes.

mod append;

use std::collections::BTreeMap;
use std::ops::Range;

pub use append::{PIECE, appended, joined};

/// The 0-based number of a part within its upload.
pub type PartIndex = u32;

/// A stored part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The offset of its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
    /// CRC-32 (IEEE 802.3) of its bytes.
    pub crc32: u32,
}

impl Part {
    /// The range of bytes that it covers.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size
    }
}

/// What a request declares about its part: everything it states, and nothing that was derived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// The part's index.
    pub index: PartIndex,
    /// Number of parts of the file.
    pub total_parts: Option<u32>,
    /// Size of the file in bytes.
    pub total_size: Option<u64>,
    /// Offset at which the part begins.
    pub offset: Option<u64>,
    /// Size of the part in bytes.
    pub size: Option<u64>,
    /// The same as one range, which some clients send in addition or instead.
    pub range: Option<DeclaredRange>,
}

/// The range of a part in its file, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredRange {
    /// Offset of the first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The file's size, if it was stated.
    pub total: Option<u64>,
}

/// Which of two statements in a [`Declaration`] an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementSource {
    /// The field for this value alone.
    Field,
    /// The range.
    Range,
}

/// Why a part can't be placed where its request declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields explain themselves
pub enum PlacementError {
    /// The first part must state the number of parts.
    TotalPartsMissing,
    IndexOutOfRange {
        index: PartIndex,
        total: u32,
    },
    TotalPartsChanged {
        sent: u32,
        recorded: u32,
    },
    TotalSizeChanged {
        stated: StatementSource,
        sent: u64,
        recorded: u64,
    },
    OffsetMismatch {
        range_start: u64,
        offset: u64,
    },
    SizeMismatch {
        stated: StatementSource,
        declared: u64,
        actual: u64,
    },
    /// Nothing determines where it goes. Other parts may, later.
    OffsetUnknown {
        index: PartIndex,
        total_size_would_help: bool,
    },
    /// The upload is cut evenly, and this part has a different size.
    Uneven {
        index: PartIndex,
        size: u64,
        even: u64,
    },
    Overlap {
        index: PartIndex,
        range: Range<u64>,
        other: PartIndex,
    },
    /// Parts lie in the order of their indexes. This one would lie before an `other` with a lower index, or after one
    /// with a higher index.
    OutOfOrder {
        index: PartIndex,
        range: Range<u64>,
        other: PartIndex,
    },
    BeyondTotal {
        index: PartIndex,
        end: u64,
        total: u64,
    },
    /// Only the single part of an empty file may be empty.
    Empty {
        index: PartIndex,
    },
}

/// Result of [`place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The part begins here. If the rule used relies on an even cut, `even_size` is set.
    At {
        /// The offset of its first byte.
        start: u64,
        /// The size that every part except the last must have from now on.
        even_size: Option<u64>,
    },
    /// The place depends on the part's own size: read the part first.
    NeedsSize,
}

/// The layout of an unfinished upload: its totals and its parts.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Number of parts of the file. Fixed by the first chunk.
    pub total_parts: u32,
    /// The file's size, once it was declared.
    pub total_size: Option<u64>,
    /// Set when a part was placed at index × size: every part except the last has this size.
    pub even_size: Option<u64>,
    /// The parts by index. Their offsets ascend with their indexes ([`Layout::check_order`]).
    parts: BTreeMap<PartIndex, Part>,
    /// The number of leading parts without a gap, and the sum of their sizes.
    prefix: (PartIndex, u64),
    received: u64,
}

impl Layout {
    /// The layout of an upload with `total_parts` parts, none of which are stored yet.
    pub fn new(total_parts: u32) -> Self {
        Self { total_parts, ..Self::default() }
    }

    /// The part with this index, if it is stored.
    pub fn part(&self, index: PartIndex) -> Option<&Part> {
        self.parts.get(&index)
    }

    /// All stored parts, in the order of their indexes.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (PartIndex, &Part)> {
        self.parts.iter().map(|(index, part)| (*index, part))
    }

    /// Number of bytes received so far.
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Adds a stored part. Adding a part with an index that is already stored changes nothing.
    pub fn insert(&mut self, index: PartIndex, part: Part) {
        if self.parts.contains_key(&index) {
            return;
        }
        self.parts.insert(index, part);
        self.received += part.size;
        while let Some(next) = self.parts.get(&self.prefix.0) {
            self.prefix = (self.prefix.0 + 1, self.prefix.1 + next.size);
        }
    }

    /// Refuses a range that overlaps the neighbours by index or isn't between them. Since offsets ascend with indexes,
    /// only these two need checking. A part that breaks this order could never belong to a file, whose parts are
    /// contiguous in the order of their indexes.
    fn check_order(&self, index: PartIndex, range: &Range<u64>) -> Result<(), PlacementError> {
        let before = self.parts.range(..index).next_back();
        let behind = self.parts.range(index.saturating_add(1)..).next();
        // A part whose size isn't known yet has at least one byte.
        let end = range.end.max(range.start.saturating_add(1));
        let too_low = before.filter(|(_, part)| part.range().end > range.start);
        let too_high = behind.filter(|(_, part)| end > part.offset);
        let Some((other, part)) = too_low.or(too_high) else {
            return Ok(());
        };
        let (range, other) = (range.clone(), *other);
        if part.offset < end && range.start < part.range().end {
            Err(PlacementError::Overlap { index, range, other })
        } else {
            Err(PlacementError::OutOfOrder { index, range, other })
        }
    }

    /// Whether a part with bytes is stored at or after this offset.
    pub fn stored_from(&self, offset: u64) -> bool {
        self.last().is_some_and(|(_, part)| part.offset >= offset && part.size > 0)
    }

    /// The stored part with the highest index, and therefore the highest offset.
    fn last(&self) -> Option<(PartIndex, &Part)> {
        self.parts.last_key_value().map(|(index, part)| (*index, part))
    }

    /// The received indexes, as inclusive ranges.
    pub fn present(&self) -> Vec<(PartIndex, PartIndex)> {
        ranges(self.parts.keys().copied())
    }

    /// The missing indexes, as inclusive ranges.
    pub fn missing(&self) -> Vec<(PartIndex, PartIndex)> {
        let mut gaps = Vec::new();
        let mut next = 0;
        for (first, last) in self.present() {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        if next < self.total_parts {
            gaps.push((next, self.total_parts - 1));
        }
        gaps
    }

    /// The file's size if the parts are contiguous in the order of their indexes. Otherwise, the first part that isn't
    /// contiguous: its index, and the offset it should have. Call this only if no part is missing.
    pub fn contiguous_size(&self) -> Result<u64, (PartIndex, u64)> {
        let mut end = 0;
        for (index, part) in self.parts() {
            if part.offset != end {
                return Err((index, end));
            }
            end += part.size;
        }
        Ok(end)
    }

    fn last_index(&self) -> PartIndex {
        self.total_parts.saturating_sub(1)
    }

    /// Sizes of the stored parts except the last. In an evenly cut file, they are all equal.
    fn non_last_sizes(&self) -> impl Iterator<Item = u64> {
        let last = self.last_index();
        self.parts().filter(move |(index, _)| *index != last).map(|(_, part)| part.size)
    }
}

/// Returns where the part goes, or why it can't be placed.
///
/// `size` is the part's size once its bytes are known; before that, its declared size is used. Calling this again with
/// the same arguments gives the same result, even after other parts were stored, unless one of those contradicts it.
/// Rule: protocol, section 4, "Where the chunk goes".
pub fn place(
    declared: &Declaration,
    layout: &Layout,
    size: Option<u64>,
) -> Result<Placement, PlacementError> {
    let total_size = check_declaration(declared, layout, size)?;
    let size = size.or_else(|| declared_size(declared));
    let of_more = declared_offset(declared).max(total_size).is_some_and(|bytes| bytes > 0);
    if size == Some(0) && of_more {
        return Err(PlacementError::Empty { index: declared.index });
    }
    let placement = match declared_offset(declared) {
        Some(start) => Placement::At { start, even_size: layout.even_size },
        None => derive_offset(declared.index, layout, total_size, size)?,
    };
    let Placement::At { start, even_size } = placement else {
        return Ok(placement);
    };
    if let (Some(size), Some(even)) = (size, even_size) {
        check_even(declared.index, layout, size, even)?;
    }
    let end = start.saturating_add(size.unwrap_or(0));
    if let Some(total) = total_size.filter(|total| end > *total) {
        return Err(PlacementError::BeyondTotal { index: declared.index, end, total });
    }
    layout.check_order(declared.index, &(start..end))?;
    Ok(placement)
}

/// Checks every statement of the declaration against all others and against the upload. Returns the total size that is
/// declared or known.
pub fn check_declaration(
    declared: &Declaration,
    layout: &Layout,
    size: Option<u64>,
) -> Result<Option<u64>, PlacementError> {
    let index = declared.index;
    let total = layout.total_parts;
    if let Some(sent) = declared.total_parts.filter(|sent| *sent != total) {
        return Err(PlacementError::TotalPartsChanged { sent, recorded: total });
    }
    if index >= total {
        return Err(PlacementError::IndexOutOfRange { index, total });
    }
    if let (Some(range), Some(offset)) = (declared.range, declared.offset)
        && range.start != offset
    {
        return Err(PlacementError::OffsetMismatch { range_start: range.start, offset });
    }
    let range_size = declared.range.map(|range| range.end - range.start);
    let actual = size.or(declared.size);
    for (stated, declared) in
        [(StatementSource::Range, range_size), (StatementSource::Field, declared.size)]
    {
        if let (Some(declared), Some(actual)) = (declared, actual)
            && declared != actual
        {
            return Err(PlacementError::SizeMismatch { stated, declared, actual });
        }
    }
    if actual == Some(0) && total > 1 {
        return Err(PlacementError::Empty { index });
    }
    let mut total_size = layout.total_size;
    let range_total = declared.range.and_then(|range| range.total);
    for (stated, sent) in
        [(StatementSource::Field, declared.total_size), (StatementSource::Range, range_total)]
    {
        match (sent, total_size) {
            (Some(sent), Some(recorded)) if sent != recorded => {
                return Err(PlacementError::TotalSizeChanged { stated, sent, recorded });
            }
            (sent, known) => total_size = known.or(sent),
        }
    }
    if let (Some(total), Some((index, part))) = (total_size, layout.last())
        && part.range().end > total
    {
        return Err(PlacementError::BeyondTotal { index, end: part.range().end, total });
    }
    Ok(total_size)
}

/// The declared size of the part.
pub fn declared_size(declared: &Declaration) -> Option<u64> {
    declared.size.or_else(|| declared.range.map(|range| range.end - range.start))
}

/// The declared size of the file.
pub fn declared_total(declared: &Declaration) -> Option<u64> {
    declared.total_size.or_else(|| declared.range.and_then(|range| range.total))
}

/// The declared offset, which takes precedence over any that could be derived.
pub fn declared_offset(declared: &Declaration) -> Option<u64> {
    declared.range.map(|range| range.start).or(declared.offset)
}

fn derive_offset(
    index: PartIndex,
    layout: &Layout,
    total_size: Option<u64>,
    size: Option<u64>,
) -> Result<Placement, PlacementError> {
    let (prefix_count, prefix_bytes) = layout.prefix;
    if index == prefix_count {
        return Ok(Placement::At { start: prefix_bytes, even_size: layout.even_size });
    }
    if index != layout.last_index() {
        let Some(size) = size else {
            return Ok(Placement::NeedsSize);
        };
        return Ok(evenly(index, layout, size));
    }
    match (total_size, size) {
        (Some(_), None) => Ok(Placement::NeedsSize),
        (Some(total), Some(size)) => {
            let start = total.checked_sub(size).ok_or(PlacementError::BeyondTotal {
                index,
                end: size,
                total,
            })?;
            Ok(Placement::At { start, even_size: layout.even_size })
        }
        (None, _) => match layout.non_last_sizes().next() {
            Some(even) => Ok(evenly(index, layout, even)),
            None => Err(PlacementError::OffsetUnknown { index, total_size_would_help: true }),
        },
    }
}

/// Places the part at index × size. [`check_even`] refuses a size other than the one into which the upload is already
/// cut.
fn evenly(index: PartIndex, layout: &Layout, size: u64) -> Placement {
    Placement::At {
        start: u64::from(index).saturating_mul(size),
        even_size: layout.even_size.or(Some(size)),
    }
}

fn check_even(
    index: PartIndex,
    layout: &Layout,
    size: u64,
    even: u64,
) -> Result<(), PlacementError> {
    if index != layout.last_index() && size != even {
        return Err(PlacementError::Uneven { index, size, even });
    }
    if layout.even_size.is_some() {
        return Ok(()); // the stored parts were checked when the even size was set
    }
    match layout.non_last_sizes().find(|other| *other != even) {
        Some(other) => Err(PlacementError::Uneven { index, size, even: other }),
        None => Ok(()),
    }
}

/// Combines ascending indexes into inclusive ranges.
pub fn ranges(indexes: impl Iterator<Item = PartIndex>) -> Vec<(PartIndex, PartIndex)> {
    let mut ranges: Vec<(PartIndex, PartIndex)> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    ranges
}

#[cfg(test)]
#[allow(clippy::pedantic)] // small casts are safe in tests
mod tests;
