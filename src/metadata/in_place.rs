//! The part of the records that only a byte store on the disk of one machine needs, which writes in place: records may
//! survive a power failure that their unsynced bytes didn't, and bytes are overwritten.

use super::jobs::Job;
use super::{Error, Finalizing, Generation, Record, Snapshot};
use crate::ids::UploadId;
use crate::part::{Part, PartIndex};

/// Records of bytes that must be compared with their checksums before anything relies on them, and of bytes that are
/// being overwritten.
#[async_trait::async_trait]
pub trait InPlaceRecords: Send + Sync {
    /// Notes the current boot of the machine. Everything that an earlier boot left unsynced becomes suspect: parts of
    /// unfinished uploads, and files that were finished without a sync. Durable.
    async fn begin_boot(&self, boot: String) -> Result<(), Error>;

    /// Returns at most `limit` suspect uploads and Files, oldest first.
    async fn suspects(&self, limit: u32) -> Result<Vec<Record>, Error>;

    /// Makes an unfinished upload suspect.
    async fn doubt(&self, of: Generation) -> Result<(), Error>;

    /// Marks an unfinished upload as no longer suspect, and forgets the `lost` parts, whose bytes are gone; that voids
    /// every snapshot. Durable. Changes nothing if the upload isn't suspect, because the same parts may have
    /// been sent again since. Forgets no parts if bytes are being overwritten.
    async fn believe_upload(
        &self,
        of: Generation,
        lost: Vec<(PartIndex, Part)>,
    ) -> Result<(), Error>;

    /// Marks a File as no longer suspect. Durable.
    async fn believe_file(&self, id: UploadId) -> Result<(), Error>;

    /// Records the File that a complete upload is about to become, before its bytes are overwritten. Durable. Returns
    /// the job that finishes it, held for the caller until `leased_until`, and the snapshot to finish it with; every
    /// other snapshot is void from now on. Returns `None` if `of` is void, or if the parts of the file aren't those of
    /// the upload.
    async fn finalize_upload(
        &self,
        of: Snapshot,
        finalizing: Finalizing,
        leased_until: u64,
    ) -> Result<Option<(Job, Snapshot)>, Error>;
}
