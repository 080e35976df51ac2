//! The records: the [`MetadataStore`] contract and the types it speaks in.
//!
//! Each method that changes something is one transaction, named for the step of the business it takes.
//! Knows nothing of HTTP and touches no bytes of files. Times are seconds since 1970.

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

/// The records. Every method that changes something answers after its transaction is committed; those
/// marked *durable* after it would also survive power loss. Those that give at most `limit` records give fewer, but
/// one at least, where they have very many parts: there are no more once none comes.
#[async_trait::async_trait]
pub trait MetadataStore: JobQueue {
    /// What they keep for a store of bytes that writes in place.
    fn in_place(&self) -> &dyn InPlaceRecords;

    /// What is known of a uuid.
    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error>;

    /// The parts a File was received in, in order and end to end; of a picture that was made here, none. `None`
    /// when the uuid names no File, or none any more.
    async fn received_parts(&self, id: UploadId) -> Result<Option<Vec<Part>>, Error>;

    /// Puts a new upload on record. `Exists` when the uuid was ever used, also by the same call before.
    async fn begin_upload(&self, new: NewUpload, caps: Caps, now: u64) -> Result<Begun, Error>;

    /// Reserves `bytes` in all for an unfinished upload; never fewer than before. Finishing gives back what it
    /// does not take, and removal and expiry all.
    async fn reserve(&self, of: Generation, bytes: u64, quota: Quota) -> Result<Reserved, Error>;

    /// What counts against quotas.
    async fn usage(&self, user: UserId) -> Result<Usage, Error>;

    /// Bytes of all users that count against quotas.
    async fn total_bytes(&self) -> Result<u64, Error>;

    /// Puts a part on record, whatever the caller believes of the others: offsets of parts ascend with their
    /// indexes, and no two share a byte. `Refused` when its index is there already.
    async fn record_part(&self, of: Generation, new: NewPart, now: u64) -> Result<Recorded, Error>;

    /// Puts bytes at the end of an upload on record whose bytes come in order. `Refused` unless they begin where its
    /// parts end, and where they contradict its total or go beyond it. With its last byte, finishing it becomes a job,
    /// held for the caller until `leased_until`.
    async fn append(
        &self,
        of: Generation,
        new: NewBytes,
        now: u64,
        leased_until: u64,
    ) -> Result<Appended, Error>;

    /// Begins an upload that has the bytes of these pieces, in this order; each must have all of its own, and is none
    /// any more then. Finishing the upload becomes a job, held for the caller until `leased_until`. Its uuid must be
    /// new. Repeating it with the same pieces gives the upload that they were joined into.
    async fn join(
        &self,
        new: NewUpload,
        pieces: Vec<UploadId>,
        quota: Quota,
        now: u64,
        leased_until: u64,
    ) -> Result<Joined, Error>;

    /// The pieces that an upload, or the File it became, was joined from, in order; none of any other.
    async fn pieces(&self, id: UploadId) -> Result<Vec<UploadId>, Error>;

    /// Whether what was read of an unfinished upload is still so, but for parts that came since.
    async fn is_current(&self, of: Snapshot) -> Result<bool, Error>;

    /// Forgets all parts of an upload whose bytes could not be made durable: it begins again as the generation `next`,
    /// in `blob` as in [`NewUpload::blob`], and the deletion of what it had becomes a job. Durable. `false` when this
    /// life of it has ended, as after the same call before.
    async fn restart_upload(
        &self,
        of: Generation,
        next: GenerationId,
        blob: Option<BlobId>,
    ) -> Result<bool, Error>;

    /// Makes a File of an upload whose parts are all there; making its thumbnail becomes a job, where one can be
    /// made, and so does the deletion of blobs that the upload had and the File has no bytes in. Durable. `false` when
    /// `of` is void, as after the same call before, or the parts of the file aren't the upload's.
    async fn finish_upload(&self, of: Snapshot, file: NewFile, now: u64) -> Result<bool, Error>;

    /// Ends the job of copying this File into one blob, if `lease` still holds it: its bytes lie here from now on, and the
    /// deletion of where they lay becomes a job. Durable. Otherwise, and where the File is gone, the deletion of the
    /// copy becomes one, and the answer is `false`.
    async fn pack(&self, id: UploadId, lease: LeaseId, copy: Extents) -> Result<bool, Error>;

