//! Finishing: from parts that are all there to a File. Every step can be repeated; no byte moves.
//!
//! Where a file holds metadata of its sender's, what it is about to become is put on record before the
//! first byte is overwritten: from then on its parts' checksums no longer tell whether it is whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use md5::{Digest, Md5};

use super::examine::{Examined, Label};
use super::{Refusal, Uploads, detached, sent_by};
use crate::crash::{self, Point};
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::media::thumbnail;
use crate::metadata::jobs::Outcome;
use crate::metadata::{Finalizing, NewFile, State, StoredFile, Unfinished};
use crate::part::Part;
use crate::storage::{self, READ_BYTES, SealError, Written, is_lost};

/// A done that takes longer is answered "verifying" and goes on; the vendor's client gives up at 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// A client's word that all chunks were sent.
#[derive(Clone, Debug)]
pub struct DoneRequest {
    /// Who sends it.
    pub user: UserId,
    /// The upload.
    pub id: UploadId,
    /// The file's name; the first done's is final.
    pub filename: Option<Filename>,
    /// What the file's size should be.
    pub total_size: Option<u64>,
    /// What its MD5 should be.
    pub md5: Option<[u8; 16]>,
}

impl Uploads {
    /// Makes a File of an upload whose parts are all there. Completes even if the caller goes away; again,
    /// also in parallel, it answers the same File. A refusal keeps the upload.
    pub async fn done(self: &Arc<Self>, request: DoneRequest) -> Result<StoredFile, Refusal> {
        let (this, settled) = (Arc::clone(self), self.jobs.settled());
        let finishing = detached(async move { this.finish(request).await });
        let file = tokio::time::timeout(PATIENCE, finishing).await;
        Ok(self.with_thumbnail(file.unwrap_or(Err(Refusal::Verifying))?, settled).await)
    }

