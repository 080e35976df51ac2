//! Beginning again, where the store failed to keep what an upload had.

use super::shared::Shared;
use super::{Refusal, records};
use crate::crash::{self, Point};
use crate::ids::GenerationId;
use crate::metadata::Generation;
use crate::storage::{Error, Extents};

/// After a failed sync nobody knows which bytes are on the disk, and a second sync would not say: the upload forgets its
/// parts and begins again as another generation. So it does when some of its bytes, which these are, are not there.
/// Returns what its sender is told.
pub(super) async fn restart(
    shared: &Shared,
    of: Generation,
    extents: &Extents,
    error: &Error,
) -> Result<Refusal, Refusal> {
    let id = of.upload;
    let blobs = extents.blobs().into_iter().map(|(blob, _)| blob);
    shared.condemned().extend(blobs); // until the records say so
    let (next, blob) = (GenerationId::random(), shared.new_blob());
    let restarted = shared.metadata.restart_upload(of, next, blob).await?;
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
