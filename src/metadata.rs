//! The records: the [`MetadataStore`] contract and the types it speaks in.
//!
//! Each method that changes something is one transaction, named for the step of the business it takes.
//! Knows nothing of HTTP and touches no bytes of files. Times are seconds since 1970.

mod append;
mod error;
pub mod jobs;
mod location;
pub mod quota;
pub mod sqlite;

use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, LeaseId, UploadId, UserId};
use crate::media::privacy::EmbeddedMetadata;
use crate::media::{Facts, Patch};
use crate::part::{Layout, Part, PartIndex};
use crate::storage::{Extents, Unready};
pub use append::{Append, Appended, Joined, NewAppend, NewBytes};
pub use error::Error;
use jobs::{Job, JobQueue};
pub use location::Location;
use quota::{OverQuota, Quota, Usage};

/// What the records say of one uuid.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its uuid.
    pub id: UploadId,
    /// Whose it is; nobody's once it is erased.
    pub user: Option<UserId>,
    /// How far it has come.
    pub state: State,
}

/// How far an upload has come.
#[derive(Clone, Debug)]
pub enum State {
    /// Chunks are coming in.
    Receiving(Box<Unfinished>),
    /// It is a File.
    Finished(Box<StoredFile>),
    /// Cancelled or deleted: gone for ever.
    Removed,
    /// It was not finished in time.
    Expired,
    /// A thumbnail that a newer one replaced; it still stands for its parent.
    Replaced {
        /// The media it belongs to.
        parent: UploadId,
    },
    /// Its owner was erased: only its uuid is known, which is never used again.
    Erased,
}

impl State {
    /// The media that a thumbnail belongs to.
    pub fn parent(&self) -> Option<UploadId> {
        match self {
            Self::Finished(file) if file.role == Role::Thumbnail => file.parent,
            Self::Replaced { parent } => Some(*parent),
            _ => None,
        }
    }

    /// The state without its details.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Receiving(_) => Standing::Receiving,
            Self::Finished(_) => Standing::Finished,
            Self::Removed | Self::Replaced { .. } | Self::Erased => Standing::Removed,
            Self::Expired => Standing::Expired,
        }
    }
}

/// How far an upload has come, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Chunks are coming in.
    Receiving,
    /// It is a File.
    Finished,
    /// It is gone for ever; a replaced thumbnail too takes and gives nothing of its own.
    Removed,
    /// It was not finished in time.
    Expired,
}

/// One life of an unfinished upload. Its uuid may begin anew once it has expired, and it begins again where the store
/// failed to keep its bytes; what somebody still does who began with an earlier life is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its uuid.
    pub upload: UploadId,
    /// Another one in each life.
    pub id: GenerationId,
}

/// What somebody read of an unfinished upload who is to make a File of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The upload.
    pub generation: Generation,
    /// [`Unfinished::epoch`], as it was then.
    pub epoch: u32,
}

/// An upload that receives chunks.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Which life of it this is.
    pub generation: GenerationId,
    /// Where its parts lie.
    pub location: Location,
    /// Counts what makes void what was read of it: that parts were taken away again, and that somebody put on record
    /// what it is about to become. A part that is added makes nothing void.
    pub epoch: u32,
    /// Its parts and totals.
    pub layout: Layout,
    /// What else is known of it if its bytes come in order; `None` if its parts have indexes.
    pub append: Option<Append>,
    /// Bytes that count against its user's quota.
    pub reserved: u64,
    /// The name its chunks gave.
    pub filename: Option<Filename>,
    /// The media type its chunks declared.
    pub declared_type: Option<String>,
    /// The last time something of it was stored.
    pub touched_at: u64,
    /// What it is about to become: its bytes may be partly overwritten already.
    pub finalizing: Option<Box<Finalizing>>,
    /// Whether its parts are to be compared with their bytes first: the machine was booted since.
    pub suspect: bool,
}

impl Unfinished {
    /// This life of the upload `id`.
    pub fn generation(&self, id: UploadId) -> Generation {
        Generation { upload: id, id: self.generation }
    }

    /// The upload `id` as it was read.
    pub fn snapshot(&self, id: UploadId) -> Snapshot {
        Snapshot { generation: self.generation(id), epoch: self.epoch }
    }
}

/// A File whose bytes are still to be overwritten in places.
#[derive(Clone, Debug)]
pub struct Finalizing {
    /// What the upload will be; sizes and checksum are those after overwriting.
    pub file: NewFile,
    /// What to overwrite. Doing it again is harmless.
    pub patches: Vec<Patch>,
}

/// What an upload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A file of its own.
    Media,
    /// The thumbnail of its parent.
    Thumbnail,
}

