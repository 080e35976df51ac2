//! A part's place: the upload it belongs to, its turn to write, and its record.

use std::sync::Arc;
use std::time::Duration;

use super::claims::{Attempt, Claim, Entry};
use super::{ChunkRequest, Granted, Refusal, Uploads};
use crate::ids::{BlobId, UploadId};
use crate::metadata::{Begun, NewPart, NewUpload, Recorded, State, UnfinishedCap};
use crate::part::{self, Declaration, Layout, Part, Placement};
use crate::storage::BodyError;

/// An unfinished upload in which nothing was stored for so long makes room for a new one at the cap.
const IDLE: Duration = Duration::from_hours(1);

/// What became of waiting for a range.
pub(super) enum Claimed {
    Granted(Granted),
    Recorded(Part),
    NeedsSize,
}

impl Uploads {
    /// The upload's entry with its record loaded, begun if the uuid is new. `None` when it is new and
    /// `totalparts` isn't known yet.
    pub(super) async fn open_or_begin(
        self: &Arc<Self>,
        id: UploadId,
        request: &ChunkRequest,
    ) -> Result<Option<Arc<Entry>>, Refusal> {
        let entry = self.entries.get(id);
        let owner = entry.look(|record| record.user);
        if owner.is_none() {
            let _loading = entry.loading.lock().await;
            if !self.loaded(&entry).await? {
                let Some(total_parts) = request.declared.total_parts else {
                    return Ok(None);
                };
                part::check_declaration(&request.declared, &Layout::new(total_parts), None)?;
                if !self
                    .begin(&entry, request, total_parts, BlobId::random())
                    .await?
                {
                    return Err(Refusal::Raced);
                }
            }
        }
        match entry.look(|record| (record.user, matches!(record.state, State::Receiving(_)))) {
            Some((user, _)) if user != request.user => Err(Refusal::NotFound),
            Some((_, true)) => Ok(Some(entry)),
            _ => match self.gone(&entry).await {
                Some(refusal) => Err(refusal),
                None => Ok(Some(entry)),
            },
        }
    }

    /// Why an upload that isn't receiving takes nothing; `None` when it is finished.
    async fn gone(&self, entry: &Entry) -> Option<Refusal> {
        match entry.record().map(|record| record.state) {
            Some(State::Removed | State::Replaced { .. }) => Some(Refusal::Removed),
            Some(State::Expired) => Some(self.expired(entry.id).await),
            Some(State::Finished(_) | State::Receiving(_)) => None,
            None => Some(Refusal::Raced),
        }
    }

    /// Commits a new upload; `false` when the uuid is taken. The caller holds `loading`.
    pub(super) async fn begin(
        &self,
        entry: &Entry,
        request: &ChunkRequest,
        total_parts: u32,
        blob: BlobId,
    ) -> Result<bool, Refusal> {
        let now = self.clock.unix_secs();
        let new = NewUpload {
            id: entry.id,
            user: request.user,
            blob,
            total_parts,
            filename: request.filename.clone(),
            declared_type: request.declared_type.clone(),
            parent: request.parent,
        };
        let cap = UnfinishedCap {
            max: self.limits.max_unfinished,
            idle_since: now.saturating_sub(IDLE.as_secs()),
        };
        let evicted = match self.metadata.begin_upload(new, cap, now).await? {
            Begun::Begun { evicted } => evicted,
            Begun::Exists => return Ok(false),
            Begun::TooMany => return Err(Refusal::TooManyUnfinished { max: cap.max }),
        };
        if let Some((id, blob)) = evicted {
            self.entries.get(id).forget_and_revoke();
            self.delete_blobs([blob]).await;
        }
        self.loaded(entry).await
    }

