//! What the records keep for a store of bytes that writes in place, on a disk of one machine: what is on record may
//! outlive bytes that were not synced, and bytes are overwritten. Any other store has no use for it.

use super::jobs::Job;
use super::{Error, Finalizing, Generation, Record, Snapshot};
use crate::ids::UploadId;
use crate::part::{Part, PartIndex};

/// Which bytes are to be compared with their checksums before anything is built on them, and what becomes of those that
/// are being overwritten.
#[async_trait::async_trait]
pub trait InPlaceRecords: Send + Sync {
    /// Begins to be used in this boot of the machine. What an earlier one left unsynced becomes suspect: parts of
    /// unfinished uploads, and files that were finished without a sync. Durable.
    async fn begin_boot(&self, boot: String) -> Result<(), Error>;

    /// At most `limit` uploads and Files that are suspect, oldest first.
    async fn suspects(&self, limit: u32) -> Result<Vec<Record>, Error>;

    /// Makes an unfinished upload suspect.
    async fn doubt(&self, of: Generation) -> Result<(), Error>;

    /// Ends the suspicion of an unfinished upload and forgets these parts, whose bytes are gone: then every snapshot
    /// is void. Durable. Changes nothing where there is no suspicion (any more), as the same parts may have come again
    /// since, and forgets no parts whose bytes are being overwritten.
    async fn believe_upload(
        &self,
        of: Generation,
        lost: Vec<(PartIndex, Part)>,
    ) -> Result<(), Error>;

    /// Ends the suspicion of a File. Durable.
    async fn believe_file(&self, id: UploadId) -> Result<(), Error>;

    /// Keeps what an upload whose parts are all there is about to become, before its bytes are overwritten.
    /// Durable. Returns the job to finish it, held for the caller until `leased_until`, and the snapshot to finish it
    /// with: every other one is void from now on. `None` when `of` is void, or the parts of the file aren't the
    /// upload's.
    async fn finalize_upload(
        &self,
        of: Snapshot,
        finalizing: Finalizing,
        leased_until: u64,
    ) -> Result<Option<(Job, Snapshot)>, Error>;
}
