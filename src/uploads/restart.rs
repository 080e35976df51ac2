//! Beginning again, where the store failed to keep what an upload had.

use super::shared::Shared;
use super::{Refusal, records};
use crate::crash::{self, Point};
use crate::ids::GenerationId;
use crate::metadata::Generation;
use crate::storage::Error;

/// After a failed sync nobody knows which bytes are on the disk, and a second sync would not say: the upload forgets its
/// parts and begins again as another generation. So it does when some of its bytes are not there. Where even that can't be
/// put on record it is at the next attempt to finish it, as the store doesn't forget; its sender is told so already now.
/// Returns what that is.
pub(super) async fn restart(
    shared: &Shared,
    of: Generation,
    error: &Error,
) -> Result<Refusal, Refusal> {
    let id = of.upload;
    let (next, blob) = (GenerationId::random(), shared.new_blob());
    let restarted = match shared.metadata.restart_upload(of, next, blob).await {
        Ok(restarted) => restarted,
        Err(unrecorded) => {
            tracing::error!(%id, %error, %unrecorded, "an upload's bytes could not be made durable; it will begin again");
            return Ok(Refusal::NotDurable);
        }
    };
    crash::point(Point::UploadRestarted);
    shared.entries.get(id).forget();
    if !restarted {
        let stored = records::stored(shared, id).await; // not receiving any more, or anew: why?
        return Ok(stored.err().unwrap_or(Refusal::Raced));
    }
    tracing::error!(%id, %error, "an upload's bytes could not be made durable; it begins again");
    shared.jobs.job_added(); // to delete them
    Ok(Refusal::NotDurable)
}
