//! A chunk: from the fields that place it to its record.

use std::sync::Arc;

use super::claims::{Attempt, Claim};
use super::place::{Claimed, place_again};
use super::{Filled, Limits, Refusal, Slot, Spool, Uploads, detached};
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::metadata::State;
use crate::part::{self, Declaration, Layout, Part, Placement, PlacementError};
use crate::storage::Written;

/// A chunk, as its request describes it.
#[derive(Clone, Debug)]
pub struct ChunkRequest {
    /// Who sends it.
    pub user: UserId,
    /// The upload it belongs to, once the client knows it.
    pub id: Option<UploadId>,
    /// What it says of its place.
    pub declared: Declaration,
    /// The file's name, if it says so.
    pub filename: Option<Filename>,
    /// The media type, if it says so.
    pub declared_type: Option<String>,
    /// The media this scaled copy belongs to.
    pub parent: Option<UploadId>,
}

impl Uploads {
    /// Where the bytes of a request go, decided before the first of them is read. `chunk`: what is known
    /// so far, when it is a chunk; `bound`: no more bytes than this can come.
    ///
    /// What can't be placed yet goes to a spool; nothing is refused that later fields could put right.
    pub async fn slot(
        self: &Arc<Self>,
        chunk: Option<&ChunkRequest>,
        bound: u64,
    ) -> Result<Slot, Refusal> {
        let Some(request) = chunk else {
            return Ok(Slot::Spool(Spool::of_file(self)));
        };
        let Some(id) = request.id else {
            return Ok(Slot::Spool(Spool::of_chunk(self)));
        };
        self.check_limits(&request.declared, None)?;
        let Some(entry) = self.open_or_begin(id, request).await? else {
            return Ok(Slot::Spool(Spool::of_chunk(self)));
        };
        let bound = bound.min(self.limits.max_chunk_size);
        let claim = Claim::new(entry, request.declared.index);
        match self.claim(claim, &request.declared, None, bound).await? {
            Claimed::Granted(granted) => Ok(Slot::InPlace {
                granted,
                blobs: Arc::clone(&self.blobs),
            }),
            Claimed::Recorded(part) => Ok(Slot::Recorded {
                part,
                limit: self.limits.max_chunk_size,
            }),
            Claimed::NeedsSize => Ok(Slot::Spool(Spool::of_chunk(self))),
        }
    }

    /// Puts a chunk on record whose bytes and fields have all arrived; from here on it completes even if
    /// the caller goes away. Answers the upload's uuid. The same chunk again is answered the same.
    pub async fn accept_chunk(
        self: &Arc<Self>,
        filled: Filled,
        request: ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let this = Arc::clone(self);
        detached(async move { this.record_chunk(filled, &request).await }).await
    }

    async fn record_chunk(
        self: &Arc<Self>,
        filled: Filled,
        request: &ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let (declared, written) = (&request.declared, filled.written);
        self.check_limits(declared, Some(written.size))?;
        match filled.slot {
            Slot::Recorded { part, .. } => {
                let id = request.id.ok_or(Refusal::UuidMissing {
                    index: declared.index,
                })?;
                self.compare(id, declared, part, written).await?;
                Ok(id)
            }
            Slot::InPlace { granted, .. } => {
                let start = granted.start;
                match place_again(&granted.claim.entry, declared, written.size)? {
                    Some(Placement::At {
                        start: again,
                        even_size,
                    }) if again == start => {
                        let part = Part {
                            offset: start,
                            size: written.size,
                            crc32: written.crc32,
                        };
                        self.commit_part(granted.claim, declared, part, even_size)
                            .await
                    }
                    Some(_) => {
                        // Fields behind the file say otherwise than those before it.
                        let range = start..start + written.size;
                        let spool = Spool::copy(self, granted.blob, range).await?;
                        drop(granted);
                        self.record_spooled(spool, written, request).await
                    }
                    None => Err(self
                        .why_not_receiving(granted.claim.entry.id, declared)
                        .await),
                }
            }
            Slot::Spool(spool) => self.record_spooled(spool, written, request).await,
        }
    }

