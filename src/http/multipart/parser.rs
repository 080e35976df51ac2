//! Parses the framing of a multipart body (RFC 2046, section 5.1): delimiters, header lines, part
//! data, limits. It receives frames and returns events. It does no input or output, reads no clock,
//! and never keeps a frame when it asks for the next one.

use std::mem;

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::head::HeadBuilder;
use super::{Boundary, Limits, ParseError, PartHead};

/// Maximum number of bytes after a boundary on its line: `--`, white space that gateways may add
/// (RFC 2046 sets no limit), CR LF.
const MAX_BOUNDARY_LINE: usize = 256;

/// The result of [`Parser::next_event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The frame is used up: call [`Parser::feed`] or [`Parser::finish`].
    NeedData,
    /// A part begins.
    Head(PartHead),
    /// Data of the current part, never empty: a slice of the frame, or of the delimiter if an
    /// earlier frame ended with a part of it.
    Data(Bytes),
    /// The current part is complete, and the whole boundary line after it has been read.
    PartEnd,
    /// The closing boundary and the epilogue have been read, and the body has ended. Further calls
    /// return this again.
    End,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Preamble,
    /// A delimiter was found; its line hasn't been read yet.
    BoundaryLine {
        ends_part: bool,
    },
    PartBegin,
    Headers,
    Data,
    Epilogue,
    Ended,
    Failed(ParseError),
}

/// The result of searching for the delimiter.
enum Scan {
    /// Bytes that certainly don't belong to the delimiter.
    Chunk(Bytes),
    Delimiter,
    NeedData,
}

/// The parser without a stream: [`feed`](Self::feed) it a frame, take events until
/// [`Event::NeedData`], and repeat; call [`finish`](Self::finish) at the end of the body.
pub struct Parser {
    finder: Finder<'static>,
    /// CR LF `--` boundary.
    delimiter: Bytes,
    limits: Limits,
    state: State,
    frame: Bytes,
    finished: bool,
    /// Number of bytes, already removed from the stream, that may be the beginning of the
    /// delimiter. The number is enough: these bytes equal those of the delimiter, so if they turn
    /// out to be data, a slice of the delimiter replaces them and no frame is kept.
    held: usize,
    /// How many of the held bytes weren't in the stream, or belong to the line before. They count
    /// for the delimiter, but are never data.
    imagined: usize,
    /// The beginning of a line that continues in the next frame.
    partial: Vec<u8>,
    /// Number of bytes that the lines of the current section may still take.
    line_room: usize,
    preamble_room: usize,
    epilogue_room: usize,
    parts: usize,
    head: HeadBuilder,
    #[cfg(test)]
    pub(super) work: usize,
}

