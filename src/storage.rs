//! Stored bytes: the [`BlobStore`] contract and what all stores share.
//!
//! Knows nothing of HTTP, users or uploads. A *blob* is a named sequence of stored bytes; a file is a list of
//! [`Extents`] in blobs.

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

/// What an acknowledged request survives, apart from a crash of the process, which it always survives.
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
    /// Nothing more: the system decides when bytes and records are written to the disk.
    Process,
    /// A finished file survives a power failure.
    #[default]
    Finish,
    /// Every chunk survives a power failure.
    Chunk,
}

/// The bytes of a part as they arrive, in order. Each frame is dropped before the next one is polled, so that the
/// sender's buffer can be reused.
pub type Incoming<'a> = Pin<&'a mut (dyn Stream<Item = Result<Bytes, BodyError>> + Send)>;

/// How many bytes of a file the server reads at once for its own use. Large enough to make the overhead of the blocking
/// pool negligible.
pub const READ_BYTES: usize = 512 * 1024;

/// Stored bytes being read.
pub type Outgoing = BoxStream<'static, Result<Bytes, Error>>;

/// Why the bytes of a part stopped arriving.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The sender disconnected.
    #[error("the connection ended before the whole body had arrived")]
    Aborted,
    /// No bytes, or too few, arrived in time.
    #[error("the body arrived too slowly: {0}")]
    TooSlow(String),
    /// The form that contains the bytes is malformed. The message is for the client.
    #[error("{0}")]
    Malformed(String),
    /// The body is longer than any request may be.
    #[error("the request's body is longer than the limit of {}", bytes(*.limit))]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes should have come from a store, which failed. The failure has been logged.
    #[error("can't read stored bytes back")]
    Unreadable,
    /// A newer sender of the same part replaced this one.
    #[error("a newer request took the place of this one")]
    Superseded,
}

/// Where the bytes of a write go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into a new blob with this name, which was never used before.
    Fresh(BlobId),
    /// Into this blob, which is created if it doesn't exist. Only in a store that writes in place.
    At {
        /// The blob.
        blob: BlobId,
        /// The offset in the blob at which they begin.
        offset: u64,
        /// Number of bytes of the blob that are on record. Stores derive from it, never from an offset, how many blocks
        /// to reserve ahead of the writer. Unless it is 0, the blob must exist: otherwise the write fails with
        /// [`Error::NotFound`].
        stored: u64,
    },
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The body ended early.
    #[error("{error}")]
    BrokenOff {
        /// The reason.
        #[source]
        error: BodyError,
        /// The bytes received before that are stored as if the body had ended there. A caller that doesn't need them
        /// drops them.
        safe: Written,
    },
    /// More bytes arrived than allowed. What was written of them is undefined.
    #[error("more than {} arrived", bytes(*.limit))]
    TooLong {
        /// Maximum number of bytes.
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
    /// Some are missing, or the disk failed to keep some: another attempt would not tell which.
    #[error("the bytes are lost or not durable: {0}")]
    Lost(#[source] Error),
    /// Another failure; the bytes are unchanged.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<io::Error> for SettleError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Why uploads are refused now. The messages are for operators and may be shown to anyone: they contain no paths.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// A disk has too little free space.
    #[error(
        "the disk with the {what} has {} free, and {} must stay free: uploads are refused until files are deleted \
         or the disk is enlarged; files can still be read and deleted",
        space::in_words(*.free),
        space::in_words(*.keep)
    )]
    Full {
        /// What is on the disk.
        what: &'static str,
        /// Number of free bytes.
        free: u64,
        /// Number of bytes that must stay free.
        keep: u64,
    },
    /// The store's disk is not mounted.
    #[error("the disk with the stored files is not mounted: mount it again")]
    NotMounted(#[source] Error),
    /// No more files can be created on a disk.
    #[error(
        "the disk with the {what} has no inodes left (df -i), although {} are free: uploads are refused until files are \
         deleted or the file system is given more inodes; files can still be read and deleted",
        space::in_words(*.free)
    )]
    NoInodes {
        /// What is on the disk.
        what: &'static str,
        /// Number of free bytes.
        free: u64,
    },
    /// A test write didn't finish in time.
    #[error(
        "writing to the {what} has taken longer than {secs} s: their disk is slow or hangs, or another program holds the \
         database"
    )]
    Slow {
        /// What can't be written.
        what: &'static str,
        /// The time waited, in seconds.
        secs: u64,
    },
    /// The database doesn't answer, or doesn't accept changes.
    #[error(
        "the server can't reach its database, or the database accepts no changes: start it, or repair the network \
         between them; the log says more"
    )]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another failure.
    #[error("the {what} can't be written; the log says why")]
    Failed {
        /// What can't be written.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Unready {
    /// Fails unless more than `keep` bytes are free on the disk of this file or folder.
    pub fn unless_free(what: &'static str, path: &Path, keep: u64) -> Result<(), Self> {
        let free = space::free(path).map_err(|error| Self::failed(what, error))?;
        if free > keep { Ok(()) } else { Err(Self::Full { what, free, keep }) }
    }

    /// Fails if no file can be created on the disk of this folder.
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

    /// Describes the problem for the operator, including the system's error, which clients don't get to see.
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
    /// Number of bytes.
    pub size: u64,
    /// CRC-32 (IEEE 802.3) of the bytes.
    pub crc32: u32,
}

