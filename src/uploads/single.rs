//! A file that is sent in one request: a single file or a thumbnail.

use std::sync::Arc;

use super::examine::{Examined, Label};
use super::finish::{same_size, whole};
use super::records::sent_by;
use super::shared::{Shared, detached};
use super::{FilledSlot, Refusal, Slot, examine, finish, records, room, thumbnail as picture};
use crate::crash::{self, Point};
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::media::thumbnail;
use crate::metadata::{NewFile, NewSingle, Role, State, Stored, StoredFile};
use crate::part::{self, Declaration, Layout};
use crate::storage::Written;

/// A file that is sent in one request, as described by that request.
#[derive(Clone, Debug)]
pub struct SingleRequest {
    /// The user who sends it.
    pub user: UserId,
    /// Its uuid, if the client chose one.
    pub id: Option<UploadId>,
    /// What it is for.
    pub role: Role,
    /// The media to which it belongs. A thumbnail always has one.
    pub parent: Option<UploadId>,
    /// What the request declares about its size.
    pub declared: Declaration,
    /// Its MD5, if the request gives one.
    pub md5: Option<[u8; 16]>,
    /// Its name, if the request gives one.
    pub filename: Option<Filename>,
    /// Its media type, if the request gives one.
    pub declared_type: Option<String>,
    /// Its duration in whole seconds, if the request gives one.
    pub duration_secs: Option<u64>,
}

/// Decides where the bytes of a request go that may be a single file, as no field before them says otherwise. `id` is
/// its uuid, if it came before the bytes; at least `at_least` bytes follow.
pub(super) async fn slot_of_file(
    shared: &Shared,
    user: &UserId,
    id: Option<UploadId>,
    at_least: u64,
) -> Result<Slot, Refusal> {
    room::check_room(shared, at_least).await?;
    Ok(Slot::Spool(room::spool_of_file(shared, user, id, at_least).await?))
}

/// Records a file that was sent in one request. It completes even if the caller goes away. Repeating it with the same
/// bytes and uuid returns the same File.
pub(super) async fn accept_single(
    shared: &Arc<Shared>,
    filled: FilledSlot,
    request: SingleRequest,
) -> Result<StoredFile, Refusal> {
    let (this, settled) = (Arc::clone(shared), shared.jobs.settled());
    let file = detached(async move { record_single(&this, filled, request).await }).await?;
    Ok(picture::with_thumbnail(shared, file, settled).await)
}

async fn record_single(
    shared: &Arc<Shared>,
    filled: FilledSlot,
    request: SingleRequest,
) -> Result<StoredFile, Refusal> {
    let written = filled.written;
    // Only chunks get other slots, and fields that have arrived don't change.
    let Slot::Spool(mut spool) = filled.slot else {
        return Err(Refusal::Raced);
    };
    let total = part::check_declaration(&request.declared, &Layout::new(1), Some(written.size))?;
    same_size(total, written.size)?;
    if let Some(start) = part::declared_offset(&request.declared).filter(|start| *start != 0) {
        return Err(Refusal::NotContiguous { index: 0, start, expected: 0 });
    }
    shared.limits.check_end(written.size)?;
    let id = request.id.unwrap_or_else(UploadId::random);
    let same = same_file(shared, id, &request, written).await?;
    let received = spool.extents(written.size);
    if let Some(declared) = request.md5 {
        finish::check_md5(shared, &received, declared, &mut None).await?;
    }
    if let Some(file) = same {
        return Ok(file);
    }
    let label = Label {
        filename: request.filename.clone(),
        media_type: request.declared_type.clone(),
        duration_secs: request.duration_secs,
    };
    let Examined { facts, cleaning, crc32 } =
        examine::examine(shared, &received, written, label).await?;
    crash::point(Point::SingleExamined);
    let parent = match (request.role, request.parent) {
        (Role::Thumbnail, _) if !facts.media_type.is_image() => {
            return Err(Refusal::NotAnImage { found: facts.media_type.to_string() });
        }
        (Role::Thumbnail, Some(parent)) => Some(parent_of(shared, parent, &request.user).await?),
        (_, parent) => parent,
    };
    // No record refers to these bytes yet, so they can be overwritten without recording the patches first.
    let extents = shared.blobs.rewrite(&received, &cleaning.patches).await?;
    crash::point(Point::SinglePatched);
    shared.blobs.settle(&extents).await?;
    crash::point(Point::SingleSealed);
    spool.check_age()?;
    let filename =
        request.filename.clone().unwrap_or_else(|| Filename::made_up(facts.media_type.extension()));
    let new = NewSingle {
        id,
        user: request.user.clone(),
        role: request.role,
        parent,
        declared_type: request.declared_type.clone(),
        file: NewFile {
            filename,
            named: false,
            made_up: request.filename.is_none(),
            drawable: thumbnail::is_drawable(&facts.media_type),
            facts,
            embedded: cleaning.metadata,
            extents,
            size: written.size,
            crc32,
            received_md5: request.md5,
            received: vec![written.at(0)],
        },
    };
    spool.keep_bytes(written.size); // whatever the outcome of the commit: the sweep knows whether a record claims it
    let now = shared.clock.unix_secs();
    match shared.metadata.store_single(new.clone(), shared.limits.quota, now).await? {
        Stored::Stored => {
            crash::point(Point::SingleStored);
            shared.entries.get(id).forget();
            shared.jobs.job_added(); // to make its thumbnail, or to delete the thumbnails it replaced
            Ok(new.stored(now))
        }
        Stored::Attached => {
            spool.discard();
            Err(Refusal::Attached)
        }
        Stored::NoParent => {
            spool.discard();
            Err(Refusal::NoParent)
        }
        Stored::Over(over) => {
            spool.discard();
            Err(over.into())
        }
        Stored::Exists => {
            spool.discard();
            same_file(shared, id, &request, written).await?.ok_or(Refusal::Raced)
        }
    }
}

/// Returns the File that already has this uuid, if these are its bytes.
async fn same_file(
    shared: &Shared,
    id: UploadId,
    request: &SingleRequest,
    written: Written,
) -> Result<Option<StoredFile>, Refusal> {
    while let Some(record) = shared.metadata.load(id).await? {
        let state = sent_by(record, &request.user)?.state;
        let State::Finished(file) = state else {
            return Err(records::gone(shared, id, state.standing())
                .await
                .unwrap_or(Refusal::FileConflict));
        };
        match shared.metadata.received_parts(id).await? {
            Some(parts) if whole(&parts) == Some(written) => return Ok(Some(*file)),
            Some(_) => return Err(Refusal::FileConflict),
            None => {} // removed since; the record says so now
        }
    }
    Ok(None)
}

/// Returns the media to which a thumbnail belongs. A thumbnail's own uuid stands for its parent.
async fn parent_of(shared: &Shared, id: UploadId, user: &UserId) -> Result<UploadId, Refusal> {
    let record =
        shared.metadata.load(id).await?.filter(|record| record.user.as_ref() == Some(user));
    match record.map(|record| record.state) {
        Some(State::Finished(file)) if file.role == Role::Thumbnail => {
            file.parent.ok_or(Refusal::NoParent)
        }
        Some(State::Finished(_) | State::Receiving(_)) => Ok(id),
        Some(State::Replaced { parent }) => Ok(parent),
        _ => Err(Refusal::NoParent),
    }
}