impl Parser {
    /// Starts at the beginning of a body.
    #[must_use]
    pub fn new(boundary: &Boundary, limits: Limits) -> Self {
        let delimiter = Bytes::from(format!("\r\n--{}", boundary.as_str()));
        let mut parser = Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            limits,
            state: State::Preamble,
            frame: Bytes::new(),
            finished: false,
            held: 0,
            imagined: 0,
            partial: Vec::new(),
            line_room: 0,
            preamble_room: limits.max_preamble_bytes,
            epilogue_room: limits.max_epilogue_bytes,
            parts: 0,
            head: HeadBuilder::default(),
            #[cfg(test)]
            work: 0,
        };
        parser.begin_line();
        parser
    }

    /// Adds the next frame. Allowed only after [`Event::NeedData`], because the rest of an earlier
    /// frame would be lost.
    pub fn feed(&mut self, frame: Bytes) {
        debug_assert!(self.frame.is_empty(), "fed before NeedData");
        self.frame = frame;
    }

    /// Ends the body. [`Event::NeedData`] isn't returned again.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Records that the body broke off. From now on every call returns [`ParseError::Truncated`],
    /// unless there was an error before or the body was complete.
    pub fn abort(&mut self) {
        self.frame = Bytes::new();
        if !matches!(self.state, State::Ended | State::Failed(_)) {
            self.state = State::Failed(ParseError::Truncated);
        }
    }

    /// Returns the next event.
    ///
    /// # Errors Fails with a [`ParseError`] if the body violates the format or a limit. After an
    /// error, every call returns it again.
    pub fn next_event(&mut self) -> Result<Event, ParseError> {
        loop {
            let step = match self.step() {
                Ok(Some(Event::NeedData)) if self.finished => self.body_ended(),
                other => other,
            };
            match step {
                Ok(Some(Event::NeedData)) => {
                    // Everything is used, and even an empty slice would keep the buffer that the
                    // transport wants to reuse.
                    self.frame = Bytes::new();
                    return Ok(Event::NeedData);
                }
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    self.frame = Bytes::new();
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
    }

    /// Makes one transition. Returns `None` if there is nothing to report. Each transition consumes
    /// bytes or changes the state, so `next_event` ends.
    fn step(&mut self) -> Result<Option<Event>, ParseError> {
        match self.state {
            State::Preamble => self.preamble(),
            State::BoundaryLine { ends_part } => self.boundary_line(ends_part),
            State::PartBegin => self.part_begin(),
            State::Headers => self.header_line(),
            State::Data => Ok(self.data()),
            State::Epilogue => self.epilogue(),
            State::Ended => Ok(Some(Event::End)),
            State::Failed(error) => Err(error),
        }
    }

    fn body_ended(&mut self) -> Result<Option<Event>, ParseError> {
        match self.state {
            // Many clients leave out the last CR LF.
            State::BoundaryLine { ends_part } if is_cut_closing(&self.partial) => {
                self.partial = Vec::new();
                Ok(self.pass_boundary(State::Epilogue, ends_part))
            }
            State::Epilogue => {
                self.state = State::Ended;
                Ok(None)
            }
            _ => Err(ParseError::Truncated),
        }
    }

    fn preamble(&mut self) -> Result<Option<Event>, ParseError> {
        match self.scan() {
            Scan::NeedData => return Ok(Some(Event::NeedData)),
            Scan::Delimiter => self.expect_boundary_line(false),
            Scan::Chunk(skipped) => {
                let limit = self.limits.max_preamble_bytes;
                self.preamble_room = (self.preamble_room)
                    .checked_sub(skipped.len())
                    .ok_or(ParseError::PreambleTooLong { limit })?;
            }
        }
        Ok(None)
    }

    fn data(&mut self) -> Option<Event> {
        match self.scan() {
            Scan::NeedData => Some(Event::NeedData),
            Scan::Chunk(chunk) => Some(Event::Data(chunk)),
            Scan::Delimiter => {
                self.expect_boundary_line(true);
                None
            }
        }
    }

    fn expect_boundary_line(&mut self, ends_part: bool) {
        self.line_room = MAX_BOUNDARY_LINE;
        self.state = State::BoundaryLine { ends_part };
    }

    fn boundary_line(&mut self, ends_part: bool) -> Result<Option<Event>, ParseError> {
        let garbage = ParseError::GarbageAfterBoundary;
        let Some(line) = self.line(garbage)? else {
            return Ok(Some(Event::NeedData));
        };
        if is_blank(&line) {
            Ok(self.pass_boundary(State::PartBegin, ends_part))
        } else if is_closing(&line) {
            Ok(self.pass_boundary(State::Epilogue, ends_part))
        } else {
            Err(garbage)
        }
    }

    fn pass_boundary(&mut self, next: State, ends_part: bool) -> Option<Event> {
        self.state = next;
        ends_part.then_some(Event::PartEnd)
    }

    fn part_begin(&mut self) -> Result<Option<Event>, ParseError> {
        let limit = self.limits.max_parts;
        if self.parts >= limit {
            return Err(ParseError::TooManyParts { limit });
        }
        self.parts += 1;
        self.head = HeadBuilder::new(self.parts);
        self.line_room = self.limits.max_header_bytes;
        self.state = State::Headers;
        Ok(None)
    }

    fn header_line(&mut self) -> Result<Option<Event>, ParseError> {
        let (part, limit) = (self.parts, self.limits.max_header_bytes);
        let Some(line) = self.line(ParseError::HeadersTooLong { part, limit })? else {
            return Ok(Some(Event::NeedData));
        };
        if line.is_empty() {
            self.begin_line();
            self.state = State::Data;
            let head = mem::take(&mut self.head).finish()?;
            return Ok(Some(Event::Head(head)));
        }
        self.head.line(&line)?;
        Ok(None)
    }

    fn epilogue(&mut self) -> Result<Option<Event>, ParseError> {
        let limit = self.limits.max_epilogue_bytes;
        self.epilogue_room = (self.epilogue_room)
            .checked_sub(self.frame.len())
            .ok_or(ParseError::EpilogueTooLong { limit })?;
        self.frame = Bytes::new();
        Ok(Some(Event::NeedData))
    }

    /// Returns the next line without its CR LF, or `None` if the frame ends first. `too_long` is
    /// the error if the line exceeds the section's limit.
    fn line(&mut self, too_long: ParseError) -> Result<Option<Bytes>, ParseError> {
        if self.frame.is_empty() {
            return Ok(None);
        }
        let room = self.line_room.saturating_sub(self.partial.len());
        let window = room.min(self.frame.len());
        let found = memchr(b'\n', &self.frame[..window]);
        self.count_work(found.unwrap_or(window));
        let Some(at) = found else {
            if window == room {
                return Err(too_long);
            }
            self.partial.extend_from_slice(&self.frame);
            self.frame = Bytes::new();
            return Ok(None);
        };
        // In bounds: `at` is less than `window`.
        let mut line = self.frame.split_to(at + 1);
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = Bytes::from(mem::take(&mut self.partial));
        }
        self.line_room = self.line_room.saturating_sub(line.len());
        let text = line.strip_suffix(b"\r\n").ok_or(ParseError::BareLineFeed)?;
        line.truncate(text.len());
        Ok(Some(line))
    }

    /// Allows a boundary to follow immediately. The first one begins most bodies, and after the
    /// headers of an empty part the CR LF of the blank line may belong to the delimiter (RFC 2046,
    /// section 5.1.1).
    fn begin_line(&mut self) {
        self.held = 2;
        self.imagined = 2;
    }

    /// Searches for the delimiter. Takes linear time however the body is split: every call compares
    /// at most the length of a delimiter, or searches bytes that it then returns.
    fn scan(&mut self) -> Scan {
        if self.held > 0
            && let Some(scan) = self.scan_held()
        {
            return scan;
        }
        if self.frame.is_empty() {
            return Scan::NeedData;
        }
        let found = self.finder.find(&self.frame);
        self.count_work(found.unwrap_or(self.frame.len()));
        if let Some(at) = found {
            // In bounds: a match is within the frame, and so is a prefix at its end below.
            let chunk = self.frame.split_to(at);
            self.frame.advance(self.delimiter.len());
            if chunk.is_empty() {
                return Scan::Delimiter;
            }
            // The whole delimiter is held; the next call finds that it is complete.
            self.held = self.delimiter.len();
            return Scan::Chunk(chunk);
        }
        self.held = self.delimiter_prefix_at_end();
        let mut chunk = mem::take(&mut self.frame);
        chunk.truncate(chunk.len() - self.held);
        if chunk.is_empty() {
            return Scan::NeedData;
        }
        Scan::Chunk(chunk)
    }

    /// Continues with a delimiter that an earlier frame began. Returns `None` if it turns out not
    /// to be one and there is nothing to return. No shorter prefix can be among the held bytes,
    /// because CR occurs in a delimiter only as its first byte.
    fn scan_held(&mut self) -> Option<Scan> {
        let rest = &self.delimiter[self.held..];
        let same = common_prefix(rest, &self.frame);
        let (complete, used_up) = (same == rest.len(), same == self.frame.len());
        self.count_work(same);
        if complete {
            self.frame.advance(same);
            (self.held, self.imagined) = (0, 0);
            Some(Scan::Delimiter)
        } else if used_up {
            self.held += same;
            Some(Scan::NeedData)
        } else {
            let chunk = self.delimiter.slice(self.imagined..self.held);
            (self.held, self.imagined) = (0, 0);
            (!chunk.is_empty()).then_some(Scan::Chunk(chunk))
        }
    }

    /// Length of the end of the frame that may begin a delimiter. Only the last CR can be its
    /// start, for the same reason as above.
    fn delimiter_prefix_at_end(&mut self) -> usize {
        let longest = self.delimiter.len() - 1;
        let window = &self.frame[self.frame.len().saturating_sub(longest)..];
        let length = memrchr(b'\r', window)
            .map(|at| &window[at..])
            .filter(|tail| self.delimiter.starts_with(tail))
            .map_or(0, <[u8]>::len);
        self.count_work(longest.min(self.frame.len()));
        length
    }

    #[cfg(test)]
    pub(super) fn kept_line_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Lets tests compare the work with the length of the body.
    #[cfg(test)]
    fn count_work(&mut self, bytes: usize) {
        self.work += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "counts in tests only")]
    fn count_work(&self, _bytes: usize) {}
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// Whether the bytes after a boundary on its line make it the closing one.
fn is_closing(line: &[u8]) -> bool {
    line.strip_prefix(b"--").is_some_and(is_blank)
}

/// The same at the end of the body, which may lack the CR LF or a part of it.
fn is_cut_closing(line: &[u8]) -> bool {
    is_closing(line.strip_suffix(b"\r").unwrap_or(line))
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}
