//! Which records can be trusted after a boot. Records outlive bytes that were not synced, so parts are compared with
//! their checksums before anything relies on them.

use super::Refusal;
use super::shared::Shared;
use crate::crash::{self, Point};
use crate::ids::UploadId;
use crate::metadata::{Record, State, Unfinished};
use crate::part::{Part, PartIndex};
use crate::storage::{self, Extents};
use crate::words::counted;

/// Number of suspects verified in one run of the job.
pub(super) const BATCH: u32 = 100;

/// Returns the record once it can be relied on: its parts are compared with their bytes where that is due.
pub(super) async fn trusted(shared: &Shared, record: Record) -> Result<Record, Refusal> {
    match &record.state {
        State::Receiving(unfinished) if unfinished.suspect => {
            compare_parts(shared, record.id, unfinished).await?;
            shared.metadata.load(record.id).await?.ok_or(Refusal::NotFound)
        }
        _ => Ok(record),
    }
}

/// Forgets the parts of an upload whose bytes have changed.
pub(super) async fn compare_parts(
    shared: &Shared,
    id: UploadId,
    unfinished: &Unfinished,
) -> Result<(), Refusal> {
    let mut lost: Vec<(PartIndex, Part)> = Vec::new();
    // Parts that are being overwritten have other checksums. Finishing compares the whole file.
    if unfinished.finalizing.is_none() {
        for (index, part) in unfinished.layout.parts() {
            let extents = unfinished.location.of(part.range());
            // If bytes arrive in order, no client would ever fill a gap, so the bytes after it are lost, too.
            let follows_a_gap = unfinished.append.is_some() && !lost.is_empty();
            if follows_a_gap || !is_whole(shared, &extents, part.crc32).await? {
                lost.push((index, *part));
            }
        }
    }
    if !lost.is_empty() {
        let chunks = counted(lost.len(), "chunk");
        tracing::warn!(%id, "lost {chunks} in a power failure or system crash; the client must send them again");
    }
    shared.metadata.in_place().believe_upload(unfinished.generation(id), lost).await?;
    crash::point(Point::PartsCompared);
    shared.entries.get(id).forget();
    Ok(())
}

/// Whether these bytes exist and have this checksum.
pub(super) async fn is_whole(
    shared: &Shared,
    extents: &Extents,
    crc32: u32,
) -> Result<bool, Refusal> {
    let found = storage::crc32(shared.blobs.as_ref(), extents).await?;
    Ok(found == Some(crc32))
}
