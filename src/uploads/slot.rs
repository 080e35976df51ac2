//! Where a request's bytes go: into their place, into a blob that becomes the part, to a spool, or nowhere because they
//! are already recorded.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::Refusal;
use super::restart::restart;
use super::senders::Sender;
use super::shared::{Shared, detached};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::metadata::Generation;
use crate::metadata::quota::OverQuota;
use crate::part::Part;
use crate::storage::{
    self, BlobStore, BodyError, Claim, Extents, Incoming, READ_BYTES, Target, WriteError, Written,
};
use crate::telemetry::on_behalf;

/// Where the bytes of one request go.
pub enum Slot {
    /// Into their final place, which this sender has claimed.
    InPlace {
        /// The place.
        granted: GrantedRange,
        /// The upload's blob.
        blob: BlobId,
    },
    /// Into a blob of their own, which becomes the part, because the store doesn't write in place.
    Apart {
        /// The place in the file.
        granted: GrantedRange,
        /// The blob.
        spool: Spool,
    },
    /// Nowhere: they are already recorded, and only compared.
    Recorded {
        /// The upload.
        id: UploadId,
        /// The recorded part.
        part: Part,
        /// Maximum size of a chunk.
        limit: u64,
    },
    /// Into a blob of their own, until the fields after them say where they go.
    Spool(Spool),
}

/// A range that one sender may write.
pub struct GrantedRange {
    pub(super) shared: Arc<Shared>,
    pub(super) sender: Sender,
    /// The claim on the range in the upload's blob; `None` if the store doesn't write in place.
    pub(super) claim: Option<Claim>,
    /// The upload.
    pub(super) of: Generation,
    pub(super) start: u64,
    pub(super) limit: u64,
    /// Bytes of the upload that were on record when the range was granted.
    pub(super) stored: u64,
    /// Whether the request declared the limit as the size of its chunk.
    pub(super) declared: bool,
}

/// A slot whose bytes have all arrived.
pub struct FilledSlot {
    pub(super) slot: Slot,
    pub(super) written: Written,
}

impl Slot {
    /// Reads the bytes. None of them count until they are accepted.
    pub async fn fill(self, body: Incoming<'_>) -> Result<FilledSlot, Refusal> {
        let written = match &self {
            Self::InPlace { granted, blob } => granted.write(granted.place_in(*blob), body).await?,
            Self::Apart { granted, spool } => {
                granted.write(Target::Fresh(spool.blob), body).await?
            }
            Self::Recorded { limit, .. } => storage::checksum(*limit, body)
                .await
                .map_err(|error| Refusal::of_write(error, |max| Refusal::ChunkTooLarge { max }))?,
            Self::Spool(spool) => spool.write(body).await?,
        };
        Ok(FilledSlot { slot: self, written })
    }
}

impl FilledSlot {
    /// Completes when the sender must stop because a newer sender of the same part came or the upload is gone. Never
    /// completes for other slots.
    pub async fn revoked(&self) -> Refusal {
        match &self.slot {
            Slot::InPlace { granted, .. } | Slot::Apart { granted, .. } => {
                granted.sender.revoked.cancelled().await;
                granted.sender.stop_reason()
            }
            Slot::Recorded { .. } | Slot::Spool(_) => std::future::pending().await,
        }
    }
}

impl GrantedRange {
    /// The slot for the sender's bytes.
    pub(super) fn slot(self) -> Slot {
        match self.claim.as_ref().map(Claim::blob) {
            Some(blob) => Slot::InPlace { granted: self, blob },
            None => Slot::Apart { spool: Spool::of_chunk(&self.shared), granted: self },
        }
    }

    /// Its place in the upload's blob.
    pub(super) fn place_in(&self, blob: BlobId) -> Target {
        Target::At { blob, offset: self.start, stored: self.stored }
    }

    /// Writes the part. Stops when a newer sender of it comes, or its upload is gone.
    pub(super) async fn write(
        &self,
        target: Target,
        body: Incoming<'_>,
    ) -> Result<Written, Refusal> {
        let revoked = &self.sender.revoked;
        let mut body = std::pin::pin!(body.take_until(revoked.cancelled()));
        let written = self.shared.blobs.write(target, self.limit, body.as_mut()).await;
        if revoked.is_cancelled() {
            return Err(self.sender.stop_reason());
        }
        match written {
            Err(WriteError::Store(error @ storage::Error::NotFound)) => {
                Err(self.start_over(error).await?)
            }
            written => written.map_err(|error| {
                Refusal::of_write(error, |limit| {
                    if self.declared {
                        Refusal::LongerThanDeclared { declared: limit }
                    } else {
                        Refusal::ChunkTooLarge { max: limit }
                    }
                })
            }),
        }
    }

