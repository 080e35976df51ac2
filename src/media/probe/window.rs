//! A buffered view of a file, with a budget.
//!
//! Limits how much a probe may read and for how long. A spent budget is an ordinary read error. Doesn't know what is
//! read.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The number of reads, and of bytes read, that one probe may cost.
pub(super) const READS: u32 = 20_000;
pub(super) const BYTES: u64 = 16 << 20;
const TIME: Duration = Duration::from_secs(2);

/// After a jump little is read, since most jumps go from header to header. Sequential reading doubles the amount each
/// time.
const FIRST: usize = 1 << 10;
const MOST: usize = 64 << 10;

/// A reader that serves what is close to the last read from memory.
#[derive(Debug)]
pub(super) struct Window<R> {
    source: R,
    size: u64,
    at: u64,
    start: u64,
    held: Vec<u8>,
    stride: usize,
    reads_left: u32,
    bytes_left: u64,
    deadline: Instant,
}

impl<R: Read + Seek> Window<R> {
    /// Opens a source of `size` bytes with a full budget.
    pub(super) fn new(source: R, size: u64) -> Self {
        Self {
            source,
            size,
            at: 0,
            start: 0,
            held: Vec::new(),
            stride: FIRST / 2,
            reads_left: READS,
            bytes_left: BYTES,
            deadline: Instant::now() + TIME,
        }
    }

    /// The file's size in bytes. It shrinks if the source turns out to end earlier.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns `N` bytes at `offset`, padded with zeros after the end of the file.
    pub(super) fn peek<const N: usize>(&mut self, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.at = offset;
        let mut filled = 0;
        while filled < N {
            match self.read(&mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(bytes)
    }

    /// Returns `N` bytes at `offset` of a range of the file, padded with zeros after the end of the range.
    pub(super) fn peek_in<const N: usize>(
        &mut self,
        part: &Range<u64>,
        offset: u64,
    ) -> io::Result<[u8; N]> {
        let start = part.start.saturating_add(offset);
        let mut bytes = self.peek(start)?;
        let within = usize::try_from(part.end.saturating_sub(start)).unwrap_or(N);
        bytes[within.min(N)..].fill(0);
        Ok(bytes)
    }

    /// Searches the file backwards: calls `look` with pieces, and their offsets, from the end down to `from`, until it
    /// returns something. Adjacent pieces overlap by `overlap` bytes. Gives up after `limit` bytes.
    pub(super) fn backwards<T>(
        &mut self,
        from: u64,
        limit: u64,
        overlap: u64,
        mut look: impl FnMut(&[u8], u64) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let lowest = from.max(self.size.saturating_sub(limit));
        let mut piece = Vec::new();
        let mut end = self.size;
        while end > lowest {
            let start = end.saturating_sub(MOST as u64).max(lowest);
            let until = end.saturating_add(overlap).min(self.size);
            self.at = start;
            piece.clear();
            self.by_ref().take(until.saturating_sub(start)).read_to_end(&mut piece)?;
            if let Some(found) = look(&piece, start) {
                return Ok(Some(found));
            }
            end = start;
        }
        Ok(None)
    }

    fn offset_in_window(&self) -> Option<usize> {
        let offset = usize::try_from(self.at.checked_sub(self.start)?).ok()?;
        (offset < self.held.len()).then_some(offset)
    }

    /// Moves the buffer to the current position. It is empty if the source ends before its stated size.
    fn fill(&mut self) -> io::Result<()> {
        let reads_on = self.at == self.start.saturating_add(self.held.len() as u64);
        self.stride = if reads_on { (self.stride * 2).min(MOST) } else { FIRST };
        let length = self.size.saturating_sub(self.at).min(self.stride as u64).min(self.bytes_left);
        if length == 0 || self.reads_left == 0 {
            return Err(spent());
        }
        self.reads_left -= 1;
        self.held.resize(usize::try_from(length).unwrap_or(MOST), 0);
        self.start = self.at;
        self.source.seek(SeekFrom::Start(self.at))?;
        let read = self.source.read(&mut self.held);
        self.held.truncate(*read.as_ref().unwrap_or(&0));
        self.bytes_left -= read? as u64;
        if self.held.is_empty() {
            self.size = self.at; // the real end of the source
        }
        Ok(())
    }
}

fn spent() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "the read budget is spent")
}

impl<R: Read + Seek> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.at >= self.size {
            return Ok(0);
        }
        // Reading from memory must not take for ever either.
        if Instant::now() >= self.deadline {
            return Err(spent());
        }
        if self.offset_in_window().is_none() {
            self.fill()?;
        }
        let Some(held) = self.offset_in_window().map(|offset| &self.held[offset..]) else {
            return Ok(0);
        };
        let length = held.len().min(out.len());
        out[..length].copy_from_slice(&held[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl<R> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A source that never ends.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            Ok(out.len())
        }
    }

    impl Seek for Endless {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn bytes_after_the_end_are_zeros() {
        let mut file = Window::new(Cursor::new(b"abcdef"), 6);
        assert_eq!(file.peek(4).unwrap(), *b"ef\0\0");
        assert_eq!(file.peek(u64::MAX).unwrap(), [0; 2]);
        assert_eq!(file.peek_in(&(1..4), 1).unwrap(), *b"cd\0\0");
        assert_eq!(file.peek_in(&(1..4), 3).unwrap(), [0; 2]);
    }

    #[test]
    fn a_needle_between_two_pieces_is_found_backwards() {
        let mut bytes = vec![0; 3 * MOST];
        let at = 2 * MOST - 2;
        bytes[at..at + 4].copy_from_slice(b"OggS");
        let mut file = Window::new(Cursor::new(&bytes), bytes.len() as u64);
        let mut seen = 0;
        let found = file.backwards(0, u64::MAX, 4, |piece, offset| {
            seen += 1;
            memchr::memmem::rfind(piece, b"OggS").map(|at| offset + at as u64)
        });
        assert_eq!((found.unwrap(), seen), (Some(at as u64), 2));
    }

    #[test]
    fn reading_on_reads_more_each_time() {
        let bytes = vec![7; 4 << 20];
        let mut file = Window::new(Cursor::new(&bytes), bytes.len() as u64);
        io::copy(&mut file, &mut io::sink()).unwrap();
        // 1 KiB doubling to 32 KiB, then 64 KiB each time.
        assert_eq!(READS - file.reads_left, 6 + 64);
    }

    #[test]
    fn jumps_read_little() {
        let mut file = Window::new(Endless, u64::MAX);
        for megabyte in 0..1000 {
            file.peek::<8>(megabyte << 20).unwrap();
        }
        assert_eq!(BYTES - file.bytes_left, 1000 * FIRST as u64);
    }

    #[test]
    fn a_spent_budget_is_an_error() {
        let mut file = Window::new(Endless, u64::MAX);
        let error = io::copy(&mut file, &mut io::sink()).unwrap_err();
        assert_eq!((error.kind(), file.bytes_left), (io::ErrorKind::QuotaExceeded, 0));
    }

    #[test]
    fn a_read_after_the_deadline_is_an_error() {
        let mut file = Window::new(Endless, u64::MAX);
        file.peek::<8>(0).unwrap();
        file.deadline = Instant::now();
        assert_eq!(file.peek::<8>(0).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}
