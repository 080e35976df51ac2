//! Arguments and outcomes of the steps in [`MetadataStore`](super::MetadataStore).

use super::jobs::Job;
use super::quota::{OverQuota, Quota};
use super::{Generation, NewAppend, NewFile, Role, StoredFile};
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, UploadId, UserId};
use crate::media::Facts;
use crate::part::{Part, PartIndex};
use crate::storage::Extents;

/// An upload to begin.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its uuid, chosen by the server or by the client.
    pub id: UploadId,
    /// Its owner.
    pub user: UserId,
    /// A random id that no generation of an upload had before.
    pub generation: GenerationId,
    /// The blob into which its parts will be written, each at its offset; `None` if the store doesn't write in place.
    pub blob: Option<BlobId>,
    /// The number of its parts; 0 if its bytes arrive in order.
    pub total_parts: u32,
    /// Details of an upload whose bytes arrive in order; `None` if its parts have indexes. No step turns one kind into
    /// the other.
    pub append: Option<NewAppend>,
    /// Bytes that count against its user's quota.
    pub reserved: u64,
    /// The filename that its first chunk declared.
    pub filename: Option<Filename>,
    /// The media type its first chunk declared.
    pub declared_type: Option<String>,
    /// The media that this scaled copy belongs to.
    pub parent: Option<UploadId>,
}

impl NewUpload {
    /// Returns the generation that begins with it.
    pub fn generation(&self) -> Generation {
        Generation { upload: self.id, id: self.generation }
    }

    /// Whether it begins a partial upload, which is no file of its own.
    pub fn is_partial(&self) -> bool {
        self.append.as_ref().is_some_and(|append| append.is_partial)
    }
}

/// Limits that apply to a new upload.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Maximum number of unfinished uploads per user.
    pub max_unfinished: u32,
    /// At that maximum, the oldest upload in which nothing was stored since this time is expired.
    pub idle_since: u64,
    /// Limits on bytes and files.
    pub quota: Quota,
}

/// The outcome of [`MetadataStore::begin_upload`](super::MetadataStore::begin_upload).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is recorded.
    Begun {
        /// The older upload that was expired to make room for it.
        evicted: Option<UploadId>,
    },
    /// The uuid was used before.
    Exists,
    /// The user has too many unfinished uploads, none of them idle.
    TooMany,
    /// There is no room for it.
    Over(OverQuota),
}

/// The outcome of [`MetadataStore::reserve`](super::MetadataStore::reserve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// At least this many bytes are reserved.
    Reserved,
    /// The upload isn't receiving.
    NotReceiving,
    /// There is no room for them. Earlier reservations remain.
    Over(OverQuota),
}

/// A part, and what its request declared about the whole file.
#[derive(Clone, Debug)]
pub struct NewPart {
    /// Its index.
    pub index: PartIndex,
    /// Its offset, size and checksum.
    pub part: Part,
    /// Where its bytes are stored; `None` if the upload has a blob, which contains them at the part's offset.
    pub extents: Option<Extents>,
    /// The file's size, if the request declared it.
    pub total_size: Option<u64>,
    /// The size of all parts but the last, if placing this part relied on it.
    pub even_size: Option<u64>,
}

/// The outcome of [`MetadataStore::record_part`](super::MetadataStore::record_part).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The part is recorded.
    Stored,
    /// The upload accepts no parts or started over, the index or some of the bytes are taken, the part is
    /// out of order, or another request changed what this one relied on.
    Refused,
}

/// A file that was sent in one request.
#[derive(Clone, Debug)]
pub struct NewSingle {
    /// Its uuid, chosen by the server or by the client.
    pub id: UploadId,
    /// Its owner.
    pub user: UserId,
    /// What it is for. A thumbnail has a parent.
    pub role: Role,
    /// The media it belongs to.
    pub parent: Option<UploadId>,
    /// The media type its request declared.
    pub declared_type: Option<String>,
    /// The file.
    pub file: NewFile,
}

impl NewSingle {
    /// Returns the upload that becomes the File in the same transaction.
    pub fn upload(&self) -> NewUpload {
        NewUpload {
            id: self.id,
            user: self.user.clone(),
            generation: GenerationId::random(),
            blob: self.file.extents.single_blob(),
            total_parts: 1,
            append: None,
            reserved: self.file.size,
            filename: None,
            declared_type: self.declared_type.clone(),
            parent: self.parent,
        }
    }

    /// Returns the File that it becomes when it is stored at `now` (unix seconds).
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
    /// The uuid was used before.
    Exists,
    /// There is no such parent.
    NoParent,
    /// A message shows the parent, which therefore no longer accepts a thumbnail.
    Attached,
    /// There is no room for it.
    Over(OverQuota),
}

/// A thumbnail that the server made of an image.
#[derive(Clone, Debug)]
pub struct NewPicture {
    /// Its uuid, unless it is made of a thumbnail that has one.
    pub id: UploadId,
    /// Where its bytes are stored.
    pub extents: Extents,
    /// Its size in bytes.
    pub size: u64,
    /// CRC-32 of all bytes.
    pub crc32: u32,
    /// Its media type and its dimensions in pixels.
    pub facts: Facts,
}

impl NewPicture {
    /// Returns the upload that becomes the thumbnail of `media` in the same transaction. It doesn't count against the
    /// quota of `user`.
    pub fn upload(&self, user: UserId, media: UploadId) -> NewUpload {
        NewUpload {
            id: self.id,
            user,
            generation: GenerationId::random(),
            blob: self.extents.single_blob(),
            total_parts: 1,
            append: None,
            reserved: 0,
            filename: None,
            declared_type: None,
            parent: Some(media),
        }
    }
}

/// The outcome of [`MetadataStore::remove`](super::MetadataStore::remove).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was removed.
    Removed {
        /// The jobs that delete its bytes and those of its thumbnails, held for the caller.
        deletions: Vec<Job>,
        /// How many thumbnails were removed with it.
        thumbnails: u64,
        /// How many bytes of removed thumbnails counted against the user's quota.
        thumbnail_bytes: u64,
    },
    /// A message shows it, or the media that this thumbnail belongs to.
    Attached,
    /// There was nothing to remove.
    Nothing,
}
