//! Records of uploads whose bytes come in order.

use super::jobs::Job;
use super::quota::OverQuota;
use crate::ids::UploadId;
use crate::part::Part;
use crate::storage::Extents;

/// What is known of an unfinished upload whose bytes come in order, beside its parts and its total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// The MD5 that the whole must have, if its sender said so at the start.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a piece of an upload to come, and no file of its own.
    pub is_partial: bool,
    /// Whether it was joined from others: then it takes no bytes.
    pub is_joined: bool,
}

/// The outcome of [`MetadataStore::join`](super::MetadataStore::join).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The new upload has all bytes of the pieces, which stand for it from now on.
    Joined {
        /// The job to finish it, held for the caller.
        job: Option<Job>,
    },
    /// The same pieces were joined before, in this order, into this upload.
    Before(UploadId),
    /// This one is no piece of an upload to come, or not of this user's, or was joined into another one.
    NotAPiece(UploadId),
    /// Not all bytes of this one are there.
    Incomplete(UploadId),
    /// There is no room for one more file.
    Over(OverQuota),
}

/// What begins an upload whose bytes come in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAppend {
    /// The file's size, if it is known yet.
    pub total_size: Option<u64>,
    /// The MD5 that the whole must have, if its sender says so.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a piece of an upload to come, which no list shows and which counts as no file.
    pub is_partial: bool,
}

/// Bytes at the end of an upload.
#[derive(Clone, Debug)]
pub struct NewBytes {
    /// Where they lie in the file, and what they are; they may be none, where only the total is told.
    pub part: Part,
    /// Where they are stored; `None` where the upload has a blob, in which they lie at their offset.
    pub extents: Option<Extents>,
    /// The file's size, where it was not known before.
    pub total_size: Option<u64>,
}

/// The outcome of [`MetadataStore::append`](super::MetadataStore::append).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// They count.
    Stored,
    /// They count, and the last byte of the file is among them.
    Complete {
        /// The job to finish it, held for the caller; `None` where somebody else holds it, and of a piece of an upload
        /// to come.
        job: Option<Job>,
    },
    /// The upload takes no such bytes (any more), began anew, or ends elsewhere.
    Refused,
}
