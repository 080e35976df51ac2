//! The progress of uploads.

use std::sync::Arc;

use super::finish::REPLY_TIMEOUT;
use super::senders::Sender;
use super::shared::Shared;
use super::{Refusal, records};
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::metadata::{Standing, State, StoredFile};

/// The progress of an upload.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its uuid.
    pub id: UploadId,
    /// Number of contiguous bytes on record from the beginning of the file.
    pub offset: u64,
    /// The file's size, once it is known.
    pub total_size: Option<u64>,
    /// When it expires unless bytes arrive, in Unix seconds; `None` if it is finished or being finished.
    pub expires_at: Option<u64>,
    /// Whether it is a piece of an upload that is still to be joined.
    pub is_partial: bool,
    /// The pieces that it was joined from.
    pub pieces: Vec<UploadId>,
    /// Its filename, if it has one.
    pub filename: Option<Filename>,
    /// Its media type, if it is known.
    pub media_type: Option<String>,
    /// The File, if it is finished.
    pub file: Option<Box<StoredFile>>,
}

impl Progress {
    /// The progress of an upload that has all its bytes.
    pub(super) fn being_finished(id: UploadId, size: u64) -> Self {
        Self {
            id,
            offset: size,
            total_size: Some(size),
            expires_at: None,
            is_partial: false,
            pieces: Vec::new(),
            filename: None,
            media_type: None,
            file: None,
        }
    }

    pub(super) fn of_file(file: &StoredFile) -> Self {
        let media_type = file.facts.media_type.essence().to_owned();
        Self {
            filename: Some(file.filename.clone()),
            media_type: Some(media_type),
            file: Some(Box::new(file.clone())),
            ..Self::being_finished(file.id, file.size)
        }
    }
}

/// Returns the progress of this user's upload, including one of another dialect. Its senders are stopped first and
/// record what they have received.
pub(super) async fn progress(
    shared: &Arc<Shared>,
    id: UploadId,
    user: &UserId,
) -> Result<Progress, Refusal> {
    let mut record = match records::record_or_parent(shared, id, user).await {
        // Reported once, as to senders: clients that begin anew only after a 404 do so at their next request.
        Err(Refusal::Expired) => {
            return Err(records::gone(shared, id, Standing::Expired)
                .await
                .unwrap_or(Refusal::Expired));
        }
        found => found?,
    };
    if matches!(&record.state, State::Receiving(upload) if upload.append.is_some()) {
        stop_senders(shared, record.id).await?;
    }
    // Before the record: a removal forgets the pieces, so a record that is still there has these.
    let pieces = shared.metadata.pieces(record.id).await?;
    record = records::record(shared, record.id, user).await?;
    match record.state {
        State::Receiving(upload) => {
            let (offset, total_size) = (upload.layout.end(), upload.layout.total_size);
            let is_partial = upload.append.as_ref().is_some_and(|append| append.is_partial);
            // Chunks need a done request, and pieces must be joined.
            let is_last_byte_enough = upload.append.is_some() && !is_partial;
            let is_being_finished = is_last_byte_enough && total_size == Some(offset);
            let expires_at = (!is_being_finished).then(|| shared.expires_at(upload.touched_at));
            Ok(Progress {
                id: record.id,
                offset,
                total_size,
                expires_at,
                is_partial,
                pieces,
                filename: upload.filename,
                media_type: upload.declared_type,
                file: None,
            })
        }
        State::Finished(file) => Ok(Progress { pieces, ..Progress::of_file(&file) }),
        state => {
            Err(records::gone(shared, id, state.standing()).await.unwrap_or(Refusal::NotFound))
        }
    }
}

/// Waits until the upload has no sender.
async fn stop_senders(shared: &Arc<Shared>, id: UploadId) -> Result<(), Refusal> {
    let entry = shared.entries.get(id);
    let sender = Sender::at_end(shared, entry);
    tokio::time::timeout(REPLY_TIMEOUT, sender.stop_older()).await.map_err(|_| Refusal::Busy)
}
