//! What is asked of uploads.

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
