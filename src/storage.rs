//! Where bytes live: the [`BlobStore`] contract and what every store shares.
//!
//! Knows nothing of HTTP, users or uploads. A *blob* is a run of stored bytes with a name of its own; a file is a list
//! of [`Extents`] in blobs.

mod claims;
pub mod disk;
mod error;
mod extents;
mod joined;
pub mod measured;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};

use crate::ids::BlobId;
use crate::media::Patch;
use crate::part::Part;
use crate::space;
use crate::telemetry::chain;
use crate::words::bytes;
pub use claims::{Claim, Claims};
pub use error::Error;
pub use extents::{Extent, Extents};
pub use joined::{ReadAt, Reader, stream};

/// What an answered request survives beside the death of the process, which every one survives.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing more: bytes and records get to the disk when the system sees fit.
    Process,
    /// A finished file survives power loss.
    #[default]
    Finish,
    /// Every chunk does.
    Chunk,
}

/// The bytes of a part as they come in, in order. Each frame is dropped before the next is polled, so
/// that the sender's buffer can be used again.
pub type Incoming<'a> = Pin<&'a mut (dyn Stream<Item = Result<Bytes, BodyError>> + Send)>;

/// How much the server reads of a file at once for itself: large enough to make the hand-over to the blocking pool
/// cheap.
pub const READ_BYTES: usize = 512 * 1024;

/// Stored bytes as they go out.
pub type Outgoing = BoxStream<'static, Result<Bytes, Error>>;

/// Why the bytes of a part stopped coming.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The sender went away.
    #[error("the connection ended before the whole body had arrived")]
    Aborted,
    /// Nothing, or too little, came in time.
    #[error("the body came too slowly: {0}")]
    TooSlow(String),
    /// The form around the bytes is broken; the message is for the client.
    #[error("{0}")]
    Malformed(String),
    /// The body is longer than any form of request may be.
    #[error("the request's body is longer than the limit of {}", bytes(*.limit))]
    TooLong {
        /// The limit, bytes.
        limit: u64,
    },
    /// The bytes were to come from a store, and it failed; it has been logged.
    #[error("stored bytes could not be read back")]
    Unreadable,
    /// A newer sender of the same part took its place.
    #[error("a newer request took the place of this one")]
    Superseded,
}

