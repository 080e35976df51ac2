//! Files: the one way to find, list, show, attach and delete them.

use std::ops::Range;
use std::sync::Arc;

use crate::ids::{UploadId, UserId};
use crate::metadata::{Cursor, Listed, MetadataStore, State, StoredFile};
use crate::storage::{self, BlobStore, Outgoing};
use crate::uploads::{Erased, Refusal, Uploads};

/// The Files of all users.
pub struct Files {
    uploads: Arc<Uploads>,
    blobs: Arc<dyn BlobStore>,
    metadata: Arc<dyn MetadataStore>,
}

impl Files {
    /// Files over these stores.
    pub fn new(
        uploads: Arc<Uploads>,
        blobs: Arc<dyn BlobStore>,
        metadata: Arc<dyn MetadataStore>,
    ) -> Self {
        Self { uploads, blobs, metadata }
    }

    /// The File of this uuid, for its owner; a thumbnail's uuid gives its parent.
    pub async fn find(&self, id: UploadId, user: &UserId) -> Result<StoredFile, Refusal> {
        self.uploads.file(id, user).await
    }

    /// The Files of these uuids, in order; a thumbnail's uuid gives its parent.
    pub async fn find_many(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Refusal> {
        Ok(self.metadata.find_files(ids).await?)
    }

    /// The File whose own bytes a link shows: here a thumbnail's uuid stands for the thumbnail.
    pub async fn shown(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(file)) => Ok(*file),
            Some(State::Removed | State::Replaced { .. } | State::Erased) => Err(Refusal::Removed),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Bytes of a File, in pieces of at most `piece` bytes, as [`BlobStore::read`] gives them.
    pub async fn read(
        &self,
        file: &StoredFile,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Refusal> {
        match self.blobs.read(&file.extents, range, piece).await {
            Err(error @ storage::Error::NotFound) => {
                // Deleted since it was found, or drawn anew?
                if self.shown(file.id).await?.extents == file.extents {
                    return Err(error.into());
                }
                Err(Refusal::Raced)
            }
            opened => Ok(opened?),
        }
    }

    /// Where a web server beside this one finds a File's bytes; `None` where it finds them nowhere.
    pub fn hand_over(&self, file: &StoredFile) -> Option<String> {
        self.blobs.hand_over(&file.extents)
    }

    /// Marks Files as shown by a message, so that their owner can't delete them. Repeating it is harmless.
    pub async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Refusal> {
        Ok(self.metadata.attach(ids).await?)
    }

    /// A user's unfinished uploads and Files, newest first.
    pub async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Refusal> {
        Ok(self.metadata.list(user, before, limit).await?)
    }

    /// Deletes a File, or cancels an upload, of this user's, or of anybody's for the application's backend (`None`),
    /// which may delete attached ones too. The bytes are gone when it answers.
    pub async fn delete(&self, id: UploadId, owner: Option<UserId>) -> Result<Erased, Refusal> {
        self.uploads.remove(id, owner).await
    }
}