    /// Ends the job of making a thumbnail of this File, if `lease` still holds it. A picture made of a media
    /// becomes its thumbnail unless it has one; one made of a thumbnail that a client sent takes the place of what
    /// was sent, and of the media's older thumbnail. Where no picture could be made, what was sent stays, and takes
    /// the place of an older one that was sent. Neither changes what a message shows: where the media is attached
    /// and has a thumbnail, that stays and the other goes. Durable. The deletion of what is replaced or unwanted
    /// becomes a job, also that of a picture whose job is not `lease`'s any more: then the answer is `false`.
    async fn end_drawing(
        &self,
        id: UploadId,
        lease: LeaseId,
        picture: Option<NewPicture>,
        now: u64,
    ) -> Result<bool, Error>;

    /// Makes a File that came in one request. A thumbnail shows itself only once a picture was made of it; it
    /// replaces those sent before it, the one that its media shows only then, or at once where no picture is to
    /// be made. Durable.
    async fn store_single(&self, new: NewSingle, quota: Quota, now: u64) -> Result<Stored, Error>;

    /// Names an unfinished upload that has no name yet; later names change nothing. Durable.
    async fn name_upload(&self, of: Generation, filename: Filename) -> Result<(), Error>;

    /// Names a File that came in one request after its first done; later names change nothing. Durable: the reply
    /// tells the name. `false` when a message shows the File, which keeps its name.
    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<bool, Error>;

    /// Cancels an upload or deletes a File with its thumbnails, or a thumbnail alone. `even_attached`: what the
    /// application's backend may do.
    async fn remove(
        &self,
        id: UploadId,
        even_attached: bool,
        now: u64,
        leased_until: u64,
    ) -> Result<Removed, Error>;

    /// Forgets some of the parts that the upload of a [`JobKind::ForgetParts`](jobs::JobKind) had; they mean nothing
    /// any more. `false` when none is left. Repeating it is harmless.
    async fn forget_parts(&self, number: u64) -> Result<bool, Error>;

    /// Forgets an upload that never had a chunk, as if it had not begun; the deletion of its blob becomes a job. `false`
    /// when this life of it has ended, as after the same call before, had a chunk, or has a thumbnail.
    async fn withdraw_upload(&self, of: Generation, now: u64) -> Result<bool, Error>;

    /// At most `limit` uploads that were begun before `begun_before` and never had a chunk or a thumbnail.
    async fn unused_uploads(&self, begun_before: u64, limit: u32) -> Result<Vec<UploadId>, Error>;

    /// Frees the uuid of an expired upload, so that it can begin afresh.
    async fn forget_expired(&self, id: UploadId) -> Result<(), Error>;

    /// Marks Files as shown by a message; repeating it changes nothing.
    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error>;

    /// The Files of these uuids, in order; a thumbnail's uuid gives its parent.
    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error>;

    /// A user's unfinished uploads and Files, newest first, those older than `before`, and where to continue. One that
    /// never had a chunk isn't listed: it doesn't exist until its first chunk is on record.
    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error>;

    /// Expires at most `limit` uploads in which nothing was stored since `idle_since`.
    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<UploadId>, Error>;

    /// Which of these blobs no record claims.
    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error>;

    /// The keys that links are accepted of, newest first: that one signs. `first` becomes one when there is
    /// none.
    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error>;

    /// Signs with `new` from now on; links of older keys are accepted until `accept_old_until`. Durable.
    async fn rotate_link_key(
        &self,
        new: [u8; 32],
        accept_old_until: u64,
        now: u64,
    ) -> Result<(), Error>;

    /// Whether any upload was ever begun.
    async fn has_uploads(&self) -> Result<bool, Error>;

    /// The id of the byte store that these records speak of; `fresh` becomes it when there is none yet.
    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error>;

    /// At most `limit` Files that were finished before `unix_secs` and that no message shows.
    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error>;

    /// At most `limit` of all uploads and Files that have bytes, oldest first, from behind `after` on (0: from the
    /// first), and where to continue.
    async fn all(&self, after: Cursor, limit: u32) -> Result<(Vec<Record>, Option<Cursor>), Error>;

    /// At most `limit` uploads, Files and thumbnails of this user, oldest first.
    async fn of_user(&self, user: UserId, limit: u32) -> Result<Vec<Record>, Error>;

    /// Forgets everything of what this user once had but the uuids, and gives these. What the user still has
    /// stays. Durable. Repeating it changes nothing.
    async fn forget_user(&self, user: UserId) -> Result<Vec<UploadId>, Error>;

    /// Leaves nothing in the store's files of what it has forgotten. Everything waits for it, for as long as it takes
    /// to write all records anew, and it takes as much room meanwhile. Fails where that can't be ensured.
    async fn scrub(&self) -> Result<(), Error>;

    /// Fails when records can't be written now; for the readiness probe.
    async fn check(&self) -> Result<(), Unready>;

    /// Makes everything committed durable and lets go of the files; the last call.
    async fn close(&self) -> Result<(), Error>;
}
