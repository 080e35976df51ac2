//! Removes an upload or File, or everything of a user, and reports what was removed.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::shared::{Shared, detached};
use super::{Refusal, delete, records};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::jobs::JobKind;
use crate::metadata::{Record, Removed, Role, Standing, State};
use crate::telemetry::chain;
use crate::words::counted;

/// Number of records removed at once.
const BATCH: u32 = 100;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Finished files.
    pub files: u64,
    /// Thumbnails of these files.
    pub thumbnails: u64,
    /// Unfinished uploads.
    pub unfinished: u64,
    /// Bytes of all of them, except for thumbnails that the server made.
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

/// Cancels an upload or deletes a File that belongs to `owner`. With `None`, the application's backend may delete
/// anyone's, including attached Files. The bytes are gone when it returns.
pub(super) async fn remove(
    shared: &Arc<Shared>,
    id: UploadId,
    owner: Option<UserId>,
) -> Result<Erased, Refusal> {
    let record = shared.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
    let even_attached = owner.is_none();
    let user = owner.or(record.user).ok_or(Refusal::NotFound)?;
    let record = records::record(shared, id, &user).await?;
    let this = Arc::clone(shared);
    detached(async move { remove_now(&this, record, even_attached).await }).await
}

/// Removes all uploads and Files of a user, including attached ones, and all records of those removed earlier, except
/// for their uuids. Nothing else of them is left in the stores' files when it returns. Repeating it is harmless.
/// Uploads begun while it runs may stay.
pub(super) async fn erase(shared: &Shared, user: &UserId) -> Result<Erased, Refusal> {
    let (mut erased, mut blobs) = (Erased::default(), Vec::new());
    loop {
        let records = shared.metadata.of_user(user.clone(), BATCH).await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            crash::point(Point::EraseGoesOn);
            blobs.extend(blobs_of(&record));
            match remove_now(shared, record, true).await {
                Ok(removed) => erased.add(removed),
                Err(Refusal::Removed) => {} // with its media, or by another request
                Err(error) => return Err(error),
            }
        }
    }
    // A job that is making a thumbnail or a copy of a removed file deletes its result when it ends.
    for kind in [JobKind::Thumbnail, JobKind::Pack] {
        if !delete::none_running(shared, kind, Some(user)).await? {
            let message =
                format!("a job on one of the user's files is still running: {}", kind.name());
            return Err(Refusal::Internal(message.into()));
        }
    }
    delete::delete_forgotten(shared).await?;
    for id in shared.metadata.forget_user(user.clone()).await? {
        shared.entries.get(id).forget();
    }
    crash::point(Point::UserForgotten);
    shared.metadata.scrub().await?;
    check_deleted(shared, &blobs).await?;
    Ok(erased)
}

/// Fails if bytes still exist that should have been deleted. The log says why.
async fn check_deleted(shared: &Shared, blobs: &[BlobId]) -> Result<(), Refusal> {
    let mut left = 0;
    for blob in blobs {
        left += u32::from(shared.blobs.size(*blob).await?.is_some());
    }
    if left == 0 {
        return Ok(());
    }
    let uploads = counted(left, "upload");
    let message =
        format!("the bytes of {uploads} could not be deleted yet; the server will try again");
    Err(Refusal::Internal(message.into()))
}

/// Removes Files that were finished longer ago than `ttl` and belong to no message. Returns how many it removed.
pub(super) async fn remove_unattached(shared: &Shared, ttl: Duration) -> Result<u64, Refusal> {
    let before = shared.clock.unix_secs_ago(ttl);
    let mut count = 0;
    loop {
        let records = shared.metadata.unattached(before, BATCH).await?;
        if records.is_empty() {
            return Ok(count);
        }
        for record in records {
            match remove_now(shared, record, false).await {
                Ok(_) => count += 1,
                Err(Refusal::Removed | Refusal::Attached) => {} // in the meantime
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes a File whose bytes are gone. Repeating it is harmless.
pub(super) async fn remove_lost(shared: &Shared, id: UploadId) -> Result<(), Refusal> {
    let Some(record) = shared.metadata.load(id).await? else { return Ok(()) };
    match remove_now(shared, record, true).await {
        Ok(_) | Err(Refusal::Removed) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn remove_now(
    shared: &Shared,
    record: Record,
    even_attached: bool,
) -> Result<Erased, Refusal> {
    let (id, now) = (record.id, shared.clock.unix_secs());
    shared.blobs.is_itself().await?; // bytes on an unmounted disk would stay there unnoticed
    match shared.metadata.remove(id, even_attached, now, shared.leased_until()).await? {
        Removed::Removed { deletions, thumbnails, thumbnail_bytes } => {
            crash::point(Point::RecordRemoved);
            let erased = erased(&record.state, thumbnails, thumbnail_bytes);
            shared.entries.get(id).end(Standing::Removed);
            if let Err(error) = delete::delete_held(shared, deletions).await {
                let error = chain(&error);
                tracing::warn!(%id, %error, "can't delete the bytes of a removed upload or file yet");
            }
            Ok(erased)
        }
        Removed::Attached => Err(Refusal::Attached),
        Removed::Nothing => Err(Refusal::Removed),
    }
}

fn blobs_of(record: &Record) -> Vec<BlobId> {
    match &record.state {
        State::Receiving(upload) => upload.location.blobs(),
        State::Finished(file) => file.extents.blobs().into_iter().map(|(blob, _)| blob).collect(),
        _ => Vec::new(),
    }
}

/// Counts what was removed, with this number of thumbnails and their bytes.
fn erased(state: &State, thumbnails: u64, thumbnail_bytes: u64) -> Erased {
    let (files, thumbnails, unfinished, bytes) = match state {
        State::Finished(file) if file.role == Role::Thumbnail => (0, 1, 0, 0),
        State::Finished(file) => (1, thumbnails, 0, file.size),
        State::Receiving(upload) => (0, thumbnails, 1, upload.layout.received_bytes()),
        _ => (0, 0, 0, 0),
    };
    Erased { files, thumbnails, unfinished, bytes: bytes + thumbnail_bytes }
}
