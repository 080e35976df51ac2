//! Owns the reading of multipart/form-data bodies (RFC 7578 over RFC 2046):
//! from a stream of frames to parts and slices of their data, with a bound on
//! everything. Knows no field by name, cleans no filename, keeps no data, and
//! refuses to know HTTP: body limits, time-outs and replies are the caller's.

mod boundary;
mod error;
mod head;
mod params;
mod parser;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

pub use boundary::{Boundary, BoundaryError, MAX_BOUNDARY_BYTES};
pub use error::{MultipartError, ParseError};
pub use head::PartHead;
pub use parser::{Event, Parser};

/// What a body may cost beside its parts' data, whose size the caller limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Parts in a body.
    pub max_parts: usize,
    /// Bytes of one part's header lines, their line ends and the blank line
    /// included. A parser keeps at most one line of them, and their values.
    pub max_header_bytes: usize,
    /// Bytes before the first boundary.
    pub max_preamble_bytes: usize,
    /// Bytes after the closing boundary's line.
    pub max_epilogue_bytes: usize,
}

impl Default for Limits {
    /// Far above what form senders need: 64 parts, 8 KiB of headers each,
    /// 4 KiB of preamble and of epilogue.
    fn default() -> Self {
        Self {
            max_parts: 64,
            max_header_bytes: 8 * 1024,
            max_preamble_bytes: 4 * 1024,
            max_epilogue_bytes: 4 * 1024,
        }
    }
}

/// A multipart/form-data body, read part by part as it arrives.
///
/// Memory stays within a small multiple of [`Limits::max_header_bytes`], and no
/// frame is kept when the next is polled: a caller that drops each slice in
/// time lets the transport reuse its buffer. Dropping a future of either method
/// loses nothing; after an error, no call of [`next_part`](Self::next_part)
/// succeeds.
pub struct Multipart<S> {
    body: S,
    parser: Parser,
    in_part: bool,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Nothing is polled yet.
    pub fn new(body: S, boundary: &Boundary, limits: Limits) -> Self {
        Self { body, parser: Parser::new(boundary, limits), in_part: false }
    }

    /// Goes to the next part, over what is left of the current one. None once
    /// the closing boundary was read and the body has ended; only then is the
    /// form known to be whole. How much is skipped on the way is bounded by
    /// the caller's limit on the body alone.
    ///
    /// # Errors
    /// [`MultipartError`]; further calls then fail too.
    pub async fn next_part(&mut self) -> Result<Option<PartHead>, MultipartError<E>> {
        loop {
            match self.parser.next_event()? {
                Event::NeedData => self.fill().await?,
                Event::Data(_) => {}
                // At once: this call may be dropped before the next head.
                Event::PartEnd => self.in_part = false,
                Event::Head(head) => {
                    self.in_part = true;
                    return Ok(Some(head));
                }
                Event::End => return Ok(None),
            }
        }
    }

    /// The next bytes of the current part's data, never empty: a slice of the
    /// stream's frame (or of a constant, where a frame ended in what looked
    /// like a boundary). None at the part's end, and when there is no part.
    ///
    /// # Errors
    /// [`MultipartError`]; the part is then incomplete, and further calls fail.
    pub async fn data(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        while self.in_part {
            match self.parser.next_event()? {
                Event::NeedData => self.fill().await?,
                Event::Data(slice) => return Ok(Some(slice)),
                // Within a part, only its end can come.
                Event::PartEnd | Event::Head(_) | Event::End => self.in_part = false,
            }
        }
        Ok(None)
    }

    async fn fill(&mut self) -> Result<(), MultipartError<E>> {
        match self.body.next().await {
            Some(Ok(frame)) => self.parser.feed(frame),
            None => self.parser.finish(),
            Some(Err(error)) => {
                // A caller that goes on must not take the form for whole.
                self.parser.abort();
                return Err(MultipartError::Body(error));
            }
        }
        Ok(())
    }
}