/// A finished file.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its uuid.
    pub id: UploadId,
    /// Whose it is.
    pub user: UserId,
    /// What it is for.
    pub role: Role,
    /// Where its bytes lie.
    pub extents: Extents,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the whole.
    pub crc32: u32,
    /// What receivers see it called.
    pub filename: Filename,
    /// Whether a done has given that name; until then the first done may.
    pub named: bool,
    /// What its bytes say.
    pub facts: Facts,
    /// What became of the metadata in its bytes.
    pub embedded: EmbeddedMetadata,
    /// MD5 of the bytes as they were sent, where a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The media this thumbnail or scaled copy belongs to.
    pub parent: Option<UploadId>,
    /// Its current thumbnail.
    pub thumbnail: Option<UploadId>,
    /// Whether a message shows it.
    pub attached: bool,
    /// Whether a picture is still to be made of it.
    pub undrawn: bool,
    /// When its upload began, in unix seconds.
    pub created_at: u64,
}

/// What begins an upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Made here or adopted from the client.
    pub id: UploadId,
    /// Whose it is.
    pub user: UserId,
    /// Random: no life of an upload had it before.
    pub generation: GenerationId,
    /// The blob that its parts will be written into, each at its offset; `None` where the store doesn't write in place.
    pub blob: Option<BlobId>,
    /// Into how many parts it is cut; 0 where its bytes come in order.
    pub total_parts: u32,
    /// What begins one whose bytes come in order; `None` where its parts have indexes. It stays what it is.
    pub append: Option<NewAppend>,
    /// Bytes that count against its user's quota.
    pub reserved: u64,
    /// The name its first chunk gave.
    pub filename: Option<Filename>,
    /// The media type its first chunk declared.
    pub declared_type: Option<String>,
    /// The media this scaled copy belongs to.
    pub parent: Option<UploadId>,
}

impl NewUpload {
    /// The life of the upload that begins with it.
    pub fn generation(&self) -> Generation {
        Generation { upload: self.id, id: self.generation }
    }
}

/// What a new upload must fit into.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Unfinished uploads of one user, at most.
    pub max_unfinished: u32,
    /// At that cap, the oldest one in which nothing was stored since then makes room.
    pub idle_since: u64,
    /// Bytes and files.
    pub quota: Quota,
}

/// The outcome of [`MetadataStore::begin_upload`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is on record; this older one expired to make room.
    Begun {
        /// The upload that made room.
        evicted: Option<UploadId>,
    },
    /// The uuid is taken.
    Exists,
    /// The user has too many unfinished uploads, all of them busy.
    TooMany,
    /// There is no room for it.
    Over(OverQuota),
}

/// The outcome of [`MetadataStore::reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// So many bytes, or more, are reserved.
    Reserved,
    /// The upload receives nothing (any more).
    NotReceiving,
    /// There is no room for them; what was reserved before still is.
    Over(OverQuota),
}

/// A part and what its request said of the whole.
#[derive(Clone, Debug)]
pub struct NewPart {
    /// Its number.
    pub index: PartIndex,
    /// Its place in the file and what is in it.
    pub part: Part,
    /// Where its bytes lie; `None` where the upload has a blob, in which they lie at the part's offset.
    pub extents: Option<Extents>,
    /// The file's size, where the request declared it.
    pub total_size: Option<u64>,
    /// The size of all parts but the last, where placing relied on it.
    pub even_size: Option<u64>,
}

/// The outcome of [`MetadataStore::record_part`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts.
    Stored,
    /// The upload takes no parts (any more) or began anew, the index or some of the bytes are taken, the part is out
    /// of order, or another request changed what this one relied on.
    Refused,
}

/// A file to put on record.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What receivers see it called.
    pub filename: Filename,
    /// Whether that name is final.
    pub named: bool,
    /// Whether nobody gave it: then one that a chunk gave in the meantime counts.
    pub made_up: bool,
    /// What its bytes say.
    pub facts: Facts,
    /// What became of the metadata in its bytes.
    pub embedded: EmbeddedMetadata,
    /// Where its bytes lie.
    pub extents: Extents,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the whole.
    pub crc32: u32,
    /// MD5 of the bytes as they were sent, where a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The parts as they were received, in order and end to end.
    pub received: Vec<Part>,
    /// Whether a thumbnail is to be made of these bytes.
    pub drawable: bool,
}

/// A file that came in one request.
#[derive(Clone, Debug)]
pub struct NewSingle {
    /// Made here or adopted from the client.
    pub id: UploadId,
    /// Whose it is.
    pub user: UserId,
    /// What it is for; a thumbnail has a parent.
    pub role: Role,
    /// The media it belongs to.
    pub parent: Option<UploadId>,
    /// The media type its request declared.
    pub declared_type: Option<String>,
    /// The file.
    pub file: NewFile,
}

