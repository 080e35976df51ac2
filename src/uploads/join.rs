//! Joins pieces that were sent in parallel into one upload, which is finished at once.

use std::sync::Arc;

use super::progress::Progress;
use super::shared::{Shared, detached};
use super::{Creation, Refusal, complete, records};
use crate::crash::{self, Point};
use crate::ids::{GenerationId, UploadId};
use crate::metadata::{Joined, NewAppend, NewUpload, Standing, State};

/// Joins these pieces, in this order, into one upload and finishes it. Repeating it with the same pieces returns the
/// same upload. If finishing takes longer than a reply may wait, [`Progress::file`] is `None`.
pub(super) async fn join(
    shared: &Arc<Shared>,
    new: Creation,
    pieces: Vec<UploadId>,
) -> Result<Progress, Refusal> {
    let settled = shared.jobs.settled();
    let mut size: u64 = 0;
    for id in &pieces {
        // This compares the piece with its bytes where that is due. The transaction checks the piece's state.
        let state = records::record(shared, *id, &new.user).await?.state;
        if let State::Receiving(piece) = state {
            size = size.saturating_add(piece.layout.end());
        }
    }
    shared.limits.check_total(Some(size))?;
    let (this, user) = (Arc::clone(shared), new.user.clone());
    let id = UploadId::random();
    let upload = NewUpload {
        id,
        user: new.user,
        generation: GenerationId::random(),
        blob: None,
        total_parts: 0,
        append: Some(NewAppend { total_size: None, md5: new.md5, is_partial: false }),
        reserved: 0,
        filename: new.filename,
        declared_type: new.declared_type,
        parent: None,
    };
    let finishing = detached(async move {
        let (quota, now) = (this.limits.quota, this.clock.unix_secs());
        let until = this.leased_until();
        match this.metadata.join(upload, pieces.clone(), quota, now, until).await? {
            Joined::Joined { job } => {
                crash::point(Point::UploadsJoined);
                for piece in pieces {
                    this.entries.get(piece).end(Standing::Removed);
                }
                Ok((id, tokio::spawn(complete::run(this, id, user, job))))
            }
            // It is finished or being finished: wait for that.
            Joined::Before(id) => Ok((id, tokio::spawn(complete::run(this, id, user, None)))),
            Joined::NotAPiece(id) => Err(Refusal::NotAPiece { id }),
            Joined::Incomplete(id) => Err(Refusal::PieceIncomplete { id }),
            Joined::Over(over) => Err(over.into()),
        }
    });
    let (id, finishing) = finishing.await?;
    match complete::wait(shared, finishing, settled).await {
        Err(Refusal::Verifying) => Ok(Progress::being_finished(id, size)),
        finished => Ok(Progress::of_file(&finished?)),
    }
}
