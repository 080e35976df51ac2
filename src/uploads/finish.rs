//! Finishing: from parts that are all there to a File. Every step can be repeated; no byte moves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use md5::{Digest, Md5};

use super::{Refusal, Uploads, detached, owned};
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::media::{self, MediaType};
use crate::metadata::{NewFile, State, StoredFile, Unfinished};
use crate::part::Part;
use crate::storage::SealError;

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
        let this = Arc::clone(self);
        let finishing = detached(async move { this.finish(request).await });
        tokio::time::timeout(PATIENCE, finishing).await.unwrap_or(Err(Refusal::Verifying))
    }

    async fn finish(&self, request: DoneRequest) -> Result<StoredFile, Refusal> {
        let entry = self.entries.get(request.id);
        let mut known_md5 = entry.finishing.lock().await;
        let record = self.metadata.load(request.id).await?.ok_or(Refusal::NotFound)?;
        match owned(record, request.user)?.state {
            State::Receiving(unfinished) => {
                let file = self.verify(unfinished, &request, &mut known_md5).await?;
                self.metadata.finish_upload(request.id, file, self.clock.unix_secs()).await?;
                entry.forget();
                self.stored(request.id).await
            }
            State::Finished(file) => {
                self.check_stated(&request, file.blob, file.size, &mut known_md5).await?;
                if let (false, Some(filename)) = (file.named, request.filename) {
                    self.metadata.name_file(request.id, filename).await?;
                }
                self.found(request.id).await
            }
            State::Replaced { .. } => self.found(request.id).await,
            state => Err(self.gone(request.id, state.standing()).await.unwrap_or(Refusal::Raced)),
        }
    }

    async fn found(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        self.files(vec![id]).await?.pop().flatten().ok_or(Refusal::Removed)
    }

    /// Checks that the parts make up the file that the request speaks of, and makes their blob durable.
    async fn verify(
        &self,
        unfinished: Unfinished,
        request: &DoneRequest,
        known_md5: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<NewFile, Refusal> {
        let Unfinished { blob, layout, filename, .. } = unfinished;
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
        self.check_stated(request, blob, size, known_md5).await?;
        let received: Vec<Part> = layout.parts().map(|(_, part)| *part).collect();
        match self.blobs.seal(blob, &received).await {
            Ok(()) => {}
            Err(SealError::Lost(error)) => return Err(self.restart(request.id, &error).await?),
            Err(SealError::Failed(error)) => return Err(error.into()),
        }
        let name = request.filename.clone().or(filename);
        let media_type = self.sniff(blob, size, name.as_ref()).await?;
        Ok(NewFile {
            filename: name.unwrap_or_else(|| Filename::made_up(media_type.extension())),
            named: true,
            media_type,
            duration_secs: None,
            size,
            crc32: combined_crc32(&received),
            received,
        })
    }

    /// What a done says of the size and the MD5 of the stored bytes.
    async fn check_stated(
        &self,
        request: &DoneRequest,
        blob: BlobId,
        size: u64,
        known_md5: &mut Option<(BlobId, [u8; 16])>,
    ) -> Result<(), Refusal> {
        same_size(request.total_size, size)?;
        let Some(declared) = request.md5 else { return Ok(()) };
        let actual = match *known_md5 {
            Some((of, md5)) if of == blob => md5,
            _ => known_md5.insert((blob, self.md5(blob, size).await?)).1,
        };
        same_md5(declared, actual)
    }

    /// After a failed sync nobody knows which bytes are on the disk, and a second sync would not say: the
    /// upload forgets its parts and begins again in another blob.
    async fn restart(&self, id: UploadId, error: &std::io::Error) -> Result<Refusal, Refusal> {
        tracing::error!(%id, %error, "an upload's bytes could not be made durable; it begins again");
        let forgotten = self.metadata.restart_upload(id, BlobId::random()).await?;
        self.entries.get(id).forget();
        if forgotten.is_none() {
            self.stored(id).await?; // not receiving any more: why?
        }
        self.delete_blobs(forgotten).await;
        Ok(Refusal::NotDurable)
    }

    /// The media type of the stored bytes.
    pub(super) async fn sniff(
        &self,
        blob: BlobId,
        size: u64,
        name: Option<&Filename>,
    ) -> Result<MediaType, Refusal> {
        let head = self.blobs.read(blob, 0..size.min(media::SNIFF_LEN as u64)).await?;
        let head = head
            .try_fold(Vec::new(), |mut head, frame| async move {
                head.extend_from_slice(&frame);
                Ok(head)
            })
            .await?;
        Ok(media::sniff(&head, name))
    }

    /// Refuses when the stored bytes have another MD5 than `declared`.
    pub(super) async fn check_md5(
        &self,
        blob: BlobId,
        size: u64,
        declared: Option<[u8; 16]>,
    ) -> Result<(), Refusal> {
        match declared {
            Some(declared) => same_md5(declared, self.md5(blob, size).await?),
            None => Ok(()),
        }
    }

    async fn md5(&self, blob: BlobId, size: u64) -> Result<[u8; 16], Refusal> {
        let bytes = self.blobs.read(blob, 0..size).await?;
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
