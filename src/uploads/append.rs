//! Uploads whose bytes arrive in order: each request appends to what is there.
//!
//! Little is lost when a request breaks off: its bytes are recorded piece by piece while they stream in, and so is the
//! rest when the body ends. If the request gives a checksum, none of its bytes count until the checksum matches.

mod body;
mod writer;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;

use super::entries::Entry;
use super::progress::Progress;
use super::senders::{AtEnd, End, Sender};
use super::shared::{Shared, detached};
use super::{AppendRequest, Creation, Refusal, place, records, room};
use crate::ids::{GenerationId, UploadId};
use crate::metadata::{NewAppend, NewUpload, Record, Standing};
use crate::storage::{Claim, Incoming};
use body::has_more;
use writer::Writer;

/// Begins an upload. The server chooses its uuid.
pub(super) async fn create(shared: &Arc<Shared>, new: Creation) -> Result<UploadId, Refusal> {
    shared.limits.check_total(new.total_size)?;
    room::check_room(shared, new.total_size.unwrap_or(0)).await?;
    let this = Arc::clone(shared);
    detached(async move {
        let id = UploadId::random();
        let entry = this.entries.get(id);
        let _loading = entry.loading.lock().await;
        let upload = NewUpload {
            id,
            user: new.user,
            generation: GenerationId::random(),
            blob: this.new_blob(),
            total_parts: 0,
            append: Some(NewAppend {
                total_size: new.total_size,
                md5: new.md5,
                is_partial: new.is_partial,
            }),
            reserved: new.total_size.unwrap_or(0),
            filename: new.filename,
            declared_type: new.declared_type,
            parent: None,
        };
        place::begin_upload(&this, &entry, upload).await?.then_some(id).ok_or(Refusal::Raced)
    })
    .await
}

/// Appends bytes to an upload. A newer request at the same offset, or a query of the upload's progress, stops this one
/// after its current write. The last byte of the file finishes the upload; if finishing takes longer than a reply may
/// wait, [`Progress::file`] is `None`.
pub(super) async fn append(
    shared: &Arc<Shared>,
    request: AppendRequest,
    body: Incoming<'_>,
) -> Result<Progress, Refusal> {
    let settled = shared.jobs.settled();
    room::check_room(shared, request.length.unwrap_or(0)).await?;
    let entry = shared.entries.get(request.id);
    let sender = Sender::at_end(shared, Arc::clone(&entry));
    let end = match wait_for_end(shared, &entry, &sender, &request).await? {
        WaitOutcome::Granted(end) => end,
        WaitOutcome::Finished => return repeat(shared, &request, body).await,
    };
    let claim = claim(shared, &sender, &end, request.offset).await?;
    let mut writer = Writer::new(shared, sender, claim, end, &request);
    writer.check(&request).await?;
    match &request.checksum {
        Some(checksum) => writer.take_checked(checksum, request.length, body).await?,
        None => writer.take(request.length, body).await?,
    }
    writer.end(settled).await
}

/// Outcome of waiting for the end of an upload.
enum WaitOutcome {
    Granted(End),
    Finished,
}

/// Waits until this sender may write at the end of the upload.
async fn wait_for_end(
    shared: &Shared,
    entry: &Entry,
    sender: &Sender,
    request: &AppendRequest,
) -> Result<WaitOutcome, Refusal> {
    let mut is_fresh = false;
    loop {
        let look = |record: &Record| (record.user.clone(), record.state.standing());
        let (user, standing) =
            place::load_and_look(shared, entry, look).await?.ok_or(Refusal::NotFound)?;
        if user.is_some_and(|user| user != request.user) {
            return Err(Refusal::NotFound);
        }
        if let Some(refusal) = records::gone(shared, entry.id, standing).await {
            return Err(refusal);
        }
        if standing == Standing::Finished {
            return Ok(WaitOutcome::Finished);
        }
        let mut released = pin!(entry.released.notified());
        released.as_mut().enable();
        match sender.look_at_end(request.offset) {
            AtEnd::Granted(end) => return Ok(WaitOutcome::Granted(end)),
            // The cached record may be stale, so no refusal relies on it alone.
            AtEnd::Elsewhere { .. } if !is_fresh => {
                entry.forget();
                is_fresh = true;
            }
            AtEnd::Elsewhere { end } => {
                return Err(Refusal::OffsetMismatch { sent: request.offset, end });
            }
            AtEnd::Indexed => return Err(Refusal::SentInChunks),
            AtEnd::Joined => return Err(Refusal::Joined),
            AtEnd::Busy => released.await,
            AtEnd::Revoked => return Err(sender.stop_reason()),
            AtEnd::NotReceiving => {} // forgotten just now
        }
    }
}

/// Claims the range from `offset` on, if the store writes in place.
async fn claim(
    shared: &Shared,
    sender: &Sender,
    end: &End,
    offset: u64,
) -> Result<Option<Claim>, Refusal> {
    let (Some(claims), Some(blob)) = (shared.blobs.claims(), end.blob) else { return Ok(None) };
    let claim = sender.revoked.run_until_cancelled(claims.claim(blob, offset..u64::MAX)).await;
    claim.map(Some).ok_or_else(|| sender.stop_reason())
}

/// Handles an append to a finished File, which is fine if it brings no bytes.
async fn repeat(
    shared: &Shared,
    request: &AppendRequest,
    body: Incoming<'_>,
) -> Result<Progress, Refusal> {
    let id = records::file(shared, request.id, &request.user).await?.id;
    if !shared.metadata.pieces(id).await?.is_empty() {
        return Err(Refusal::Joined);
    }
    // Load the File again: if it was removed in the meantime, so was the record of its pieces.
    let file = records::file(shared, request.id, &request.user).await?;
    if request.offset != file.size {
        return Err(Refusal::OffsetMismatch { sent: request.offset, end: file.size });
    }
    let brings_bytes = match request.length {
        Some(length) => length > 0,
        None => has_more(&mut Bytes::new(), body).await?,
    };
    if brings_bytes {
        return Err(Refusal::BeyondTotal { total: file.size });
    }
    Ok(Progress::of_file(&file))
}
