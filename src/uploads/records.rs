//! Ways to load an upload's record: [`loaded`] for senders, [`record`] for queries, and [`stored`] for a File that a
//! step has just made.

use super::entries::Entry;
use super::shared::Shared;
use super::{Refusal, trust};
use crate::crash::{self, Point};
use crate::ids::{UploadId, UserId};
use crate::metadata::{Record, Standing, State, StoredFile};

/// Loads the record unless it is cached. Returns `false` if there is none. The caller holds `loading`.
pub(super) async fn loaded(shared: &Shared, entry: &Entry) -> Result<bool, Refusal> {
    while entry.look(|_| ()).is_none() {
        let version = entry.version();
        let Some(record) = shared.metadata.load(entry.id).await? else {
            return Ok(false);
        };
        entry.remember(trust::trusted(shared, record).await?, version);
    }
    Ok(true)
}

/// Whether the cached record of an unfinished upload is stale, for example because another process changed the upload.
/// A stale record is forgotten. Call this before a refusal or a confirmation relies on the cache alone.
pub(super) async fn is_stale(shared: &Shared, entry: &Entry) -> Result<bool, Refusal> {
    let look = |record: &Record| match &record.state {
        State::Receiving(unfinished) => Some(unfinished.snapshot(entry.id)),
        _ => None,
    };
    let Some(Some(remembered)) = entry.look(look) else {
        return Ok(false);
    };
    let is_stale = !shared.metadata.is_current(remembered).await?;
    if is_stale {
        entry.forget();
    }
    Ok(is_stale)
}

/// Returns the record of an unfinished upload or File to its owner.
pub(super) async fn record(
    shared: &Shared,
    id: UploadId,
    user: &UserId,
) -> Result<Record, Refusal> {
    let record = shared.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
    let record = trust::trusted(shared, owned(record, user)?).await?;
    match record.state {
        State::Removed => Err(Refusal::Removed),
        State::Expired => Err(Refusal::Expired), // queries are told every time
        _ => Ok(record),
    }
}

/// Like [`record`], but a thumbnail's uuid stands for its parent.
pub(super) async fn record_or_parent(
    shared: &Shared,
    id: UploadId,
    user: &UserId,
) -> Result<Record, Refusal> {
    let found = record(shared, id, user).await?;
    match found.state.parent() {
        Some(parent) => record(shared, parent, user).await,
        None => Ok(found),
    }
}

/// Returns the File with this uuid to its owner. A thumbnail's uuid stands for its parent.
pub(super) async fn file(
    shared: &Shared,
    id: UploadId,
    user: &UserId,
) -> Result<StoredFile, Refusal> {
    match record_or_parent(shared, id, user).await?.state {
        State::Finished(file) => Ok(*file),
        _ => Err(Refusal::NotFound),
    }
}

/// Returns the File that a step has just made or found, or the reason why it is one no longer.
pub(super) async fn stored(shared: &Shared, id: UploadId) -> Result<StoredFile, Refusal> {
    match shared.metadata.load(id).await?.map(|record| record.state) {
        Some(State::Finished(file)) => Ok(*file),
        Some(state) => Err(gone(shared, id, state.standing()).await.unwrap_or(Refusal::Raced)),
        None => Err(Refusal::Raced),
    }
}

/// Explains why a part or bytes could not be recorded: the upload was finished, removed or changed in the meantime. A
/// sender that repeats its request finds out what a File or a missing record means to it.
pub(super) async fn why_refused(shared: &Shared, id: UploadId) -> Refusal {
    match shared.metadata.load(id).await {
        Ok(Some(record)) => {
            gone(shared, id, record.state.standing()).await.unwrap_or(Refusal::Raced)
        }
        Ok(None) => Refusal::Raced,
        Err(error) => error.into(),
    }
}

/// Why an upload in this state accepts nothing; `None` if it is in progress or a File.
pub(super) async fn gone(shared: &Shared, id: UploadId, standing: Standing) -> Option<Refusal> {
    match standing {
        Standing::Receiving | Standing::Finished => None,
        Standing::Removed => Some(Refusal::Removed),
        Standing::Expired => Some(expired(shared, id).await),
    }
}

/// Reports once that an upload expired, and frees its uuid so that the client can start again.
async fn expired(shared: &Shared, id: UploadId) -> Refusal {
    match shared.metadata.forget_expired(id).await {
        Ok(()) => {
            crash::point(Point::ExpiredForgotten);
            shared.entries.get(id).forget();
            Refusal::Expired
        }
        Err(error) => error.into(),
    }
}

/// Returns the record if it is this user's. For anyone else it does not exist.
fn owned(record: Record, user: &UserId) -> Result<Record, Refusal> {
    if record.user.as_ref() == Some(user) { Ok(record) } else { Err(Refusal::NotFound) }
}

/// Like [`owned`], but for senders, who are also told that an erased uuid, which has no owner, is used up.
pub(super) fn sent_by(record: Record, user: &UserId) -> Result<Record, Refusal> {
    if record.user.is_none() { Err(Refusal::Removed) } else { owned(record, user) }
}
