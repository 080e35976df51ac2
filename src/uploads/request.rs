//! Requests to uploads.

use super::Checksum;
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::part::Declaration;

/// A chunk, as described by its request.
#[derive(Clone, Debug)]
pub struct ChunkRequest {
    /// The user who sends it.
    pub user: UserId,
    /// The upload to which it belongs, once the client knows it.
    pub id: Option<UploadId>,
    /// What the request declares about its place.
    pub declared: Declaration,
    /// The file's name, if the request gives one.
    pub filename: Option<Filename>,
    /// The media type, if the request gives one.
    pub declared_type: Option<String>,
    /// The media of which this is a scaled copy.
    pub parent: Option<UploadId>,
}

/// A request to create an upload whose bytes arrive in order.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Its owner.
    pub user: UserId,
    /// The file's size, if it is known yet.
    pub total_size: Option<u64>,
    /// The file's name, if it has one.
    pub filename: Option<Filename>,
    /// Its media type, if the sender gives one.
    pub declared_type: Option<String>,
    /// The MD5 that the whole file must have, if the sender gives one.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a piece to be joined, and no file of its own.
    pub is_partial: bool,
}

/// Bytes to append to an upload.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// The user who sends them.
    pub user: UserId,
    /// The upload.
    pub id: UploadId,
    /// The offset at which the sender believes the upload ends.
    pub offset: u64,
    /// The file's size, if the sender gives it now.
    pub total_size: Option<u64>,
    /// How many bytes will follow, if that is known.
    pub length: Option<u64>,
    /// Their checksum, if the sender gives one.
    pub checksum: Option<Checksum>,
}
