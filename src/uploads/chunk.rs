//! A chunk, from the fields that place it to its record.

use std::sync::Arc;

use super::entries::Entry;
use super::place::{Placed, WaitOutcome, place_first};
use super::senders::{PartLookup, Sender};
use super::shared::{Shared, detached};
use super::{ChunkRequest, FilledSlot, GrantedRange, Refusal, Slot, Spool, place, records, room};
use crate::crash::{self, Point};
use crate::ids::{BlobId, UploadId};
use crate::metadata::{Generation, Record, Standing, State};
use crate::part::{self, Declaration, Part, Placement, PlacementError, StatementSource};
use crate::storage::{Claim, Extents, Written};

/// How often to place a chunk again because other chunks moved its place while it was being copied.
const ATTEMPTS: u32 = 8;

/// Decides where the bytes of a chunk go before the first of them is read, from the fields received so far. At most
/// `bound` bytes can follow.
///
/// Bytes whose place is not known yet go to a spool. Nothing is refused that later fields could correct.
pub(super) async fn slot(
    shared: &Arc<Shared>,
    request: &ChunkRequest,
    bound: u64,
) -> Result<Slot, Refusal> {
    room::check_room(shared, part::declared_size(&request.declared).unwrap_or(0)).await?;
    let Some(id) = request.id else {
        // Chunks with a higher index belong to an upload whose uuid is still to come.
        if request.declared.index == 0 {
            let reserved = room::reservation(shared, &request.declared, None);
            room::check_quota(shared, &request.user, reserved.unwrap_or(0)).await?;
        }
        return Ok(Slot::Spool(room::spool_of_chunk(shared, &request.user, None).await?));
    };
    shared.limits.check_limits(&request.declared, None)?;
    match place_now(shared, id, request, bound.min(shared.limits.max_chunk_size)).await {
        Err(Refusal::Placement(error)) if may_be_placed_later(&error, &request.declared) => {
            Ok(Slot::Spool(room::spool_of_chunk(shared, &request.user, Some(id)).await?))
        }
        placed => placed,
    }
}

async fn place_now(
    shared: &Arc<Shared>,
    id: UploadId,
    request: &ChunkRequest,
    bound: u64,
) -> Result<Slot, Refusal> {
    // While this sender exists, the upload isn't withdrawn.
    let entry = shared.entries.get(id);
    let sender = Sender::new(shared, Arc::clone(&entry), request.declared.index);
    if !place::open_or_begin(shared, &entry, request, None).await? {
        return Ok(Slot::Spool(room::spool_of_chunk(shared, &request.user, Some(id)).await?));
    }
    match place::wait_for_place(shared, sender, &request.declared, None, bound).await? {
        WaitOutcome::Granted(granted) => Ok(granted.slot()),
        WaitOutcome::Recorded(part) => {
            Ok(Slot::Recorded { id, part, limit: shared.limits.max_chunk_size })
        }
        WaitOutcome::NeedsSize => {
            Ok(Slot::Spool(room::spool_of_chunk(shared, &request.user, Some(id)).await?))
        }
    }
}

/// Records a chunk whose bytes and fields have all arrived, and returns the upload's uuid. It completes even if the
/// caller goes away. Repeating it with the same chunk returns the same uuid.
pub(super) async fn accept_chunk(
    shared: &Arc<Shared>,
    filled: FilledSlot,
    request: ChunkRequest,
) -> Result<UploadId, Refusal> {
    let this = Arc::clone(shared);
    detached(async move { record_chunk(&this, filled, &request).await }).await
}

async fn record_chunk(
    shared: &Arc<Shared>,
    filled: FilledSlot,
    request: &ChunkRequest,
) -> Result<UploadId, Refusal> {
    let (declared, written) = (&request.declared, filled.written);
    shared.limits.check_limits(declared, Some(written.size))?;
    match filled.slot {
        Slot::Recorded { id, part, .. } => compare(shared, id, declared, part, written).await,
        Slot::InPlace { granted, blob, .. } => {
            name_upload(shared, &granted.sender.entry, request).await?;
            if let Some(id) = record_granted(shared, &granted, None, written, request).await? {
                return Ok(id);
            }
            let extents = Extents::stored(blob, granted.start, written.size);
            let spool = Spool::copy(shared, &extents).await?;
            drop(granted);
            record_spooled(shared, spool, written, request).await
        }
        Slot::Apart { granted, mut spool } => {
            name_upload(shared, &granted.sender.entry, request).await?;
            let own = Some(&mut spool);
            if let Some(id) = record_granted(shared, &granted, own, written, request).await? {
                return Ok(id);
            }
            drop(granted);
            record_spooled(shared, spool, written, request).await
        }
        Slot::Spool(spool) => record_spooled(shared, spool, written, request).await,
    }
}