    /// Starts the upload over because recorded bytes are missing.
    async fn start_over(&self, error: storage::Error) -> Result<Refusal, Refusal> {
        let (shared, of) = (Arc::clone(&self.shared), self.of);
        detached(async move { restart(&shared, of, &error).await }).await
    }
}

/// What it means if more bytes come than a spool accepts.
#[derive(Clone, Copy)]
enum TooLong {
    Chunk,
    File,
    Over(OverQuota),
}

/// A blob that no record claims yet. It is deleted on drop, unless it was kept.
pub struct Spool {
    blob: BlobId,
    limit: u64,
    too_long: TooLong,
    blobs: Arc<dyn BlobStore>,
    kept: bool,
    begun: Instant,
    max_age: Duration,
}

impl Spool {
    /// Creates a spool for a chunk whose place isn't known yet.
    pub(super) fn of_chunk(shared: &Shared) -> Self {
        Self::new(shared, shared.limits.max_chunk_size, TooLong::Chunk)
    }

    /// Creates a spool for a whole file, or for what may turn out to be one.
    pub(super) fn of_file(shared: &Shared) -> Self {
        Self::new(shared, shared.limits.max_file_size, TooLong::File)
    }

    fn new(shared: &Shared, limit: u64, too_long: TooLong) -> Self {
        Self {
            blob: BlobId::random(),
            limit,
            too_long,
            blobs: Arc::clone(&shared.blobs),
            kept: false,
            begun: Instant::now(),
            max_age: shared.limits.max_age,
        }
    }

    /// Lowers the limit if quotas allow fewer bytes.
    pub(super) fn within(mut self, allowance: Option<(u64, OverQuota)>) -> Self {
        if let Some((limit, over)) = allowance.filter(|(limit, _)| *limit < self.limit) {
            self.limit = limit;
            self.too_long = TooLong::Over(over);
        }
        self
    }

    /// Creates a spool that holds a copy of these bytes.
    pub(super) async fn copy(shared: &Shared, extents: &Extents) -> Result<Self, Refusal> {
        let spool = Self::of_file(shared);
        let mut bytes = stored(shared.blobs.as_ref(), extents).await?;
        spool.write(bytes.as_mut()).await?;
        Ok(spool)
    }

    pub(super) fn blob(&self) -> BlobId {
        self.blob
    }

    /// The extents of its bytes, of which there are `size`.
    pub(super) fn extents(&self, size: u64) -> Extents {
        Extents::stored(self.blob, 0, size)
    }

    /// Reads its bytes, of which there are `size`.
    pub(super) async fn read(&self, size: u64) -> Result<Stored, Refusal> {
        stored(self.blobs.as_ref(), &self.extents(size)).await
    }

    /// From now on, a record may claim it.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// From now on, a record may claim its `size` bytes. An empty spool is never claimed.
    pub(super) fn keep_bytes(&mut self, size: u64) {
        self.kept = size > 0;
    }

    /// No record claims it after all.
    pub(super) fn discard(&mut self) {
        self.kept = false;
    }

    /// Refuses to record bytes so old that a sweep may take them for unclaimed.
    pub(super) fn check_age(&self) -> Result<(), Refusal> {
        if self.begun.elapsed() < self.max_age {
            return Ok(());
        }
        let limit = self.max_age.as_secs();
        let message = format!("it was not recorded within {limit} s");
        Err(Refusal::Body(BodyError::TooSlow(message)))
    }

    async fn write(&self, body: Incoming<'_>) -> Result<Written, Refusal> {
        let written = self.blobs.write(Target::Fresh(self.blob), self.limit, body).await;
        crash::point(Point::SpoolFilled);
        let too_long = |max| match self.too_long {
            TooLong::Chunk => Refusal::ChunkTooLarge { max },
            TooLong::File => Refusal::FileTooLong { max },
            TooLong::Over(over) => over.into(),
        };
        written.map_err(|error| Refusal::of_write(error, too_long))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (blobs, blob) = (Arc::clone(&self.blobs), self.blob);
        let delete = async move {
            if let Err(error) = blobs.delete(&[blob]).await {
                tracing::warn!(%blob, %error, "can't delete a spool; the sweep will delete it");
            }
        };
        tokio::spawn(on_behalf(delete));
    }
}

/// Stored bytes being copied into another blob.
pub(super) type Stored = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

async fn stored(blobs: &dyn BlobStore, extents: &Extents) -> Result<Stored, Refusal> {
    let bytes = match blobs.read(extents, 0..extents.size(), READ_BYTES).await {
        Err(error) if error.is_lost() => return Err(Refusal::Raced), // another process ended their upload
        bytes => bytes?,
    };
    Ok(Box::pin(bytes.map_err(move |error| {
        tracing::error!(%error, "can't read stored bytes back");
        BodyError::Unreadable
    })))
}
