//! The folder of a disk store: the path of each blob, and a check that the folder is still the one that was marked.
//!
//! That a file isn't found means something only in the right folder: in an empty mount point, no file is found.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::OnceLock;

use super::access::make_private_file;
use crate::ids::BlobId;

/// A store's folder.
#[derive(Debug)]
pub(super) struct StoreFolder {
    root: PathBuf,
    /// The id with which it was marked, once that was read or written.
    id: OnceLock<BlobId>,
}

impl StoreFolder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, id: OnceLock::new() }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub(super) fn shard(&self, blob: BlobId) -> PathBuf {
        self.root.join(&blob.to_string()[..2])
    }

    pub(super) fn path(&self, blob: BlobId) -> PathBuf {
        self.shard(blob).join(blob.to_string())
    }

    /// Reads the id with which it is marked now. From the first one on, the same id is expected.
    pub(super) fn marker(&self) -> io::Result<Option<BlobId>> {
        let marker = match std::fs::read_to_string(self.marker_path()) {
            Ok(text) => BlobId::parse(text.trim())
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "store-id is damaged"))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        self.id.get_or_init(|| marker);
        Ok(Some(marker))
    }

    pub(super) fn mark(&self, id: BlobId) -> io::Result<()> {
        make_private_file(&self.marker_path(), &id.to_string())?;
        std::fs::File::open(&self.root)?.sync_all()?;
        self.id.get_or_init(|| id);
        Ok(())
    }

    /// Fails if the folder has been replaced: its disk was unmounted, or another one was mounted over it. A folder that
    /// was never marked is accepted.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.id.get() {
            Some(id) if self.marker()? != Some(*id) => Err(io::Error::other(
                "blobs/store-id is missing or belongs to another store: the disk with the stored files is not mounted",
            )),
            _ => Ok(()),
        }
    }

    /// Opens, reads or removes a file. "Not found" is only returned if this is the right folder.
    pub(super) fn find<T>(&self, find: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match find() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check()?;
                find() // try again: the folder may have come back just now
            }
            found => found,
        }
    }

    fn marker_path(&self) -> PathBuf {
        self.root.join("store-id")
    }
}
