//! Locates a track's samples (ISO 14496-12 section 8.7: `stsz`, `stsc`, `stco`, `co64`).
//!
//! Reads the sample tables. Doesn't know what samples contain, and doesn't read fragments.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::boxes::children;
use super::plan::{Plan, read_up_to};
use crate::media::boxes::{BoxHeader, read_at};

/// Number of bytes of a table read at a time; a multiple of every entry width.
const BLOCK: usize = 16 * 1024 / 24 * 24;

/// Plans zeros for a track's samples, chunk by chunk, where `ours` allows it. Returns whether it did everywhere. `mdia`
/// lists the children of the track's `mdia`.
pub(super) fn zero(
    source: &mut (impl Read + Seek),
    base: u64,
    mdia: &[BoxHeader],
    ours: impl Fn(&Range<u64>) -> bool,
    plan: &mut Plan,
) -> io::Result<bool> {
    let boxes = tables(source, mdia)?;
    let Some(mut offsets) = Table::offsets(source, &boxes)? else {
        return Ok(true);
    };
    let mut sizes = Sizes::open(source, &boxes)?;
    let mut runs = Runs::open(source, &boxes)?;
    let (mut number, mut all) = (0, true);
    while let Some(offset) = offsets.next(source)? {
        let Some(sizes) = &mut sizes else { return Ok(false) };
        number += 1;
        let samples = runs.samples_of(source, number)?;
        let length = sizes.sum(source, samples)?;
        let start = base.saturating_add(offset);
        let chunk = start..start.saturating_add(length);
        if ours(&chunk) {
            plan.zero(chunk);
        } else {
            all &= chunk.is_empty();
        }
    }
    Ok(all)
}

/// Adds the first byte of each of a track's chunks, up to `limit` entries in all.
pub(super) fn chunk_starts(
    source: &mut (impl Read + Seek),
    base: u64,
    mdia: &[BoxHeader],
    limit: usize,
    starts: &mut Vec<Range<u64>>,
) -> io::Result<()> {
    let boxes = tables(source, mdia)?;
    let Some(mut offsets) = Table::offsets(source, &boxes)? else {
        return Ok(());
    };
    while let Some(offset) = offsets.next(source)? {
        if starts.len() >= limit {
            break;
        }
        let start = base.saturating_add(offset);
        starts.push(start..start.saturating_add(1));
    }
    Ok(())
}

/// The children of `stbl` in `minf`.
fn tables(source: &mut (impl Read + Seek), mdia: &[BoxHeader]) -> io::Result<Vec<BoxHeader>> {
    let Some(minf) = mdia.iter().find(|header| header.kind == *b"minf") else {
        return Ok(Vec::new());
    };
    let boxes = children(source, minf.body.clone())?;
    match boxes.iter().find(|header| header.kind == *b"stbl") {
        Some(stbl) => children(source, stbl.body.clone()),
        None => Ok(Vec::new()),
    }
}

/// A table whose entries are read in blocks.
struct Table {
    rest: Range<u64>,
    width: usize,
    block: Vec<u8>,
    at: usize,
}

impl Table {
    /// Opens a table of entries of `width` bytes. Their number is stored `count` bytes into the body.
    fn open(
        source: &mut (impl Read + Seek),
        table: &BoxHeader,
        count: u64,
        width: usize,
    ) -> io::Result<Option<Self>> {
        let Range { start, end } = table.body;
        if end - start < count + 4 {
            return Ok(None);
        }
        let start = start + count;
        let length = u64::from(u32::from_be_bytes(read_at(source, start)?)) * width as u64;
        let rest = start + 4..end.min(start + 4 + length);
        Ok(Some(Self { rest, width, block: Vec::new(), at: 0 }))
    }

    /// The table of chunk offsets.
    fn offsets(source: &mut (impl Read + Seek), boxes: &[BoxHeader]) -> io::Result<Option<Self>> {
        let of = |kind: &[u8; 4]| boxes.iter().find(|header| header.kind == *kind);
        match (of(b"stco"), of(b"co64")) {
            (Some(short), _) => Self::open(source, short, 4, 4),
            (None, Some(long)) => Self::open(source, long, 4, 8),
            (None, None) => Ok(None),
        }
    }

