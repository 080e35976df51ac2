//! Makes a File of an upload that has all its parts. Every step can be repeated, and no byte is moved.
//!
//! If a file contains metadata about its sender, the cleaned file is recorded before the first byte is overwritten,
//! because from then on the parts' checksums no longer tell whether it is whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use super::entries::KnownMd5;
use super::examine::{Examined, Label};
use super::records::sent_by;
use super::restart::restart;
use super::shared::{Shared, detached};
use super::{Refusal, examine, records, thumbnail as picture, trust};
use crate::crash::{self, Point};
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::media::thumbnail;
use crate::metadata::jobs::Outcome;
use crate::metadata::{Append, Finalizing, NewFile, Snapshot, State, StoredFile, Unfinished};
use crate::part::{self, Layout, Part};
use crate::storage::{self, Claim, Error, Extents, READ_BYTES, SettleError, Written};

/// How long a done request waits. After that it is answered with "verifying" and finishing continues; the vendor's
/// client gives up after 10 s.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a done request tries again if others change the upload in the meantime.
const ATTEMPTS: u32 = 8;

/// A client's statement that it has sent all chunks.
#[derive(Clone, Debug)]
pub struct DoneRequest {
    /// The user who sends it.
    pub user: UserId,
    /// The upload.
    pub id: UploadId,
    /// The file's name. The name in the first done request is final.
    pub filename: Option<Filename>,
    /// The expected size of the file.
    pub total_size: Option<u64>,
    /// The expected MD5 of the file.
    pub md5: Option<[u8; 16]>,
}

/// Makes a File of an upload that has all its parts. It completes even if the caller goes away. Repeating it, even in
/// parallel, returns the same File. A refusal leaves the upload as it is.
pub(super) async fn done(
    shared: &Arc<Shared>,
    request: DoneRequest,
) -> Result<StoredFile, Refusal> {
    let (this, settled) = (Arc::clone(shared), shared.jobs.settled());
    let finishing = detached(async move { finish(&this, request).await });
    let file = tokio::time::timeout(REPLY_TIMEOUT, finishing).await;
    Ok(picture::with_thumbnail(shared, file.unwrap_or(Err(Refusal::Verifying))?, settled).await)
}

