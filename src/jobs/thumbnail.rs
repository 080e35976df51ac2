//! Makes a thumbnail of an image, outside of requests.
//!
//! [`thumbnail`] decides what can be drawn and draws it; the records decide which picture a media shows.

use std::io::{BufReader, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::context::Context;
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::media::Facts;
use crate::media::thumbnail::{self, Picture, ThumbnailError};
use crate::metadata::jobs::Job;
use crate::metadata::{NewPicture, Role, State, StoredFile};
use crate::storage::{BodyError, Error, Extents, Target, WriteError};
use crate::uploads::Refusal;

/// Makes the thumbnail of the job's File. Ends the job without one if none is wanted or none can be made.
pub(super) async fn run(context: &Context, job: &Job) -> Result<(), Refusal> {
    let id = UploadId::from_bytes(job.subject);
    let Some(file) = wanted(context, id).await? else {
        return end(context, job, None, None).await;
    };
    crash::point(Point::DrawingBegun);
    let picture = match picture_of(context, &file).await {
        Ok(picture) => Some(keep(context, picture).await?),
        Err(ThumbnailError::Io(error)) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::from(error).into());
        }
        Err(error) => {
            tracing::info!(%id, %error, "can't make a thumbnail of this image");
            None
        }
    };
    end(context, job, file.parent, picture).await
}

/// The File, if it still lacks a thumbnail.
async fn wanted(context: &Context, id: UploadId) -> Result<Option<StoredFile>, Refusal> {
    let state = context.metadata.load(id).await?.map(|record| record.state);
    Ok(match state {
        Some(State::Finished(file)) if file.role == Role::Thumbnail || file.thumbnail.is_none() => {
            Some(*file)
        }
        _ => None,
    })
}

async fn end(
    context: &Context,
    job: &Job,
    parent: Option<UploadId>,
    picture: Option<NewPicture>,
) -> Result<(), Refusal> {
    let id = UploadId::from_bytes(job.subject);
    context.metadata.end_drawing(id, job.lease, picture, context.clock.unix_secs()).await?;
    crash::point(Point::PictureShown);
    for changed in [Some(id), parent].into_iter().flatten() {
        context.uploads.forget_cached(changed);
    }
    if parent.is_some() {
        context.signal.job_added(); // a job to delete the replaced picture
    }
    Ok(())
}

async fn picture_of(context: &Context, file: &StoredFile) -> Result<Picture, ThumbnailError> {
    let (blobs, extents) = (Arc::clone(&context.blobs), file.extents.clone());
    let media_type = file.facts.media_type.clone();
    let work = move || {
        let source = blobs.reader(&extents).map_err(|error| ThumbnailError::Io(error.into()))?;
        thumbnail::thumbnail(BufReader::new(source), &media_type)
    };
    let drawing = tokio::task::spawn_blocking(work);
    drawing.await.unwrap_or_else(|panic| Err(ThumbnailError::Undecodable(panic.to_string())))
}

/// Stores a picture's bytes, durably.
async fn keep(context: &Context, picture: Picture) -> Result<NewPicture, Refusal> {
    let blob = BlobId::random();
    let bytes = Bytes::from(picture.bytes);
    let limit = bytes.len() as u64;
    let body = stream::iter([Ok::<_, BodyError>(bytes)]);
    let written = context.blobs.write(Target::Fresh(blob), limit, std::pin::pin!(body)).await;
    let written = written.map_err(|error| match error {
        WriteError::Store(error) => error,
        other => Error::other(other),
    })?;
    let extents = Extents::stored(blob, 0, written.size);
    context.blobs.settle(&extents).await?;
    crash::point(Point::PictureSealed);
    Ok(NewPicture {
        id: UploadId::random(),
        extents,
        size: written.size,
        crc32: written.crc32,
        facts: Facts {
            media_type: picture.media_type,
            duration_secs: None,
            width: Some(picture.width),
            height: Some(picture.height),
        },
    })
}