    /// Returns the first 8 bytes of the next entry as a number.
    fn next(&mut self, source: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
        if self.at + self.width > self.block.len() {
            self.block = read_up_to(source, self.rest.clone(), BLOCK)?;
            self.rest.start += self.block.len() as u64;
            self.at = 0;
        }
        let Some(entry) = self.block.get(self.at..self.at + self.width) else {
            return Ok(None);
        };
        self.at += self.width;
        Ok(Some(entry.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
    }
}

/// The sizes of samples.
enum Sizes {
    Same(u64),
    Each(Table),
}

impl Sizes {
    fn open(source: &mut (impl Read + Seek), boxes: &[BoxHeader]) -> io::Result<Option<Self>> {
        let of = |kind: &[u8; 4]| boxes.iter().find(|header| header.kind == *kind);
        let Some(stsz) = of(b"stsz") else {
            let Some(stz2) = of(b"stz2") else { return Ok(None) };
            return Self::open_compact(source, stz2);
        };
        if stsz.body.end - stsz.body.start < 12 {
            return Ok(None);
        }
        match u32::from_be_bytes(read_at(source, stsz.body.start + 4)?) {
            0 => Ok(Table::open(source, stsz, 8, 4)?.map(Self::Each)),
            size => Ok(Some(Self::Same(u64::from(size)))),
        }
    }

    /// Opens a table with sizes of 8 or 16 bits. Sizes of 4 bits are unused in practice and aren't supported.
    fn open_compact(source: &mut (impl Read + Seek), stz2: &BoxHeader) -> io::Result<Option<Self>> {
        if stz2.body.end - stz2.body.start < 12 {
            return Ok(None);
        }
        match read_at(source, stz2.body.start + 7)? {
            [bits @ (8 | 16)] => {
                Ok(Table::open(source, stz2, 8, usize::from(bits / 8))?.map(Self::Each))
            }
            _ => Ok(None),
        }
    }

    /// The total size of the next `samples` samples.
    fn sum(&mut self, source: &mut (impl Read + Seek), samples: u64) -> io::Result<u64> {
        let table = match self {
            Self::Same(size) => return Ok(size.saturating_mul(samples)),
            Self::Each(table) => table,
        };
        let mut sum = 0;
        for _ in 0..samples {
            match table.next(source)? {
                Some(size) => sum += size,
                None => break,
            }
        }
        Ok(sum)
    }
}

/// The number of samples in each chunk.
struct Runs {
    table: Option<Table>,
    samples: u64,
    /// The first chunk with another number of samples, and that number.
    then: Option<(u64, u64)>,
}

impl Runs {
    fn open(source: &mut (impl Read + Seek), boxes: &[BoxHeader]) -> io::Result<Self> {
        let table = match boxes.iter().find(|header| header.kind == *b"stsc") {
            Some(stsc) => Table::open(source, stsc, 4, 12)?,
            None => None,
        };
        let mut runs = Self { table, samples: 0, then: None };
        runs.then = runs.read(source)?;
        Ok(runs)
    }

    fn read(&mut self, source: &mut (impl Read + Seek)) -> io::Result<Option<(u64, u64)>> {
        let Some(table) = &mut self.table else { return Ok(None) };
        let entry = table.next(source)?;
        Ok(entry.map(|both| (both >> 32, both & u64::from(u32::MAX))))
    }

    /// The number of samples in chunk `number`, counted from 1. Must be called in ascending order.
    fn samples_of(&mut self, source: &mut (impl Read + Seek), number: u64) -> io::Result<u64> {
        while let Some((_, samples)) = self.then.filter(|(first, _)| *first <= number) {
            self.samples = samples;
            self.then = self.read(source)?;
        }
        Ok(self.samples)
    }
}
