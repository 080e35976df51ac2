//! Copies a File whose bytes are in several blobs, as after uploads were joined, into one blob, so that the operator's
//! web server can send it and every read concerns a single file.

use std::pin::pin;

use futures_util::TryStreamExt;

use super::context::Context;
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::metadata::jobs::Job;
use crate::metadata::{State, StoredFile};
use crate::storage::{BodyError, Error, Extents, READ_BYTES, Target, WriteError};
use crate::uploads::Refusal;

/// Runs the job. If the store allows a file to be in several blobs, there is nothing to do.
pub(super) async fn run(context: &Context, job: &Job) -> Result<(), Refusal> {
    let id = UploadId::from_bytes(job.subject);
    let state = context.metadata.load(id).await?.map(|record| record.state);
    let Some(State::Finished(file)) = state else { return Ok(()) };
    if !context.blobs.in_place() || file.extents.blobs().len() < 2 {
        return Ok(());
    }
    let blob = BlobId::random();
    let extents = Extents::stored(blob, 0, file.size);
    if let Err(error) = copy(context, &file, blob, &extents).await {
        context.blobs.delete(&[blob]).await?;
        return Err(error.into());
    }
    crash::point(Point::CopyMade);
    // If the job's lease has ended or the File is gone, a job to delete the copy has been recorded.
    context.metadata.pack(id, job.lease, extents).await?;
    context.signal.job_added();
    Ok(())
}

/// Copies the bytes of a File into one blob, durably.
async fn copy(
    context: &Context,
    file: &StoredFile,
    blob: BlobId,
    extents: &Extents,
) -> Result<(), Error> {
    let bytes = context.blobs.read(&file.extents, 0..file.size, READ_BYTES).await?;
    let bytes = bytes.map_err(|error| {
        tracing::error!(%error, "can't read stored bytes back");
        BodyError::Unreadable
    });
    let written = context.blobs.write(Target::Fresh(blob), file.size, pin!(bytes)).await;
    let written = written.map_err(|error| match error {
        WriteError::Store(error) => error,
        other => Error::other(other),
    })?;
    if (written.size, written.crc32) != (file.size, file.crc32) {
        return Err(Error::other("the bytes of a file have changed"));
    }
    context.blobs.settle(extents).await.map_err(Error::other)
}