/// Where the bytes of a write go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a new blob of this name, which was never used before.
    Fresh(BlobId),
    /// Into this blob, which is made if it isn't there. Only in a store that writes in place.
    At {
        /// The blob.
        blob: BlobId,
        /// Where in the blob they begin.
        offset: u64,
        /// Bytes of the blob that are on record. Blocks that a store reserves ahead of the writer go by it, never by
        /// an offset. Unless it is 0, the blob must be there: else the write fails with [`Error::NotFound`].
        stored: u64,
    },
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bytes stopped coming.
    #[error("{error}")]
    BrokenOff {
        /// Why.
        #[source]
        error: BodyError,
        /// What came before is stored as if the body had ended there. Whoever has no use for it drops it.
        safe: Written,
    },
    /// More bytes came than allowed. What was written of them is undefined.
    #[error("more than {} came", bytes(*.limit))]
    TooLong {
        /// How many were allowed.
        limit: u64,
    },
    /// The store failed. What was written is undefined.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Why bytes are not durable.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// They are not all there, or the disk failed to keep them: asking again would not say which.
    #[error("the bytes are lost or not durable: {0}")]
    Lost(#[source] Error),
    /// Something else failed; the bytes are as they were.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<io::Error> for SettleError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Why uploads are refused now. The messages are for whoever runs the server and may be shown to anybody: they name
/// no path.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// A disk has too little room.
    #[error(
        "the disk with the {what} has {} free, and {} must stay free: uploads are refused until files are deleted \
         or the disk is enlarged; files can still be read and deleted",
        space::in_words(*.free),
        space::in_words(*.keep)
    )]
    Full {
        /// What is on the disk.
        what: &'static str,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        keep: u64,
    },
    /// The store's disk is not there.
    #[error("the disk with the stored files is not mounted: mount it again")]
    NotMounted(#[source] Error),
    /// No more files can be created on a disk.
    #[error(
        "the disk with the {what} has no inodes left (df -i), although {} are free: uploads are refused until files are \
         deleted or the file system gets more; files can still be read and deleted",
        space::in_words(*.free)
    )]
    NoInodes {
        /// What is on the disk.
        what: &'static str,
        /// Bytes that are free.
        free: u64,
    },
    /// Nothing was written in time.
    #[error(
        "writing to the {what} has taken longer than {secs} s: their disk is slow or hangs, or another program holds the \
         database"
    )]
    Slow {
        /// What can't be written.
        what: &'static str,
        /// How long that was waited for.
        secs: u64,
    },
    /// Something else failed.
    #[error("the {what} can't be written; the log says why")]
    Failed {
        /// What can't be written.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Unready {
    /// Fails when no more than `keep` bytes are free on the disk of this file or folder.
    pub fn unless_free(what: &'static str, path: &Path, keep: u64) -> Result<(), Self> {
        let free = space::free(path).map_err(|error| Self::failed(what, error))?;
        if free > keep { Ok(()) } else { Err(Self::Full { what, free, keep }) }
    }

    /// Fails when no file can be created on the disk of this folder.
    pub fn unless_inodes(what: &'static str, folder: &Path) -> Result<(), Self> {
        let failed = |error| Self::failed(what, error);
        match space::free_inodes(folder).map_err(failed)? {
            Some(0) => Err(Self::NoInodes { what, free: space::free(folder).map_err(failed)? }),
            _ => Ok(()),
        }
    }

    fn failed(what: &'static str, error: io::Error) -> Self {
        Self::Failed { what, source: Box::new(error) }
    }

    /// What is wrong, for the operator: with the system's error, which clients are not told.
    pub fn cause(&self) -> String {
        match self {
            Self::Failed { what, source } => {
                format!("the {what} can't be written: {}", chain(source.as_ref()))
            }
            other => chain(other),
        }
    }
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        Self::Failed { what: "stored files", source: Box::new(error) }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// CRC-32 (IEEE 802.3) of them.
    pub crc32: u32,
}

impl Written {
    /// The part that these bytes make at `offset`.
    pub fn at(self, offset: u64) -> Part {
        Part { offset, size: self.size, crc32: self.crc32 }
    }
}

/// Stored bytes opened for code that may block: decoders jump about in a file and know nothing of waiting.
pub trait Source: io::Read + io::Seek + Send + Sync {}

impl<T: io::Read + io::Seek + Send + Sync> Source for T {}

/// Blobs that a store has, as they are found.
pub type Listing = BoxStream<'static, Result<BlobId, Error>>;

