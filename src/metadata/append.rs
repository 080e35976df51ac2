//! Records of uploads whose bytes arrive in order.

use super::jobs::Job;
use super::quota::OverQuota;
use crate::ids::UploadId;
use crate::part::Part;
use crate::storage::Extents;

/// What is known of an unfinished upload whose bytes arrive in order, besides its parts and its total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// The expected MD5 of the whole file, if its sender declared it at the start.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a partial upload: bytes of an upload that is still to be joined, and no file of its own.
    pub is_partial: bool,
    /// Whether it was joined from partial uploads: then it accepts no bytes.
    pub is_joined: bool,
}

/// The outcome of [`MetadataStore::join`](super::MetadataStore::join).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The new upload has all bytes of the partial uploads, whose uuids stand for it from now on.
    Joined {
        /// The job that finishes it, held for the caller.
        job: Option<Job>,
    },
    /// The same partial uploads were joined before, in this order, into this upload.
    Before(UploadId),
    /// This is not a partial upload of this user, or it was joined into another upload.
    NotAPiece(UploadId),
    /// This partial upload is incomplete.
    Incomplete(UploadId),
    /// There is no room for another file.
    Over(OverQuota),
}

/// A new upload whose bytes arrive in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAppend {
    /// The file's size, if it is known already.
    pub total_size: Option<u64>,
    /// The expected MD5 of the whole file, if its sender declares it.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a partial upload, which isn't listed and doesn't count as a file.
    pub is_partial: bool,
}

/// Bytes at the end of an upload.
#[derive(Clone, Debug)]
pub struct NewBytes {
    /// Their place in the file, size and checksum. The size is 0 if a request only declares the total.
    pub part: Part,
    /// Where they are stored; `None` if the upload has a blob, which contains them at their offset.
    pub extents: Option<Extents>,
    /// The file's size, if it was not known before.
    pub total_size: Option<u64>,
}

/// The outcome of [`MetadataStore::append`](super::MetadataStore::append).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The bytes are recorded.
    Stored,
    /// The bytes are recorded, and the last byte of the file is among them.
    Complete {
        /// The job that finishes it, held for the caller. `None` if somebody else holds it, and for a partial upload.
        job: Option<Job>,
    },
    /// The upload accepts no such bytes, started over, or ends elsewhere.
    Refused,
}