/// Records a chunk whose bytes were written where the fields before them said, or to `own` if they have a blob of their
/// own. Returns `None` if fields after the file, or parts recorded in the meantime, show that the chunk belongs
/// elsewhere or nowhere.
async fn record_granted(
    shared: &Shared,
    granted: &GrantedRange,
    own: Option<&mut Spool>,
    written: Written,
    request: &ChunkRequest,
) -> Result<Option<UploadId>, Refusal> {
    let GrantedRange { sender, of, start, .. } = granted;
    let declared = &request.declared;
    let again = match place::place_final(shared, &sender.entry, declared, written.size).await {
        Ok(again) if again.start == *start => again,
        Ok(_) | Err(Refusal::Raced) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    match place::commit_part(shared, sender, *of, declared, written.at(*start), again, own).await {
        // Bytes sent to one generation of an upload don't count in the next one, whatever their sender says.
        Err(Refusal::Raced) if is_another(shared, &sender.entry, *of).await? => Err(Refusal::Raced),
        Err(Refusal::Raced) => Ok(None),
        recorded => recorded.map(Some),
    }
}

/// Whether the upload started over since `of`.
async fn is_another(shared: &Shared, entry: &Entry, of: Generation) -> Result<bool, Refusal> {
    let is_another = |record: &Record| match &record.state {
        State::Receiving(unfinished) => unfinished.generation(entry.id) != of,
        _ => false,
    };
    Ok(place::load_and_look(shared, entry, is_another).await?.unwrap_or(false))
}

/// Places a chunk whose bytes came before the fields that place it. If the store writes in place, the first bytes of a
/// new upload stay where they are, and others are copied into place. In any other store, the spool becomes the part.
async fn record_spooled(
    shared: &Arc<Shared>,
    mut spool: Spool,
    written: Written,
    request: &ChunkRequest,
) -> Result<UploadId, Refusal> {
    let declared = &request.declared;
    let id = match request.id {
        Some(id) => id,
        None if declared.index == 0 => UploadId::random(),
        None => return Err(Refusal::UuidMissing { index: declared.index }),
    };
    if let Some(GrantedRange { sender, of, .. }) =
        &adopt_spool(shared, id, &mut spool, written, request).await?
    {
        crash::point(Point::SpoolAdopted);
        let placed = Placed { start: 0, even_size: None };
        return place::commit_part(shared, sender, *of, declared, written.at(0), placed, None)
            .await;
    }
    // While this sender exists, the upload isn't withdrawn. If no chunk is recorded, it is when its last sender ends.
    let entry = shared.entries.get(id);
    let _sender = Sender::new(shared, Arc::clone(&entry), declared.index);
    if !place::open_or_begin(shared, &entry, request, Some(written.size)).await? {
        return Err(Refusal::Placement(PlacementError::TotalPartsMissing));
    }
    name_upload(shared, &entry, request).await?;
    for _ in 0..ATTEMPTS {
        let sender = Sender::new(shared, Arc::clone(&entry), declared.index);
        let size = Some(written.size);
        let turn = place::wait_for_place(shared, sender, declared, size, written.size).await?;
        let granted = match turn {
            WaitOutcome::Granted(granted) => granted,
            WaitOutcome::Recorded(part) => {
                return compare(shared, id, declared, part, written).await;
            }
            WaitOutcome::NeedsSize => break, // can't happen: the size is known
        };
        if let Some(blob) = granted.claim.as_ref().map(Claim::blob) {
            copy(&spool, written, &granted, blob).await?;
        }
        let own = granted.claim.is_none().then_some(&mut spool);
        // Otherwise, parts recorded in the meantime moved it.
        if let Some(id) = record_granted(shared, &granted, own, written, request).await? {
            return Ok(id);
        }
    }
    Err(Refusal::Raced)
}

/// Copies a spool to its place in the upload's blob.
async fn copy(
    spool: &Spool,
    written: Written,
    granted: &GrantedRange,
    blob: BlobId,
) -> Result<(), Refusal> {
    let mut bytes = spool.read(written.size).await?;
    let copied = granted.write(granted.place_in(blob), bytes.as_mut()).await?;
    if copied != written {
        return Err(Refusal::Internal(
            "a spool doesn't contain the bytes that were received".into(),
        ));
    }
    crash::point(Point::SpoolCopied);
    Ok(())
}

/// Names an upload whose first chunk had no filename, or only after the file.
async fn name_upload(
    shared: &Shared,
    entry: &Entry,
    request: &ChunkRequest,
) -> Result<(), Refusal> {
    place::load_and_look(shared, entry, |_| ()).await?;
    if let Some(filename) = &request.filename
        && let Some(of) = entry.name(filename)
    {
        let named = shared.metadata.name_upload(of, filename.clone()).await;
        named.inspect_err(|_| entry.forget())?;
    }
    Ok(())
}

/// Begins an upload with the spool as its blob, if the upload is new and these are its first bytes.
async fn adopt_spool(
    shared: &Arc<Shared>,
    id: UploadId,
    spool: &mut Spool,
    written: Written,
    request: &ChunkRequest,
) -> Result<Option<GrantedRange>, Refusal> {
    let Some(claims) = shared.blobs.claims() else {
        return Ok(None);
    };
    let entry = shared.entries.get(id);
    let _loading = entry.loading.lock().await;
    if request.id.is_some() && records::loaded(shared, &entry).await? {
        return Ok(None);
    }
    let (total_parts, placement) = place_first(&request.declared, Some(written.size))?;
    if placement != (Placement::At { start: 0, even_size: None }) {
        return Ok(None);
    }
    spool.check_age()?;
    let claim = claims.try_claim(spool.blob(), 0..written.size); // before any other sender can see the upload
    spool.keep(); // whatever the outcome of the commit: the sweep knows whether a record claims it
    crash::point(Point::SpoolKept);
    let reserved = room::reservation(shared, &request.declared, Some(written.size)).unwrap_or(0);
    let blob = Some(spool.blob());
    let begun = place::begin(shared, &entry, request, total_parts, reserved, blob).await;
    // Only after these errors is it certain that the record wasn't created.
    if matches!(
        begun,
        Ok(false)
            | Err(Refusal::TooManyUnfinished { .. }
                | Refusal::OverQuota(_)
                | Refusal::StorageFull(_))
    ) {
        spool.discard();
    }
    if !begun? {
        return Ok(None);
    }
    let (declared, size) = (&request.declared, Some(written.size));
    let sender = Sender::new(shared, Arc::clone(&entry), declared.index);
    let PartLookup::Place(place) = sender.look(declared, size, written.size)? else {
        return Err(Refusal::Raced);
    };
    match place::grant(shared, sender, claim, place, declared, size).await? {
        WaitOutcome::Granted(granted) => Ok(Some(granted)),
        _ => Err(Refusal::Raced),
    }
}

/// Compares a chunk that was sent again with the recorded one. Returns the upload's uuid if they are the same.
async fn compare(
    shared: &Shared,
    id: UploadId,
    declared: &Declaration,
    part: Part,
    written: Written,
) -> Result<UploadId, Refusal> {
    if let Some(declared) = part::declared_size(declared).filter(|size| *size != written.size) {
        let actual = written.size;
        return Err(PlacementError::SizeMismatch {
            stated: StatementSource::Field,
            declared,
            actual,
        }
        .into());
    }
    let same_place = part::declared_offset(declared).is_none_or(|start| start == part.offset);
    let same = same_place && (part.size, part.crc32) == (written.size, written.crc32);
    // The part that was on record when the bytes began to arrive may be gone by now.
    let index = declared.index;
    let entry = shared.entries.get(id);
    match recorded_now(shared, &entry, declared, written.size).await? {
        (Standing::Receiving, Some(now)) if now == part => {
            if same {
                Ok(id)
            } else {
                Err(Refusal::ChunkConflict { index })
            }
        }
        (Standing::Finished, _) => {
            if same {
                Ok(id)
            } else {
                Err(Refusal::UploadFinished { index })
            }
        }
        (standing, _) => Err(records::gone(shared, id, standing).await.unwrap_or(Refusal::Raced)),
    }
}

/// Returns the upload's state and, while it is receiving, its part with this index. In that case all fields of the
/// request, before and after its file, must fit the record.
async fn recorded_now(
    shared: &Shared,
    entry: &Entry,
    declared: &Declaration,
    size: u64,
) -> Result<(Standing, Option<Part>), Refusal> {
    let look = |record: &Record| match &record.state {
        State::Receiving(unfinished) => {
            let layout = &unfinished.layout;
            part::check_declaration(declared, layout, Some(size))?;
            Ok((Standing::Receiving, layout.part(declared.index).copied()))
        }
        state => Ok((state.standing(), None)),
    };
    loop {
        let now: Option<Result<_, PlacementError>> =
            place::load_and_look(shared, entry, look).await?;
        if !records::is_stale(shared, entry).await? {
            return now.transpose()?.ok_or(Refusal::Raced);
        }
    }
}

/// Whether fields after the file could still place a chunk that those before it don't.
fn may_be_placed_later(error: &PlacementError, declared: &Declaration) -> bool {
    part::declared_offset(declared).is_none()
        && matches!(
            error,
            PlacementError::OffsetUnknown { .. }
                | PlacementError::Uneven { .. }
                | PlacementError::Overlap { .. }
                | PlacementError::OutOfOrder { .. }
                | PlacementError::BeyondTotal { .. }
        )
}
