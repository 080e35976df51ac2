//! The only way to find, list, read, attach and delete Files.

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
    /// Creates a view of the Files in these stores.
    pub fn new(
        uploads: Arc<Uploads>,
        blobs: Arc<dyn BlobStore>,
        metadata: Arc<dyn MetadataStore>,
    ) -> Self {
        Self { uploads, blobs, metadata }
    }

    /// Returns the File with this uuid to its owner. The uuid of a thumbnail stands for the parent.
    pub async fn find(&self, id: UploadId, user: &UserId) -> Result<StoredFile, Refusal> {
        self.uploads.file(id, user).await
    }

    /// Returns the Files with these uuids, in the same order. The uuid of a thumbnail stands for the parent.
    pub async fn find_many(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Refusal> {
        Ok(self.metadata.find_files(ids).await?)
    }

    /// Returns the File whose bytes a link serves. Here the uuid of a thumbnail stands for the thumbnail itself.
    pub async fn shown(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(file)) => Ok(*file),
            Some(State::Removed | State::Replaced { .. } | State::Erased) => Err(Refusal::Removed),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Reads a range of a File in pieces of at most `piece` bytes, as [`BlobStore::read`] does.
    pub async fn read(
        &self,
        file: &StoredFile,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Refusal> {
        match self.blobs.read(&file.extents, range, piece).await {
            Err(error @ storage::Error::NotFound) => {
                // The File may have been deleted since it was found, or its thumbnail replaced.
                if self.shown(file.id).await?.extents == file.extents {
                    return Err(error.into());
                }
                Err(Refusal::Raced)
            }
            opened => Ok(opened?),
        }
    }

    /// Returns the path at which another web server finds a File's bytes, as [`BlobStore::proxy_path`] does.
    pub fn proxy_path(&self, file: &StoredFile) -> Option<String> {
        self.blobs.proxy_path(&file.extents)
    }

    /// Marks Files as shown in a message, so that their owner can't delete them. Repeating it is harmless.
    pub async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Refusal> {
        Ok(self.metadata.attach(ids).await?)
    }

    /// Lists a user's unfinished uploads and Files, newest first. Also returns the cursor of the next page, if any.
    pub async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Refusal> {
        Ok(self.metadata.list(user, before, limit).await?)
    }

    /// Deletes a File or cancels an upload of this user. For the application's backend (`None`), the owner doesn't
    /// matter, and attached Files can be deleted too. The bytes are gone when this returns.
    pub async fn delete(&self, id: UploadId, owner: Option<UserId>) -> Result<Erased, Refusal> {
        self.uploads.remove(id, owner).await
    }
}
