//! Reads a file in pieces, all of them through one buffer.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::mpsc;

use super::pool::blocking;
use crate::storage::{Error, Outgoing};

/// A piece up to this size is read on the async thread if the page cache has it, which takes less time than passing it
/// to another thread.
const INLINE_BYTES: usize = 128 * 1024;

/// Streams the bytes of `range` as specified by [`crate::storage::BlobStore::read`].
pub(super) fn pieces(file: File, range: Range<u64>, piece: usize) -> Outgoing {
    let length = length(&range, piece);
    let (return_to, buffers) = mpsc::channel(1);
    let _ = return_to.try_send(vec![0; length]); // the channel has room for it
    let reading = Reading { file: Arc::new(file), range, return_to, buffers };
    Box::pin(stream::try_unfold(reading, Reading::next))
}

struct Reading {
    file: Arc<File>,
    /// What remains to be read.
    range: Range<u64>,
    /// Receives the buffer when the piece in it is dropped.
    buffers: mpsc::Receiver<Vec<u8>>,
    return_to: mpsc::Sender<Vec<u8>>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let Some(mut buffer) = self.buffers.recv().await else {
            return Ok(None); // can't happen, since the sender is in `self`
        };
        let (at, length) = (self.range.start, length(&self.range, buffer.len()));
        let mut count = 0;
        if length <= INLINE_BYTES {
            count = cached(&self.file, &mut buffer[..length], at);
        }
        if count == 0 {
            let file = Arc::clone(&self.file);
            buffer = blocking(move || {
                file.read_exact_at(&mut buffer[..length], at)?;
                Ok(buffer)
            })
            .await?;
            count = length;
        }
        self.range.start += count as u64;
        let piece = Piece { buffer, length: count, return_to: self.return_to.clone() };
        Ok(Some((Bytes::from_owner(piece), self)))
    }
}

/// How many bytes of the range fit into a buffer of this size.
fn length(range: &Range<u64>, buffer: usize) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX).min(buffer)
}

/// Reads what the page cache has, without waiting for the disk. Returns 0 if it has nothing, or if the system can't
/// tell.
fn cached(file: &File, buffer: &mut [u8], at: u64) -> usize {
    preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// Bytes in a borrowed buffer, which is returned on drop.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    return_to: mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let _ = self.return_to.try_send(std::mem::take(&mut self.buffer)); // fails if the reader is gone
    }
}
