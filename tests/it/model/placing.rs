//! Which chunks an upload accepts and where they go: section 4 of the protocol, Place and Consistency.
//!
//! If a request is wrong in several ways, the reply may name any of its mistakes, so all of them are collected.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::request::Chunk;

/// A chunk on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Part {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }
}

/// What chunks have stated about an upload, and what has been stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) count: usize,
    pub(crate) total: Option<usize>,
    /// Rules 2 and 4: all chunks but the last have this length.
    pub(crate) even: Option<usize>,
    pub(crate) parts: BTreeMap<usize, Part>,
}

/// Where a chunk goes.
struct Place {
    start: usize,
    /// The length that its place assumes for all chunks but the last.
    even: Option<usize>,
}

/// Mistakes, by their codes.
pub(crate) type Codes = Vec<&'static str>;

impl Layout {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, total: None, even: None, parts: BTreeMap::new() }
    }

    pub(crate) fn received(&self) -> usize {
        self.parts.values().map(|part| part.bytes.len()).sum()
    }

    pub(crate) fn present(&self) -> Vec<usize> {
        self.parts.keys().copied().collect()
    }

    pub(crate) fn missing(&self) -> Vec<usize> {
        (0..self.count).filter(|index| !self.parts.contains_key(index)).collect()
    }

    /// Whether the parts are contiguous.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut end = 0;
        self.parts.values().all(|part| std::mem::replace(&mut end, part.range().end) == part.start)
    }

    /// How many bytes lie end to end from the beginning on, chunk after chunk.
    pub(crate) fn contiguous(&self) -> usize {
        let first = (0..self.count).map_while(|index| self.parts.get(&index));
        first.map(|part| part.bytes.len()).sum()
    }

    /// What a request with these statements contradicts, whichever chunk it contains.
    pub(crate) fn contradictions(&self, chunk: &Chunk) -> Codes {
        let mut codes = own_contradictions(chunk);
        if chunk.parts.is_some_and(|parts| parts != self.count) {
            codes.push("changed");
        }
        if chunk.index >= self.count {
            codes.push("out_of_range");
        }
        if chunk.bytes.is_empty() && self.count > 1 {
            codes.push("empty_chunk");
        }
        for total in totals(chunk) {
            if self.total.is_some_and(|known| known != total) {
                codes.push("changed");
            }
            if self.parts.values().any(|part| part.range().end > total) {
                codes.push("beyond_total");
            }
        }
        codes
    }

    /// The upload with this new chunk, or everything that is wrong with it.
    pub(crate) fn with(&self, chunk: &Chunk) -> Result<Self, Codes> {
        let mut codes = self.contradictions(chunk);
        let mut bytes_of_file = self.total.into_iter().chain(totals(chunk)).chain(declared(chunk));
        if chunk.bytes.is_empty() && bytes_of_file.any(|bytes| bytes > 0) {
            codes.push("empty_chunk");
        }
        // A wrong length may be noticed by its consequences.
        let announced = [chunk.size, chunk.range.map(|range| range.size())];
        let sizes = [Some(chunk.bytes.len())].into_iter().chain(announced).flatten();
        for size in sizes {
            codes.extend(self.misplaced(chunk, size));
        }
        if !codes.is_empty() {
            return Err(codes);
        }
        let place = self.place(chunk, chunk.bytes.len())?;
        let mut with = self.clone();
        with.total = self.total.or(totals(chunk).next());
        with.even = place.even;
        let part = Part { start: place.start, bytes: chunk.bytes.clone() };
        with.parts.insert(chunk.index, part);
        Ok(with)
    }

    /// What is wrong with the place of a chunk of this length.
    fn misplaced(&self, chunk: &Chunk, size: usize) -> Codes {
        let place = match self.place(chunk, size) {
            Ok(place) => place,
            Err(codes) => return codes,
        };
        let mut codes = Codes::new();
        let range = place.start..place.start + size;
        if let Some(even) = place.even {
            let others = self.parts.iter().map(|(index, part)| (*index, part.bytes.len()));
            let mut all = others.chain([(chunk.index, size)]);
            if all.any(|(index, size)| index + 1 < self.count && size != even) {
                codes.push("uneven_chunk");
            }
        }
        if self.total.into_iter().chain(totals(chunk)).any(|total| range.end > total) {
            codes.push("beyond_total");
        }
        let shares = |part: &Part| part.start < range.end && range.start < part.range().end;
        if self.parts.values().any(shares) {
            codes.push("overlap");
        }
        // In the order of their indexes, because otherwise they could never be contiguous.
        let in_order = |(index, part): (&usize, &Part)| match index.cmp(&chunk.index) {
            Ordering::Less => part.range().end <= range.start,
            Ordering::Equal => true,
            Ordering::Greater => range.end <= part.start,
        };
        if !self.parts.iter().all(in_order) {
            codes.push("out_of_order");
        }
        codes
    }

    /// Applies the rules in order.
    fn place(&self, chunk: &Chunk, size: usize) -> Result<Place, Codes> {
        if let Some(start) = declared(chunk) {
            return Ok(Place { start, even: self.even });
        }
        let earlier: Vec<_> = (0..chunk.index).map_while(|index| self.parts.get(&index)).collect();
        if earlier.len() == chunk.index {
            let start = earlier.iter().map(|part| part.bytes.len()).sum();
            return Ok(Place { start, even: self.even });
        }
        let evenly = |size| {
            let even = Some(self.even.unwrap_or(size));
            Ok(Place { start: chunk.index * size, even })
        };
        if chunk.index + 1 < self.count {
            return evenly(size);
        }
        if let Some(total) = self.total.or(totals(chunk).next()) {
            let start = total.checked_sub(size).ok_or_else(|| vec!["beyond_total"])?;
            return Ok(Place { start, even: self.even });
        }
        let mut others = self.parts.iter().filter(|(index, _)| **index + 1 < self.count);
        match others.next() {
            Some((_, other)) => evenly(other.bytes.len()),
            None => Err(vec!["offset_unknown"]),
        }
    }
}

/// How a request contradicts itself.
pub(crate) fn own_contradictions(chunk: &Chunk) -> Codes {
    let mut codes = Codes::new();
    let announced = [chunk.size, chunk.range.map(|range| range.size())];
    if announced.into_iter().flatten().any(|size| size != chunk.bytes.len()) {
        codes.push("size_mismatch");
    }
    if let (Some(range), Some(offset)) = (chunk.range, chunk.offset)
        && range.first != offset
    {
        codes.push("offset_mismatch");
    }
    let said: Vec<_> = totals(chunk).collect();
    if said.windows(2).any(|two| two[0] != two[1]) {
        codes.push("changed");
    }
    if chunk.parts.is_some_and(|parts| chunk.index >= parts) {
        codes.push("out_of_range");
    }
    codes
}

/// Where a request says that its chunk begins.
pub(crate) fn declared(chunk: &Chunk) -> Option<usize> {
    chunk.range.map(|range| range.first).or(chunk.offset)
}

/// What a request says about the size of the whole file.
fn totals(chunk: &Chunk) -> impl Iterator<Item = usize> {
    let in_range = chunk.range.and_then(|range| range.total);
    [chunk.total, in_range].into_iter().flatten()
}