impl Written {
    /// The part that consists of these bytes at `offset`.
    pub fn at(self, offset: u64) -> Part {
        Part { offset, size: self.size, crc32: self.crc32 }
    }
}

/// Stored bytes opened for blocking code, such as decoders, which seek within a file.
pub trait Source: io::Read + io::Seek + Send + Sync {}

impl<T: io::Read + io::Seek + Send + Sync> Source for T {}

/// A stream of a store's blobs.
pub type Listing = BoxStream<'static, Result<BlobId, Error>>;

/// A store of bytes. Offsets and sizes are in bytes.
///
/// There are two kinds. A store that *writes in place* keeps all parts of an upload in one blob, each at its offset in
/// the file, and cleaning a file overwrites its bytes. To write or overwrite a range, a task must hold a [`Claim`] on
/// it, so that disjoint ranges of a blob can be written in parallel and no two tasks write the same byte. In the other
/// kind of store, a blob never changes once it is written: each part is a blob of its own, and cleaning a file changes
/// its extents.
///
/// Bytes survive a crash of the process once [`BlobStore::write`] has returned, and in a store that doesn't write in
/// place also a power failure. Once [`BlobStore::settle`] has returned, they survive a power failure in every store. A
/// disk can be opened with another [`Durability`].
#[async_trait::async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// The claims on ranges of blobs, in a store that writes in place; `None` in other stores.
    fn claims(&self) -> Option<&Arc<Claims>> {
        None
    }

    /// Whether this store writes in place.
    fn in_place(&self) -> bool {
        self.claims().is_some()
    }

    /// Writes at most `limit` bytes. Repeating a write replaces what was there. A failed write leaves undefined bytes,
    /// except for those that [`WriteError::BrokenOff`] reports as safe.
    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError>;

    /// Makes these bytes durable, and frees what their blobs contain or reserve after them. Repeating it is harmless.
    async fn settle(&self, extents: &Extents) -> Result<(), SettleError>;

    /// Applies patches to bytes that no one else is writing, and returns the resulting extents. A store that writes in
    /// place returns the same extents; any other store leaves the bytes as they were and stores the replacements in new
    /// blobs. The result is durable once it is settled (again). Repeating it is harmless.
    async fn rewrite(&self, extents: &Extents, patches: &[Patch]) -> Result<Extents, Error>;

    /// Opens bytes for reading from the beginning. Opening and reading block. Fails with [`Error::NotFound`] if a blob
    /// is missing.
    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, Error>;

    /// Reads `range` of these bytes in pieces of at most `piece` bytes. Only one piece is in memory: the next one is
    /// read once the previous one has been dropped. Fails with [`Error::NotFound`] if a blob is missing, and with
    /// [`Error::Short`] if it is too short.
    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Error>;

    /// The path at which a web server on this machine finds these bytes, relative to the folder it serves; `None` if
    /// they are not a single file.
    fn proxy_path(&self, _extents: &Extents) -> Option<String> {
        None
    }

    /// How many more bytes can be written.
    async fn room(&self) -> Result<u64, Error> {
        Ok(u64::MAX)
    }

    /// Deletes those of these blobs that exist, each once it is no longer being written: a late write would create it
    /// again. After an error, some may be left. Repeating it is harmless.
    async fn delete(&self, blobs: &[BlobId]) -> Result<(), Error>;

    /// The size of the blob in bytes; `None` if it doesn't exist.
    async fn size(&self, blob: BlobId) -> Result<Option<u64>, Error>;

    /// Lists blobs last written before `unix_secs`, to find those that no record claims. Ends at the first error.
    fn list_older_than(&self, unix_secs: u64) -> Listing;

    /// The id with which this store was marked.
    async fn marker(&self) -> Result<Option<BlobId>, Error>;

    /// Marks the store with an id, durably. Called once, while the store is empty.
    async fn mark(&self, id: BlobId) -> Result<(), Error>;

    /// Fails if this is not the store that was marked, for example because its disk was unmounted. Methods that don't
    /// find a blob check this themselves: [`Error::NotFound`], or `None`, means that the blob really doesn't exist.
    async fn is_itself(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Fails if the store can't accept bytes now. For the readiness probe.
    async fn check(&self) -> Result<(), Unready>;
}

/// The CRC-32 of stored bytes; `None` if some are missing.
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

/// Reads `body` to its end without storing it, and returns what [`BlobStore::write`] would have returned.
pub async fn checksum(limit: u64, body: Incoming<'_>) -> Result<Written, WriteError> {
    let (written, broken_off) = each_frame(limit, body, |_, _| Ok(())).await?;
    whole(written, broken_off)
}

/// Passes each frame and its offset within the body to `write`, and computes the checksum. Returns what was received,
/// and the error if the body ended early.
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

/// The result of a write that received these bytes before the body ended or broke off.
pub fn whole(written: Written, broken_off: Option<BodyError>) -> Result<Written, WriteError> {
    match broken_off {
        Some(error) => Err(WriteError::BrokenOff { error, safe: written }),
        None => Ok(written),
    }
}
