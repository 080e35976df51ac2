//! A plan under construction, and a reader with a budget.
//!
//! Keeps the plan sorted and within the file and the limits, and leaves out bytes that already have the right value.
//! Doesn't know formats.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::media::Patch;

/// Maximum number of patches in a plan: the number of chunks in hours of telemetry.
pub const MAX_PATCHES: usize = 65_536;
/// Maximum number of non-zero bytes in a plan.
pub const MAX_BYTES: usize = 1024 * 1024;

const MAX_READS: u32 = 500_000;
const MAX_READ: u64 = 256 * 1024 * 1024;
const BLOCK: usize = 64 * 1024;
const WINDOW: usize = 512;

/// Patches in the order in which they were found.
pub(super) struct Plan {
    size: u64,
    found: Vec<Patch>,
    bytes: usize,
    full: bool,
    is_incomplete: bool,
}

impl Plan {
    /// Starts a plan for a file of `size` bytes.
    pub(super) fn within(size: u64) -> Self {
        Self { size, found: Vec::new(), bytes: 0, full: false, is_incomplete: false }
    }

    /// Records that something stays that should be removed, or wasn't examined.
    pub(super) fn mark_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Plans zeros for `range`.
    pub(super) fn zero(&mut self, range: Range<u64>) {
        self.write(range, &[]);
    }

    /// Plans these bytes for `range`, followed by zeros. Bytes that don't fit in the range are left out.
    ///
    /// Once a limit has been exceeded, nothing more is added: a track must not be hidden when only some of its samples
    /// are zeroed.
    pub(super) fn write(&mut self, range: Range<u64>, bytes: &[u8]) {
        let end = range.end.min(self.size);
        let Some(length) = end.checked_sub(range.start).filter(|length| *length > 0) else {
            return;
        };
        let bytes = &bytes[..bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        let zeros = length - bytes.len() as u64;
        if !self.full && bytes.is_empty() {
            // Adjacent samples need only one patch.
            if let Some(last) = self.found.last_mut().filter(|last| last.end() == range.start) {
                last.zeros += zeros;
                return;
            }
        }
        self.full |= self.found.len() == MAX_PATCHES || self.bytes + bytes.len() > MAX_BYTES;
        if !self.full {
            self.bytes += bytes.len();
            self.found.push(Patch { offset: range.start, bytes: bytes.to_vec(), zeros });
        }
    }

    /// Returns the sorted patches, without those that change nothing, and whether something stays that should be
    /// removed.
    pub(super) fn finish<R: Read + Seek>(
        mut self,
        source: &mut Meter<'_, R>,
    ) -> io::Result<(Vec<Patch>, bool)> {
        self.found.sort_by_key(|patch| patch.offset);
        let mut plan = Vec::new();
        let mut end = 0;
        for mut patch in self.found {
            if !trim(&mut patch, end) {
                self.is_incomplete |= patch.end() > end;
                continue;
            }
            end = patch.end();
            let done = holds_already(source, &patch);
            if !source.unless_spent(done)?.unwrap_or(false) {
                plan.push(patch);
            }
        }
        Ok((plan, self.is_incomplete || self.full))
    }
}

/// Drops what lies before `end`. Returns false if nothing is left or non-zero bytes would be split.
fn trim(patch: &mut Patch, end: u64) -> bool {
    let over = end.saturating_sub(patch.offset);
    if over > 0 && !patch.bytes.is_empty() || over >= patch.end() - patch.offset {
        return false;
    }
    patch.offset += over;
    patch.zeros -= over;
    true
}

fn holds_already(source: &mut (impl Read + Seek), patch: &Patch) -> io::Result<bool> {
    if read_at(source, patch.offset, patch.bytes.len())? != patch.bytes {
        return Ok(false);
    }
    let zeros = patch.offset + patch.bytes.len() as u64..patch.end();
    Ok(first_other(source, zeros, &[0])?.is_none())
}

/// Finds the first byte in `range` that isn't in `filler`.
pub(super) fn first_other(
    source: &mut (impl Read + Seek),
    mut range: Range<u64>,
    filler: &[u8],
) -> io::Result<Option<u64>> {
    let mut block = 64; // the first bytes usually decide
    while range.start < range.end {
        let bytes = read_up_to(source, range.clone(), block)?;
        if let Some(at) = bytes.iter().position(|byte| !filler.contains(byte)) {
            return Ok(Some(range.start + at as u64));
        }
        range.start += bytes.len() as u64;
        block = BLOCK;
    }
    Ok(None)
}

/// Reads the first bytes of `range`, at most `limit`.
pub(super) fn read_up_to(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    limit: usize,
) -> io::Result<Vec<u8>> {
    let length = range.end.saturating_sub(range.start);
    read_at(source, range.start, usize::try_from(length).unwrap_or(usize::MAX).min(limit))
}

fn read_at(source: &mut (impl Read + Seek), offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    source.seek(SeekFrom::Start(offset))?;
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A reader with a budget. Small reads go through a buffer, because headers are close to each other.
pub(super) struct Meter<'a, R> {
    source: &'a mut R,
    at: u64,
    window: Vec<u8>,
    /// Offset of the buffer in the file.
    start: u64,
    reads: u32,
    bytes: u64,
    spent: bool,
}

impl<'a, R> Meter<'a, R> {
    pub(super) fn new(source: &'a mut R) -> Self {
        Self {
            source,
            at: 0,
            window: Vec::new(),
            start: 0,
            reads: MAX_READS,
            bytes: MAX_READ,
            spent: false,
        }
    }

