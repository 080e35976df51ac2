//! Starts an upload over after the store lost bytes of it.

use super::shared::Shared;
use super::{Refusal, records};
use crate::crash::{self, Point};
use crate::ids::GenerationId;
use crate::metadata::Generation;
use crate::storage::Error;

/// Makes an upload that lost bytes forget its parts and start over as a new generation. This also happens after a
/// failed sync: it is then unknown which bytes are on the disk, and a second sync would not tell. If even this can't be
/// recorded, the next attempt to finish the upload does it, because the store remembers the failure; the sender is told
/// now nevertheless. Returns the refusal for the sender.
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
            tracing::error!(%id, %error, %unrecorded, "an upload's bytes could not be made durable; it will start over");
            return Ok(Refusal::NotDurable);
        }
    };
    crash::point(Point::UploadRestarted);
    shared.entries.get(id).forget();
    if !restarted {
        let stored = records::stored(shared, id).await; // it is no longer receiving, or has started over already
        return Ok(stored.err().unwrap_or(Refusal::Raced));
    }
    tracing::error!(%id, %error, "an upload's bytes could not be made durable; it starts over");
    shared.jobs.job_added(); // to delete them
    Ok(Refusal::NotDurable)
}
