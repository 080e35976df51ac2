//! What is asked of uploads.

use super::Checksum;
use crate::filename::Filename;
use crate::ids::{UploadId, UserId};
use crate::part::Declaration;

/// A chunk, as its request describes it.
#[derive(Clone, Debug)]
pub struct ChunkRequest {
    /// Who sends it.
    pub user: UserId,
    /// The upload it belongs to, once the client knows it.
    pub id: Option<UploadId>,
    /// What it says of its place.
    pub declared: Declaration,
    /// The file's name, if it says so.
    pub filename: Option<Filename>,
    /// The media type, if it says so.
    pub declared_type: Option<String>,
    /// The media this scaled copy belongs to.
    pub parent: Option<UploadId>,
}

/// What begins an upload whose bytes come in order.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Whose it is.
    pub user: UserId,
    /// The file's size, if it is known yet.
    pub total_size: Option<u64>,
    /// The file's name, if it has one.
    pub filename: Option<Filename>,
    /// Its media type, if the sender says so.
    pub declared_type: Option<String>,
    /// The MD5 that the whole must have, if the sender says so.
    pub md5: Option<[u8; 16]>,
    /// Whether it is a piece of an upload to come, and no file of its own.
    pub is_partial: bool,
}

/// Bytes for the end of an upload.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Who sends them.
    pub user: UserId,
    /// The upload.
    pub id: UploadId,
    /// Where the sender believes its end is.
    pub offset: u64,
    /// The file's size, if the sender says so now.
    pub total_size: Option<u64>,
    /// How many bytes will come, if that is known.
    pub length: Option<u64>,
    /// What they must have, if the sender says so.
    pub checksum: Option<Checksum>,
}
