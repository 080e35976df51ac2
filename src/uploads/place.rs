//! The place of a part: the upload it belongs to, its turn to write, and its record.

use std::sync::Arc;
use std::time::Duration;

use super::entries::Entry;
use super::senders::{PartLookup, Place, Sender};
use super::shared::{Shared, detached};
use super::{ChunkRequest, GrantedRange, Refusal, Spool, delete, records, room};
use crate::crash::{self, Point};
use crate::ids::{BlobId, GenerationId, UploadId};
use crate::metadata::{
    Begun, Caps, Generation, NewPart, NewUpload, Record, Recorded, Standing, State,
};
use crate::part::{self, Declaration, Layout, Part, Placement, PlacementError};
use crate::storage::{Claim, Claims};

/// How long an unfinished upload must have stored nothing to be expired in favour of a new one at the limit.
const MIN_IDLE: Duration = Duration::from_hours(1);

/// Outcome of waiting for a range.
pub(super) enum WaitOutcome {
    Granted(GrantedRange),
    Recorded(Part),
    NeedsSize,
}

/// Where a part lies, and what that implies for the other parts.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) start: u64,
    pub(super) even_size: Option<u64>,
}

/// Loads the upload's record. If the uuid is new, begins the upload, or returns `false` if `totalparts`, or how much to
/// reserve, isn't known yet. `size` is the part's size, once its bytes have arrived. The caller's sender is registered,
/// so that the upload isn't withdrawn before the caller uses it.
pub(super) async fn open_or_begin(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    request: &ChunkRequest,
    size: Option<u64>,
) -> Result<bool, Refusal> {
    if entry.look(|record| record.state.parent().is_some()) == Some(true) {
        entry.forget(); // a thumbnail is deleted with its media, and this entry isn't notified
    }
    // Try again if the record was forgotten right after it was loaded, for example by a finishing request.
    let (user, standing) = loop {
        if let Some((user, standing)) =
            entry.look(|record| (record.user.clone(), record.state.standing()))
        {
            let is_mine = user.as_ref().is_none_or(|user| *user == request.user);
            if is_mine || !records::is_stale(shared, entry).await? {
                break (user, standing);
            }
        }
        let (this, opened, request) = (Arc::clone(shared), Arc::clone(entry), request.clone());
        if !detached(async move { load_or_begin(&this, &opened, &request, size).await }).await? {
            return Ok(false);
        }
    };
    // An erased uuid has no owner and is used up.
    if user.is_some_and(|user| user != request.user) {
        return Err(Refusal::NotFound);
    }
    if let Some(refusal) = records::gone(shared, entry.id, standing).await {
        return Err(refusal);
    }
    let in_order = entry.look(|record| match &record.state {
        State::Receiving(unfinished) => unfinished.append.is_some(),
        _ => false,
    });
    if in_order == Some(true) { Err(Refusal::SentInOrder) } else { Ok(true) }
}

async fn load_or_begin(
    shared: &Shared,
    entry: &Entry,
    request: &ChunkRequest,
    size: Option<u64>,
) -> Result<bool, Refusal> {
    let _loading = entry.loading.lock().await;
    if records::loaded(shared, entry).await? {
        return Ok(true);
    }
    if request.declared.total_parts.is_none() {
        return Ok(false);
    }
    let (total_parts, _) = place_first(&request.declared, size)?;
    let Some(reserved) = room::reservation(shared, &request.declared, size) else {
        return Ok(false);
    };
    let begun = begin(shared, entry, request, total_parts, reserved, shared.new_blob()).await?;
    begun.then_some(true).ok_or(Refusal::Raced)
}

/// Commits a new upload, with a blob if the store writes in place. Returns `false` if the uuid is taken. The caller
/// holds `loading`.
pub(super) async fn begin(
    shared: &Shared,
    entry: &Entry,
    request: &ChunkRequest,
    total_parts: u32,
    reserved: u64,
    blob: Option<BlobId>,
) -> Result<bool, Refusal> {
    let new = NewUpload {
        id: entry.id,
        user: request.user.clone(),
        generation: GenerationId::random(),
        blob,
        total_parts,
        append: None,
        reserved,
        filename: request.filename.clone(),
        declared_type: request.declared_type.clone(),
        parent: request.parent,
    };
    begin_upload(shared, entry, new).await
}

