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
    /// When it expires unless more comes, unix seconds; `None` if all is there.
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
    /// Whether all its bytes are there.
    pub fn is_complete(&self) -> bool {
        self.total_size == Some(self.offset)
    }

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
            let progress = Progress {
                id: record.id,
                offset: upload.layout.end(),
                total_size: upload.layout.total_size,
                expires_at: None,
                is_partial: upload.append.is_some_and(|append| append.is_partial),
                pieces,
                filename: upload.filename,
                media_type: upload.declared_type,
                file: None,
            };
            let expires = !progress.is_complete() || progress.is_partial;
            let expires_at = expires.then(|| shared.expires_at(upload.touched_at));
            Ok(Progress { expires_at, ..progress })
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
    let sender = Sender::new(shared, entry, 0);
    tokio::time::timeout(PATIENCE, sender.stop_older()).await.map_err(|_| Refusal::Busy)
}