    /// Returns the result of a read, or `None` if it failed because the budget was spent.
    pub(super) fn unless_spent<T>(&self, read: io::Result<T>) -> io::Result<Option<T>> {
        match read {
            Err(_) if self.spent => Ok(None),
            other => other.map(Some),
        }
    }
}

impl<R: Read + Seek> Meter<'_, R> {
    fn read_source(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads == 0 || self.bytes == 0 {
            self.spent = true;
            return Err(io::Error::other("the read budget is spent"));
        }
        self.source.seek(SeekFrom::Start(self.at))?;
        let read = self.source.read(buffer)?;
        self.reads -= 1;
        self.bytes = self.bytes.saturating_sub(read as u64);
        Ok(read)
    }

    /// The buffered bytes from the current position on.
    fn in_window(&self) -> &[u8] {
        let within =
            self.at.checked_sub(self.start).and_then(|within| usize::try_from(within).ok());
        within.and_then(|within| self.window.get(within..)).unwrap_or_default()
    }
}

impl<R: Read + Seek> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if buffer.len() >= WINDOW {
            self.read_source(buffer)?
        } else {
            if self.in_window().is_empty() {
                let mut window = vec![0; WINDOW];
                let read = self.read_source(&mut window)?;
                window.truncate(read);
                (self.window, self.start) = (window, self.at);
            }
            self.in_window().read(buffer)?
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Meter<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            other => self.source.seek(other)?,
        };
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn finish(plan: Plan, file: &[u8]) -> Vec<Patch> {
        plan.finish(&mut Meter::new(&mut Cursor::new(file))).unwrap().0
    }

    fn patch(offset: u64, bytes: &[u8], zeros: u64) -> Patch {
        Patch { offset, bytes: bytes.to_vec(), zeros }
    }

    #[test]
    fn patches_are_sorted_and_adjacent_ones_merged() {
        let mut plan = Plan::within(9);
        plan.zero(6..7);
        plan.write(0..2, b"a");
        plan.zero(2..4);
        assert_eq!(finish(plan, b"xxxxxxxxx"), [patch(0, b"a", 3), patch(6, b"", 1)]);
    }

    #[test]
    fn patches_end_with_the_file() {
        let mut plan = Plan::within(4);
        plan.write(2..9, b"abcdef");
        plan.zero(4..9);
        plan.zero(u64::MAX - 1..u64::MAX);
        assert_eq!(finish(plan, b"xxxx"), [patch(2, b"ab", 0)]);
    }

    #[test]
    fn patches_never_overlap() {
        let mut plan = Plan::within(9);
        plan.zero(0..4);
        plan.zero(2..6);
        plan.write(5..7, b"ab");
        assert_eq!(finish(plan, b"xxxxxxxxx"), [patch(0, b"", 4), patch(4, b"", 2)]);
    }

    #[test]
    fn patches_that_change_nothing_are_left_out() {
        let mut plan = Plan::within(9);
        plan.write(0..3, b"ab");
        plan.zero(5..7);
        assert_eq!(finish(plan, b"ab\0xx\0\0xx"), []);
    }

    #[test]
    fn a_full_plan_takes_no_more_patches() {
        let mut plan = Plan::within(u64::MAX);
        for at in 0..=MAX_PATCHES as u64 {
            plan.zero(2 * at..2 * at + 1);
        }
        assert_eq!(plan.found.len(), MAX_PATCHES);

        let mut plan = Plan::within(u64::MAX);
        plan.write(0..u64::MAX, &vec![1; MAX_BYTES + 1]);
        plan.zero(4..5);
        assert_eq!(plan.found, []);
    }

    #[test]
    fn reading_fails_when_the_budget_is_spent() {
        let bytes = [0; 8 + WINDOW];
        let mut file = Cursor::new(bytes.as_slice());
        let mut source = Meter::new(&mut file);
        source.reads = 1;
        assert!(read_at(&mut source, 0, 4).is_ok());
        assert!(read_at(&mut source, 4, 4).is_ok(), "in the window");
        let second = read_at(&mut source, WINDOW as u64, 4);
        assert!(second.is_err());
        assert_eq!(source.unless_spent(second).unwrap(), None);
    }
}
