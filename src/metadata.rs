//! The records: the [`MetadataStore`] contract and the types it uses.
//!
//! Each method that changes something is one transaction, named after the step of the business that it takes. This
//! module knows nothing of HTTP and touches no bytes of files. Times are seconds since 1970.

mod append;
mod error;
mod in_place;
pub mod jobs;
mod location;
mod packed;
pub mod postgres;
pub mod quota;
mod record;
pub mod sqlite;
mod step;

use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, LeaseId, UploadId, UserId};
use crate::part::Part;
use crate::storage::{Extents, Unready};
pub use append::{Append, Appended, Joined, NewAppend, NewBytes};
pub use error::Error;
pub use in_place::InPlaceRecords;
use jobs::JobQueue;
pub use location::Location;
use quota::{Quota, Usage};
pub use record::{
    Cursor, Finalizing, Generation, LinkKey, Listed, NewFile, Record, Role, Snapshot, Standing,
    State, StoredFile, Summary, Unfinished,
};
pub use step::{
    Begun, Caps, NewPart, NewPicture, NewSingle, NewUpload, Recorded, Removed, Reserved, Stored,
};

/// The records. Every method that changes something returns after its transaction is committed; a method marked
/// *durable* returns when the change would also survive a power failure. Methods that return at most `limit` records
/// return fewer if these have very many parts, but at least one; there are no more when one returns none.
#[async_trait::async_trait]
pub trait MetadataStore: JobQueue {
    /// Returns the part of the records that only byte stores that write in place need.
    fn in_place(&self) -> &dyn InPlaceRecords;

    /// Returns the record of a uuid, if there is one.
    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error>;

    /// Returns the parts in which a File was received, in order and without gaps; no parts for a picture that the
    /// server made. Returns `None` if the uuid doesn't name a File, or the File was removed.
    async fn received_parts(&self, id: UploadId) -> Result<Option<Vec<Part>>, Error>;

    /// Records a new upload. Returns `Exists` if the uuid was ever used, also by an earlier identical call.
    async fn begin_upload(&self, new: NewUpload, caps: Caps, now: u64) -> Result<Begun, Error>;

    /// Reserves `bytes` in total for an unfinished upload; a smaller number than before changes nothing. Finishing
    /// releases what the file doesn't need; removal and expiry release everything.
    async fn reserve(&self, of: Generation, bytes: u64, quota: Quota) -> Result<Reserved, Error>;

    /// Returns how much of the quotas is used.
    async fn usage(&self, user: UserId) -> Result<Usage, Error>;

    /// Returns the number of bytes of all users that count against quotas.
    async fn total_bytes(&self) -> Result<u64, Error>;

    /// Records a part. Checks, whatever the caller has read before, that offsets of parts ascend with their indexes and
    /// that no two parts overlap. Returns `Refused` if a part with this index exists.
    async fn record_part(&self, of: Generation, new: NewPart, now: u64) -> Result<Recorded, Error>;

    /// Records bytes at the end of an upload whose bytes arrive in order. Returns `Refused` unless they begin where its
    /// parts end, and if they contradict its total or exceed it. With the last byte, adds the job that finishes the
    /// upload, held for the caller until `leased_until`.
    async fn append(
        &self,
        of: Generation,
        new: NewBytes,
        now: u64,
        leased_until: u64,
    ) -> Result<Appended, Error>;

    /// Begins an upload that takes over the bytes of these partial uploads, in this order. Each must be complete, and
    /// is no longer a partial upload afterwards. Adds the job that finishes the upload, held for the caller until
    /// `leased_until`. The uuid must be new. Repeating it with the same partial uploads returns the upload that they
    /// were joined into.
    async fn join(
        &self,
        new: NewUpload,
        pieces: Vec<UploadId>,
        quota: Quota,
        now: u64,
        leased_until: u64,
    ) -> Result<Joined, Error>;

    /// Returns the partial uploads from which an upload, or the File made of it, was joined, in order. Returns none for
    /// any other upload.
    async fn pieces(&self, id: UploadId) -> Result<Vec<UploadId>, Error>;

    /// Whether a snapshot of an unfinished upload is still current, apart from parts that were added since.
    async fn is_current(&self, of: Snapshot) -> Result<bool, Error>;

    /// Forgets all parts of an upload whose bytes could not be made durable. The upload starts over as the generation
    /// `next`, with `blob` as in [`NewUpload::blob`], and the deletion of its old bytes becomes a job. Durable. Returns
    /// `false` if the generation `of` has ended, as after an earlier identical call.
    async fn restart_upload(
        &self,
        of: Generation,
        next: GenerationId,
        blob: Option<BlobId>,
    ) -> Result<bool, Error>;

    /// Makes a File of a complete upload. Adds a job that makes its thumbnail, if one can be made, and one that deletes
    /// the blobs of the upload that contain no bytes of the File. Durable. Returns `false` if `of` is void, as after an
    /// earlier identical call, or if the parts of `file` aren't those of the upload.
    async fn finish_upload(&self, of: Snapshot, file: NewFile, now: u64) -> Result<bool, Error>;

    /// Ends the job that copies this File into one blob, if `lease` still holds the job: the File consists of `copy`
    /// from now on, and the deletion of its old bytes becomes a job. Durable. Otherwise, and if the File is gone, the
    /// deletion of the copy becomes a job, and the method returns `false`.
    async fn pack(&self, id: UploadId, lease: LeaseId, copy: Extents) -> Result<bool, Error>;

