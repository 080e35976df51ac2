//! Where bytes live: the [`BlobStore`] contract and what every store shares.
//!
//! Knows nothing of HTTP, users or uploads. A *blob* is the bytes of one file, whole or in the making.

pub mod disk;

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;

use crate::ids::BlobId;
use crate::media::Patch;
use crate::part::Part;
use crate::space;
use crate::words::bytes;

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

/// How much the server reads of a blob at once for itself: large enough to make the hand-over to the blocking pool
/// cheap.
pub const READ_BYTES: usize = 512 * 1024;

/// The bytes of a blob as they go out.
pub type Outgoing = BoxStream<'static, io::Result<Bytes>>;

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
    #[error("a newer request sends the same chunk")]
    Superseded,
}

/// Why a part could not be written. Nothing of it counts.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bytes stopped coming.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// More bytes came than the part may have.
    #[error("more than {} came", bytes(*.limit))]
    TooLong {
        /// How many were allowed.
        limit: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] io::Error),
}

/// Why a blob is not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Its bytes are not all there, or the disk failed to keep them: asking again would not say which.
    #[error("the bytes are lost or not durable: {0}")]
    Lost(#[source] io::Error),
    /// Something else failed; the bytes are as they were.
    #[error(transparent)]
    Failed(#[from] io::Error),
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
    NotMounted(#[source] io::Error),
    /// Something else failed.
    #[error("files or records can't be written; the log says why")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Unready {
    /// Fails when no more than `keep` of a disk's bytes are free.
    pub fn unless_free(what: &'static str, free: u64, keep: u64) -> Result<(), Self> {
        if free > keep { Ok(()) } else { Err(Self::Full { what, free, keep }) }
    }
}

impl From<io::Error> for Unready {
    fn from(error: io::Error) -> Self {
        Self::Failed(Box::new(error))
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

/// A blob opened for code that may block: decoders jump about in a file and know nothing of waiting.
pub trait Blob: io::Read + io::Seek + Send + Sync {}

impl<T: io::Read + io::Seek + Send + Sync> Blob for T {}

/// A store of blobs. Offsets and sizes are bytes.
///
/// Parts of one blob may be written side by side as long as their ranges are disjoint; the caller sees to
/// that. What a write returned survives the death of the process; what [`BlobStore::seal`] returned
/// survives power loss too. A store may be opened with another [`Durability`].
#[async_trait::async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Writes a part at `offset`, at most `limit` bytes, and makes the blob if it isn't there.
    /// Writing a range again replaces it; a failed write leaves the range undefined.
    ///
    /// `stored`: bytes of the blob that are on record. Blocks that a store reserves ahead of the writer go by
    /// it, never by an offset. Unless it is 0, the blob must be there: an error of the kind `NotFound`.
    async fn write_part(
        &self,
        blob: BlobId,
        offset: u64,
        limit: u64,
        stored: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError>;

    /// Makes a blob of exactly these parts, given in order and end to end, durable. Repeating it is harmless.
    async fn seal(&self, blob: BlobId, parts: &[Part]) -> Result<(), SealError>;

    /// Overwrites bytes of a blob that nobody else writes. Durable once the blob is sealed (again). Repeating
    /// it is harmless.
    async fn patch(&self, blob: BlobId, patches: &[Patch]) -> io::Result<()>;

    /// Opens a blob to be read from its beginning. Blocks, and so does reading. An error of the kind
    /// `NotFound` when there is no such blob.
    fn reader(&self, blob: BlobId) -> io::Result<Box<dyn Blob>>;

    /// Reads `range` in pieces of at most `piece` bytes, of which one at a time is in memory: the next comes once
    /// the one before has been dropped. An error of the kind `NotFound` when there is no such blob,
    /// `UnexpectedEof` when it is shorter.
    async fn read(&self, blob: BlobId, range: Range<u64>, piece: usize) -> io::Result<Outgoing>;

    /// Where a web server beside this one finds the blob, below the folder it is given; `None` where blobs are
    /// no files.
    fn local_path(&self, _blob: BlobId) -> Option<String> {
        None
    }

    /// How many bytes may still be written.
    async fn room(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Removes the blob; `false` when there was none.
    async fn delete(&self, blob: BlobId) -> io::Result<bool>;

    /// How many bytes the blob has; `None` when there is none.
    async fn size(&self, blob: BlobId) -> io::Result<Option<u64>>;

    /// Blobs last written before `unix_secs`, for finding those that no record claims.
    async fn list_older_than(&self, unix_secs: u64) -> io::Result<Vec<BlobId>>;

    /// The id this store was marked with.
    async fn marker(&self) -> io::Result<Option<BlobId>>;

    /// Marks the store with an id, durably; once, while it is empty.
    async fn mark(&self, id: BlobId) -> io::Result<()>;

    /// Fails when this is not the store that was marked, as when its disk was unmounted. Methods that find no blob
    /// ask it by themselves: an error of the kind `NotFound`, or `None`, means that the blob is really missing.
    async fn is_itself(&self) -> io::Result<()> {
        Ok(())
    }

    /// Fails when the store can't take bytes now; for the readiness probe.
    async fn check(&self) -> Result<(), Unready>;
}

/// The checksum of stored bytes; `None` when they are not all there.
pub async fn crc32(
    blobs: &dyn BlobStore,
    blob: BlobId,
    range: Range<u64>,
) -> io::Result<Option<u32>> {
    use futures_util::TryStreamExt;

    let hashed = async {
        let bytes = blobs.read(blob, range, READ_BYTES).await?;
        let hashed = bytes.try_fold(crc32fast::Hasher::new(), |mut crc, frame| async move {
            crc.update(&frame);
            Ok(crc)
        });
        Ok(hashed.await?.finalize())
    };
    match hashed.await {
        Ok(crc32) => Ok(Some(crc32)),
        Err(error) if is_lost(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether bytes on record are not there to be read.
pub fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Reads `body` to its end without storing it; what [`BlobStore::write_part`] would have returned.
pub async fn checksum(limit: u64, body: Incoming<'_>) -> Result<Written, WriteError> {
    each_frame(limit, body, |_, _| Ok(())).await
}

/// Hands each frame and its offset within the part to `write`, checksumming on the way.
async fn each_frame(
    limit: u64,
    mut body: Incoming<'_>,
    mut write: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> Result<Written, WriteError> {
    use futures_util::StreamExt;

    let mut size: u64 = 0;
    let mut crc = crc32fast::Hasher::new();
    while let Some(frame) = body.next().await.transpose()? {
        let end = size + frame.len() as u64;
        if end > limit {
            return Err(WriteError::TooLong { limit });
        }
        crc.update(&frame);
        write(&frame, size)?;
        size = end;
    }
    Ok(Written { size, crc32: crc.finalize() })
}