    /// Waits until the range is this sender's, or until something else is known of it.
    pub(super) async fn claim(
        &self,
        claim: Claim,
        declared: &Declaration,
        size: Option<u64>,
        bound: u64,
    ) -> Result<Claimed, Refusal> {
        let entry = Arc::clone(&claim.entry);
        loop {
            let mut released = std::pin::pin!(entry.released());
            released.as_mut().enable();
            match claim.attempt(declared, size, bound)? {
                Attempt::Granted { blob, start, limit } => {
                    if start.saturating_add(part::declared_size(declared).unwrap_or(0))
                        > self.limits.max_file_size
                    {
                        return Err(Refusal::FileTooLong {
                            max: self.limits.max_file_size,
                        });
                    }
                    let declared = part::declared_size(declared).is_some();
                    return Ok(Claimed::Granted(Granted {
                        claim,
                        blob,
                        start,
                        limit,
                        declared,
                    }));
                }
                Attempt::Recorded(part) => return Ok(Claimed::Recorded(part)),
                Attempt::NeedsSize => return Ok(Claimed::NeedsSize),
                Attempt::Superseded => return Err(Refusal::Body(BodyError::Superseded)),
                Attempt::Busy => released.await,
                Attempt::NotReceiving => {
                    let _loading = entry.loading.lock().await;
                    if !self.loaded(&entry).await? {
                        return Err(Refusal::Raced);
                    }
                    if let Some(refusal) = self.gone(&entry).await {
                        return Err(refusal);
                    }
                    if entry.look(|record| matches!(record.state, State::Finished(_))) == Some(true)
                    {
                        let received = self.metadata.received_parts(entry.id).await?;
                        let part = received.get(declared.index as usize).copied();
                        let index = declared.index;
                        return part
                            .map(Claimed::Recorded)
                            .ok_or(Refusal::UploadFinished { index });
                    }
                }
            }
        }
    }

    /// Commits a part whose bytes are written, under its live claim.
    pub(super) async fn commit_part(
        &self,
        claim: Claim,
        declared: &Declaration,
        part: Part,
        even_size: Option<u64>,
    ) -> Result<UploadId, Refusal> {
        if part.range().end > self.limits.max_file_size {
            return Err(Refusal::FileTooLong {
                max: self.limits.max_file_size,
            });
        }
        if !claim.begin_commit() {
            return Err(Refusal::Body(BodyError::Superseded));
        }
        let entry = &claim.entry;
        let total_size = declared
            .total_size
            .or(declared.content_range.and_then(|r| r.total));
        let known = entry.look(|record| match &record.state {
            State::Receiving(u) => (u.layout.total_size, u.layout.even_size),
            _ => (None, None),
        });
        let (known_total, known_even) = known.unwrap_or_default();
        let new = NewPart {
            index: declared.index,
            part,
            total_size: total_size.filter(|_| known_total.is_none()),
            even_size: even_size.filter(|_| known_even.is_none()),
        };
        let now = self.clock.unix_secs();
        match self.metadata.record_part(entry.id, new, now).await? {
            Recorded::Stored => {
                entry.insert(&new, now);
                Ok(entry.id)
            }
            Recorded::Refused => {
                entry.forget();
                Err(self.why_not_receiving(entry.id, declared).await)
            }
        }
    }

    /// Why a part could not be recorded: the upload was finished, removed or changed meanwhile.
    pub(super) async fn why_not_receiving(&self, id: UploadId, declared: &Declaration) -> Refusal {
        match self.metadata.load(id).await {
            Err(error) => error.into(),
            Ok(record) => match record.map(|record| record.state) {
                Some(State::Finished(_)) => Refusal::UploadFinished {
                    index: declared.index,
                },
                Some(State::Removed | State::Replaced { .. }) => Refusal::Removed,
                Some(State::Expired) => self.expired(id).await,
                Some(State::Receiving(_)) | None => Refusal::Raced,
            },
        }
    }
}

/// Where the part goes now that its size and all its fields are known; `None` when the upload receives
/// nothing any more.
pub(super) fn place_again(
    entry: &Entry,
    declared: &Declaration,
    size: u64,
) -> Result<Option<Placement>, Refusal> {
    let placed = entry.look(|record| match &record.state {
        State::Receiving(unfinished) => {
            part::place(declared, &unfinished.layout, Some(size)).map(Some)
        }
        _ => Ok(None),
    });
    Ok(placed.transpose()?.flatten())
}