/// Commits a new upload of any kind. Returns `false` if the uuid is taken. The caller holds `loading`.
pub(super) async fn begin_upload(
    shared: &Shared,
    entry: &Entry,
    new: NewUpload,
) -> Result<bool, Refusal> {
    let now = shared.clock.unix_secs();
    let caps = Caps {
        max_unfinished: shared.limits.max_unfinished,
        idle_since: shared.clock.unix_secs_ago(MIN_IDLE),
        quota: shared.limits.quota,
    };
    crash::point(Point::UploadUnbegun);
    let evicted = match shared.metadata.begin_upload(new, caps, now).await? {
        Begun::Begun { evicted } => evicted,
        Begun::Exists => return Ok(false),
        Begun::TooMany => return Err(Refusal::TooManyUnfinished { max: caps.max_unfinished }),
        Begun::Over(over) => return Err(over.into()),
    };
    crash::point(Point::UploadBegun);
    if let Some(id) = evicted {
        crash::point(Point::RoomMade);
        delete::end_expired(shared, id);
    }
    records::loaded(shared, entry).await
}

/// Waits until the sender may write its range, or until it is known that it need not or can not write yet.
pub(super) async fn wait_for_place(
    shared: &Arc<Shared>,
    sender: Sender,
    declared: &Declaration,
    size: Option<u64>,
    bound: u64,
) -> Result<WaitOutcome, Refusal> {
    let entry = Arc::clone(&sender.entry);
    let mut claimed = None;
    loop {
        if sender.revoked.is_cancelled() {
            return Err(sender.stop_reason());
        }
        let looked = match sender.look(declared, size, bound) {
            Err(_) if records::is_stale(shared, &entry).await? => continue,
            looked => looked?,
        };
        match looked {
            PartLookup::Place(place) => {
                // Look again once the range is claimed: what was written there before may be recorded by now.
                if let (Some(claims), Some(blob)) = (shared.blobs.claims(), place.blob) {
                    let is_of = |claim: &Claim| claim.is_of(blob, &place.range);
                    if !claimed.as_ref().is_some_and(is_of) {
                        drop(claimed.take());
                        claimed = claim(claims, &sender, blob, &place).await?;
                        if claimed.is_none() {
                            return Ok(WaitOutcome::NeedsSize);
                        }
                        continue;
                    }
                }
                return grant(shared, sender, claimed, place, declared, size).await;
            }
            PartLookup::Recorded(part) => return Ok(WaitOutcome::Recorded(part)),
            PartLookup::NeedsSize => return Ok(WaitOutcome::NeedsSize),
            PartLookup::NotReceiving => {
                let standing = load_and_look(shared, &entry, |record| record.state.standing());
                let standing = standing.await?.ok_or(Refusal::Raced)?;
                if let Some(refusal) = records::gone(shared, entry.id, standing).await {
                    return Err(refusal);
                }
                if standing == Standing::Finished {
                    let Some(received) = shared.metadata.received_parts(entry.id).await? else {
                        entry.forget(); // removed since, on its own or with its media
                        continue;
                    };
                    let part = received.get(declared.index as usize).copied();
                    let index = declared.index;
                    return part
                        .map(WaitOutcome::Recorded)
                        .ok_or(Refusal::UploadFinished { index });
                }
            }
        }
    }
}

/// Claims the place, waiting for other claims on it. Returns `None` if there are any and the number of bytes to come
/// isn't known.
async fn claim(
    claims: &Arc<Claims>,
    sender: &Sender,
    blob: BlobId,
    place: &Place,
) -> Result<Option<Claim>, Refusal> {
    if !place.is_sized {
        return Ok(claims.try_claim(blob, place.range.clone()));
    }
    let claim = claims.claim(blob, place.range.clone());
    let claim = sender.revoked.run_until_cancelled(claim).await;
    claim.map(Some).ok_or_else(|| sender.stop_reason())
}