/// Resumes finishing an upload whose bytes may already be partly overwritten, for example after a crash. Repeating it
/// is harmless.
pub(super) async fn resume(shared: &Shared, id: UploadId) -> Result<(), Refusal> {
    let entry = shared.entries.get(id);
    let _finishing = entry.finishing.lock().await;
    let state = shared.metadata.load(id).await?.map(|record| record.state);
    let Some(State::Receiving(mut unfinished)) = state else {
        return Ok(());
    };
    let Some(finalizing) = unfinished.finalizing.take() else {
        return Ok(());
    };
    match resume_conclude(shared, unfinished.snapshot(id), *finalizing).await {
        Ok(true) => tracing::info!(%id, "finished a file after a crash or failure"),
        // It was finished or cancelled by another request, or it starts over, which has been logged.
        Ok(false) | Err(Refusal::NotDurable) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Like [`done`], but waits as long as it takes, and ends with its caller.
pub(super) async fn finish(shared: &Shared, request: DoneRequest) -> Result<StoredFile, Refusal> {
    let entry = shared.entries.get(request.id);
    let mut known_md5 = entry.finishing.lock().await;
    for _ in 0..ATTEMPTS {
        let record = shared.metadata.load(request.id).await?.ok_or(Refusal::NotFound)?;
        let unfinished = match trust::trusted(shared, sent_by(record, &request.user)?).await?.state
        {
            State::Receiving(unfinished) => unfinished,
            State::Finished(file) => return repeat(shared, *file, request, &mut known_md5).await,
            State::Replaced { .. } => {
                return records::file(shared, request.id, &request.user).await;
            }
            state => {
                let gone = records::gone(shared, request.id, state.standing()).await;
                return Err(gone.unwrap_or(Refusal::Raced));
            }
        };
        let of = unfinished.snapshot(request.id);
        match make_file(shared, of, *unfinished, &request, &mut known_md5).await {
            Ok(true) => return records::stored(shared, request.id).await,
            Ok(false) => {}
            // Another task may have been overwriting the bytes while they were being read.
            Err(Refusal::Md5Mismatch { .. }) if !shared.metadata.is_current(of).await? => {}
            Err(refusal) => return Err(refusal),
        }
        *known_md5 = None;
    }
    Err(Refusal::Raced)
}

/// Makes a File of the upload in this snapshot. Returns `false` if the record has changed since.
async fn make_file(
    shared: &Shared,
    of: Snapshot,
    mut unfinished: Unfinished,
    request: &DoneRequest,
    known_md5: &mut Option<KnownMd5>,
) -> Result<bool, Refusal> {
    if let Some(finalizing) = unfinished.finalizing.take() {
        resume_conclude(shared, of, *finalizing).await?;
        return Ok(false);
    }
    let finalizing = verify(shared, unfinished, request, known_md5).await?;
    conclude(shared, of, finalizing).await
}

/// Handles another done request for what is already a File.
async fn repeat(
    shared: &Shared,
    file: StoredFile,
    request: DoneRequest,
    known_md5: &mut Option<KnownMd5>,
) -> Result<StoredFile, Refusal> {
    same_size(request.total_size, file.size)?;
    if let Some(declared) = request.md5 {
        check_received_md5(shared, &file, declared, known_md5).await?;
    }
    if let (false, Some(filename)) = (file.named, request.filename) {
        let renames = filename != file.filename;
        if !shared.metadata.name_file(request.id, filename).await? && renames {
            return Err(Refusal::Attached);
        }
        crash::point(Point::FileNamed);
    }
    records::file(shared, request.id, &request.user).await
}

/// Checks that the parts make up the file that the request describes. Returns what the upload becomes.
async fn verify(
    shared: &Shared,
    unfinished: Unfinished,
    request: &DoneRequest,
    known_md5: &mut Option<KnownMd5>,
) -> Result<Finalizing, Refusal> {
    let of = unfinished.generation(request.id);
    let Unfinished { location, layout, append, filename, declared_type, .. } = unfinished;
    if let Some(append) = &append {
        check_complete(append, &layout)?;
    }
    let md5 = request.md5.or(append.and_then(|append| append.md5));
    let ranges = layout.missing();
    if !ranges.is_empty() {
        return Err(Refusal::MissingParts { ranges });
    }
    let size = layout.contiguous_size().map_err(|(index, expected)| Refusal::NotContiguous {
        index,
        start: layout.part(index).map_or(0, |part| part.offset),
        expected,
    })?;
    same_size(layout.total_size, size)?;
    same_size(request.total_size, size)?;
    let extents = location.of(0..size);
    if let Some(declared) = md5 {
        match md5_once(shared, &extents, known_md5).await {
            Err(error) if error.is_lost() => {
                return Err(restart(shared, of, &error).await?);
            }
            actual => same_md5(declared, actual?)?,
        }
    }
    let received: Vec<Part> = layout.parts().map(|(_, part)| *part).collect();
    let written = whole(&received).unwrap_or(Written { size, crc32: 0 });
    let name = request.filename.clone().or(filename);
    let label = Label { filename: name.clone(), media_type: declared_type, duration_secs: None };
    let Examined { facts, cleaning, crc32 } =
        match examine::examine(shared, &extents, written, label).await {
            Err(error) if error.is_lost() => {
                return Err(restart(shared, of, &error).await?);
            }
            examined => examined?,
        };
    let file = NewFile {
        made_up: name.is_none(),
        filename: name.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
        named: true,
        drawable: thumbnail::is_drawable(&facts.media_type),
        facts,
        embedded: cleaning.metadata,
        extents,
        size,
        crc32,
        received_md5: md5,
        received,
    };
    crash::point(Point::DoneExamined);
    Ok(Finalizing { file, patches: cleaning.patches })
}

/// Refuses an upload whose bytes arrive in order and are not complete.
fn check_complete(append: &Append, layout: &Layout) -> Result<(), Refusal> {
    if append.is_partial {
        return Err(Refusal::Partial);
    }
    let (received, total) = (layout.end(), layout.total_size);
    if total == Some(received) { Ok(()) } else { Err(Refusal::Incomplete { received, total }) }
}

/// Applies the patches, makes the bytes durable, and creates the File. Returns `false` if the snapshot is stale. Bytes
/// that are overwritten in place have their patches recorded first; other stores keep the old bytes until the File
/// exists.
async fn conclude(shared: &Shared, of: Snapshot, finalizing: Finalizing) -> Result<bool, Refusal> {
    if finalizing.patches.is_empty() {
        return settle_and_finish(shared, of, finalizing.file).await;
    }
    if !shared.blobs.in_place() {
        return rewrite_and_finish(shared, of, finalizing).await;
    }
    let (recorded, until) = (finalizing.clone(), shared.leased_until());
    let Some((job, of)) = shared.metadata.in_place().finalize_upload(of, recorded, until).await?
    else {
        return Ok(false);
    };
    crash::point(Point::FinalizingRecorded);
    let concluded = rewrite_and_finish(shared, of, finalizing).await;
    if concluded.is_err() {
        // If the upload starts over, this job no longer exists.
        if let Err(error) = shared.metadata.settle_job(job.id, job.lease, Outcome::Returned).await {
            let id = of.generation.upload;
            tracing::warn!(%id, %error, "can't return the job that finishes an upload; it is retried after its lease");
        }
        shared.jobs.job_added();
    }
    concluded
}

async fn rewrite_and_finish(
    shared: &Shared,
    of: Snapshot,
    finalizing: Finalizing,
) -> Result<bool, Refusal> {
    let Finalizing { mut file, patches } = finalizing;
    let _claims = claims(shared, &file.extents).await;
    file.extents = match shared.blobs.rewrite(&file.extents, &patches).await {
        Err(error) if error.is_lost() => {
            return Err(restart(shared, of.generation, &error).await?);
        }
        rewritten => rewritten?,
    };
    crash::point(Point::MetadataOverwritten);
    settle_and_finish(shared, of, file).await
}

/// Keeps others from writing or overwriting these bytes, if the store writes in place.
async fn claims(shared: &Shared, extents: &Extents) -> Vec<Claim> {
    let Some(claims) = shared.blobs.claims() else {
        return Vec::new();
    };
    let blobs = extents.blobs().into_iter().map(|(blob, _)| blob);
    let blobs: BTreeSet<BlobId> = blobs.collect(); // in a fixed order, which rules out a deadlock
    stream::iter(blobs).then(|blob| claims.claim_all(blob)).collect().await
}

/// Concludes after a crash: applies the patches again and checks that the bytes are those that were received.
async fn resume_conclude(
    shared: &Shared,
    of: Snapshot,
    finalizing: Finalizing,
) -> Result<bool, Refusal> {
    crash::point(Point::FinalizingResumed);
    let Finalizing { file, patches } = finalizing;
    let _claims = claims(shared, &file.extents).await;
    let overwritten = async {
        shared.blobs.rewrite(&file.extents, &patches).await?;
        storage::crc32(shared.blobs.as_ref(), &file.extents).await
    };
    match overwritten.await {
        Ok(crc32) if crc32 == Some(file.crc32) => settle_and_finish(shared, of, file).await,
        Err(error) if !error.is_lost() => Err(error.into()),
        _ => {
            let error = Error::other("some of the bytes were lost in a crash");
            Err(restart(shared, of.generation, &error).await?)
        }
    }
}

async fn settle_and_finish(shared: &Shared, of: Snapshot, file: NewFile) -> Result<bool, Refusal> {
    let (id, extents) = (of.generation.upload, &file.extents);
    match shared.blobs.settle(extents).await {
        Ok(()) => {}
        Err(SettleError::Lost(error)) => {
            return Err(restart(shared, of.generation, &error).await?);
        }
        Err(SettleError::Failed(error)) => return Err(error.into()),
    }
    let keeps_blob = file.extents.single_blob().is_some();
    let finished = shared.metadata.finish_upload(of, file, shared.clock.unix_secs()).await?;
    crash::point(Point::FileFinished);
    shared.entries.get(id).forget();
    if !keeps_blob {
        shared.jobs.job_added(); // to delete blobs of the upload that the File doesn't use
    }
    Ok(finished)
}

/// Refuses if a File was received with an MD5 other than `declared`. If its metadata was removed before its MD5 was
/// computed, the MD5 can't be known any more, and the request is accepted.
async fn check_received_md5(
    shared: &Shared,
    file: &StoredFile,
    declared: [u8; 16],
    known_md5: &mut Option<KnownMd5>,
) -> Result<(), Refusal> {
    if let Some(received) = file.received_md5 {
        return same_md5(declared, received);
    }
    let Some(parts) = shared.metadata.received_parts(file.id).await? else {
        records::stored(shared, file.id).await?; // returns an error if the File is gone
        return Err(Refusal::Raced);
    };
    if whole(&parts).is_some_and(|received| received.crc32 != file.crc32) {
        return Ok(());
    }
    match md5_once(shared, &file.extents, known_md5).await {
        Err(error) if error.is_lost() => {
            records::stored(shared, file.id).await?; // deleted just now?
            Err(error.into())
        }
        actual => same_md5(declared, actual?),
    }
}

/// Refuses if the stored bytes have an MD5 other than `declared`. The MD5 is computed once.
pub(super) async fn check_md5(
    shared: &Shared,
    extents: &Extents,
    declared: [u8; 16],
    known: &mut Option<KnownMd5>,
) -> Result<(), Refusal> {
    same_md5(declared, md5_once(shared, extents, known).await?)
}

async fn md5_once(
    shared: &Shared,
    extents: &Extents,
    known: &mut Option<KnownMd5>,
) -> Result<[u8; 16], Error> {
    match known {
        Some((of, md5)) if of == extents => Ok(*md5),
        _ => Ok(known.insert((extents.clone(), md5(shared, extents).await?)).1),
    }
}

async fn md5(shared: &Shared, extents: &Extents) -> Result<[u8; 16], Error> {
    let bytes = shared.blobs.read(extents, 0..extents.size(), READ_BYTES).await?;
    let hashed = bytes.try_fold(Md5::new(), |mut md5, frame| async move {
        let hash = tokio::task::spawn_blocking(move || {
            md5.update(&frame);
            md5
        });
        hash.await.map_err(Error::other)
    });
    Ok(hashed.await?.finalize().into())
}

/// Refuses if the file's size is not the `declared` one.
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

/// The size and CRC-32 of a file as received in these parts; `None` for a thumbnail that the server made.
pub(super) fn whole(parts: &[Part]) -> Option<Written> {
    let whole = parts.iter().copied().reduce(part::joined)?;
    Some(Written { size: whole.size, crc32: whole.crc32 })
}