    /// Places a chunk whose bytes came before the fields that place it. The first bytes of a new upload
    /// stay where they are; others are copied into place.
    async fn record_spooled(
        self: &Arc<Self>,
        spool: Spool,
        written: Written,
        request: &ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let declared = &request.declared;
        let id = match request.id {
            Some(id) => id,
            None if declared.index == 0 => UploadId::random(),
            None => {
                return Err(Refusal::UuidMissing {
                    index: declared.index,
                });
            }
        };
        if let Some(claim) = self.adopt_spool(id, &spool, written, request).await? {
            spool.keep();
            let part = Part {
                offset: 0,
                size: written.size,
                crc32: written.crc32,
            };
            return self.commit_part(claim, declared, part, None).await;
        }
        let entry = self
            .open_or_begin(id, request)
            .await?
            .ok_or(Refusal::Placement(PlacementError::TotalPartsMissing))?;
        let claim = Claim::new(entry, declared.index);
        match self
            .claim(claim, declared, Some(written.size), written.size)
            .await?
        {
            Claimed::Granted(granted) => {
                let mut bytes = spool.read(written.size).await?;
                let copied = self
                    .blobs
                    .write_part(granted.blob, granted.start, written.size, bytes.as_mut())
                    .await
                    .map_err(|error| Refusal::of_write(error, |_| Refusal::Raced))?;
                let part = Part {
                    offset: granted.start,
                    size: copied.size,
                    crc32: copied.crc32,
                };
                let placed = place_again(&granted.claim.entry, declared, copied.size)?;
                let Some(Placement::At { even_size, .. }) = placed else {
                    return Err(Refusal::Raced);
                };
                self.commit_part(granted.claim, declared, part, even_size)
                    .await
            }
            Claimed::Recorded(part) => {
                self.compare(id, declared, part, written).await?;
                Ok(id)
            }
            Claimed::NeedsSize => Err(Refusal::Raced), // the size is known: can't be
        }
    }

    /// Begins an upload whose first bytes are the spool's, if it is new and they are its first. The claim
    /// is taken before anybody else can see the upload.
    async fn adopt_spool(
        self: &Arc<Self>,
        id: UploadId,
        spool: &Spool,
        written: Written,
        request: &ChunkRequest,
    ) -> Result<Option<Claim>, Refusal> {
        let Some(total_parts) = request.declared.total_parts else {
            return Ok(None);
        };
        let placed = part::place(
            &request.declared,
            &Layout::new(total_parts),
            Some(written.size),
        );
        if !matches!(
            placed,
            Ok(Placement::At {
                start: 0,
                even_size: None
            })
        ) {
            return Ok(None);
        }
        let entry = self.entries.get(id);
        let _loading = entry.loading.lock().await;
        if request.id.is_some() && self.loaded(&entry).await? {
            return Ok(None);
        }
        if !self
            .begin(&entry, request, total_parts, spool.blob())
            .await?
        {
            return Ok(None);
        }
        let claim = Claim::new(Arc::clone(&entry), request.declared.index);
        match claim.attempt(&request.declared, Some(written.size), written.size)? {
            Attempt::Granted { .. } => Ok(Some(claim)),
            _ => Err(Refusal::Raced),
        }
    }

    /// A chunk that was sent again: fine when it is the same.
    async fn compare(
        &self,
        id: UploadId,
        declared: &Declaration,
        part: Part,
        written: Written,
    ) -> Result<(), Refusal> {
        let same_place = part::declared_offset(declared).is_none_or(|start| start == part.offset);
        if same_place && (part.size, part.crc32) == (written.size, written.crc32) {
            return Ok(());
        }
        let index = declared.index;
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(_)) => Err(Refusal::UploadFinished { index }),
            _ => Err(Refusal::ChunkConflict { index }),
        }
    }

    fn check_limits(&self, declared: &Declaration, size: Option<u64>) -> Result<(), Refusal> {
        let Limits {
            max_file_size,
            max_chunk_size,
            max_parts,
            ..
        } = self.limits;
        if let Some(sent) = declared.total_parts.filter(|sent| *sent > max_parts) {
            return Err(Refusal::TooManyParts {
                sent: sent.into(),
                max: max_parts,
            });
        }
        let total = declared
            .total_size
            .or(declared.content_range.and_then(|range| range.total));
        if let Some(size) = total.filter(|size| *size > max_file_size) {
            return Err(Refusal::FileTooLarge {
                size,
                max: max_file_size,
            });
        }
        let size = size.or_else(|| part::declared_size(declared));
        if size.is_some_and(|size| size > max_chunk_size) {
            return Err(Refusal::ChunkTooLarge {
                max: max_chunk_size,
            });
        }
        Ok(())
    }
}
