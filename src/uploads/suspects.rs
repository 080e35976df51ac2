//! Verifies everything that became suspect when the machine was booted.

use super::shared::Shared;
use super::trust::BATCH;
use super::{Refusal, erase, trust};
use crate::ids::UploadId;
use crate::metadata::{State, StoredFile};

/// Verifies some of the data that is still suspect. Returns `false` if there was none.
pub(super) async fn compare_suspects(shared: &Shared) -> Result<bool, Refusal> {
    let suspects = shared.metadata.in_place().suspects(BATCH).await?;
    let any = !suspects.is_empty();
    for record in suspects {
        match record.state {
            State::Receiving(unfinished) => {
                trust::compare_parts(shared, record.id, &unfinished).await?;
            }
            State::Finished(file) => compare_file(shared, &file).await?,
            _ => shared.metadata.in_place().believe_file(record.id).await?,
        }
    }
    Ok(any)
}

/// Compares the parts of an unfinished upload with their bytes and forgets the parts whose bytes are gone.
pub(super) async fn doubt(shared: &Shared, id: UploadId) -> Result<(), Refusal> {
    let Some(State::Receiving(upload)) = shared.metadata.load(id).await?.map(|record| record.state)
    else {
        return Ok(());
    };
    shared.metadata.in_place().doubt(upload.generation(id)).await?;
    if let Some(record) = shared.metadata.load(id).await? {
        trust::trusted(shared, record).await?;
    }
    Ok(())
}

/// Removes a File that was never synced if its bytes have changed.
async fn compare_file(shared: &Shared, file: &StoredFile) -> Result<(), Refusal> {
    if trust::is_whole(shared, &file.extents, file.crc32).await? {
        return Ok(shared.metadata.in_place().believe_file(file.id).await?);
    }
    tracing::error!(
        id = %file.id,
        "a file was lost in a power failure or system crash, which is possible with --durability process"
    );
    erase::remove_lost(shared, file.id).await
}
