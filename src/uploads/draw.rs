//! Thumbnails: small pictures of images, made a few at a time and off the requests' path.
//!
//! Which are still to be made is on record, so that a restart forgets none; an image that ends the process
//! again and again is left alone. What a picture is made of and looks like is [`thumbnail`]'s.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufReader, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::{Refusal, Uploads};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::media::Facts;
use crate::media::thumbnail::{self, Picture, ThumbnailError};
use crate::metadata::{NewPicture, StoredFile};
use crate::storage::{BodyError, WriteError};
use crate::telemetry::chain;

/// A reply waits so long for its thumbnail, which most pictures need a fraction of.
const PATIENCE: Duration = Duration::from_secs(1);
/// An attempt that came to no end ended with the process; after so many, the picture is to blame.
const MAX_TRIES: u32 = 3;
/// Pictures left over from before, taken up at once.
const BATCH: u32 = 100;
/// So many wait at once; further ones are on record, and the sweep takes them up.
const WAITING: usize = 100;

/// Who draws what.
pub(super) struct Easels {
    free: Semaphore,
    /// How many there are.
    count: u32,
    /// What is waiting or drawn, and whether its attempt has begun.
    taken: Mutex<HashMap<UploadId, bool>>,
}

impl Default for Easels {
    /// One for every two processors: requests come first. A picture in the making may take hundreds of
    /// megabytes, so never many.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let count = u32::try_from((processors / 2).clamp(1, 4)).unwrap_or(1);
        Self { free: Semaphore::new(count as usize), count, taken: Mutex::default() }
    }
}

impl Uploads {
    /// Sees to a File's thumbnail, and answers the File as it is once that is made or took too long.
    pub(super) async fn drawn(self: &Arc<Self>, file: StoredFile) -> StoredFile {
        if !file.undrawn || self.taken().len() >= WAITING {
            return file;
        }
        let this = Arc::clone(self);
        let drawing = tokio::spawn(async move { this.draw(file.id).await });
        match tokio::time::timeout(PATIENCE, drawing).await {
            Ok(_) => self.stored(file.id).await.unwrap_or(file), // gone by now: it was there
            Err(_) => file,
        }
    }

    /// Makes thumbnails that were left over, as by a restart.
    pub async fn draw_left_over(&self) -> Result<(), Refusal> {
        for id in self.metadata.undrawn(BATCH).await? {
            self.draw(id).await;
        }
        Ok(())
    }

    /// Makes one thumbnail, unless that is under way.
    async fn draw(&self, id: UploadId) {
        match self.taken().entry(id) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(false),
        };
        if let Err(error) = self.draw_alone(id).await {
            let error = chain(&error);
            tracing::error!(%id, %error, "a thumbnail could not be made or kept; the next sweep tries again");
            // The picture is not to blame.
            if let Err(error) = self.metadata.give_back_drawing(id).await {
                tracing::error!(%id, %error, "an attempt could not be given back");
            }
        }
        self.taken().remove(&id);
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<UploadId, bool>> {
        self.easels.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the attempts under way: only one that ends the process counts.
    pub(super) async fn put_brushes_down(&self) -> Result<(), Refusal> {
        let begun: Vec<_> = self.taken().extract_if(|_, begun| *begun).map(|(id, _)| id).collect();
        for id in begun {
            self.metadata.give_back_drawing(id).await?;
        }
        Ok(())
    }

    /// Waits until the pictures that are being made now are kept or deleted.
    pub(super) async fn drawings_end(&self) {
        let _all = self.easels.free.acquire_many(self.easels.count).await;
    }

    async fn draw_alone(&self, id: UploadId) -> Result<(), Refusal> {
        let _easel = self.easels.free.acquire().await;
        let Some(file) = self.metadata.begin_drawing(id, MAX_TRIES).await? else {
            return self.end_drawing(id, None, None).await; // not wanted any more, or given up
        };
        self.taken().insert(id, true);
        crash::point(Point::DrawingBegun);
        let picture = match self.picture_of(&file).await {
            Ok(picture) => Some(self.keep(picture).await?),
            Err(ThumbnailError::Io(error)) if error.kind() != ErrorKind::NotFound => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::debug!(%id, %error, "no thumbnail can be made of this image");
                None
            }
        };
        self.end_drawing(id, file.parent, picture).await
    }

    async fn end_drawing(
        &self,
        id: UploadId,
        parent: Option<UploadId>,
        picture: Option<NewPicture>,
    ) -> Result<(), Refusal> {
        let unwanted = self.metadata.end_drawing(id, picture, self.clock.unix_secs()).await?;
        crash::point(Point::PictureShown);
        for changed in [Some(id), parent].into_iter().flatten() {
            self.entries.get(changed).forget();
        }
        self.delete_blobs(unwanted).await;
        Ok(())
    }

    async fn picture_of(&self, file: &StoredFile) -> Result<Picture, ThumbnailError> {
        let (blobs, blob) = (Arc::clone(&self.blobs), file.blob);
        let media_type = file.facts.media_type.clone();
        let work = move || {
            let source = blobs.reader(blob).map_err(ThumbnailError::Io)?;
            thumbnail::thumbnail(BufReader::new(source), &media_type)
        };
        let drawing = tokio::task::spawn_blocking(work);
        drawing.await.unwrap_or_else(|panic| Err(ThumbnailError::Undecodable(panic.to_string())))
    }

    /// Stores a picture's bytes, durably.
    async fn keep(&self, picture: Picture) -> Result<NewPicture, Refusal> {
        let blob = BlobId::random();
        let bytes = Bytes::from(picture.bytes);
        let limit = bytes.len() as u64;
        let body = stream::iter([Ok::<_, BodyError>(bytes)]);
        let written = self.blobs.write_part(blob, 0, limit, 0, std::pin::pin!(body)).await;
        let written = written.map_err(|error| match error {
            WriteError::Store(error) => Refusal::from(error),
            other => io::Error::other(other).into(),
        })?;
        self.blobs.seal(blob, &[written.at(0)]).await?;
        crash::point(Point::PictureSealed);
        Ok(NewPicture {
            id: UploadId::random(),
            blob,
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
}