/// Grants the sender the place that it has claimed, if there is room for its bytes.
pub(super) async fn grant(
    shared: &Arc<Shared>,
    sender: Sender,
    claim: Option<Claim>,
    place: Place,
    declared: &Declaration,
    size: Option<u64>,
) -> Result<WaitOutcome, Refusal> {
    let Place { of, range, stored, .. } = place;
    let (start, limit) = (range.start, range.end - range.start);
    let declared_size = part::declared_size(declared);
    shared.limits.check_end(start.saturating_add(declared_size.unwrap_or(0)))?;
    let size = size.or(declared_size);
    if !room::reserve(shared, &sender.entry, of, declared, start, size, limit).await? {
        return Ok(WaitOutcome::NeedsSize);
    }
    let declared = declared_size.is_some();
    let shared = Arc::clone(shared);
    let granted = GrantedRange { shared, sender, claim, of, start, limit, stored, declared };
    Ok(WaitOutcome::Granted(granted))
}

/// Commits a part that was written for `of`, either to its `own` blob or to the upload's, by a sender that holds its
/// place. Returns `Raced` if parts recorded in the meantime moved its place, or if the upload started over.
pub(super) async fn commit_part(
    shared: &Shared,
    sender: &Sender,
    of: Generation,
    declared: &Declaration,
    part: Part,
    placed: Placed,
    mut own: Option<&mut Spool>,
) -> Result<UploadId, Refusal> {
    shared.limits.check_end(part.range().end)?;
    own.as_ref().map_or(Ok(()), |spool| spool.check_age())?;
    if !sender.begin_commit() {
        return Err(sender.stop_reason());
    }
    let entry = &sender.entry;
    let total_size = part::declared_total(declared);
    let known = entry.look(|record| match &record.state {
        State::Receiving(u) => (u.layout.total_size, u.layout.even_size),
        _ => (None, None),
    });
    let (known_total, known_even) = known.unwrap_or_default();
    let new = NewPart {
        index: declared.index,
        part,
        extents: own.as_ref().map(|spool| spool.extents(part.size)),
        total_size: total_size.filter(|_| known_total.is_none()),
        even_size: placed.even_size.filter(|_| known_even.is_none()),
    };
    let now = shared.clock.unix_secs();
    crash::point(Point::PartUnrecorded);
    if let Some(spool) = &mut own {
        spool.keep_bytes(part.size); // whatever the outcome of the commit: the sweep knows whether a record claims it
    }
    match shared.metadata.record_part(of, new.clone(), now).await? {
        Recorded::Stored => {
            crash::point(Point::PartRecorded);
            entry.insert(&new, now);
            Ok(entry.id)
        }
        Recorded::Refused => {
            if let Some(spool) = own {
                spool.discard();
            }
            entry.forget();
            // The record says why. If it no longer does, the same request may succeed now.
            place_final(shared, entry, declared, part.size).await?;
            Err(Refusal::Raced)
        }
    }
}

/// Calls `look` with the record, which is loaded if it was forgotten. Returns `None` if there is none.
pub(super) async fn load_and_look<T>(
    shared: &Shared,
    entry: &Entry,
    look: impl Fn(&Record) -> T,
) -> Result<Option<T>, Refusal> {
    loop {
        if let Some(seen) = entry.look(&look) {
            return Ok(Some(seen));
        }
        let _loading = entry.loading.lock().await;
        if !records::loaded(shared, entry).await? {
            return Ok(None);
        }
    }
}

/// Returns where the part goes once its size and all its fields are known.
pub(super) async fn place_final(
    shared: &Shared,
    entry: &Entry,
    declared: &Declaration,
    size: u64,
) -> Result<Placed, Refusal> {
    let look = |record: &Record| match &record.state {
        // If another sender recorded it in the meantime, it must be compared.
        State::Receiving(unfinished) if unfinished.layout.part(declared.index).is_none() => {
            part::place(declared, &unfinished.layout, Some(size)).map(Some)
        }
        _ => Ok(None),
    };
    loop {
        let placed = match load_and_look(shared, entry, look).await? {
            Some(Err(_)) if records::is_stale(shared, entry).await? => continue,
            placed => placed.transpose()?.flatten(),
        };
        return match placed {
            Some(Placement::At { start, even_size }) => Ok(Placed { start, even_size }),
            _ => Err(records::why_refused(shared, entry.id).await),
        };
    }
}

/// Returns the number of parts of a new upload, and where this part goes.
pub(super) fn place_first(
    declared: &Declaration,
    size: Option<u64>,
) -> Result<(u32, Placement), PlacementError> {
    let total_parts = declared.total_parts.ok_or(PlacementError::TotalPartsMissing)?;
    Ok((total_parts, part::place(declared, &Layout::new(total_parts), size)?))
}
