//! Reads multipart/form-data bodies (RFC 7578, RFC 2046): turns a stream of frames into parts and
//! slices of their data, with a limit on everything. Knows no fields, cleans no filenames, keeps no
//! data, and doesn't know HTTP: the caller handles body limits, time-outs and replies.

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

/// Limits on everything but the data in the parts, whose size the caller limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of parts in a body.
    pub max_parts: usize,
    /// Maximum number of bytes in a part's header, including line ends and the blank line. A parser
    /// keeps at most one line and the parsed values.
    pub max_header_bytes: usize,
    /// Maximum number of bytes before the first boundary.
    pub max_preamble_bytes: usize,
    /// Maximum number of bytes after the line with the closing boundary.
    pub max_epilogue_bytes: usize,
}

impl Default for Limits {
    /// Far more than form senders need: 64 parts, 8 KiB of headers each, 4 KiB of preamble and 4
    /// KiB of epilogue.
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
/// Memory stays within a small multiple of [`Limits::max_header_bytes`]. No frame is kept when the
/// next one is polled: if the caller drops each slice in time, the transport can reuse its buffer.
/// Dropping a future of either method loses nothing. After an error, every call of
/// [`next_part`](Self::next_part) fails.
pub struct Multipart<S> {
    body: S,
    parser: Parser,
    in_part: bool,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Starts at the beginning of a body, without polling it.
    pub fn new(body: S, boundary: &Boundary, limits: Limits) -> Self {
        Self { body, parser: Parser::new(boundary, limits), in_part: false }
    }

    /// Skips the rest of the current part, and reads the head of the next one. Returns `None` once
    /// the closing boundary has been read and the body has ended; only then is the form known to be
    /// complete. The number of bytes skipped is limited only by the caller's limit on the body.
    ///
    /// # Errors Fails with a [`MultipartError`]; further calls fail too.
    pub async fn next_part(&mut self) -> Result<Option<PartHead>, MultipartError<E>> {
        loop {
            match self.parser.next_event()? {
                Event::NeedData => self.fill().await?,
                Event::Data(_) => {}
                // At once, because this future may be dropped before the next head.
                Event::PartEnd => self.in_part = false,
                Event::Head(head) => {
                    self.in_part = true;
                    return Ok(Some(head));
                }
                Event::End => return Ok(None),
            }
        }
    }

    /// Returns the next bytes of the current part's data, which are never empty: a slice of the
    /// stream's frame (or of a constant, if a frame ended in what looked like a boundary). Returns
    /// `None` at the end of the part, and if there is no part.
    ///
    /// # Errors Fails with a [`MultipartError`]; the part is then incomplete, and further calls
    /// fail too.
    pub async fn data(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        while self.in_part {
            match self.parser.next_event()? {
                Event::NeedData => self.fill().await?,
                Event::Data(slice) => return Ok(Some(slice)),
                // Within a part, only its end can follow.
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
                // If the caller continues, it must not take the form for complete.
                self.parser.abort();
                return Err(MultipartError::Body(error));
            }
        }
        Ok(())
    }
}