    /// Ends the job that makes a thumbnail of this File, if `lease` still holds the job. A picture made of a media
    /// becomes its thumbnail unless it has one. A picture made of a thumbnail that a client sent replaces the sent
    /// bytes, and the media's older thumbnail. If no picture could be made, the sent thumbnail stays as it is and
    /// replaces an older one that was sent. Neither changes what a message shows: if the media is attached and has a
    /// thumbnail, that stays and the new one is removed. Durable. The deletion of replaced or unwanted bytes becomes a
    /// job, also that of a picture whose job `lease` no longer holds; then the method returns `false`.
    async fn end_drawing(
        &self,
        id: UploadId,
        lease: LeaseId,
        picture: Option<NewPicture>,
        now: u64,
    ) -> Result<bool, Error>;

    /// Makes a File that was sent in one request. A thumbnail is shown only once a picture was made of it. It replaces
    /// earlier thumbnails that clients sent; the one that its media shows is replaced when the picture is made, or at
    /// once if no picture can be made. Durable.
    async fn store_single(&self, new: NewSingle, quota: Quota, now: u64) -> Result<Stored, Error>;

    /// Names an unfinished upload that has no name yet. Does nothing if it has one. Durable.
    async fn name_upload(&self, of: Generation, filename: Filename) -> Result<(), Error>;

    /// Names a File that was sent in one request, at its first done request. Does nothing if it was named before.
    /// Durable, because the reply contains the name. Returns `false` if a message shows the File, which then keeps its
    /// name.
    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<bool, Error>;

    /// Cancels an upload, or deletes a File with its thumbnails, or only a thumbnail. `even_attached` allows deleting
    /// what a message shows, which only the application's backend may do.
    async fn remove(
        &self,
        id: UploadId,
        even_attached: bool,
        now: u64,
        leased_until: u64,
    ) -> Result<Removed, Error>;

    /// Forgets some of the parts that the upload of a [`JobKind::ForgetParts`](jobs::JobKind) left behind. Returns
    /// `false` if none is left. Repeating it is harmless.
    async fn forget_parts(&self, number: u64) -> Result<bool, Error>;

    /// Forgets an upload that never had a chunk, as if it had not begun; the deletion of its blob becomes a job.
    /// Returns `false` if the generation `of` has ended, as after an earlier identical call, or if the upload had a
    /// chunk or has a thumbnail.
    async fn withdraw_upload(&self, of: Generation, now: u64) -> Result<bool, Error>;

    /// Returns at most `limit` uploads that were begun before `begun_before` and never had a chunk or a thumbnail.
    async fn unused_uploads(&self, begun_before: u64, limit: u32) -> Result<Vec<UploadId>, Error>;

    /// Frees the uuid of an expired upload, so that a new upload can begin with it.
    async fn forget_expired(&self, id: UploadId) -> Result<(), Error>;

    /// Marks Files as shown by a message. Repeating it changes nothing.
    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error>;

    /// Returns the Files with these uuids, in order. The uuid of a thumbnail stands for its parent.
    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error>;

    /// Returns a user's unfinished uploads and Files that are older than `before`, newest first, and where to continue.
    /// An upload that never had a chunk isn't listed: for clients it doesn't exist until its first chunk is recorded.
    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error>;

    /// Expires at most `limit` uploads in which nothing was stored since `idle_since`. Returns their uuids.
    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<UploadId>, Error>;

    /// Returns those of these blobs that no record claims.
    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error>;

    /// Returns the keys of links that are still accepted, newest first; the first one signs. If there is none, records
    /// `first` as the first key.
    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error>;

    /// Makes `new` the key that signs. Links of older keys are accepted until `accept_old_until`. Durable.
    async fn rotate_link_key(
        &self,
        new: [u8; 32],
        accept_old_until: u64,
        now: u64,
    ) -> Result<(), Error>;

    /// Whether any upload was ever begun.
    async fn has_uploads(&self) -> Result<bool, Error>;

    /// Returns the id of the byte store that these records describe. If there is none yet, records `fresh`.
    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error>;

    /// Returns at most `limit` Files that were finished before `unix_secs` and that no message shows.
    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error>;

    /// Returns at most `limit` of all uploads and Files that have bytes, oldest first, beginning after `after` (0: at
    /// the first one), and where to continue.
    async fn all(&self, after: Cursor, limit: u32) -> Result<(Vec<Record>, Option<Cursor>), Error>;

    /// Returns at most `limit` uploads, Files and thumbnails of this user, oldest first.
    async fn of_user(&self, user: UserId, limit: u32) -> Result<Vec<Record>, Error>;

    /// Forgets everything that is left of the removed and expired uploads of this user, except their uuids, and returns
    /// these. What the user still has stays. Durable. Repeating it changes nothing.
    async fn forget_user(&self, user: UserId) -> Result<Vec<UploadId>, Error>;

    /// Leaves no trace of forgotten records in the database. Rewrites all records: every other step waits for as long
    /// as that takes, and it needs as much disk space again. Returns an error if it can't be ensured.
    async fn scrub(&self) -> Result<(), Error>;

    /// Returns an error if records can't be written now; for the readiness probe.
    async fn check(&self) -> Result<(), Unready>;

    /// Makes everything committed durable and closes the files. The last call.
    async fn close(&self) -> Result<(), Error>;
}