    /// Takes up the finishing of an upload whose bytes may be partly overwritten, as after a crash. Repeating it is
    /// harmless.
    pub async fn resume(&self, id: UploadId) -> Result<(), Refusal> {
        let entry = self.entries.get(id);
        let _finishing = entry.finishing.lock().await;
        let state = self.metadata.load(id).await?.map(|record| record.state);
        let Some(State::Receiving(Unfinished { blob, finalizing: Some(finalizing), .. })) = state
        else {
            return Ok(());
        };
        match self.conclude_again(id, blob, *finalizing).await {
            Ok(()) => tracing::info!(%id, "a file was finished that a crash had interrupted"),
            Err(Refusal::NotDurable) => {} // which has said so
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn finish(&self, request: DoneRequest) -> Result<StoredFile, Refusal> {
        let entry = self.entries.get(request.id);
        let mut known_md5 = entry.finishing.lock().await;
        let record = self.metadata.load(request.id).await?.ok_or(Refusal::NotFound)?;
        match self.trusted(sent_by(record, request.user)?).await?.state {
            State::Receiving(unfinished) => {
                let blob = unfinished.blob;
                if let Some(finalizing) = unfinished.finalizing {
                    self.conclude_again(request.id, blob, *finalizing).await?;
                    let file = self.stored(request.id).await?;
                    return self.repeat(file, request, &mut known_md5).await;
                }
                let finalizing = self.verify(unfinished, &request, &mut known_md5).await?;
                self.conclude(request.id, blob, finalizing).await?;
                self.stored(request.id).await
            }
            State::Finished(file) => self.repeat(*file, request, &mut known_md5).await,
            State::Replaced { .. } => self.file(request.id, request.user).await,
            state => Err(self.gone(request.id, state.standing()).await.unwrap_or(Refusal::Raced)),
        }
    }

    /// Another done of what is a File already.
    async fn repeat(
        &self,
        file: StoredFile,
        request: DoneRequest,
        known_md5: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<StoredFile, Refusal> {
        same_size(request.total_size, file.size)?;
        if let Some(declared) = request.md5 {
            self.check_received_md5(&file, declared, known_md5).await?;
        }
        if let (false, Some(filename)) = (file.named, request.filename) {
            let renames = filename != file.filename;
            if !self.metadata.name_file(request.id, filename).await? && renames {
                return Err(Refusal::Attached);
            }
            crash::point(Point::FileNamed);
        }
        self.file(request.id, request.user).await
    }

    /// Checks that the parts make up the file that the request speaks of; what it is to become.
    async fn verify(
        &self,
        unfinished: Unfinished,
        request: &DoneRequest,
        known_md5: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<Finalizing, Refusal> {
        let Unfinished { blob, layout, filename, declared_type, .. } = unfinished;
        let ranges = layout.missing();
        if !ranges.is_empty() {
            return Err(Refusal::MissingParts { ranges });
        }
        let size =
            layout.contiguous_size().map_err(|(index, expected)| Refusal::NotContiguous {
                index,
                start: layout.part(index).map_or(0, |part| part.offset),
                expected,
            })?;
        same_size(layout.total_size, size)?;
        same_size(request.total_size, size)?;
        if let Some(declared) = request.md5 {
            match self.md5_once(blob, size, known_md5).await {
                Err(error) if is_lost(&error) => {
                    return Err(self.restart(request.id, blob, &error).await?);
                }
                actual => same_md5(declared, actual?)?,
            }
        }
        let received: Vec<Part> = layout.parts().map(|(_, part)| *part).collect();
        let written = Written { size, crc32: combined_crc32(&received) };
        let name = request.filename.clone().or(filename);
        let label =
            Label { filename: name.clone(), media_type: declared_type, duration_secs: None };
        let Examined { facts, cleaning, crc32 } = match self.examine(blob, written, label).await {
            Err(error) if is_lost(&error) => {
                return Err(self.restart(request.id, blob, &error).await?);
            }
            examined => examined?,
        };
        let file = NewFile {
            filename: name.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
            named: true,
            drawable: thumbnail::is_drawable(&facts.media_type),
            facts,
            embedded: cleaning.metadata,
            size,
            crc32,
            received_md5: request.md5,
            received,
        };
        crash::point(Point::DoneExamined);
        Ok(Finalizing { file, patches: cleaning.patches })
    }

    /// Overwrites what is to be overwritten, makes the bytes durable, and then the File.
    async fn conclude(
        &self,
        id: UploadId,
        blob: BlobId,
        finalizing: Finalizing,
    ) -> Result<(), Refusal> {
        if finalizing.patches.is_empty() {
            return self.seal_and_finish(id, blob, finalizing.file).await;
        }
        let (recorded, until) = (finalizing.clone(), self.leased_until());
        let Some(job) = self.metadata.finalize_upload(id, recorded, until).await? else {
            return Ok(()); // cancelled meanwhile
        };
        crash::point(Point::FinalizingRecorded);
        let concluded = self.overwrite_and_finish(id, blob, finalizing).await;
        if concluded.is_err() {
            // Where the upload begins again there is no such job any more.
            if let Err(error) = self.metadata.settle_job(job.id, job.lease, Outcome::Returned).await
            {
                tracing::warn!(%id, %error, "finishing an upload can't be taken up yet");
            }
            self.jobs.job_added();
        }
        concluded
    }

    async fn overwrite_and_finish(
        &self,
        id: UploadId,
        blob: BlobId,
        finalizing: Finalizing,
    ) -> Result<(), Refusal> {
        match self.blobs.patch(blob, &finalizing.patches).await {
            Err(error) if is_lost(&error) => return Err(self.restart(id, blob, &error).await?),
            patched => patched?,
        }
        crash::point(Point::MetadataOverwritten);
        self.seal_and_finish(id, blob, finalizing.file).await
    }

    /// Concludes what a crash left: patches again, and sees that the bytes are those that were received.
    async fn conclude_again(
        &self,
        id: UploadId,
        blob: BlobId,
        finalizing: Finalizing,
    ) -> Result<(), Refusal> {
        crash::point(Point::FinalizingResumed);
        let Finalizing { file, patches } = finalizing;
        let overwritten = async {
            self.blobs.patch(blob, &patches).await?;
            storage::crc32(self.blobs.as_ref(), blob, 0..file.size).await
        };
        match overwritten.await {
            Ok(crc32) if crc32 == Some(file.crc32) => self.seal_and_finish(id, blob, file).await,
            Err(error) if !is_lost(&error) => Err(error.into()),
            _ => {
                let error = io::Error::other("a crash took some of the bytes");
                Err(self.restart(id, blob, &error).await?)
            }
        }
    }

    async fn seal_and_finish(
        &self,
        id: UploadId,
        blob: BlobId,
        file: NewFile,
    ) -> Result<(), Refusal> {
        if self.condemned().contains(&blob) {
            let error = io::Error::other("an earlier sync of them failed");
            return Err(self.restart(id, blob, &error).await?);
        }
        match self.blobs.seal(blob, &file.received).await {
            Ok(()) => {}
            Err(SealError::Lost(error)) => return Err(self.restart(id, blob, &error).await?),
            Err(SealError::Failed(error)) => return Err(error.into()),
        }
        self.metadata.finish_upload(id, file, self.clock.unix_secs()).await?;
        crash::point(Point::FileFinished);
        self.entries.get(id).forget();
        Ok(())
    }

    /// Refuses when a File was received with another MD5 than `declared`. Where its metadata was removed and
    /// nobody asked for its MD5 before, nobody can tell any more: then all is well.
    async fn check_received_md5(
        &self,
        file: &StoredFile,
        declared: [u8; 16],
        known_md5: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<(), Refusal> {
        if let Some(received) = file.received_md5 {
            return same_md5(declared, received);
        }
        let Some(parts) = self.metadata.received_parts(file.id).await? else {
            self.stored(file.id).await?; // says what became of it
            return Err(Refusal::Raced);
        };
        if whole(&parts).is_some_and(|received| received.crc32 != file.crc32) {
            return Ok(());
        }
        match self.md5_once(file.blob, file.size, known_md5).await {
            Err(error) if is_lost(&error) => {
                self.stored(file.id).await?; // deleted in this instant?
                Err(error.into())
            }
            actual => same_md5(declared, actual?),
        }
    }

    /// After a failed sync nobody knows which bytes are on the disk, and a second sync would not say: the
    /// upload forgets its parts and begins again in another blob.
    async fn restart(
        &self,
        id: UploadId,
        blob: BlobId,
        error: &std::io::Error,
    ) -> Result<Refusal, Refusal> {
        self.condemned().insert(blob); // until the records say so
        let restarted = self.metadata.restart_upload(id, BlobId::random()).await?;
        crash::point(Point::UploadRestarted);
        self.entries.get(id).forget();
        if !restarted {
            self.stored(id).await?; // not receiving any more: why?
        }
        tracing::error!(%id, %error, "an upload's bytes could not be made durable; it begins again");
        self.jobs.job_added(); // to delete them
        Ok(Refusal::NotDurable)
    }

    /// Refuses when the stored bytes have another MD5 than `declared`. It is computed once.
    pub(super) async fn check_md5(
        &self,
        blob: BlobId,
        size: u64,
        declared: [u8; 16],
        known: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<(), Refusal> {
        same_md5(declared, self.md5_once(blob, size, known).await?)
    }

    async fn md5_once(
        &self,
        blob: BlobId,
        size: u64,
        known: &mut Option<(BlobId, [u8; 16])>,
    ) -> io::Result<[u8; 16]> {
        match *known {
            Some((of, md5)) if of == blob => Ok(md5),
            _ => Ok(known.insert((blob, self.md5(blob, size).await?)).1),
        }
    }

    async fn md5(&self, blob: BlobId, size: u64) -> io::Result<[u8; 16]> {
        let bytes = self.blobs.read(blob, 0..size, READ_BYTES).await?;
        let hashed = bytes.try_fold(Md5::new(), |mut md5, frame| async move {
            let hash = tokio::task::spawn_blocking(move || {
                md5.update(&frame);
                md5
            });
            hash.await.map_err(std::io::Error::other)
        });
        Ok(hashed.await?.finalize().into())
    }
}

/// Refuses when the file has another size than `declared`.
pub(super) fn same_size(declared: Option<u64>, actual: u64) -> Result<(), Refusal> {
    match declared {
        Some(declared) if declared != actual => {
            Err(Refusal::TotalSizeMismatch { declared, actual })
        }
        _ => Ok(()),
    }
}

fn same_md5(declared: [u8; 16], actual: [u8; 16]) -> Result<(), Refusal> {
    if declared == actual {
        return Ok(());
    }
    let hex = |md5: [u8; 16]| format!("{:032x}", u128::from_be_bytes(md5));
    Err(Refusal::Md5Mismatch { declared: hex(declared), actual: hex(actual) })
}

/// A file as it was received in these parts; `None` of a picture that was made here.
pub(super) fn whole(parts: &[Part]) -> Option<Written> {
    let size = parts.iter().map(|part| part.size).sum();
    (!parts.is_empty()).then(|| Written { size, crc32: combined_crc32(parts) })
}

/// The whole file's checksum from those of its parts, without reading a byte.
fn combined_crc32(parts: &[Part]) -> u32 {
    let mut whole = crc32fast::Hasher::new();
    for part in parts {
        whole.combine(&crc32fast::Hasher::new_with_initial_len(part.crc32, part.size));
    }
    whole.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_whole_follows_from_those_of_its_parts() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let mut offset = 0;
        let parts: Vec<Part> = bytes
            .chunks(777)
            .map(|chunk| {
                let part = Part { offset, size: chunk.len() as u64, crc32: crc32fast::hash(chunk) };
                offset += part.size;
                part
            })
            .collect();
        assert_eq!(combined_crc32(&parts), crc32fast::hash(&bytes));
    }
}
