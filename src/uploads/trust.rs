//! What is believed after the machine was booted anew: records outlive bytes that were not synced, so parts are
//! compared with their checksums before anything is built on them.

use super::{Refusal, Uploads};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::metadata::{Record, State, StoredFile, Unfinished};
use crate::part::{Part, PartIndex};
use crate::storage;
use crate::words::counted;

/// So many are compared in one run of the job.
const BATCH: u32 = 100;

impl Uploads {
    /// The record as it can be built on: its parts are compared with their bytes where that is due.
    pub(super) async fn trusted(&self, record: Record) -> Result<Record, Refusal> {
        match &record.state {
            State::Receiving(unfinished) if unfinished.suspect => {
                self.compare_parts(record.id, unfinished).await?;
                self.metadata.load(record.id).await?.ok_or(Refusal::NotFound)
            }
            _ => Ok(record),
        }
    }

    /// Compares some of what is not to be believed yet; `false` when there was nothing.
    pub async fn compare_suspects(&self) -> Result<bool, Refusal> {
        let suspects = self.metadata.suspects(BATCH).await?;
        let any = !suspects.is_empty();
        for record in suspects {
            match record.state {
                State::Receiving(unfinished) => self.compare_parts(record.id, &unfinished).await?,
                State::Finished(file) => self.compare_file(&file).await?,
                _ => self.metadata.believe(record.id, Vec::new()).await?,
            }
        }
        Ok(any)
    }

    /// Compares the parts of an unfinished upload with their bytes and forgets those that are gone.
    pub async fn doubt(&self, id: UploadId) -> Result<(), Refusal> {
        self.metadata.doubt(id).await?;
        if let Some(record) = self.metadata.load(id).await? {
            self.trusted(record).await?;
        }
        Ok(())
    }

    /// Forgets the parts of an upload whose bytes are not what they were.
    async fn compare_parts(&self, id: UploadId, unfinished: &Unfinished) -> Result<(), Refusal> {
        let mut lost: Vec<(PartIndex, Part)> = Vec::new();
        // Parts that are being overwritten have other checksums; finishing compares the whole.
        if unfinished.finalizing.is_none() {
            for (index, part) in unfinished.layout.parts() {
                if !self.is_whole(unfinished.blob, *part).await? {
                    lost.push((index, *part));
                }
            }
        }
        if !lost.is_empty() {
            let chunks = counted(lost.len(), "chunk");
            tracing::warn!(%id, "lost {chunks} when the machine stopped; the client is asked for them again");
        }
        self.metadata.believe(id, lost).await?;
        crash::point(Point::PartsCompared);
        self.entries.get(id).forget();
        Ok(())
    }

    /// Gives up a File that was never synced and is not what it was.
    async fn compare_file(&self, file: &StoredFile) -> Result<(), Refusal> {
        let whole = Part { offset: 0, size: file.size, crc32: file.crc32 };
        if self.is_whole(file.blob, whole).await? {
            return Ok(self.metadata.believe(file.id, Vec::new()).await?);
        }
        tracing::error!(
            id = %file.id,
            "a file did not survive the machine's last stop, as it may at --durability process; it is gone"
        );
        self.give_up(file.id).await
    }

    /// Whether these bytes are there and have this checksum.
    async fn is_whole(&self, blob: BlobId, part: Part) -> Result<bool, Refusal> {
        let found = storage::crc32(self.blobs.as_ref(), blob, part.range()).await?;
        Ok(found == Some(part.crc32))
    }
}
