//! How far uploads have come.

use std::sync::Arc;

use super::finish::PATIENCE;
use super::senders::Sender;
use super::shared::Shared;
use super::{Refusal, records};
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::metadata::{Standing, State, StoredFile};

/// How far an upload has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its uuid.
    pub id: UploadId,
    /// Bytes on record that lie end to end from the beginning on.
    pub offset: u64,
    /// The file's size, once it is known.
    pub total_size: Option<u64>,
    /// When it expires unless something comes, unix seconds; `None` if it is a File, or about to be.
    pub expires_at: Option<u64>,
    /// Whether it is a piece of an upload to come.
    pub is_partial: bool,
    /// The pieces that it was joined from.
    pub pieces: Vec<UploadId>,
    /// Its name, if it has one.
    pub filename: Option<Filename>,
    /// Its media type, as far as that is known.
    pub media_type: Option<String>,
    /// The File that it is by now.
    pub file: Option<Box<StoredFile>>,
}

impl Progress {
    /// Of an upload that has all its bytes.
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

/// How far an upload of this user's has come, also one of another dialect. Whoever sends to it is told to stop first,
/// and puts on record what has come.
pub(super) async fn progress(
    shared: &Arc<Shared>,
    id: UploadId,
    user: &UserId,
) -> Result<Progress, Refusal> {
    let mut record = match records::stands_for(shared, id, user).await {
        // Told once, as to whoever sends: clients that take only a 404 for a reason to begin anew do so then.
        Err(Refusal::Expired) => {
            return Err(records::gone(shared, id, Standing::Expired)
                .await
                .unwrap_or(Refusal::Expired));
        }
        found => found?,
    };
    if matches!(&record.state, State::Receiving(upload) if upload.append.is_some()) {
        stop_senders(shared, record.id).await?;
        record = records::record(shared, record.id, user).await?;
    }
    let pieces = shared.metadata.pieces(record.id).await?;
    match record.state {
        State::Receiving(upload) => {
            let (offset, total_size) = (upload.layout.end(), upload.layout.total_size);
            let is_partial = upload.append.as_ref().is_some_and(|append| append.is_partial);
            // Chunks wait for a done, and pieces to be joined.
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

/// Waits until nobody sends to the upload any more.
async fn stop_senders(shared: &Arc<Shared>, id: UploadId) -> Result<(), Refusal> {
    let entry = shared.entries.get(id);
    let sender = Sender::at_end(shared, entry);
    tokio::time::timeout(PATIENCE, sender.stop_older()).await.map_err(|_| Refusal::Busy)
}
