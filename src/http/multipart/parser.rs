//! Owns the framing of a multipart body (RFC 2046 section 5.1): delimiters,
//! header lines, part data, limits. It is given frames and answers events; it
//! does no input or output, reads no clock, and never keeps a frame once it
//! asks for the next.

use std::mem;

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::head::HeadBuilder;
use super::{Boundary, Limits, ParseError, PartHead};

/// Room for what follows a boundary on its line: `--`, the blanks that
/// gateways may add (RFC 2046 sets no bound for these), CR LF.
const MAX_BOUNDARY_LINE: usize = 256;

/// What [`Parser::next_event`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The frame is used up: feed the next one, or finish.
    NeedData,
    /// A part begins.
    Head(PartHead),
    /// Data of the current part, never empty: a slice of the frame, or of the
    /// delimiter's own bytes where an earlier frame ended in some of them.
    Data(Bytes),
    /// The current part is complete: the whole boundary line after it is there.
    PartEnd,
    /// The closing boundary and the epilogue have been read, the body has
    /// ended. Repeats.
    End,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Preamble,
    /// A delimiter was found, its line not yet read.
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

/// Answer of a look for the delimiter.
enum Scan {
    /// Bytes that are certainly not the delimiter's.
    Chunk(Bytes),
    Delimiter,
    NeedData,
}

/// The parser without its stream: [`feed`](Self::feed) a frame, take events
/// until [`Event::NeedData`], repeat; [`finish`](Self::finish) at the body's end.
pub struct Parser {
    finder: Finder<'static>,
    /// CR LF `--` boundary.
    delimiter: Bytes,
    limits: Limits,
    state: State,
    frame: Bytes,
    finished: bool,
    /// How many bytes, already taken off the stream, may be the delimiter's
    /// beginning. The count is enough: they equal the delimiter's own bytes,
    /// so if they turn out to be data, a slice of the delimiter stands for
    /// them and no frame is kept.
    held: usize,
    /// How many of the held bytes were not in the stream, or belong to the
    /// line before: they count for the delimiter, but are never data.
    imagined: usize,
    /// A line's beginning, when a frame ended within the line.
    partial: Vec<u8>,
    /// Bytes that the lines of the current section may still take.
    line_room: usize,
    preamble_room: usize,
    epilogue_room: usize,
    parts: usize,
    head: HeadBuilder,
    #[cfg(test)]
    pub(super) work: usize,
}

impl Parser {
    /// A parser at the beginning of a body.
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

    /// Gives the next frame. Only after [`Event::NeedData`]: what is left of
    /// an earlier frame would be lost.
    pub fn feed(&mut self, frame: Bytes) {
        debug_assert!(self.frame.is_empty(), "fed before NeedData");
        self.frame = frame;
    }

    /// Says that the body has ended; [`Event::NeedData`] will not come again.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Says that the body broke off: every event from now on is
    /// [`ParseError::Truncated`], unless there was an error or the end before.
    pub fn abort(&mut self) {
        self.frame = Bytes::new();
        if !matches!(self.state, State::Ended | State::Failed(_)) {
            self.state = State::Failed(ParseError::Truncated);
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// A [`ParseError`] when the body breaks a rule or a limit. It repeats:
    /// after an error no call succeeds.
    pub fn next_event(&mut self) -> Result<Event, ParseError> {
        loop {
            let step = match self.step() {
                Ok(Some(Event::NeedData)) if self.finished => self.body_ended(),
                other => other,
            };
            match step {
                Ok(Some(Event::NeedData)) => {
                    // All of it is used, and even an empty slice would hold
                    // on to the buffer that the transport wants back.
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

    /// One transition; None when it has nothing to report. Each takes bytes
    /// off the frame or moves on to another state, so `next_event` ends.
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

    /// The next line without its CR LF, or None when the frame ends first.
    /// `too_long` is the error for a line that leaves the section's room.
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

    /// A boundary may come at once: the first one opens most bodies, and
    /// after an empty part's headers the blank line's CR LF may be the
    /// delimiter's own (RFC 2046 section 5.1.1).
    fn begin_line(&mut self) {
        self.held = 2;
        self.imagined = 2;
    }

    /// Looks for the delimiter. Linear in the body however it is split: every
    /// call compares at most a delimiter's length, or searches bytes that it
    /// then gives out.
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
            // In bounds: a match lies within the frame, as does a tail below.
            let chunk = self.frame.split_to(at);
            self.frame.advance(self.delimiter.len());
            if chunk.is_empty() {
                return Scan::Delimiter;
            }
            // The whole delimiter is held; the next call finds it so.
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

    /// Goes on with a delimiter that an earlier frame began; None when it
    /// breaks off with nothing to give out. No shorter beginning can then hide
    /// among the held bytes, since a delimiter has its only CR in front.
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

    /// Length of the frame's end that a delimiter may begin with. Only the
    /// last CR can be its start, for the same reason as above.
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

    /// So that tests can hold the work against the body's length.
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

/// Whether what follows a boundary on its line makes it the closing one.
fn is_closing(line: &[u8]) -> bool {
    line.strip_prefix(b"--").is_some_and(is_blank)
}

/// The same at the body's end, which may have come within the CR LF.
fn is_cut_closing(line: &[u8]) -> bool {
    is_closing(line.strip_suffix(b"\r").unwrap_or(line))
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}