impl NewSingle {
    /// The File it becomes, stored at `now` (unix seconds).
    pub fn stored(self, now: u64) -> StoredFile {
        StoredFile {
            id: self.id,
            user: self.user,
            role: self.role,
            extents: self.file.extents,
            size: self.file.size,
            crc32: self.file.crc32,
            filename: self.file.filename,
            named: self.file.named,
            facts: self.file.facts,
            embedded: self.file.embedded,
            received_md5: self.file.received_md5,
            parent: self.parent,
            thumbnail: None,
            attached: false,
            undrawn: self.file.drawable,
            created_at: now,
        }
    }
}

/// The outcome of [`MetadataStore::store_single`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is a File.
    Stored,
    /// The uuid is taken.
    Exists,
    /// The parent isn't there (any more).
    NoParent,
    /// A message shows the parent, which takes no thumbnail any more.
    Attached,
    /// There is no room for it.
    Over(OverQuota),
}

/// A picture that was made of an image.
#[derive(Clone, Debug)]
pub struct NewPicture {
    /// The uuid it gets when it isn't made of a thumbnail that has one.
    pub id: UploadId,
    /// Where its bytes lie.
    pub extents: Extents,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the whole.
    pub crc32: u32,
    /// Its type and its size in pixels.
    pub facts: Facts,
}

/// The outcome of [`MetadataStore::remove`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Removed {
        /// The deletions of its bytes and its thumbnails', held for the caller.
        deletions: Vec<Job>,
        /// How many thumbnails went with it.
        thumbnails: u64,
        /// Bytes of the thumbnails among it, as far as they counted against the user's quota.
        thumbnail_bytes: u64,
    },
    /// A message shows it, or the media that this thumbnail belongs to.
    Attached,
    /// There was nothing (any more) to remove.
    Nothing,
}

/// An entry of a user's list.
#[derive(Clone, Debug)]
pub enum Listed {
    /// An upload that receives chunks.
    Unfinished(Summary),
    /// A File.
    File(Box<StoredFile>),
}

impl Listed {
    /// Its uuid.
    pub fn id(&self) -> UploadId {
        match self {
            Self::Unfinished(upload) => upload.id,
            Self::File(file) => file.id,
        }
    }
}

/// An unfinished upload without its parts, of which it may have very many.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its uuid.
    pub id: UploadId,
    /// The name its chunks gave.
    pub filename: Option<Filename>,
    /// Into how many parts it is cut; 0 where its bytes come in order.
    pub total_parts: u32,
    /// The file's size, once somebody declared it.
    pub total_size: Option<u64>,
    /// Bytes received.
    pub received_bytes: u64,
    /// The last time something of it was stored.
    pub touched_at: u64,
}

/// Where a list of records continues: rows older than this one.
pub type Cursor = u64;

/// A key that signs links.
#[derive(Clone)]
pub struct LinkKey {
    /// Its number, which a link names.
    pub id: u64,
    /// 32 random bytes.
    pub secret: [u8; 32],
    /// Unix seconds from which on its links show nothing; `None` for the one that signs.
    pub accepted_until: Option<u64>,
}

/// The records. Every method that changes something answers after its transaction is committed; those
/// marked *durable* after it would also survive power loss. Those that give at most `limit` records give fewer, but
/// one at least, where they have very many parts: there are no more once none comes.
#[async_trait::async_trait]
pub trait MetadataStore: JobQueue {
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

    /// Frees the uuid of an expired upload, so that it can begin afresh.
    async fn forget_expired(&self, id: UploadId) -> Result<(), Error>;

    /// Marks Files as shown by a message; repeating it changes nothing.
    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error>;

    /// The Files of these uuids, in order; a thumbnail's uuid gives its parent.
    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error>;

    /// A user's unfinished uploads and Files, newest first, those older than `before`, and where to continue.
    /// An upload of which nothing is stored isn't listed.
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

    /// Begins to be used in this boot of the machine. What an earlier one left unsynced becomes suspect: parts of
    /// unfinished uploads, and files that were finished without a sync. Durable.
    async fn begin_boot(&self, boot: String) -> Result<(), Error>;

    /// At most `limit` Files that were finished before `unix_secs` and that no message shows.
    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error>;

    /// Makes an unfinished upload suspect.
    async fn doubt(&self, of: Generation) -> Result<(), Error>;

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

    /// At most `limit` uploads and Files that are suspect, oldest first.
    async fn suspects(&self, limit: u32) -> Result<Vec<Record>, Error>;

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

    /// Fails when records can't be written now; for the readiness probe.
    async fn check(&self) -> Result<(), Unready>;

    /// Makes everything committed durable and lets go of the files; the last call.
    async fn close(&self) -> Result<(), Error>;
}
