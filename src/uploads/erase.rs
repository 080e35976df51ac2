//! Removing: one upload or File, or everything of a person's, and what that was.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Refusal, Uploads, detached};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::jobs::JobKind;
use crate::metadata::{Record, Removed, Role, Standing, State};
use crate::telemetry::chain;
use crate::words::counted;

/// Records removed in one go.
const BATCH: u32 = 100;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Finished files.
    pub files: u64,
    /// Thumbnails of them.
    pub thumbnails: u64,
    /// Uploads that were not finished.
    pub unfinished: u64,
    /// Bytes of all these, but for those of pictures made here.
    pub bytes: u64,
}

impl Erased {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.thumbnails += other.thumbnails;
        self.unfinished += other.unfinished;
        self.bytes += other.bytes;
    }
}

impl Uploads {
    /// Cancels an upload or deletes a File of this user's, or of anybody's for the application's backend
    /// (`None`), which may delete attached ones too. The bytes are gone when it answers.
    pub async fn remove(
        self: &Arc<Self>,
        id: UploadId,
        owner: Option<UserId>,
    ) -> Result<Erased, Refusal> {
        let record = self.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
        let user = owner.or(record.user).ok_or(Refusal::NotFound)?;
        let record = self.record(id, user).await?;
        let this = Arc::clone(self);
        detached(async move { this.remove_now(record, owner.is_none()).await }).await
    }

    /// Removes all uploads and Files of a user, attached ones too, and whatever is on record of those that went
    /// before: of each the uuid alone is left. Nothing else of them is in the stores' files when it answers.
    /// Repeating it is harmless. What is begun while it runs may stay.
    pub async fn erase(&self, user: UserId) -> Result<Erased, Refusal> {
        let (mut erased, mut blobs) = (Erased::default(), Vec::new());
        loop {
            let records = self.metadata.of_user(user, BATCH).await?;
            if records.is_empty() {
                break;
            }
            for record in records {
                crash::point(Point::EraseGoesOn);
                blobs.extend(blob_of(&record));
                match self.remove_now(record, true).await {
                    Ok(removed) => erased.add(removed),
                    Err(Refusal::Removed) => {} // with its media, or by somebody else
                    Err(error) => return Err(error),
                }
            }
        }
        // A picture of what went goes when it is made.
        if !self.none_running(JobKind::Thumbnail, Some(user)).await? {
            return Err(Refusal::Internal("a thumbnail of theirs is still being made".into()));
        }
        self.delete_forgotten().await?;
        for id in self.metadata.forget_user(user).await? {
            self.entries.get(id).forget();
        }
        crash::point(Point::UserForgotten);
        self.metadata.scrub().await?;
        self.check_deleted(&blobs).await?;
        Ok(erased)
    }

    /// Fails when bytes are still there that should be deleted; why, the log says.
    async fn check_deleted(&self, blobs: &[BlobId]) -> Result<(), Refusal> {
        let mut left = 0;
        for blob in blobs {
            left += u32::from(self.blobs.size(*blob).await?.is_some());
        }
        if left == 0 {
            return Ok(());
        }
        let uploads = counted(left, "upload");
        let message =
            format!("the bytes of {uploads} could not be deleted; the server tries again");
        Err(Refusal::Internal(message.into()))
    }

    /// Removes Files that were finished longer ago than `ttl` and that no message shows; answers how many.
    pub async fn remove_unattached(&self, ttl: Duration) -> Result<u64, Refusal> {
        let before = self.clock.unix_secs_ago(ttl);
        let mut count = 0;
        loop {
            let records = self.metadata.unattached(before, BATCH).await?;
            if records.is_empty() {
                return Ok(count);
            }
            for record in records {
                match self.remove_now(record, false).await {
                    Ok(_) => count += 1,
                    Err(Refusal::Removed | Refusal::Attached) => {} // meanwhile
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Removes a File whose bytes are gone. Repeating it is harmless.
    pub async fn give_up(&self, id: UploadId) -> Result<(), Refusal> {
        let Some(record) = self.metadata.load(id).await? else { return Ok(()) };
        match self.remove_now(record, true).await {
            Ok(_) | Err(Refusal::Removed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn remove_now(
        &self,
        record: Record,
        even_attached: bool,
    ) -> Result<Erased, Refusal> {
        let (id, now) = (record.id, self.clock.unix_secs());
        self.blobs.is_itself().await?; // bytes on an unmounted disk would stay there, and nobody would know
        match self.metadata.remove(id, even_attached, now, self.leased_until()).await? {
            Removed::Removed { deletions, thumbnails, thumbnail_bytes } => {
                crash::point(Point::RecordRemoved);
                let erased = erased(&record.state, thumbnails, thumbnail_bytes);
                self.entries.get(id).end(Standing::Removed);
                if let Err(error) = self.delete_held(deletions).await {
                    let error = chain(&error);
                    tracing::warn!(%id, %error, "forgotten bytes could not be deleted yet");
                }
                Ok(erased)
            }
            Removed::Attached => Err(Refusal::Attached),
            Removed::Nothing => Err(Refusal::Removed),
        }
    }
}

fn blob_of(record: &Record) -> Option<BlobId> {
    match &record.state {
        State::Receiving(upload) => Some(upload.blob),
        State::Finished(file) => Some(file.blob),
        _ => None,
    }
}

/// What went, with so many thumbnails that counted so many bytes.
fn erased(state: &State, thumbnails: u64, thumbnail_bytes: u64) -> Erased {
    let (files, thumbnails, unfinished, bytes) = match state {
        State::Finished(file) if file.role == Role::Thumbnail => (0, 1, 0, 0),
        State::Finished(file) => (1, thumbnails, 0, file.size),
        State::Receiving(upload) => (0, thumbnails, 1, upload.layout.received_bytes()),
        _ => (0, 0, 0, 0),
    };
    Erased { files, thumbnails, unfinished, bytes: bytes + thumbnail_bytes }
}
