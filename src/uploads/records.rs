//! The ways to an upload's record: [`loaded`] for whoever sends to it, [`record`] for whoever asks, and [`stored`] for
//! what a step has just made a File of.

use super::entries::Entry;
use super::shared::Shared;
use super::{Refusal, trust};
use crate::crash::{self, Point};
use crate::ids::{UploadId, UserId};
use crate::metadata::{Record, Standing, State, StoredFile};

/// Loads the record unless it is there; `false` when there is none. The caller holds `loading`.
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

/// Whether what is remembered of an unfinished upload is not so any more, as when another process has changed it; then
/// it is forgotten. To be asked before a refusal or a confirmation is built on it alone.
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

/// What is known of an unfinished upload or File, for its owner.
pub(super) async fn record(
    shared: &Shared,
    id: UploadId,
    user: &UserId,
) -> Result<Record, Refusal> {
    let record = shared.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
    let record = trust::trusted(shared, owned(record, user)?).await?;
    match record.state {
        State::Removed => Err(Refusal::Removed),
        State::Expired => Err(Refusal::Expired), // told again to whoever only asks
        _ => Ok(record),
    }
}

/// The same, but a thumbnail's uuid gives its parent.
pub(super) async fn stands_for(
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

/// The File of this uuid, for its owner; a thumbnail's uuid gives its parent.
pub(super) async fn file(
    shared: &Shared,
    id: UploadId,
    user: &UserId,
) -> Result<StoredFile, Refusal> {
    match stands_for(shared, id, user).await?.state {
        State::Finished(file) => Ok(*file),
        _ => Err(Refusal::NotFound),
    }
}

/// The File that a step has just made, or found; if it is none any more, why.
pub(super) async fn stored(shared: &Shared, id: UploadId) -> Result<StoredFile, Refusal> {
    match shared.metadata.load(id).await?.map(|record| record.state) {
        Some(State::Finished(file)) => Ok(*file),
        Some(state) => Err(gone(shared, id, state.standing()).await.unwrap_or(Refusal::Raced)),
        None => Err(Refusal::Raced),
    }
}

/// Why an upload that stands so takes nothing; `None` for one in progress and for a File.
pub(super) async fn gone(shared: &Shared, id: UploadId, standing: Standing) -> Option<Refusal> {
    match standing {
        Standing::Receiving | Standing::Finished => None,
        Standing::Removed => Some(Refusal::Removed),
        Standing::Expired => Some(expired(shared, id).await),
    }
}

/// Of an expired upload: says so once, and frees the uuid for the client to start again.
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

/// The upload as this user's; to anybody else it does not exist.
fn owned(record: Record, user: &UserId) -> Result<Record, Refusal> {
    if record.user.as_ref() == Some(user) { Ok(record) } else { Err(Refusal::NotFound) }
}

/// The same, for whoever sends to it: that one learns also that an erased uuid, now nobody's, is used up.
pub(super) fn sent_by(record: Record, user: &UserId) -> Result<Record, Refusal> {
    if record.user.is_none() { Err(Refusal::Removed) } else { owned(record, user) }
}
