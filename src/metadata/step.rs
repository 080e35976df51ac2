//! What changes the records, and what becomes of it: the arguments and outcomes of the steps in
//! [`MetadataStore`](super::MetadataStore).

use super::jobs::Job;
use super::quota::{OverQuota, Quota};
use super::{Generation, NewAppend, NewFile, Role, StoredFile};
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, UploadId, UserId};
use crate::media::Facts;
use crate::part::{Part, PartIndex};
use crate::storage::Extents;

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

    /// Whether it begins a piece of an upload to come, which is no file of its own.
    pub fn is_partial(&self) -> bool {
        self.append.as_ref().is_some_and(|append| append.is_partial)
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

/// The outcome of [`MetadataStore::begin_upload`](super::MetadataStore::begin_upload).
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

/// The outcome of [`MetadataStore::reserve`](super::MetadataStore::reserve).
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

/// The outcome of [`MetadataStore::record_part`](super::MetadataStore::record_part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts.
    Stored,
    /// The upload takes no parts (any more) or began anew, the index or some of the bytes are taken, the part is out
    /// of order, or another request changed what this one relied on.
    Refused,
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

/// The outcome of [`MetadataStore::store_single`](super::MetadataStore::store_single).
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

/// The outcome of [`MetadataStore::remove`](super::MetadataStore::remove).
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