/// A store of bytes. Offsets and sizes are bytes.
///
/// There are two kinds. One *writes in place*: all parts of an upload lie in one blob, each at its offset in the file,
/// and cleaning a file overwrites its bytes. Whoever writes to a place or overwrites bytes there holds a [`Claim`] on
/// them, so that disjoint ranges of one blob are written side by side and no byte by two. In the other kind a blob never
/// changes once it is written: each part is a blob of its own, and cleaning a file changes its extents.
///
/// What a write returned survives the death of the process, and in a store that doesn't write in place power loss,
/// too. What [`BlobStore::settle`] returned survives power loss in every store. A disk may be opened with another
/// [`Durability`].
#[async_trait::async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Who writes which bytes, in a store that writes in place; no other store needs to know.
    fn claims(&self) -> Option<&Arc<Claims>> {
        None
    }

    /// Whether it writes in place.
    fn in_place(&self) -> bool {
        self.claims().is_some()
    }

    /// Writes bytes, at most `limit` of them. Writing to a place again replaces what was there; a failed write leaves
    /// it undefined, but for what [`WriteError::BrokenOff`] calls safe.
    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError>;

    /// Makes these bytes durable, and gives back what their blobs hold behind them. Repeating it is harmless.
    async fn settle(&self, extents: &Extents) -> Result<(), SettleError>;

    /// Overwrites bytes that nobody else writes; where they lie then. In place nothing else changes; any other store
    /// leaves the bytes as they were and stores what replaces them in new blobs. Durable once it is settled (again).
    /// Repeating it is harmless.
    async fn rewrite(&self, extents: &Extents, patches: &[Patch]) -> Result<Extents, Error>;

    /// Opens bytes to be read from their beginning. Blocks, and so does reading. [`Error::NotFound`] when one of their
    /// blobs is not there.
    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, Error>;

    /// Reads `range` of these bytes in pieces of at most `piece` bytes, of which one at a time is in memory: the next
    /// comes once the one before has been dropped. [`Error::NotFound`] when a blob is not there, [`Error::Short`] when
    /// it is shorter.
    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Error>;

    /// Where a web server beside this one finds these bytes, below the folder it is given; `None` where they are not
    /// one file.
    fn hand_over(&self, _extents: &Extents) -> Option<String> {
        None
    }

    /// How many bytes may still be written.
    async fn room(&self) -> Result<u64, Error> {
        Ok(u64::MAX)
    }

    /// Deletes blobs, those that are there, each once nobody writes it any more: a late write would bring it back. After
    /// an error some of them may be left: repeating it is harmless.
    async fn delete(&self, blobs: &[BlobId]) -> Result<(), Error>;

    /// How many bytes the blob has; `None` when there is none.
    async fn size(&self, blob: BlobId) -> Result<Option<u64>, Error>;

    /// Blobs last written before `unix_secs`, for finding those that no record claims. Ends at the first error.
    fn list_older_than(&self, unix_secs: u64) -> Listing;

    /// The id this store was marked with.
    async fn marker(&self) -> Result<Option<BlobId>, Error>;

    /// Marks the store with an id, durably; once, while it is empty.
    async fn mark(&self, id: BlobId) -> Result<(), Error>;

    /// Fails when this is not the store that was marked, as when its disk was unmounted. Methods that find no blob
    /// ask it by themselves: [`Error::NotFound`], or `None`, means that the blob is really missing.
    async fn is_itself(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Fails when the store can't take bytes now; for the readiness probe.
    async fn check(&self) -> Result<(), Unready>;
}

/// The checksum of stored bytes; `None` when they are not all there.
pub async fn crc32(blobs: &dyn BlobStore, extents: &Extents) -> Result<Option<u32>, Error> {
    let hashed = async {
        let bytes = blobs.read(extents, 0..extents.size(), READ_BYTES).await?;
        let hashed = bytes.try_fold(crc32fast::Hasher::new(), |mut crc, frame| async move {
            crc.update(&frame);
            Ok(crc)
        });
        Ok(hashed.await?.finalize())
    };
    match hashed.await {
        Ok(crc32) => Ok(Some(crc32)),
        Err(error) if Error::is_lost(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads `body` to its end without storing it; what [`BlobStore::write`] would have returned.
pub async fn checksum(limit: u64, body: Incoming<'_>) -> Result<Written, WriteError> {
    let (written, broken_off) = each_frame(limit, body, |_, _| Ok(())).await?;
    whole(written, broken_off)
}

/// Hands each frame and its offset within the body to `write`, checksumming on the way. Returns what came, and why no
/// more did where that was not its end.
pub async fn each_frame(
    limit: u64,
    mut body: Incoming<'_>,
    mut write: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> Result<(Written, Option<BodyError>), WriteError> {
    let mut size: u64 = 0;
    let mut crc = crc32fast::Hasher::new();
    let broken_off = loop {
        let frame = match body.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => break Some(error),
            None => break None,
        };
        let end = size + frame.len() as u64;
        if end > limit {
            return Err(WriteError::TooLong { limit });
        }
        crc.update(&frame);
        write(&frame, size)?;
        size = end;
    };
    Ok((Written { size, crc32: crc.finalize() }, broken_off))
}

/// What a write returns that took these bytes before the body ended or broke off.
pub fn whole(written: Written, broken_off: Option<BodyError>) -> Result<Written, WriteError> {
    match broken_off {
        Some(error) => Err(WriteError::BrokenOff { error, safe: written }),
        None => Ok(written),
    }
}
